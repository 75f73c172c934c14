# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of different protocols meet at one port of one workload: istiod keeps the oldest, and no other."""

from __future__ import annotations

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "port_protocol_clash"


def check(inventory: Inventory) -> list[Finding]:
    """HTTP goes with HTTP, TLS with TLS; TCP goes with nothing. On green only what blue does not have as well."""
    found, known = [], set()
    for workload in inventory.workloads:
        for servers in (_servers.on_blue(inventory, workload), _servers.on_green(inventory, workload)):
            for older, server in _servers.meeting(servers):
                clash = (server.listener, older.origin, older.field, server.origin, server.field)
                if (older.kind == server.kind and server.kind != "tcp") or clash in known:
                    continue
                known.add(clash)
                found.append(
                    Finding(
                        CODE, ERROR, server.gateway, f"{server.field}.port",
                        f"{server.kind.upper()} on port {server.number} of {workload.name}, where {older.gateway}"
                        f" {older.field} has {older.kind.upper()}; istiod leaves this server out",
                        "Give one of them another port.",
                    )
                )  # fmt: skip
    return found
