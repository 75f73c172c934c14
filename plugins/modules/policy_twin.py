#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: policy_twin
short_description: Copy for green what is bound to blue's pods
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes for green's pods what applies to blue's by label or namespace and would be lost, Istio's policies,
    NetworkPolicies, PodDisruptionBudgets, HorizontalPodAutoscalers, DestinationRules of blue's namespace, and what
    Prometheus collects from blue by.
  - A copy is called C(NAME-RELEASE), is in green's namespace and selects green's pods alone. That of a monitor has its
    labels, and stays beside it if it is not in blue's namespace. That of a DestinationRule is exported to nobody else. Ports become those on which
    green's pods listen, names of blue's Gateways those of green's, and peers of a NetworkPolicy mean the same pods.
  - Where it can't be sure to mean the same, it refuses before anything is written, and says why. That is so for
    C(targetRefs), for a port that is two ports on green, for a WasmPlugin with a pull secret, and for an autoscaler that
    goes by another object's metric. A ServiceMonitor or PodMonitor that can't be copied (an endpoint's Secret is in
    blue's namespace, its port is none of green's Service) is left out instead, since nothing depends on it.
  - A policy of others that says the same for green is enough; nothing is copied then. What exists already and is no copy
    of ours is never written.
  - A copy follows its source. Run the module again after that has changed.
  - An autoscaler's minimum is never below what blue has now.
options:
  state:
    description: V(present) makes or updates copies, V(absent) removes those in O(copies).
    type: str
    choices: [present, absent]
    default: present
  pairs:
    description:
      - The Gateways to be replaced. Patches of EnvoyFilters that name blue's Gateway name green's in the copy.
    default: []
  workloads:
    description:
      - The gateways' pods, as in O(bluegreen.mesh.mesh_findings_info#module:workloads). Each has C(name);
        C(blue) with C(namespace) and C(service); and C(green) with C(namespace), C(release) and C(labels).
      - Required for V(present).
    type: list
    elements: dict
  kinds:
    description: What to copy.
    type: list
    elements: str
    choices: &kinds
      - AuthorizationPolicy
      - RequestAuthentication
      - EnvoyFilter
      - WasmPlugin
      - Telemetry
      - ProxyConfig
      - NetworkPolicy
      - PodDisruptionBudget
      - HorizontalPodAutoscaler
      - DestinationRule
      - ServiceMonitor
      - PodMonitor
    default: *kinds
  waive:
    description:
      - Findings that are accepted, as in O(bluegreen.mesh.mesh_findings_info#module:waive). What is accepted as lost is
        not copied.
    type: list
    elements: str
    default: []
  copies:
    description: Copies to remove, as C(KIND NAMESPACE/NAME), with O(state=absent). The journal uses it to undo.
    type: list
    elements: str
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs.workloads
  - bluegreen.mesh.namespaces
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list) on O(kinds) and C(services) in all namespaces, and on C(pods), C(deployments),
    C(horizontalpodautoscalers) and C(poddisruptionbudgets) in both sides' namespaces; and C(create), C(update), C(get)
    and C(delete) on O(kinds) in green's. For DestinationRules also C(list) on C(virtualservices).
seealso:
  - module: bluegreen.mesh.mesh_findings_info
  - module: bluegreen.mesh.gateway_twin
"""

EXAMPLES = r"""
- name: Guard green as blue is guarded, before its pods are there
  bluegreen.mesh.policy_twin:
    kubeconfig: ~/.kube/config
    context: production
    kinds: [AuthorizationPolicy, RequestAuthentication, EnvoyFilter, NetworkPolicy]
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
    waive:
      - policy_bound_to_blue:istio-system/legacy
"""

RETURN = r"""
copies:
  description: What became of each copy.
  returned: success
  type: list
  elements: dict
  contains:
    object:
      description: The copy, as C(KIND NAMESPACE/NAME).
      type: str
    source:
      description: What it is a copy of.
      type: str
    state:
      description: V(created), V(updated), V(unchanged), V(removed), V(absent), or V(foreign) if it is no copy of ours.
      type: str
manifests:
  description: The copies as they are to be, for M(bluegreen.mesh.manifest_files).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _module, _policies, _twin
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

NEEDED = {"services", "pods", "deployments", "mesh_configs"}


