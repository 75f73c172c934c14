#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_admission
short_description: Let policies that admit the old gateway admit the new controller, and forget the old one afterwards
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - With O(state=admitted), lets the new controller's pods in wherever a NetworkPolicy or an AuthorizationPolicy names
    the old gateway's, by their labels, namespace or identity. Nothing is taken away.
  - With O(state=forgotten), takes the old gateway out of the lists that name the new controller too. A list is never
    emptied, since an empty one lets everybody in; and a peer that also lets other pods in stays, and is told.
  - Both are steps of the journal, so each can be taken back by itself.
  - Policies that are made by a source (Argo CD, Flux, Helm, an operator) come back from it. Change them there too.
options:
  state:
    description: V(admitted) before traffic comes by the new controller, V(forgotten) once the old gateway is idle.
    type: str
    choices: [admitted, forgotten]
    default: admitted
  gateway:
    description: The old gateway's pods.
    type: dict
    required: true
    suboptions:
      namespace:
        description: Their namespace.
        type: str
        required: true
      labels:
        description: Their labels.
        type: dict
        required: true
      account:
        description: Their service account.
        type: str
        required: true
  controller:
    description: The new controller's pods.
    type: dict
    required: true
    suboptions:
      namespace:
        description: Their namespace.
        type: str
        required: true
      labels:
        description: Their labels.
        type: dict
        required: true
      account:
        description: Their service account.
        type: str
        required: true
      in_mesh:
        description: Whether they have a sidecar of Istio's, and so an identity.
        type: bool
        default: false
      networks:
        description:
          - Without O(controller.in_mesh), the networks of these pods, by which AuthorizationPolicies let them in. That
            trusts whoever has such an address.
        type: list
        elements: str
        default: []
  waive:
    description: Findings that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list), C(get) and C(patch) on NetworkPolicies and AuthorizationPolicies, and C(list) on namespaces and pods.
seealso:
  - module: bluegreen.mesh.interim_ingress
  - module: bluegreen.mesh.mesh_mtls
"""

EXAMPLES = r"""
- name: Let the new controller in
  bluegreen.mesh.gateway_admission: &admission
    kubeconfig: ~/.kube/config
    context: production
    gateway:
      namespace: istio-system
      labels: {istio: ingressgateway}
      account: istio-ingressgateway-service-account
    controller:
      namespace: ingress
      labels: {app.kubernetes.io/name: traefik}
      account: traefik
      networks: [10.8.0.0/14]

- name: Forget the old gateway
  bluegreen.mesh.gateway_admission:
    <<: *admission
    state: forgotten
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each policy that is edited.
  returned: success
  type: list
  elements: dict
findings:
  description: What was found and is not waived.
  returned: success
  type: list
  elements: dict
failure:
  description: What went wrong, C(code) for machines; with C(code=findings), all C(findings).
  returned: failure
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _edits, _gateway_admission, _ingress_options, _inventory, _module,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import ref_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref

PLURALS = {"NetworkPolicy": "networkpolicies", "AuthorizationPolicy": "authorizationpolicies"}


def side(given, option):
    if not given["labels"]:
        raise _module.Refusal("bad_option", f"{option}.labels: without labels it would be every pod of the namespace.")
    labels = {key: str(value) for key, value in given["labels"].items()}
    return _gateway_admission.Side(given["namespace"], labels, given["account"])


def plan(cluster, params, sides, seen):
    lists = _ingress_options.lists(cluster, ["namespaces", "networkpolicies", "authorizationpolicies", "pods"])
    inventory = _inventory.Inventory([], [])
    names = {"networkpolicies": "network_policies", "authorizationpolicies": "authorization_policies"}
    for plural, items in lists.items():
        inventory.replace(names.get(plural, plural), items)
    judge = _gateway_admission.admitted if params["state"] == "admitted" else _gateway_admission.forgotten
    edits, findings = judge(inventory, sides)
    seen["findings"] = _ingress_options.gate(findings, params["waive"], _gateway_admission.CODES)
    return [write(edit) for edit in edits]


def write(edit):
    policy = edit.policy
    path = path_of(policy["apiVersion"], PLURALS[policy["kind"]], *ref_of(policy))
    return _edits.edited(Ref.of(policy), path, policy, edit.fields)


def operation(module, cluster):
    params = module.params
    controller = params["controller"]
    sides = _gateway_admission.Sides(
        side(params["gateway"], "gateway"),
        side(controller, "controller"),
        controller["in_mesh"],
        controller["networks"],
    )
    journal = Journal.load(cluster, params["journal"])
    seen = {}
    result = _edits.carry_out(module, cluster, journal, lambda: plan(cluster, params, sides, seen))
    return {**result, **seen}


def main():
    own = {
        "namespace": {"type": "str", "required": True}, "labels": {"type": "dict", "required": True},
        "account": {"type": "str", "required": True},
    }  # fmt: skip
    more = {
        "in_mesh": {"type": "bool", "default": False},
        "networks": {"type": "list", "elements": "str", "default": []},
    }
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["admitted", "forgotten"], "default": "admitted"},
            "gateway": {"type": "dict", "required": True, "options": own},
            "controller": {"type": "dict", "required": True, "options": {**own, **more}},
            "waive": {"type": "list", "elements": "str", "default": []},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
