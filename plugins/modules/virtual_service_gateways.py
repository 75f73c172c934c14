#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_service_gateways
short_description: Bind many VirtualServices to a second Istio gateway, or unbind them from one
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Adds to every VirtualService that names one Gateway of a pair the other one, or takes one of the two away where
    both are named. One task does a whole cluster, over parallel connections.
  - Every form of reference that Istio knows is understood (C(name), C(./name), C(namespace/name), C(name.namespace),
    C(name.namespace.svc.cluster.local)), at the top of the VirtualService and in the matches of its http, tcp and tls
    routes. What is already written keeps its form and its order; what is added is written C(namespace/name), beside its
    twin, blue first.
  - The gateway C(mesh) and unrelated gateways are never lost. VirtualServices that serve the mesh only are never
    touched.
  - Delegates are written after their roots when binding and before them when unbinding, because Istio drops a
    delegate's route whose match names a gateway that its root's match does not.
  - A write is refused by the API server if the VirtualService has changed since it was read. It is then read and
    looked at again.
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
options:
  state:
    description:
      - V(bound) adds, V(unbound) takes away.
      - V(restored) gives lists back their earlier value. It is what the journal uses where neither of the others
        leads back exactly, and is not meant to be written by hand.
    type: str
    choices: [bound, unbound, restored]
    default: bound
  method:
    description:
      - V(patch) writes the lists, and gives the ownership of their fields back to who had applied them.
      - V(admission) sends each object an empty patch, so that the policy that M(bluegreen.mesh.binding_policy) has
        written binds it on the way. Only for V(state=bound). It leaves no trace in C(managedFields). The answer is
        looked at, and an object that is not bound in it has failed.
    type: str
    choices: [patch, admission]
    default: patch
  pairs:
    description:
      - The Gateways that stand for each other. A Gateway can be in one pair, on one side.
      - Required by V(state=bound) and V(state=unbound).
  both_ways:
    description: With V(state=bound), also add blue to what names green only.
    type: bool
    default: true
  from:
    description:
      - With V(state=unbound), the side to take away. Required by it.
      - A VirtualService with any list that names this side and not the other one is skipped as a whole, so nothing is
        ever left without a gateway.
    type: str
    choices: [blue, green]
  namespaces:
    description: Only VirtualServices in these namespaces.
    type: list
    elements: str
  labels:
    description: Only VirtualServices with these labels.
    type: dict
  names:
    description: Only these VirtualServices, as C(NAMESPACE/NAME).
    type: list
    elements: str
  missing_names:
    description: Whether a name in O(names) that is not there makes the module fail, before anything is changed, or is
      skipped.
    type: str
    choices: [fail, skip]
    default: fail
  delegates:
    description:
      - Also take the delegates of the selected VirtualServices, and leave alone what would be separated from its root
        or delegate by the selection.
      - V(false) takes exactly what is selected.
    type: bool
    default: true
  bound_first:
    description: With V(state=unbound), and only in check mode, look at VirtualServices as they will be once they are
      bound. It is for a plan that is made before.
    type: bool
    default: false
  check_gateways:
    description:
      - Fail, before anything is changed, if a Gateway is missing. When binding, blue must exist; green may come
        later. When unbinding, the side that stays must exist.
    type: bool
    default: true
  contested:
    description:
      - What to do if a VirtualService that is to be changed comes from a source that would put it back by itself, such
        as an Argo CD Application with self-heal, a Flux Kustomization, a HelmRelease with drift detection, or an owning
        controller.
      - V(refuse) fails before anything is changed. V(report) changes them and lists them in RV(contested).
    type: str
    choices: [refuse, report]
    default: refuse
  restore:
    description: With V(state=restored), the lists to give back. Required by it.
    type: list
    elements: dict
    suboptions:
      name:
        description: The VirtualService, as C(NAMESPACE/NAME).
        type: str
        required: true
      lists:
        description: By JSON pointer of the list, C(from), what is expected there, and C(to), what it shall be.
        type: dict
        required: true
  concurrency:
    description: How many requests are under way at once, 1 to 16.
    type: int
    default: 16
notes:
  - Needs the verbs C(list) on VirtualServices and Gateways in all namespaces, and C(get) and C(patch) on
    VirtualServices.
  - If a VirtualService is made by Helm, Argo CD, Flux, C(kubectl) or an operator, its source puts the gateways back when
    it is run next. RV(owned_elsewhere) lists these. See M(bluegreen.mesh.desired_state_info).
  - Fields that somebody owned by server-side apply are given back to him at once, so that his next apply does not fail
    with a conflict. A run that is killed between the two requests leaves them with the manager C(bluegreen-mesh).
  - A VirtualService with the label C(bluegreen.mesh/bind=false) is left alone.
  - A newly named Gateway that does not exist yet does no harm.
  - Sends at most one request for each changed VirtualService, a second one where fields are given back, and ten more
    for each thousand.
