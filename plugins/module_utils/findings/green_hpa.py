# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue is autoscaled and green is not: it stays as large as it was deployed, whatever comes."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named, ref_of

CODE = "green_hpa"


def check(inventory: Inventory) -> list[Finding]:
    """Looked at once green is deployed. As many replicas as blue's autoscaler may ever make are enough without one."""
    found = []
    for blue, green in inventory.deployed():
        targets = {
            (ref_of(hpa)[0], ref["name"]): hpa for hpa in inventory["hpas"]
            if (ref := (hpa.get("spec") or {}).get("scaleTargetRef") or {}).get("kind") == "Deployment"
        }  # fmt: skip
        hpa = targets.get(ref_of(blue))
        if (
            hpa
            and ref_of(green) not in targets
            and ((green.get("spec") or {}).get("replicas") or 1) < hpa["spec"]["maxReplicas"]
        ):
            found.append(
                Finding(
                    CODE, WARNING, named(hpa), "spec.scaleTargetRef",
                    f"it may scale {named(blue)} to {hpa['spec']['maxReplicas']}; {named(green)} stays at"
                    f" {(green.get('spec') or {}).get('replicas') or 1}",
                    "Give green an autoscaler that never goes below blue's replicas, or as many pods as blue may have.",
                )
            )  # fmt: skip
    return found
