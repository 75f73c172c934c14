# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of a Gateway that no port of green's Service leads to.

A server's number is a Service port (then its targetPort is meant) or else the pods' own port. The old ingress chart has
80 -> 8080 and Gateways with 8080; Istio's gateway chart has 80 -> 80, and nothing leads to 8080 any more.
"""

from __future__ import annotations

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "target_port_unreached"


def check(inventory: Inventory) -> list[Finding]:
    """What blue's Service does not lead to either is not about green."""
    found = []
    for workload in inventory.workloads:
        service = _servers.service_on_green(inventory, workload)
        reached = {(s.origin, s.field) for s in _servers.on_blue(inventory, workload) if s.reached}
        for server in _servers.on_green(inventory, workload) if service else ():
            if not server.reached and (server.origin, server.field) in reached:
                ports = [
                    f"{p['port']} -> {p.get('targetPort') or p['port']}" for p in service["spec"].get("ports") or ()
                ]
                found.append(
                    Finding(
                        CODE, ERROR, server.gateway, f"{server.field}.port.number",
                        f"the pods will listen on {server.listening}, and green's Service of {workload.name} has only"
                        f" {', '.join(ports)}",
                        "Keep blue's targetPort in the chart's values (service.ports), or map the Gateway's port.",
                    )
                )  # fmt: skip
    return found