seealso:
  - module: bluegreen.mesh.binding_policy
  - module: bluegreen.mesh.desired_state_info
  - module: bluegreen.mesh.migration_journal
"""

EXAMPLES = r"""
- name: Serve everything on both gateways
  bluegreen.mesh.virtual_service_gateways:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway

- name: Serve only on the new gateway
  bluegreen.mesh.virtual_service_gateways:
    kubeconfig: ~/.kube/config
    context: production
    state: unbound
    from: blue
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway

- name: Begin with one team, and record how to undo it
  bluegreen.mesh.virtual_service_gateways:
    kubeconfig: ~/.kube/config
    context: production
    namespaces: [team-a]
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
    journal:
      namespace: bluegreen-mesh
      name: public-gateway
      epoch: "{{ journal.epoch }}"
      phase: bind
"""

RETURN = r"""
virtual_services:
  description:
    - What became of each selected VirtualService. In check mode, what would become of it.
    - If any failed, the module fails after it has done the others, and this is in RV(failure).
  type: dict
  returned: success
  contains:
    changed:
      description: C(namespace), C(name) and C(reason) of each that was changed. The reason says what was added or
        removed.
      type: list
      elements: dict
    unchanged:
      description: Those that were so already, or are not concerned.
      type: list
      elements: dict
    skipped:
      description: Those that are concerned and were left alone, with why.
      type: list
      elements: dict
    failed:
      description: Those that could not be written, with why.
      type: list
      elements: dict
counts:
  description: The lengths of these four lists.
  type: dict
  returned: success
  sample: {changed: 1000, unchanged: 12, skipped: 0, failed: 0}
owned_elsewhere:
  description:
    - Changed VirtualServices that are made from something else, by their source, with the C(effect) that this change
      has there. Always empty with O(method=admission).
  type: list
  elements: dict
  returned: success
  sample:
    - source: Helm release team-a/shop
      effect: its next upgrade puts the gateways back
      virtual_services: [team-a/shop]
contested:
  description: Changed VirtualServices that their source puts back by itself, with why.
  type: list
  elements: dict
  returned: success
  sample:
    - virtual_service: team-a/shop
      source: Argo CD Application shop
      reason: its syncPolicy has selfHeal, and its ignoreDifferences do not cover the gateways
not_given_back:
  description:
    - VirtualServices of which somebody had applied fields on the server's side that are ours now, with why they could not be
      given back. Their next apply fails with a conflict. There is a warning of these, too.
  type: list
  elements: dict
  returned: success
api_requests:
  description: How many requests were sent to the API server.
  type: int
  returned: success
failure:
  description: What went wrong, C(code) for machines, and what else is known.
  type: dict
  returned: failure
"""

import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding, _module

SPEC = {
    "method": {"type": "str", "choices": ["patch", "admission"], "default": "patch"},
    "state": {"type": "str", "choices": ["bound", "unbound", "restored"], "default": "bound"},
    "pairs": {
        "type": "list",
        "elements": "dict",
        "options": {"blue": {"type": "str", "required": True}, "green": {"type": "str", "required": True}},
    },
    "both_ways": {"type": "bool", "default": True},
    "from": {"type": "str", "choices": ["blue", "green"]},
    "namespaces": {"type": "list", "elements": "str"},
    "labels": {"type": "dict"},
    "names": {"type": "list", "elements": "str"},
    "missing_names": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
    "delegates": {"type": "bool", "default": True},
    "bound_first": {"type": "bool", "default": False},
    "check_gateways": {"type": "bool", "default": True},
    "contested": {"type": "str", "choices": ["refuse", "report"], "default": "refuse"},
    "restore": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "lists": {"type": "dict", "required": True}},
    },
    "concurrency": {"type": "int", "default": 16},
}


def operation(module: t.Any, cluster: t.Any) -> dict[str, t.Any]:
    result = _binding.operate(module.params, module.check_mode, cluster)
    told = [f"{one['virtual_service']}: {one['reason']}" for one in result["not_given_back"]]
    if told:
        module.warn(f"{len(told)} VirtualServices: {'; '.join(told[:10])}{'; ...' if len(told) > 10 else ''}")
    return result


def main() -> None:
    _module.run(
        operation,
        SPEC,
        journal=True,
        required_if=[
            ("state", "bound", ("pairs",)),
            ("state", "unbound", ("pairs", "from")),
            ("state", "restored", ("restore",)),
        ],
    )


if __name__ == "__main__":
    main()
