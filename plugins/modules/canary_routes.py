#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_routes
short_description: Share one service between versions, by weight and by header or cookie, without a gap
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Shares what Istio routes to one service between subsets of its pods. Every HTTP route that sends to the service gets
    the weighted destinations in the place of its own; whatever else its VirtualService has stays as it is.
  - Requests with a header or a cookie of O(match) go to one subset whatever the weights say. Their routes stand right
    before the weighted one and have its conditions too, so that they take nothing that it would not have taken.
  - Each state is one step, and refuses where the one before it is missing. Subsets come before routes when adding, and
    go after them when removing. With O(settle) the module waits in between until the proxies go by what was written.
  - A route that asks for a subset by name, other than the first of O(subsets), is left alone.
  - What a route was before is noted in the annotation C(bluegreen.mesh/canary) of its VirtualService, and given back to
    the letter. A route that its owner has written anew since is left as he wrote it.
options:
  state:
    description:
      - V(subsets) adds the subsets to the service's DestinationRule, or makes one. Its traffic policy is left alone.
      - V(routed) shares the routes by O(weights) and O(match).
      - V(unrouted) gives the routes back what they were. Refused while pods of several subsets are ready, as these
        would all get traffic then.
      - V(absent) takes the subsets away that this module has added. Refused while a route names one.
      - V(read) changes nothing.
    type: str
    choices: [subsets, routed, unrouted, absent, read]
    required: true
  service:
    description: The Service, as C(NAMESPACE/NAME). One of O(service) and O(host) is required.
    type: str
  host:
    description: A host that a ServiceEntry declares, instead of a Service. Its endpoints are what the subsets are of.
    type: str
  namespace:
    description: With O(host), the namespace of the objects for it.
    type: str
  external:
    description:
      - With O(host), the ServiceEntry to make, with C(MESH_EXTERNAL) as its location. V(state=subsets) makes it before
        the subsets, V(state=absent) removes it after them.
    type: dict
    suboptions:
      ports:
        description: As C(spec.ports) of a ServiceEntry.
        type: list
        elements: dict
        required: true
      resolution:
        description: As C(spec.resolution). V(NONE) has no endpoints, and so no subsets.
        type: str
        choices: [STATIC, DNS, NONE]
        default: DNS
      endpoints:
        description: As C(spec.endpoints), each with the labels of a subset.
        type: list
        elements: dict
        required: true
  domain:
    description: The cluster's domain.
    type: str
    default: cluster.local
  subsets:
    description: The versions, the one that serves now first.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the subset.
        type: str
        required: true
      labels:
        description: Labels by which its pods are told from all others of the service.
        type: dict
        required: true
  weights:
    description:
      - Percentage by subset, whole numbers that add up to 100. A subset that is not named gets nothing. Required for
        V(state=routed).
      - Of a route that has other destinations too, the service's share is what is divided.
    type: dict
  match:
    description: Requests that go to a subset whatever the weights say. The first that fits counts.
    type: list
    elements: dict
    default: []
    suboptions:
      subset:
        description: The subset.
        type: str
        required: true
      header:
        description:
          - A header and its value, by one of C(exact), C(prefix) and C(regex). One of O(match[].header) and
            O(match[].cookie).
        type: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          exact:
            description: The whole value.
            type: str
          prefix:
            description: What the value begins with. Capitals count.
            type: str
          regex:
            description:
              - A regular expression that the whole value fits, in the syntax of RE2, such as V(.*Mobile.*).
              - What Python can't read either, or is known not to be RE2, is refused here; the rest by istiod.
            type: str
      cookie:
        description: A cookie and its exact value.
        type: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          exact:
            description: Its value.
            type: str
            required: true
  names:
    description: Only these VirtualServices, as C(NAMESPACE/NAME). If not given, all that send to the service.
    type: list
    elements: str
  mesh:
    description: Make a VirtualService for the sidecars, where there is none for this service.
    type: bool
    default: true
  gateways:
    description: Gateways that serve O(hosts) by a VirtualService that is made, as C(NAMESPACE/NAME).
    type: list
    elements: str
  hosts:
    description: Hosts that lead to the service on O(gateways). Not for hosts that a VirtualService serves there
      already.
    type: list
    elements: str
  port:
    description: The Service's port, for a VirtualService that is made.
    type: int
  require_ready:
    description: Refuse to send traffic to a subset of which no pod is ready.
    type: bool
    default: true
  allow_mixed:
    description: With V(state=unrouted), allow that pods of several subsets are ready.
    type: bool
    default: false
  contested:
    description:
      - What to do if a VirtualService comes from a source that would put it back by itself, such as an Argo CD
        Application with self-heal. V(refuse) fails before anything is changed, V(report) warns. On the way back it is
        never refused.
      - Of Argo CD's C(ignoreDifferences) it is only looked at those for gateways; here they must cover C(/spec/http).
    type: str
    choices: [refuse, report]
    default: refuse
  settle:
    description:
      - Wait until the proxies go by what was written. Routes by the header C(x-bluegreen-canary) are written beside the
        others for that; what answers them is known to be of the last write. They stay as long as the canary.
      - Without it the module returns as soon as the API server has stored what it wrote.
    type: dict
    suboptions:
      urls:
        description: URLs that the routes to the service take, on each gateway. They are asked with GET.
        type: list
        elements: str
        default: []
      connect_to:
        description: Where to connect for them, each as C(IP:PORT). If not given, the names are resolved.
        type: list
        elements: str
        default: []
      ca_file:
        description: PEM file of authorities. With it the servers' certificates are verified, without it they are not.
        type: path
        default: ''
      answers:
        description: Right answers in a row that are needed for each URL and address, on new connections. Ten for each
          pod of a gateway leave one out less than once in twenty thousand times.
        type: int
        default: 40
      timeout:
        description: Seconds that one answer may take.
        type: float
        default: 5.0
      deadline:
        description: Seconds until it must be so.
        type: float
        default: 60.0
      istiod_url:
        description: istiod's debug port, for example V(http://localhost:15014) of a port-forward. It knows of sidecars
          too.
        type: str
        default: ''
      istiod_token_file:
        description: File with a token for it, where it is not asked on loopback.
        type: path
        default: ''
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list) on VirtualServices, DestinationRules, and with O(host) ServiceEntries, in all namespaces; C(get),
    C(create), C(patch) and C(delete) on them; C(get) on the Service and C(list) on pods in its namespace.
  - Refused by name are several DestinationRules for the host, one that is not for all clients, a wildcard's in the
    place of which a new one would come, TCP and TLS routes to the host, weights that do not add up to 100, a route
    behind one that takes everything, a match behind one that takes all its requests for another subset, and a route
    that names a subset that there is none of.
  - If a VirtualService is made by Helm, Argo CD, Flux or C(kubectl), its next run takes the shares away, and all pods
    of the service get traffic. RV(owned_elsewhere) lists these.
  - A VirtualService with the label C(bluegreen.mesh/bind=false) is left alone.
