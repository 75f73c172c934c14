# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A NetworkPolicy guards blue's pods, and none guards green's: what it kept out comes in there."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named
from .._network_policies import PEERS, isolating

CODE = "network_policy_open"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        for direction, (field, _peers) in PEERS.items():
            if isolating(inventory, workload.green[0], workload.green_labels, direction):
                continue
            for policy in inventory["network_policies"]:
                if any(
                    policy in isolating(inventory, workload.blue[0], labels, direction)
                    for labels in inventory.blue_labels(workload)
                ):
                    found.append(
                        Finding(
                            CODE, WARNING, named(policy), f"spec.{field}",
                            f"it guards blue's pods of {workload.name}; no policy guards green's",
                            inventory.not_copied.get(named(policy))
                            or f"Create the same for pods labelled {workload.green_labels} in namespace"
                            f" {workload.green[0]}.",
                        )
                    )  # fmt: skip
    return found
