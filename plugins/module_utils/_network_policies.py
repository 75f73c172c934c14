# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NetworkPolicies allow a pod, and whom a policy's peers admit.

Pods that no policy selects are open. Once one does, only what some policy allows is allowed; policies add up.
"""

from __future__ import annotations

import json
import typing as t

from ._inventory import Inventory, Object, labels_of, ref_of
from ._objects import picks

Rule = dict[str, t.Any]
PEERS = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


def isolating(inventory: Inventory, namespace: str, labels: dict[str, str], direction: str) -> list[Object]:
    """The policies that select pods with these labels, for a direction (Ingress or Egress)."""
    return [
        policy
        for policy in inventory["network_policies"]
        if ref_of(policy)[0] == namespace
        and direction in types_of(policy)
        and picks((policy.get("spec") or {}).get("podSelector") or {}, labels)
    ]


def types_of(policy: Object) -> list[str]:
    spec = policy.get("spec") or {}
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def rules_of(policies: t.Iterable[Object], direction: str) -> list[Rule]:
    return [rule or {} for policy in policies for rule in (policy.get("spec") or {}).get(PEERS[direction][0]) or ()]


def allows(rules: t.Sequence[Rule], wanted: Rule, direction: str) -> bool:
    """Whether one of these rules allows all that `wanted` does; peers are compared as they are written."""
    key = PEERS[direction][1]
    return any(_within(wanted.get(key), r.get(key)) and _within(wanted.get("ports"), r.get("ports")) for r in rules)


def _within(wanted: t.Sequence[t.Any] | None, given: t.Sequence[t.Any] | None) -> bool:
    """No list, or an empty one, means all."""
    if not given:
        return True
    texts = {json.dumps(entry, sort_keys=True) for entry in given}
    return bool(wanted) and all(json.dumps(entry, sort_keys=True) in texts for entry in wanted or ())


def normal(rule: Rule) -> Rule:
    """The rule with the protocol of its ports written out."""
    if not rule.get("ports"):
        return rule
    return {**rule, "ports": [{"protocol": "TCP", **port} for port in rule["ports"]]}


def admits(peer: dict[str, t.Any], own: str, namespace: str, inventory: Inventory, labels: dict[str, str]) -> bool:
    """Whether a peer of a policy in namespace `own` means pods with these labels in `namespace`. ipBlock: not known."""
    if "podSelector" not in peer and "namespaceSelector" not in peer:
        return False
    if peer.get("namespaceSelector") is None:
        there = own == namespace
    else:
        there = picks(peer["namespaceSelector"], namespace_labels(inventory, namespace))
    return there and (peer.get("podSelector") is None or picks(peer["podSelector"], labels))


def namespace_labels(inventory: Inventory, name: str) -> dict[str, str]:
    """Those that every namespace has, for one that is still to be made."""
    found = inventory.find("namespaces", ("", name))
    return {"kubernetes.io/metadata.name": name, **(labels_of(found) if found else {})}
