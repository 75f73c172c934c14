# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue serves an Application Load Balancer of AWS, which sends no SNI to its targets, by a TLS server for every host.

Green has only servers for certain hosts there. A handshake without SNI finds none of them, and fails; the health check
asks the status port and does not see it.
"""

from __future__ import annotations

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "alb_without_sni"


def check(inventory: Inventory) -> list[Finding]:
    """Where blue has no such server either, the balancer speaks plain HTTP to it, and will to green."""
    found: list[Finding] = []
    if inventory.balancer != "aws_alb":
        return found
    for workload in inventory.workloads:
        blue, green = (
            [s for s in side if s.kind == "tls" and s.mode not in _servers.PASSING]
            for side in (_servers.on_blue(inventory, workload), _servers.on_green(inventory, workload))
        )
        if any("*" in server.hosts for server in blue) and green and not any("*" in server.hosts for server in green):
            server = green[0]
            found.append(
                Finding(
                    CODE, ERROR, server.gateway, f"{server.field}.hosts",
                    f"is {', '.join(server.hosts)} and no TLS server of green's has '*', as one of blue's does; an"
                    " Application Load Balancer sends no SNI, and is refused without",
                    "Set hosts: ['*'].",
                )
            )  # fmt: skip
    return found
