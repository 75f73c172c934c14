#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_preview
short_description: Let requests with a header reach green by blue's gateway
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Whoever sends O(header) to a host of blue's Gateway is answered by green, by the usual names and addresses, before
    any client is moved. All other requests are routed as before.
  - Writes a VirtualService of its own for each server port, in the namespace of blue's pods and for that alone, which
    istiod puts before all others, and for HTTPS a DestinationRule for blue's pods alone, by which they begin TLS to
    green anew. No object of others is changed. Whether all of that will hold is played through over the routes that are
    there, before anything is written.
  - Hosts that come or go later need another run. Remove it before routes are taken from blue, at the latest.
options:
  state:
    description: V(present) makes or updates it, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  gateway:
    description: Blue's Gateway, as C(NAMESPACE/NAME).
    type: str
    required: true
  service:
    description: Blue's Service, as C(NAMESPACE/NAME). It tells where blue's pods are, and their labels.
    type: str
    required: true
  green:
    description: Green's Service, as C(NAMESPACE/NAME). Required for V(state=present).
    type: str
  ports:
    description: By server port of blue's Gateway, the port of green's Service. A port that is not named is left out.
    type: dict
    default: {}
  header:
    description: The header and its exact value. Required for V(state=present). Who knows it reaches green.
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
  verify:
    description: Whether blue's pods verify green's certificate, by the authorities of their system.
    type: bool
    default: true
  domain:
    description: The cluster's domain.
    type: str
    default: cluster.local
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on the Gateway and on both Services, C(list) on VirtualServices in all namespaces, C(list) on
    DestinationRules in that of blue's pods, and C(create), C(patch) and C(delete) on both there.
  - Green sees blue's pods as who connects, and the client's address in C(X-Forwarded-For) behind theirs. What goes by
    addresses there may decide otherwise than it will for clients.
  - TLS passthrough, TCP and servers that ask for a client certificate are not reached so; they are in RV(left_out).
    Green's own NodePorts reach them.
  - The SNI to green is the request's host, which Istio does from 1.21 on. The rule is for an Istio that knows
    C(workloadSelector) in DestinationRules.
seealso:
  - module: bluegreen.mesh.route_verify
"""

EXAMPLES = r"""
- name: Let testers reach green
  bluegreen.mesh.gateway_preview:
    kubeconfig: ~/.kube/config
    context: production
    gateway: istio-system/public
    service: istio-system/public-ingressgateway
    green: istio-gateway/public-ingressgateway
    ports: {"8443": 443}
    header: {name: x-preview, exact: green}
"""

RETURN = r"""
objects:
  description: Each C(object), and its C(state), V(created), V(updated), V(removed) or V(unchanged).
  type: list
  elements: dict
  returned: success
hosts:
  description: The hosts by server port.
  type: dict
  returned: success
  sample: {"8443": [shop.example.com]}
left_out:
  description: Server ports that are not reached, with C(port) and C(reason).
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding, _module, _preview, _twin
from ansible_collections.bluegreen.mesh.plugins.module_utils._canary_acts import Step, Writer
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import (
    PREVIEW_OF,
    annotations_of,
    key_of,
    selector_of,
)

Refusal = _module.Refusal


def there(cluster, api, plural, text, field):
    namespace, name = _twin.parse_ref(text, field)
    found = cluster.find(path_of(api, plural, namespace, name))
    if found is None:
        raise Refusal(
            "not_found", f"{field}: there is no {text} ({plural}) in the cluster of context {cluster.context}."
        )
    return found


def wish_of(cluster, api, params):
    ports = _twin.parse_ports(params["ports"], "ports")
    _preview.check_header(params["header"]["name"], params["header"]["exact"])
    service = there(cluster, "v1", "services", params["service"], "service")
    green = there(cluster, "v1", "services", params["green"], "green")
    numbers = {one["port"] for one in (green.get("spec") or {}).get("ports") or ()}
    for port in ports.values():
        if port not in numbers:
            raise Refusal(
                "unknown_port", f"ports: Service {params['green']} has no port {port}; found {sorted(numbers)}."
            )
    namespace, name = params["green"].split("/")
    return _preview.Wish(
        there(cluster, api, "gateways", params["gateway"], "gateway"),
        service["metadata"]["namespace"],
        selector_of(service),
        f"{name}.{namespace}.svc.{params['domain']}",
        ports,
        (params["header"]["name"], params["header"]["exact"]),
        params["verify"],
    )


def plan(cluster, params, seen):
    api, virtual_services = _binding.read_all(cluster)
    namespace = _twin.parse_ref(params["service"], "service")[0]
    rules = cluster.list(path_of(api, "destinationrules", namespace))
    found = [*rules, *(vs for vs in virtual_services if vs["metadata"]["namespace"] == namespace)]
    ours = {
        (item["kind"], key_of(item)): item
        for item in found
        if _preview.is_ours(item) and annotations_of(item).get(PREVIEW_OF) == params["gateway"]
    }
    made = []
    seen.update(api=api, hosts={}, left=[])
    if params["state"] == "present":
        wish = wish_of(cluster, api, params)
        ports, seen["left"] = _preview.served(wish, virtual_services)
        if not ports:
            raise Refusal(
                "nothing_served", f"Gateway {params['gateway']} serves nothing that could be previewed: {seen['left']}."
            )
        seen["hosts"] = {str(port): sorted(hosts) for port, (_scheme, hosts) in ports.items()}
        made = [{**item, "apiVersion": api} for item in _preview.objects(wish, ports)]
        _preview.check_names(wish, found, made)
        _preview.proof(wish, virtual_services, made)
    steps = []
    for item in made:
        old = ours.pop((item["kind"], key_of(item)), None)
        new = {**old, "spec": item["spec"]} if old else item
        steps.append(Step(item["kind"], old, new))
    # What goes by the rule goes before it.
    gone = sorted(ours.values(), key=lambda item: item["kind"] == "DestinationRule")
    return [*(Step(item["kind"], item, None) for item in gone), *steps]


def operation(module, cluster):
    journal, seen = Journal.load(cluster, module.params["journal"]), {}

    def write(steps, recorded):
        acting = [step for step in steps if step.acts]
        if journal and acting and not module.check_mode:
            journal.check()
            if module.params["state"] == "present":
                undo = {"state": "absent", "gateway": module.params["gateway"], "service": module.params["service"]}
                recorded.append(
                    journal.record(
                        "gateway_preview", module.params["gateway"], {"module": "gateway_preview", "params": undo}
                    )
                )
        writer = Writer(cluster, seen["api"], module.check_mode)
        for step in acting:
            try:
                writer.write(step)
            except ApiError as exc:
                if exc.status not in (404, 409):
                    raise
                return step.object
        return None

    done = _module.settled(lambda: plan(cluster, module.params, seen), write, journal)
    acting = [step for step in done if step.acts]
    return {
        "changed": bool(acting),
        "objects": [{"object": step.object, "state": step.state} for step in done],
        "hosts": seen["hosts"],
        "left_out": seen["left"],
        "diff": {
            side: {step.object: (getattr(step, side) or {}).get("spec") or {} for step in acting}
            for side in ("before", "after")
        },
    }


def main():
    pair = {"name": {"type": "str", "required": True}, "exact": {"type": "str", "required": True}}
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "gateway": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "green": {"type": "str"},
            "ports": {"type": "dict", "default": {}},
            "header": {"type": "dict", "options": pair},
            "verify": {"type": "bool", "default": True},
            "domain": {"type": "str", "default": "cluster.local"},
        },
        journal=True,
        required_if=[("state", "present", ["green", "header"])],
    )


if __name__ == "__main__":
    main()
