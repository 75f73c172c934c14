# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server passes TLS through, and the balancer is an Application Load Balancer of AWS, which ends it.

So its clients come some other way, and that way is not moved.
"""

from __future__ import annotations

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "alb_ends_tls"


def check(inventory: Inventory) -> list[Finding]:
    if inventory.balancer != "aws_alb":
        return []
    return [
        Finding(
            CODE, ERROR, server.gateway, f"{server.field}.tls.mode",
            f"{server.mode} on port {server.number} of {workload.name}, and mesh_balancer is an Application Load"
            " Balancer, which ends TLS: clients of these hosts come some other way, which would not be moved",
            "Migrate it by itself, with the balancer that its clients come by.",
        )
        for workload in inventory.workloads
        for server in _servers.on_blue(inventory, workload)
        if server.kind == "tls" and server.mode in _servers.PASSING
    ]  # fmt: skip
