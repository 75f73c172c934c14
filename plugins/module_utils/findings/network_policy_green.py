# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NetworkPolicies where green's pods are forbid them what blue's are allowed.

Typically a default deny in green's namespace, with nothing that lets the balancer in, or the pods out to istiod, DNS
and the applications.
"""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, Object, Workload, named
from .._module import Refusal
from .._network_policies import PEERS, allows, isolating, normal, rules_of
from .._policies import twin

CODE = "network_policy_green"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        for direction in PEERS:
            found += _lacking(inventory, workload, direction)
    return found


def _lacking(inventory: Inventory, workload: Workload, direction: str) -> list[Finding]:
    at_green = isolating(inventory, workload.green[0], workload.green_labels, direction)
    labels = inventory.blue_labels(workload)
    if not at_green or not labels:
        return []
    at_blue = isolating(inventory, workload.blue[0], labels[0], direction)
    as_on_green = [_as_on_green(inventory, workload, policy) for policy in at_blue]
    wanted = [normal(rule) for rule in rules_of(as_on_green, direction)] if at_blue else [{}]
    given = [normal(rule) for rule in rules_of(at_green, direction)]
    missing = [rule for rule in wanted if not allows(given, rule, direction)]
    if not missing:
        return []
    which = ", ".join(named(policy) for policy in at_blue) or "no policy, so all is allowed"
    return [
        Finding(
            CODE, ERROR, named(at_green[0]), f"spec.{PEERS[direction][0]}",
            f"it selects green's pods of {workload.name}, and {len(missing)} of {len(wanted)} rules that blue's pods"
            f" have ({which}) are not there",
            f"Allow green's pods ({workload.green_labels} in namespace {workload.green[0]}) the same.",
        )
    ]  # fmt: skip


def _as_on_green(inventory: Inventory, workload: Workload, policy: Object) -> Object:
    """With green's ports, and peers that mean the same from green's namespace."""
    try:
        return twin(inventory, workload, policy)
    except Refusal:
        return policy
