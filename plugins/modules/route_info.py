#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: route_info
short_description: Every route that clients can reach through Istio Gateways, and how to probe it
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Works out from Gateways, VirtualServices and Services which requests reach which route, and for which routes it
    knows no request. Sends nothing to the gateways and changes nothing; M(bluegreen.mesh.route_verify) does the
    probing.
  - It follows Istio in host forms (C(ns/host), C(./host), wildcards), C(exportTo), delegates, gateways at match level,
    and conditions on path, method, headers, query, authority, port, scheme and source. A request is only taken for a
    route if no earlier route would answer it.
  - Over HTTPS each route is asked for by HTTP/2, and the first route of each host also by HTTP/1.1. Routes to a
    Service whose port is gRPC (C(appProtocol) or name) get the standard health check, if it reaches them.
  - Besides routes, there is one probe for each host of a server that redirects to HTTPS, for each host that
    a Gateway has and no VirtualService, and for a host unknown to each server port, because what blue refuses green
    must refuse.
  - Only GET, HEAD, OPTIONS and gRPC health checks are planned. Everything else needs a sample with C(unsafe).
  - Needs C(list) on C(gateways.networking.istio.io), C(virtualservices.networking.istio.io), C(services) and C(pods).
options:
  gateways:
    description: The Gateways to look at, as C(NAMESPACE/NAME).
    type: list
    elements: str
    required: true
  samples:
    description:
      - Requests that you know of, for routes that no request can be made up for, such as WebSocket, paths by regular
        expression, wildcard hosts. A sample takes the place of the entry in RV(unprobed) of the route that it reaches.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Host that the client asks for.
        type: str
        required: true
      path:
        description: Path, without query.
        type: str
        default: /
      method:
        description: Method. Others than V(GET), V(HEAD) and V(OPTIONS) need O(samples[].unsafe).
        type: str
        default: GET
      headers:
        description:
          - Request headers. Answers to requests with private ones (O(reveal)) are shown as digests only.
        type: dict
        default: {}
      query:
        description: Query parameters.
        type: dict
        default: {}
      protocol:
        description: If not given, V(h2) for HTTPS and V(http1) for HTTP.
        type: str
        choices: ['', http1, h2, grpc, websocket]
        default: ''
      body:
        description: Request body, or the WebSocket message. A body of a request needs O(samples[].unsafe).
        type: str
        default: ''
      gateway:
        description: Use the sample for this Gateway only.
        type: str
        default: ''
      port:
        description: Use the sample for this server port only.
        type: int
      unsafe:
        description: Confirms that the request may be sent, several times, to blue and to green.
        type: bool
        default: false
  reveal:
    description:
      - Return routes with private request headers, such as C(Authorization), C(Cookie) and C(X-Api-Key), of a
        VirtualService's match or of a sample. Give the task C(no_log), since their values are in its result then.
      - Without it such routes are among RV(unprobed), with the reason V(private_header) and without values.
    type: bool
    default: false
  wildcard_label:
    description:
      - What to put in place of the V(*) of wildcard hosts, to probe them too. If empty, they need samples.
    type: str
    default: ''
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
  - bluegreen.mesh.identities
"""

EXAMPLES = r"""
- name: What can clients reach through blue
  bluegreen.mesh.route_info:
    kubeconfig: ~/.kube/config
    context: prod-eu
    gateways:
      - istio-system/public
      - istio-system/passthrough
    samples:
      - host: chat.example.com
        path: /socket
        protocol: websocket
  register: blue

- name: Show what can't be probed
  ansible.builtin.debug:
    msg: "{{ blue.unprobed | selectattr('reachable') | map(attribute='id') }}"
"""

RETURN = r"""
routes:
  description: The probes. Their C(id) is the same from run to run as long as the objects are.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Gateway, server port, host, VirtualService, place of the route in it, and protocol, in words.
      type: str
    gateway:
      description: The Gateway, as C(NAMESPACE/NAME).
      type: str
    virtual_service:
      description: The VirtualService, as C(NAMESPACE/NAME), or null for probes that belong to none.
      type: str
    route:
      description: Place in the VirtualService, for example C(http[2].match[0]), or V(httpsRedirect),
        V(no_virtual_service), V(unknown_host).
      type: str
    host:
      description: Host that is connected for, and SNI.
      type: str
    port:
      description: The Gateway's server port.
      type: int
    node_port:
      description: NodePort that reaches it, if there is one.
      type: int
    scheme:
      description: V(http), V(https), V(tcp) or V(tls).
      type: str
    protocol:
      description: V(http1), V(h2), V(grpc), V(websocket), V(tls_passthrough) or V(tcp).
      type: str
    sni:
      description: SNI, or null without TLS.
      type: str
    authority:
      description: The C(Host) that is sent; mostly the same as C(host). It has no port, as behind a load balancer on 80
        and 443.
      type: str
    method:
      description: Method.
      type: str
    path:
      description: Path.
      type: str
    headers:
      description: Headers that the route asks for.
      type: dict
    query:
      description: Query parameters that the route asks for.
      type: dict
    identity:
      description: Name of the entry of O(identities) that it is to be asked as, if any.
      type: str
    expect:
      description: What should come back; V(answer), V(redirect), V(not_found) or V(refused). What counts is what blue
        answers. Only that certificates need not be trusted for the last two follows from it.
      type: str
