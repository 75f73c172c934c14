#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_selector
short_description: Make blue's Gateways select blue's pods only
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - A Gateway selects pods by label in every namespace. Where green's pods have all the labels that a Gateway of
    blue's selects
    by, as Big Bang's do, one more label is added to its selector, that blue's pods have and green's do not.
  - Otherwise both sides' Gateways meet at green's pods, and of two with the same hosts istiod drops the newer one's TLS
    servers. A VirtualService that names green's Gateway alone is then not served at all, until blue's Gateway is gone.
  - The pods that are selected stay the same, so that nothing changes for blue.
  - Who applies the selector by server-side apply keeps owning what it applied of it, and its next apply meets no conflict.
options:
  state:
    description: V(restored) writes what O(restore) says. The journal uses it.
    type: str
    choices: [narrowed, restored]
    default: narrowed
  gateways:
    description: Blue's Gateways, as C(NAMESPACE/NAME). Required with O(state=narrowed).
    type: list
    elements: str
  service:
    description: Blue's Service, as C(NAMESPACE/NAME), whose Deployment makes its pods. Required with O(state=narrowed).
    type: str
  labels:
    description: Labels that green's pods have or will have. Required with O(state=narrowed).
    type: dict
  restore:
    description: Gateways with C(gateway) and their former C(selector).
    type: list
    elements: dict
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get), C(list) and C(patch) on C(gateways.networking.istio.io), and C(get) on C(services) and C(list) on
    C(deployments) in blue's namespace.
seealso:
  - module: bluegreen.mesh.gateway_ready_info
"""

EXAMPLES = r"""
- name: Big Bang's old Gateway must not take the pods of the new one
  bluegreen.mesh.gateway_selector:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    service: istio-system/public-ingressgateway
    labels: {app: public-ingressgateway, istio: ingressgateway}
"""

RETURN = r"""
selectors:
  description: The selector of each Gateway now (in check mode, what it would be), by C(NAMESPACE/NAME).
  returned: success
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _field_owners, _gateways, _module, _node_ports, _selector, _values,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._give_back import give_back
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import key_of, selector_of, template_labels
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import parse_namespaced

TRIES = 5


def plan(cluster, params):
    """[(Gateway, its selector to be)]"""
    gateways = {key_of(g): g for g in _gateways.istio_list(cluster, "gateways")}
    if params["state"] == "restored":
        wanted = {entry["gateway"]: entry["selector"] for entry in params["restore"]}
        return [(gateways[name], selector) for name, selector in wanted.items() if name in gateways]
    missing = [name for name in params["gateways"] if name not in gateways]
    if missing:
        raise _module.Refusal("no_such_gateway", f"gateways: {', '.join(missing)} do not exist. Check mesh_gateways.")
    _service, deployment = _values.read(cluster, *parse_namespaced(params["service"], "service"))
    blue = template_labels(deployment)
    green = {str(key): str(value) for key, value in params["labels"].items()}
    named = [gateways[name] for name in params["gateways"]]
    return [(g, _selector.narrowed(g, blue, [green]) or selector_of(g)) for g in named]


def once(module, cluster, journal, appliers):
    """appliers: by the Gateway's name, as they were before the first try."""
    planned = plan(cluster, module.params)
    acting = [(g, selector) for g, selector in planned if selector != selector_of(g)]
    recorded = []
    if journal and acting and not module.check_mode:
        journal.check()
        recorded = journal.record_all(
            [("gateway_selector", key_of(g), inverse(g), False, None) for g, _after in acting]
        )
    for gateway, _after in planned:
        appliers.setdefault(key_of(gateway), _field_owners.appliers(gateway))
    written = {}
    for gateway, selector in acting:
        meta = gateway["metadata"]
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/spec/selector", "value": selector},
        ]
        written[key_of(gateway)] = cluster.patch(path_to(gateway), patch, kind="json", dry_run=module.check_mode)
        for owner in _node_ports.put_back_by(gateway):
            module.warn(
                f"Gateway {key_of(gateway)} comes from {owner['by']}"
                f" ({owner['kind']} {owner['namespace']}/{owner['name']}), which puts its own selector back when it next"
                " writes it. Suspend it until the cleanup."
            )
    # Also where nothing was left to do: the answer to an earlier try may have been lost.
    for gateway, _after in () if module.check_mode else planned:
        name = key_of(gateway)
        refusal = give_back(cluster, path_to(gateway), appliers[name], written.get(name, gateway), TRIES)
        if refusal:
            module.warn(f"Gateway {name}: {refusal}")
    if recorded:
        journal.done(*recorded)
    return {
        "changed": bool(acting),
        "selectors": {key_of(g): selector for g, selector in planned},
        "diff": {
            "before": {f"Gateway {key_of(g)}": {"selector": selector_of(g)} for g, _after in acting},
            "after": {f"Gateway {key_of(g)}": {"selector": selector} for g, selector in acting},
        },
    }


def path_to(gateway):
    meta = gateway["metadata"]
    return path_of(gateway["apiVersion"], "gateways", meta["namespace"], meta["name"])


def inverse(gateway):
    entry = {"gateway": key_of(gateway), "selector": selector_of(gateway)}
    return {"module": "gateway_selector", "params": {"state": "restored", "restore": [entry]}}


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    appliers = {}
    for _attempt in range(TRIES):
        try:
            return once(module, cluster, journal, appliers)
        except ApiError as exc:
            if exc.status != 409:
                raise
    raise _module.Refusal(
        "conflict", f"A Gateway was changed by others during each of {TRIES} tries to write it. What else writes it?"
    )


def main():
    needed = ["gateways", "service", "labels"]
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["narrowed", "restored"], "default": "narrowed"},
            "gateways": {"type": "list", "elements": "str"},
            "service": {"type": "str"},
            "labels": {"type": "dict"},
            "restore": {"type": "list", "elements": "dict"},
        },
        journal=True,
        required_if=[("state", "narrowed", needed), ("state", "restored", ["restore"])],
    )


if __name__ == "__main__":
    main()