seealso:
  - module: bluegreen.mesh.traffic_gate_info
"""

EXAMPLES = r"""
- name: Make the subsets
  bluegreen.mesh.canary_routes:
    kubeconfig: ~/.kube/config
    context: production
    state: subsets
    service: shop/somesvc
    subsets:
      - {name: v1, labels: {version: v1}}
      - {name: v2, labels: {version: v2}}
    settle:
      urls: [https://shop.example.com/]

- name: Pin everything to v1, before v2 is deployed
  bluegreen.mesh.canary_routes:
    kubeconfig: ~/.kube/config
    context: production
    state: routed
    service: shop/somesvc
    subsets:
      - {name: v1, labels: {version: v1}}
      - {name: v2, labels: {version: v2}}
    settle:
      urls: [https://shop.example.com/]
    weights: {v1: 100}

- name: Five percent to v2, and testers
  bluegreen.mesh.canary_routes:
    kubeconfig: ~/.kube/config
    context: production
    state: routed
    service: shop/somesvc
    subsets:
      - {name: v1, labels: {version: v1}}
      - {name: v2, labels: {version: v2}}
    settle:
      urls: [https://shop.example.com/]
    weights: {v1: 95, v2: 5}
    match:
      - {subset: v2, header: {name: x-canary, exact: always}}
      - {subset: v2, cookie: {name: tester, exact: "yes"}}

- name: Everything to v1, but for mobile clients
  bluegreen.mesh.canary_routes:
    kubeconfig: ~/.kube/config
    context: production
    state: routed
    service: shop/somesvc
    subsets:
      - {name: v1, labels: {version: v1}}
      - {name: v2, labels: {version: v2}}
    settle:
      urls: [https://shop.example.com/]
    weights: {v1: 100}
    match:
      - {subset: v2, header: {name: user-agent, regex: '.*(Mobile|Android).*'}}
"""

RETURN = r"""
weights:
  description: Percentage by subset that is in force, V(null) if nothing is shared. Of several that differ, the one with
    the most for the first subset.
  type: dict
  returned: success
  sample: {v1: 95, v2: 5}
match:
  description: The matches in force, as O(match).
  type: list
  elements: dict
  returned: success
ready:
  description: Pods that are ready, by subset.
  type: dict
  returned: success
  sample: {v1: 3, v2: 1}
objects:
  description: Each C(object) that is concerned, and its C(state), V(created), V(updated), V(removed) or V(unchanged).
  type: list
  elements: dict
  returned: success
settled:
  description:
    - For each wait, its C(seconds), and in C(trace) by subset whether C(traceparent), C(b3) and C(x-request-id) came
      through to the application. V(null) where its answer does not show its request.
  type: list
  elements: dict
  returned: success
owned_elsewhere:
  description: Changed VirtualServices that are made from something else, with their C(source).
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _canary_acts, _module

NAME = {"type": "str", "required": True}
HEADER = {"name": NAME, "exact": {"type": "str"}, "prefix": {"type": "str"}, "regex": {"type": "str"}}
DICTS = {"type": "list", "elements": "dict", "required": True}
STRINGS = {"type": "list", "elements": "str"}
SETTLE = {
    "urls": {**STRINGS, "default": []}, "connect_to": {**STRINGS, "default": []},
    "ca_file": {"type": "path", "default": ""}, "answers": {"type": "int", "default": 40},
    "timeout": {"type": "float", "default": 5.0}, "deadline": {"type": "float", "default": 60.0},
    "istiod_url": {"type": "str", "default": ""},
    "istiod_token_file": {"type": "path", "default": "", "no_log": False},  # where it is, not what is in it
}  # fmt: skip
SPEC = {
    "state": {"type": "str", "choices": ["subsets", "routed", "unrouted", "absent", "read"], "required": True},
    "service": {"type": "str"}, "host": {"type": "str"}, "namespace": {"type": "str"},
    "external": {"type": "dict", "options": {
        "ports": DICTS, "resolution": {"type": "str", "choices": ["STATIC", "DNS", "NONE"], "default": "DNS"},
        "endpoints": DICTS,
    }},
    "domain": {"type": "str", "default": "cluster.local"},
    "subsets": {
        **DICTS,
        "options": {"name": {"type": "str", "required": True}, "labels": {"type": "dict", "required": True}},
    },
    "weights": {"type": "dict"},
    "match": {"type": "list", "elements": "dict", "default": [], "options": {
        "subset": {"type": "str", "required": True},
        "header": {"type": "dict", "options": HEADER},
        "cookie": {"type": "dict", "options": {"name": NAME, "exact": {"type": "str", "required": True}}},
    }},
    "names": STRINGS, "mesh": {"type": "bool", "default": True}, "gateways": STRINGS, "hosts": STRINGS,
    "port": {"type": "int"}, "require_ready": {"type": "bool", "default": True},
    "allow_mixed": {"type": "bool", "default": False},
    "contested": {"type": "str", "choices": ["refuse", "report"], "default": "refuse"},
    "settle": {"type": "dict", "options": SETTLE},
}  # fmt: skip


def operation(module, cluster):
    result = _canary_acts.Operation(module.params, module.check_mode, cluster).run()
    for text in result.pop("told"):
        module.warn(text)
    return result


def main():
    _module.run(
        operation,
        SPEC,
        journal=True,
        required_one_of=[("service", "host")],
        mutually_exclusive=[("service", "host"), ("service", "external"), ("service", "namespace")],
        required_by={"external": "host"},
        required_if=[("state", "routed", ["weights"])],
    )


if __name__ == "__main__":
    main()
