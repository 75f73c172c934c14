#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_parity_info
short_description: Compare the effective Envoy configuration of two gateways
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Compares listeners, filters, virtual hosts, routes, the clusters that they lead to, and certificates of blue and
    green, for what probes can't reach. Asks nothing of the gateways themselves and changes nothing.
  - Names of the gateways, versions, statistics and places are left out. Certificates are compared by their digests;
    private keys are not looked at. What is not known to be a mere name is compared.
  - Where the configuration can't be had, RV(known) is false and nothing is said about equality.
options:
  blue:
    description: The gateway that serves now.
    type: dict
    required: true
    suboptions: &side
      file:
        description: A file of what C(localhost:15000/config_dump) returns in its pod.
        type: path
      proxies:
        description: Its pods, as C(POD.NAMESPACE), for O(istiod). The first that istiod knows stands for all.
        type: list
        elements: str
        default: []
      listening:
        description: Dictionary from server ports of its Gateways to ports that its pods listen on, where they differ.
        type: dict
        default: {}
  green:
    description: The gateway that is to take its place.
    type: dict
    required: true
    suboptions: *side
  istiod:
    description: Where to ask for the configuration of a side without a file.
    type: dict
    default: {}
    suboptions:
      url:
        description: istiod's debug port, for example V(http://localhost:15014) of a port-forward.
        type: str
      token_env:
        description: Environment variable that has a token for it, where it is not asked on loopback.
        type: str
      token_file:
        description: File that has such a token and nothing else.
        type: path
  certificates:
    description: V(ignore) where each side has server certificates of its own. Client authorities are compared always.
    type: str
    choices: [compare, ignore]
    default: compare
  routes:
    description: Routes to say something about, as M(bluegreen.mesh.route_info) returns them, probed or not.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
"""

EXAMPLES = r"""
- name: Compare what istiod sends to both, through a port-forward
  bluegreen.mesh.gateway_parity_info:
    blue:
      proxies: [public-ingressgateway-6c4f9-x2x8z.istio-system]
      listening: {443: 8443}
    green:
      proxies: [public-ingressgateway-7d9b8-k4k2p.istio-gateway]
    istiod:
      url: http://localhost:15014
  register: parity

- name: Show what is not equal
  ansible.builtin.debug:
    var: parity.parts
"""

RETURN = r"""
known:
  description: Whether the configuration of both could be had.
  returned: always
  type: bool
reason:
  description: Why not.
  returned: always
  type: str
sources:
  description: Where blue's and green's came from, V(file) or V(istiod).
  returned: always
  type: list
  elements: str
equal:
  description: Whether all parts are equal. Never true when nothing is known.
  returned: always
  type: bool
counts:
  description: Number of parts by verdict, V(equal), V(different), V(unknown), V(only_blue), V(only_green).
  returned: always
  type: dict
parts:
  description: The parts that are not equal.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Kind, port, host and match in words.
      type: str
    kind:
      description: V(listener), V(filter_chain), V(tcp_chain), V(virtual_host) or V(route).
      type: str
    port:
      description: Port of blue's pods.
      type: int
    host:
      description: SNI or virtual host.
      type: str
    match:
      description: What the route matches, as JSON.
      type: str
    verdict:
      description: V(unknown) when a certificate or a route table is not in the dump.
      type: str
    differences:
      description: Each with C(field), C(blue), C(green). What may hold secrets is shown as a digest.
      type: list
      elements: dict
routes:
  description:
    - For each of O(routes), C(id), C(verdict) V(equal), V(different) or V(unknown), and C(differences), with the C(part)
      that they are in. All that configuration has for the host and port of a route counts.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _identity, _module, _parity, config_dumps

SIDE = {
    "file": {"type": "path"},
    "proxies": {"type": "list", "elements": "str", "default": []},
    "listening": {"type": "dict", "default": {}},
}
ISTIOD = {
    "url": {"type": "str"},
    "token_env": {"type": "str", "no_log": False},  # the name of a variable, not what is in it
    "token_file": {"type": "path", "no_log": False},
}
SPEC = {
    "certificates": {"type": "str", "choices": ["compare", "ignore"], "default": "compare"},
    "blue": {"type": "dict", "required": True, "options": SIDE},
    "green": {"type": "dict", "required": True, "options": SIDE},
    "istiod": {"type": "dict", "default": {}, "options": ISTIOD},
    "routes": {"type": "list", "elements": "dict", "default": []},
}


def operate(module: AnsibleModule, _cluster: None) -> dict[str, t.Any]:
    params = module.params
    blue, green = (_ports(side, params[side]["listening"]) for side in ("blue", "green"))
    ports = {blue.get(number, number): green.get(number, number) for number in {*blue, *green}}
    for route in params["routes"]:
        if not route.get("id") or not route.get("port"):
            raise _module.Refusal("bad_input", f"routes: {route!r} has no id or no port; pass what route_info returned.")
    try:
        found, sources, reason = *_compare(params, ports), ""
    except (config_dumps.Unavailable, _parity.Unreadable) as exc:
        found, sources, reason = _parity.Comparison(), [], str(exc)
    counts = found.counts()
    unknown = {"verdict": "unknown", "differences": []}
    return {
        "changed": False,
        "known": not reason,
        "reason": reason,
        "sources": sources,
        "equal": not reason and counts["equal"] == len(found.parts),
        "counts": counts,
        "parts": [part for part in found.parts if part["verdict"] != "equal"],
        "routes": [
            {"id": route["id"], **unknown} if reason else _parity.judge(route, found, blue)
            for route in params["routes"]
        ],
    }


def _compare(params: dict[str, t.Any], ports: dict[int, int]) -> tuple[_parity.Comparison, list[str]]:
    istiod = params["istiod"] or {}
    try:
        headers = _identity.bearer(istiod, "istiod")
    except ValueError as exc:
        raise config_dumps.Unavailable(str(exc)) from exc
    options = {"url": istiod.get("url"), "headers": headers}
    blue, green = (config_dumps.read(params[side], options) for side in ("blue", "green"))
    own = params["certificates"] == "ignore"
    return _parity.compare(blue[1], green[1], ports, own), [blue[0], green[0]]


def _ports(side: str, given: dict[str, t.Any]) -> dict[int, int]:
    try:
        return {int(port): int(to) for port, to in given.items()}
    except (TypeError, ValueError) as exc:
        raise _module.Refusal("bad_input", f"{side}.listening is {given!r}; it must lead from port numbers to such.") from exc


def main() -> None:
    _module.run(operate, SPEC, cluster=False)


if __name__ == "__main__":
    main()
