# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green has fewer pods than blue: it is to carry the same traffic. Looked at once green is deployed."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, Object, named, ref_of

CODE = "green_replicas"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for blue, green in inventory.deployed():
        if _floor(inventory, green) < _replicas(blue):
            found.append(
                Finding(
                    CODE, ERROR, named(green), "spec.replicas",
                    f"at least {_floor(inventory, green)}; {named(blue)} has {_replicas(blue)}",
                    f"Set replicaCount (or autoscaling.minReplicas) of green to {_replicas(blue)} until the cleanup.",
                )
            )  # fmt: skip
    return found


def _replicas(deployment: Object) -> int:
    replicas = (deployment.get("spec") or {}).get("replicas")
    return 1 if replicas is None else replicas


def _floor(inventory: Inventory, deployment: Object) -> int:
    """What an autoscaler may make of it, if there is one."""
    for hpa in inventory["hpas"]:
        target = (hpa.get("spec") or {}).get("scaleTargetRef") or {}
        if (ref_of(hpa)[0], target.get("kind"), target.get("name")) == (
            ref_of(deployment)[0],
            "Deployment",
            ref_of(deployment)[1],
        ):
            return hpa["spec"].get("minReplicas") or 1
    return _replicas(deployment)