unprobed:
  description: Routes without a probe.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: As in RV(routes).
      type: str
    gateway:
      description: The Gateway, or V(mesh).
      type: str
    virtual_service:
      description: The VirtualService.
      type: str
    port:
      description: The Gateway's server port, where it matters.
      type: int
    host:
      description: Host or hosts.
      type: str
    route:
      description: Place in the VirtualService.
      type: str
    reason:
      description:
        - For routes that clients may reach, V(wildcard_host), V(regex_path), V(unsafe_method), V(header_match),
          V(query_match), V(no_request), V(shadowed), V(client_certificate), V(auto_passthrough), V(private_header).
        - For what clients do not reach through this gateway, V(shadowed), V(not_exported), V(host_not_served),
          V(other_gateways), V(delegate_missing), V(delegate_conflict), V(mesh_only).
      type: str
    detail:
      description: The reason in words.
      type: str
    reachable:
      description: Whether clients may reach it. Those that may are not verified until there is a sample.
      type: bool
unused_samples:
  description: Indices of O(samples) that no gateway has a host for.
  returned: success
  type: list
  elements: int
counts:
  description: Number of C(routes), of C(unprobed) that clients may reach, and of C(unreachable) ones.
  returned: success
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _compare,
    _gateways,
    _identity,
    _module,
    _routes,
)

SAMPLE = {
    "host": {"type": "str", "required": True},
    "path": {"type": "str", "default": "/"},
    "method": {"type": "str", "default": "GET"},
    "headers": {"type": "dict", "default": {}},
    "query": {"type": "dict", "default": {}},
    "protocol": {"type": "str", "choices": ["", "http1", "h2", "grpc", "websocket"], "default": ""},
    "body": {"type": "str", "default": ""},
    "gateway": {"type": "str", "default": ""},
    "port": {"type": "int"},
    "unsafe": {"type": "bool", "default": False},
}
SPEC = {
    "gateways": {"type": "list", "elements": "str", "required": True},
    "samples": {"type": "list", "elements": "dict", "options": SAMPLE, "default": []},
    "reveal": {"type": "bool", "default": False},
    "wildcard_label": {"type": "str", "default": ""},
    "identities": {"type": "list", "elements": "dict", "options": _identity.OPTIONS, "default": []},
}


def operate(module: AnsibleModule, cluster: t.Any) -> dict[str, t.Any]:
    params = dict(module.params)
    if not params["reveal"]:  # which Ansible shows with the result
        module.params["samples"] = [_compare.shown_request(sample) for sample in params["samples"]]
    try:
        _routes.check_samples(params["samples"])
    except ValueError as exc:
        raise _module.Refusal("bad_sample", str(exc)) from exc
    try:
        _identity.check(params["identities"])
    except ValueError as exc:
        raise _module.Refusal("bad_identity", str(exc)) from exc
    if not params["gateways"]:
        raise _module.Refusal("no_gateways", "gateways is empty; name at least one, as NAMESPACE/NAME.")
    world = _gateways.read(cluster, params["gateways"], nodes=False)
    found = _routes.plan(
        world.gateways, _gateways.istio_list(cluster, "virtualservices"), world.services, world.workloads(),
        params["samples"], params["wildcard_label"], params["identities"],
    )  # fmt: skip
    for index in found.unused:
        module.warn(
            f"samples[{index}] ({params['samples'][index]['host']}): no gateway asked for has a route for this host"
        )
    if not params["reveal"]:
        _routes.withhold(found)
    reachable = sum(item["reachable"] for item in found.unprobed)
    return {
        "changed": False,
        "routes": found.routes,
        "unprobed": found.unprobed,
        "unused_samples": found.unused,
        "counts": {"routes": len(found.routes), "unprobed": reachable, "unreachable": len(found.unprobed) - reachable},
    }


def main() -> None:
    _module.run(operate, SPEC)


if __name__ == "__main__":
    main()
