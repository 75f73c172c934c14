# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue's pods are not made by a Deployment but, say, by a DaemonSet.

Deploying reads green's size, resources and placement from blue's Deployment, and keeps blue as large as it is by it. The
findings about green's size compare Deployments as well, and would say nothing.
"""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, named
from .._twin import title

CODE = "blue_no_deployment"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        if inventory.blue_deployment(workload) or "deployments" in inventory.unread:
            continue
        owners = {
            f"{owner['kind']} {owner['name']}"
            for pod in inventory.blue_pods(workload)
            for owner in pod["metadata"].get("ownerReferences") or ()
            if owner.get("controller") and owner["kind"] != "ReplicaSet"
        }
        if owners:
            service = inventory.find("services", workload.blue)
            found.append(
                Finding(
                    CODE, ERROR, named(service) if service else f"Service {title(workload.blue)}", "spec.selector",
                    f"pods of {', '.join(sorted(owners))}, and of no Deployment",
                    "Have a Deployment make them first, with as many replicas as there are pods (kind: Deployment in the"
                    " values of Istio's gateway chart).",
                )
            )  # fmt: skip
    return found
