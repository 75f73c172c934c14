#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_references_info
short_description: What still refers to a gateway that is about to be removed
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the cluster once, with a fixed number of lists, and reports what would break, or change who may do what, when
    the blue gateways are removed; what green needs of that which is removed with them; and, as warnings, names that
    will lead nowhere. Changes nothing.
  - Looks at VirtualServices, routes of the Gateway API, Ingresses, Services of type ExternalName, cluster DNS,
    other Gateways on blue's pods, Istio's policies by selector and by identity, EnvoyFilters, NetworkPolicies, records
    of external-dns, monitors, alerts and dashboards; at certificates that were copied for green, and who renews them.
  - Does not fail because of what it finds. A kind of object that may not be listed is an error as well, V(unreadable).
options:
  pairs:
    description: The Gateways that are removed, each with the one that took its place.
    required: true
  going:
    description:
      - What is removed with blue, as RV(bluegreen.mesh.resource_keep_info#module:delete) has it. What goes itself is no
        reference, and what green needs of it is an error.
    type: list
    elements: dict
    default: []
  waive:
    description:
      - References that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
      - A code that does not exist is an error.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs.workloads
  - bluegreen.mesh.sides
  - bluegreen.mesh.cluster.info
notes:
  - Needs the same C(list) as M(bluegreen.mesh.mesh_findings_info), but for nodes, autoscalers and budgets.
seealso:
  - module: bluegreen.mesh.mesh_findings_info
  - module: bluegreen.mesh.resource_keep_info
"""

EXAMPLES = r"""
- name: Look for what still refers to blue
  bluegreen.mesh.gateway_references_info:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
    workloads:
      - name: public
        blue:
          namespace: istio-system
          service: public-ingressgateway
        green:
          namespace: istio-gateway
          release: public-ingressgateway
          labels:
            istio: public-gateway
  register: looked

- name: Stop if there is any
  ansible.builtin.assert:
    that: looked.errors == []
    fail_msg: "{{ looked.errors | map(attribute='text') | join('\n') }}"
"""

RETURN = r"""
errors:
  description: What would break, and is not waived.
  returned: success
  type: list
  elements: dict
  contains: &reference
    code:
      description: V(route_on_blue), V(needed_by_green) or the like, or a code of M(bluegreen.mesh.mesh_findings_info).
      type: str
    severity:
      description: V(error) or V(warning).
      type: str
    object:
      description: Kind, namespace and name.
      type: str
    field:
      description: Where in the object.
      type: str
    found:
      description: What is there.
      type: str
    fix:
      description: What to do.
      type: str
    text:
      description: All of it in one line.
      type: str
warnings_found:
  description: What will lead nowhere, and is not waived.
  returned: success
  type: list
  elements: dict
  contains: *reference
waived:
  description: References that O(waive) accepts.
  returned: success
  type: list
  elements: dict
  contains: *reference
unused_waivers:
  description: Entries of O(waive) that no reference needs.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _module, _references


def operation(module, cluster):
    params = module.params
    unknown = sorted({entry for entry in params["waive"] if entry.partition(":")[0] not in _references.CODES})
    if unknown:
        raise _module.Refusal(
            "bad_option",
            f"waive: no reference is called {', '.join(unknown)}. There are: {', '.join(sorted(_references.CODES))}.",
        )
    pairs, workloads = _inventory.parse(params["pairs"], params["workloads"])
    # "require": a copy that is still to come would come too late.
    inventory = _inventory.Inventory(pairs, workloads, root_namespace=params["root_namespace"], certificates="require")
    _inventory.read(cluster, inventory, only=_references.READ)
    going = {(str(g.get("kind")), g.get("namespace") or "", str(g.get("name"))) for g in params["going"]}
    standing, waived, unused = _references.examine(inventory, going, params["waive"])
    return {
        "changed": False,
        "errors": [_references.shown(found) for found in standing if found.severity == _inventory.ERROR],
        "warnings_found": [_references.shown(found) for found in standing if found.severity == _inventory.WARNING],
        "waived": [_references.shown(found) for found in waived],
        "unused_waivers": unused,
    }


def main():
    _module.run(
        operation,
        {
            "pairs": {"type": "list", "elements": "dict", "required": True, "options": _inventory.PAIR},
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": _inventory.WORKLOAD},
            "going": {"type": "list", "elements": "dict", "default": []},
            "root_namespace": {"type": "str", "default": "istio-system"},
            "waive": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
