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
    compares the answers. Changes nothing in the cluster.
  - Blue is asked twice. Headers and lines of the body in which blue's own answers differ say nothing and are left out.
    When blue's answers differ in status, redirect, certificate or protocol, the route counts as different, because
    there is nothing to measure against.
  - A refused handshake or a closed connection is an answer, and green must give the same. No connection at all, and no
    answer within O(timeout), is V(unreachable) and never passes.
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
    description: Response headers to compare. Of C(set-cookie), names and attributes are compared, not values.
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
      - PEM file of authorities. With it a certificate that is not trusted, or not for the host, is an error.
      - Without it certificates are compared and not verified, because blue's may well be private.
    type: path
  proxy_protocol:
    description: Begin each connection with a line of PROXY protocol version 1, as the balancer in front does.
    type: bool
    default: false
  fail_on:
    description: The task fails when there are routes with these verdicts. RV(verified) is false for any of them anyway.
    type: list
    elements: str
    choices: [different, unreachable, not_probed]
    default: [different, unreachable]
requirements:
  - pycurl >= 7.49 (Python)
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
      description: V(equal), V(different), V(unreachable) or V(not_probed).
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

import functools
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bluegreen.mesh.plugins.module_utils import _compare, _identity, _module, _probe, _verify

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
    "fail_on": {
        "type": "list", "elements": "str", "choices": ["different", "unreachable", "not_probed"],
        "default": ["different", "unreachable"],
    },
}  # fmt: skip


def operate(module: AnsibleModule, _cluster: None) -> dict[str, t.Any]:
    if _probe.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("pycurl"), exception=_probe.IMPORT_ERROR)
    params = module.params
    try:
        routes, unprobed = _input(params)
        result = _verify.verify(
            routes,
            unprobed,
            _verify.side_of("blue", params["blue"]),
            _verify.side_of("green", params["green"]),
            _rules(params),
            _verify.options_of(params),
            functools.partial(
                _probe.ask, concurrency=params["concurrency"], timeout=params["timeout"], ca_file=params["ca_file"],
                proxy_protocol=params["proxy_protocol"],
            ),
            identities=_identity.load(params["identities"]),
        )
    except (ValueError, OSError) as exc:
        raise _module.Refusal("bad_input", str(exc)) from exc
    if any(result["counts"][verdict] for verdict in params["fail_on"]):
        module.fail_json(msg=_verify.explain(result), failure={"code": "not_equal", **result["counts"]}, **result)
    return {"changed": False, **result}


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


def _rules(params: dict[str, t.Any]) -> _compare.Rules:
    ignored = {name.lower() for name in params["ignore_headers"]}
    return _compare.Rules(
        fields=tuple(params["compare"]),
        headers=tuple(name.lower() for name in params["headers"] if name.lower() not in ignored),
        masks=_compare.compile_masks([*(_compare.MASKS if params["default_masks"] else ()), *params["masks"]]),
    )


def main() -> None:
    _module.run(
        operate, SPEC, cluster=False,
        mutually_exclusive=[("routes", "routes_file")], required_one_of=[("routes", "routes_file")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
