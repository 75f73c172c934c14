# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With externalTrafficPolicy Local a NodePort answers only where a gateway pod runs."""

from __future__ import annotations

from .._gateways import is_ready
from .._inventory import WARNING, Finding, Inventory, named

CODE = "external_traffic_local"


def check(inventory: Inventory) -> list[Finding]:
    """Looks at both sides; green's Service is there after the deployment only, and is made like blue's."""
    nodes = {n["metadata"]["name"] for n in inventory["nodes"] if is_ready(n)}
    found = []
    for workload in inventory.workloads:
        for ref, pods in (
            (workload.blue, inventory.blue_pods(workload)),
            (workload.green, inventory.green_pods(workload)),
        ):
            service = inventory.find("services", ref)
            if not service or (service.get("spec") or {}).get("externalTrafficPolicy") != "Local":
                continue
            without = sorted(nodes - {(p.get("spec") or {}).get("nodeName") for p in pods if is_ready(p)})
            if without:
                shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
                found.append(
                    Finding(
                        CODE, WARNING, named(service), "spec.externalTrafficPolicy",
                        f"Local, and {len(without)} of {len(nodes)} nodes have no ready pod of it: {shown}",
                        "Let the balancer check the health of each node (healthCheckNodePort), run a pod on every node"
                        " that it uses, or use Cluster.",
                    )
                )  # fmt: skip
    return found
