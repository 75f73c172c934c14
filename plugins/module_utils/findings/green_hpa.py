# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue is autoscaled and green is not, or not as far: it stays smaller than blue may get, whatever comes."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named, ref_of

CODE = "green_hpa"


def check(inventory: Inventory) -> list[Finding]:
    """Looked at once green is deployed. As many replicas as blue's autoscaler may ever make are enough without one."""
    found = []
    targets = {
        (ref_of(hpa)[0], ref["name"]): hpa for hpa in inventory["hpas"]
        if (ref := (hpa.get("spec") or {}).get("scaleTargetRef") or {}).get("kind") == "Deployment"
    }  # fmt: skip
    for blue, green in inventory.deployed():
        hpa, own = targets.get(ref_of(blue)), targets.get(ref_of(green))
        most = own["spec"]["maxReplicas"] if own else (green.get("spec") or {}).get("replicas") or 1
        if hpa and most < hpa["spec"]["maxReplicas"]:
            found.append(
                Finding(
                    CODE, WARNING, named(hpa), "spec.maxReplicas" if own else "spec.scaleTargetRef",
                    f"it may scale {named(blue)} to {hpa['spec']['maxReplicas']};"
                    f" {f'{named(own)} scales {named(green)} to {most} at most' if own else f'{named(green)} stays at {most}'}",
                    "Give green an autoscaler that never goes below blue's replicas and goes as far as blue's, or as many"
                    " pods as blue may have.",
                )
            )  # fmt: skip
    return found
