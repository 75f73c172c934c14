#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: route_verify
short_description: Prove that green answers every route on every node as blue does
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Sends the requests that M(bluegreen.mesh.route_info) found to every node of blue and of green, at the same time, and
    compares the answers. Changes nothing in the cluster, but that with O(job) there is a Job in it meanwhile.
  - Blue is asked twice. Headers and lines of the body in which blue's own answers differ say nothing and are left out.
    When blue's answers differ in status, redirect, certificate or protocol, the route counts as different, because
    there is nothing to measure against.
  - A refused handshake or a closed connection is an answer, and green must give the same. What leaves nothing to
    compare is V(unreachable) and never passes. That is no connection at all, no answer within O(timeout), a certificate
    that O(ca_file) does not vouch for, a client certificate that blue does not take, and what could not be sent.
  - An answer that one side ends and the other does not within O(timeout) is V(different), whatever O(compare) has.
  - Requests carry the user agent C(bluegreen.mesh/probe), so that access logs can tell them from clients'.
  - C(Host) is sent without port, as for clients of ports 80 and 443 of a load balancer in front.
options:
  routes:
    description: The routes, as RV(bluegreen.mesh.route_info#module:routes) has them, taken from blue's gateways.
    type: list
    elements: dict
  routes_file:
    description: A JSON file of such a list, or of a dictionary with C(routes) and C(unprobed), instead of O(routes).
    type: path
  unprobed:
    description:
      - Routes without a probe, as RV(bluegreen.mesh.route_info#module:unprobed) has them. Those that clients may reach
        are counted as V(not_probed).
    type: list
    elements: dict
    default: []
  blue:
    description: Where to reach blue.
    type: dict
    required: true
    suboptions: &side
      addresses:
        description: Addresses of its nodes.
        type: list
        elements: str
        default: []
      ports:
        description: Dictionary from a Gateway's server port to the NodePort, or to C(HOST:PORT) to connect there
          instead.
        type: dict
        required: true
  green:
    description: Where to reach green. C(ports) is by blue's server ports, too, because routes are blue's.
    type: dict
    required: true
    suboptions: *side
  concurrency:
    description: Connections at once.
    type: int
    default: 64
  timeout:
    description: Seconds for one request, connection included.
    type: float
    default: 10
  passes:
    description: How many rounds in a row a route must be equal.
    type: int
    default: 1
  deadline:
    description:
      - Seconds for which routes that are not equal are asked again. V(0) asks them once.
    type: float
    default: 0
  interval:
    description: Seconds between rounds.
    type: float
    default: 1
  compare:
    description:
      - What to compare. V(location) is the redirect target, V(http_version) what ALPN settled on, V(certificate) the
        leaf's SHA-256.
    type: list
    elements: str
    choices: [status, location, http_version, certificate, grpc_status, headers, body]
    default: [status, location, http_version, certificate, grpc_status, headers, body]
  headers:
    description: Response headers to compare. Of C(set-cookie), names and attributes are compared, not values, and in
      any order.
    type: list
    elements: str
    default: [content-type, location, set-cookie, cache-control, strict-transport-security, server, www-authenticate,
      content-encoding, vary, access-control-allow-origin, x-frame-options, content-security-policy, allow,
      grpc-encoding]
  ignore_headers:
    description: Headers to leave out of O(headers).
    type: list
    elements: str
    default: []
  masks:
    description: Regular expressions. What they match in bodies and headers is taken as equal, besides O(default_masks).
    type: list
    elements: str
    default: []
  default_masks:
    description: Whether to mask UUIDs, ISO 8601 times, IPv4 addresses (with port), and hexadecimal words of 16 digits
      or more.
    type: bool
    default: true
  ca_file:
    description:
      - PEM file of authorities. With it a route whose certificate is not trusted, or not for the host, is
        V(unreachable), on either side.
      - Routes that are there to be refused or not found (by C(expect) of O(routes)), and names under C(.invalid), may
        meet a certificate that is not for them. It is compared and not verified.
      - Without it certificates are compared and not verified, because blue's may well be private.
    type: path
  proxy_protocol:
    description: Begin each connection with a line of PROXY protocol version 1, as the balancer in front does.
    type: bool
    default: false
  job:
    description:
      - Probe from a pod of the cluster, where this host can't reach the nodes' ports. A Job is made for it, and deleted
        once its result is here. Files and variables that O(ca_file) and O(identities) name are read on this host, and
        go there in a Secret that goes with the Job.
      - In check mode no Job is made, and all routes are V(not_probed).
    type: dict
    suboptions:
      image:
        description:
          - The image to run. It needs Python 3.10 or newer, and pycurl 7.49 or newer for it, as an execution
            environment for this collection has. The collection itself need not be in it.
        type: str
        required: true
      namespace:
        description: Namespace to run it in. One that enforces the Pod Security Standard C(restricted) admits it.
        type: str
        required: true
      service_account:
        description: Service account to run it as. Probes need no permission, and get no token.
        type: str
        default: default
      image_pull_secrets:
        description: Names of Secrets of the namespace with which the image is pulled.
        type: list
        elements: str
        default: []
      node_selector:
        description: Labels of the nodes that it may run on.
        type: dict
        default: {}
      tolerations:
        description: Its tolerations, as in a pod's C(spec).
        type: list
        elements: dict
        default: []
      run_as_user:
        description: Number of the user to run it as, for an image that does not say so. It must not be V(0).
        type: int
      resources:
        description: What it asks for and may use, as in a container's C(resources).
        type: dict
        default:
          requests: {cpu: 100m, memory: 256Mi}
          limits: {cpu: "1", memory: 512Mi}
      python:
        description: The image's Python.
        type: str
        default: python3
      start_timeout:
        description: Seconds within which it must run.
        type: int
        default: 120
      deadline:
        description: Seconds that it may run.
        type: int
        default: 900
  kubeconfig:
    description:
      - Path of the kubeconfig file, for O(job). There is no default on purpose.
      - If not given, the environment variable E(K8S_AUTH_KUBECONFIG) is used.
    type: path
  context:
    description:
      - Name of the context in O(kubeconfig). The file's current context is never used.
      - If not given, the environment variable E(K8S_AUTH_CONTEXT) is used.
    type: str
  fail_on:
    description: The task fails when there are routes with these verdicts. RV(verified) is false for any of them anyway.
    type: list
    elements: str
    choices: [different, unreachable, not_probed]
    default: [different, unreachable]
requirements:
  - pycurl >= 7.49 (Python), unless O(job) is given
  - kubernetes >= 31 (Python), if O(job) is given
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
  - bluegreen.mesh.identities
"""

EXAMPLES = r"""
- name: Green answers as blue, three times in a row, within five minutes
  bluegreen.mesh.route_verify:
    routes: "{{ route_info.routes }}"
    unprobed: "{{ route_info.unprobed }}"
    blue:
      addresses: [192.0.2.11, 192.0.2.12]
      ports:
        8080: 30080
        8443: 30443
    green:
      addresses: [192.0.2.11, 192.0.2.12]
      ports:
        8080: 30081
        8443: 30444
    passes: 3
    deadline: 300

- name: From a pod, because this host is in another network
  bluegreen.mesh.route_verify:
    kubeconfig: ~/.kube/config
    context: production
    routes: "{{ route_info.routes }}"
    blue: "{{ blue }}"
    green: "{{ green }}"
    ca_file: /etc/ssl/company.pem
    job:
      image: registry.example.com/execution-environment:1
      namespace: bluegreen-mesh
"""

RETURN = r"""
verified:
  description: Whether there are routes and all of them are equal.
  returned: always
  type: bool
counts:
  description: Number of routes by verdict, V(equal), V(different), V(unreachable), V(not_probed).
  returned: always
  type: dict
routes:
  description: The result for each route.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The route's id.
      type: str
    verdict:
      description: V(equal), V(different), V(unreachable) (nothing to compare) or V(not_probed).
      type: str
    passes:
      description: Equal rounds in a row at the end.
      type: int
    differences:
      description:
        - What differed in the last round, each with C(node) (green's address), C(field), C(blue), C(green).
        - Long values are cut. Cookies, and answers to requests with credentials, are digests.
      type: list
      elements: dict
    noise:
      description: What was not compared because blue differs from itself there.
      type: list
      elements: str
requests:
  description: Number of requests sent.
  returned: always
  type: int
rounds:
  description: Number of rounds.
  returned: always
  type: int
seconds:
  description: How long it took.
  returned: always
  type: float
rate:
  description: Requests a second.
  returned: always
  type: float
"""

import contextlib
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _client,
    _compare,
    _identity,
    _job,
    _module,
    _probe,
    _vantage,
    _verify,
)

SIDE = {
    "addresses": {"type": "list", "elements": "str", "default": []},
    "ports": {"type": "dict", "required": True},
}
SPEC = {
    "routes": {"type": "list", "elements": "dict"},
    "routes_file": {"type": "path"},
    "unprobed": {"type": "list", "elements": "dict", "default": []},
    "blue": {"type": "dict", "required": True, "options": SIDE},
    "green": {"type": "dict", "required": True, "options": SIDE},
    "concurrency": {"type": "int", "default": 64},
    "timeout": {"type": "float", "default": 10.0},
    "passes": {"type": "int", "default": 1, "no_log": False},  # the name looks like a secret's to ansible-test
    "deadline": {"type": "float", "default": 0.0},
    "interval": {"type": "float", "default": 1.0},
    "compare": {"type": "list", "elements": "str", "choices": list(_compare.FIELDS), "default": list(_compare.FIELDS)},
    "headers": {"type": "list", "elements": "str", "default": list(_compare.HEADERS)},
    "ignore_headers": {"type": "list", "elements": "str", "default": []},
    "masks": {"type": "list", "elements": "str", "default": []},
    "default_masks": {"type": "bool", "default": True},
    "ca_file": {"type": "path"},
    "proxy_protocol": {"type": "bool", "default": False},
    "identities": {"type": "list", "elements": "dict", "options": _identity.OPTIONS, "default": []},
    "job": {"type": "dict", "options": _job.OPTIONS},
    "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "fail_on": {
        "type": "list", "elements": "str", "choices": ["different", "unreachable", "not_probed"],
        "default": ["different", "unreachable"],
    },
}  # fmt: skip


def operate(module: AnsibleModule, _cluster: None) -> dict[str, t.Any]:
    params = dict(module.params)
    if not params["job"] and _probe.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("pycurl"), exception=_probe.IMPORT_ERROR)
    try:
        params["routes"], params["unprobed"] = _input(params)
        if module.params["routes"]:  # which Ansible shows with what the module says
            module.params["routes"] = [_compare.shown_request(route) for route in module.params["routes"]]
        _verify.check(params)
        result = _from_a_pod(module, params) if params["job"] else _verify.perform(params)
    except (ValueError, OSError) as exc:
        raise _module.Refusal("bad_input", str(exc)) from exc
    if any(result["counts"][verdict] for verdict in params["fail_on"]):
        module.fail_json(msg=_verify.explain(result), failure={"code": "not_equal", **result["counts"]}, **result)
    return {"changed": False, **result}


def _from_a_pod(module: AnsibleModule, params: dict[str, t.Any]) -> dict[str, t.Any]:
    if not (params["kubeconfig"] and params["context"]):
        raise _module.Refusal("bad_options", "job: kubeconfig and context must both be given, of its cluster.")
    work = _job.Work("probe", (params["job"]["python"], f"{_vantage.PLACE}/{_vantage.PROGRAM}"), _vantage.PLACE)
    run = _job.Run(_module.connect(module), params["job"], work)
    files = _vantage.files_of(params)
    if module.check_mode:
        run.rehearse(files)
        return _verify.unasked(params, "in check mode no Job is made to probe from")
    run.start(files)
    try:
        return run.result(_vantage.read, _vantage.Incomplete)
    finally:
        with contextlib.suppress(_client.ClusterError):  # it goes by its time to live as well
            run.remove()


def _input(params: dict[str, t.Any]) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    routes, unprobed = params["routes"], params["unprobed"]
    if params["routes_file"]:
        with open(params["routes_file"], encoding="utf-8") as file:
            read = json.load(file)
        routes, more = (read.get("routes"), read.get("unprobed", [])) if isinstance(read, dict) else (read, [])
        unprobed = unprobed + more
    if not routes:
        raise ValueError("there are no routes; a verification of nothing proves nothing.")
    return routes, unprobed


def main() -> None:
    _module.run(
        operate, SPEC, cluster=False,
        mutually_exclusive=[("routes", "routes_file")], required_one_of=[("routes", "routes_file")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