def plan(cluster, params):
    if params["state"] == "absent":
        return _policies.absent([find(cluster, text) for text in params["copies"]])
    pairs, workloads = _inventory.parse(params["pairs"], checked(params["workloads"]))
    inventory = _inventory.Inventory(pairs, workloads, root_namespace=params["root_namespace"])
    wanted = [_policies.COPIED[kind] for kind in params["kinds"]]
    _inventory.read(cluster, inventory, NEEDED | {name for own in wanted for name in (own.name, *own.asks)})
    if inventory.unreadable:
        raise _module.Refusal(
            "unreadable", f"What is bound to blue is not known: {'; '.join(sorted(inventory.unreadable.values()))}"
        )
    steps, refused = _policies.present(inventory, params["kinds"], params["waive"])
    # What green can do without is a finding, and no reason to stop.
    refused = [one for one in refused if _policies.COPIED[one[0].partition(" ")[0]].needed]
    if refused:
        raise _module.Refusal(
            "not_copied",
            f"{' '.join(why for _source, why in refused)} A copy of your own that says the same for green is enough;"
            " or accept the loss by waiving the finding (policy_bound_to_blue, network_policy_open, green_pdb,"
            " green_hpa).",
            objects=[source for source, _why in refused],
        )
    return steps


def checked(workloads):
    """Raises Refusal(bad_option) for what is not there."""
    for number, workload in enumerate(workloads):
        given = {f"{side}.{key}" for side in ("blue", "green") for key in workload.get(side) or {}} | workload.keys()
        for field in ("name", "blue.namespace", "blue.service", "green.namespace", "green.release", "green.labels"):
            if field not in given:
                raise _module.Refusal("bad_option", f"workloads[{number}].{field} is not given.")
    return workloads


def find(cluster, text):
    """(kind, path, ref, object or None) of a copy by its name. Raises Refusal(malformed_reference)."""
    kind, _space, rest = text.partition(" ")
    if kind not in _policies.COPIED:
        raise _module.Refusal("malformed_reference", f"copies: {text!r} is not KIND NAMESPACE/NAME.")
    ref = _twin.parse_ref(rest, "copies")
    for group_version, plural in _policies.VERSIONS[_policies.COPIED[kind].name]:
        path = path_of(group_version, plural, *ref)
        item = cluster.find(path)
        if item:
            return kind, path, ref, item
    return kind, path, ref, None


def write(cluster, steps, journal, recorded, module):
    """Carries out the steps; returns the object that has changed since it was read, if one has.

    recorded: gets the ids of the journal's steps.
    """
    acting = [step for step in steps if step.acts]
    if journal and acting and not module.check_mode:
        journal.check()
        undo = [(f"copy_{s.kind.lower()}", _twin.title(s.ref), _policies.inverse(s), False, None) for s in acting]
        recorded += journal.record_all([step for step in undo if step[2]])
    return _module.carry_out(acting, lambda step: _policies.apply(cluster, step, module.check_mode), module)


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    done = _module.settled(
        lambda: plan(cluster, module.params),
        lambda steps, recorded: write(cluster, steps, journal, recorded, module),
        journal,
    )
    acting = [step for step in done if step.acts]
    return {
        "changed": bool(acting),
        "copies": [{"object": s.object, "source": s.source, "state": s.state} for s in done],
        "manifests": [s.wanted for s in done if s.wanted],
        "diff": {
            "before": {s.object: _policies.shown(s.before) for s in acting},
            "after": {s.object: _policies.shown(s.after) for s in acting},
        },
    }


def main():
    kinds = list(_policies.COPIED)
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "pairs": {"type": "list", "elements": "dict", "default": [], "options": _inventory.PAIR},
            "workloads": {"type": "list", "elements": "dict"},
            "kinds": {"type": "list", "elements": "str", "choices": kinds, "default": kinds},
            "root_namespace": {"type": "str", "default": "istio-system"},
            "waive": {"type": "list", "elements": "str", "default": []},
            "copies": {"type": "list", "elements": "str"},
            "expect_namespaces": {"type": "bool", "default": False},
        },
        journal=True,
        required_if=[("state", "present", ["workloads"]), ("state", "absent", ["copies"])],
    )


if __name__ == "__main__":
    main()
