# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A NetworkPolicy lets blue's pods in, by their namespace or labels, and green's not: requests by green time out."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, Workload, named, ref_of
from .._network_policies import Rule, admits, rules_of, types_of

CODE = "network_policy_backend"


def check(inventory: Inventory) -> list[Finding]:
    """Fine once the same policy, or another of its namespace for the same pods, lets green in by the same ports."""
    if "namespaces" in inventory.unread:
        return []  # says the finding `unreadable`
    found = []
    for policy in inventory["network_policies"]:
        if "Ingress" not in types_of(policy):
            continue
        own, spec = ref_of(policy)[0], policy.get("spec") or {}
        pods = (spec.get("podSelector"), {})
        beside = rules_of(
            (
                other for other in inventory["network_policies"]
                if ref_of(other)[0] == own and (other.get("spec") or {}).get("podSelector") in pods
            ),
            "Ingress",
        )  # fmt: skip
        for number, rule in enumerate(spec.get("ingress") or ()):
            for workload in inventory.workloads:
                if _lets(inventory, rule or {}, own, workload, green=False) and not any(
                    _lets(inventory, other, own, workload, green=True)
                    for other in beside
                    if not other.get("ports") or other.get("ports") == (rule or {}).get("ports")
                ):
                    found.append(
                        Finding(
                            CODE, ERROR, named(policy), f"spec.ingress[{number}].from",
                            f"it admits blue's pods of {workload.name} and not green's",
                            f"Admit namespace {workload.green[0]} (kubernetes.io/metadata.name) beside blue's, at the"
                            " source of this policy.",
                        )
                    )  # fmt: skip
    return found


def _lets(inventory: Inventory, rule: Rule, own: str, workload: Workload, green: bool) -> bool:
    namespace = workload.green[0] if green else workload.blue[0]
    pods = [workload.green_labels] if green else inventory.blue_labels(workload)
    peers = rule.get("from")
    if not peers:
        return green  # everyone: nothing that blue alone is let in by
    return any(admits(peer, own, namespace, inventory, labels) for peer in peers for labels in pods)
