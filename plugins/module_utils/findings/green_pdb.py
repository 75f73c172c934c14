# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PodDisruptionBudget holds blue's pods, and none holds green's: a node drain may take all of them at once."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named, ref_of
from .._objects import picks

CODE = "green_pdb"


def check(inventory: Inventory) -> list[Finding]:
    """Looked at once green is deployed."""
    found = []
    for workload in inventory.workloads:
        if not inventory.green_deployment(workload):
            continue
        at_blue = [
            pdb for pdb in inventory["pdbs"]
            if ref_of(pdb)[0] == workload.blue[0]
            and any(picks((pdb.get("spec") or {}).get("selector"), ls) for ls in inventory.blue_labels(workload))
        ]  # fmt: skip
        at_green = any(
            ref_of(pdb)[0] == workload.green[0]
            and picks((pdb.get("spec") or {}).get("selector"), workload.green_labels)
            for pdb in inventory["pdbs"]
        )
        if at_blue and not at_green:
            found.append(
                Finding(
                    CODE, WARNING, named(at_blue[0]), "spec.selector",
                    f"it holds blue's pods of {workload.name}; nothing holds green's",
                    f"Create one for pods labelled {workload.green_labels} in namespace {workload.green[0]}.",
                )
            )  # fmt: skip
    return found
