# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One port passes TLS through for some hosts and ends it for others that a wildcard takes in.

The most specific host wins, by SNI. A client that sends none, or that goes on using a connection for a second host of
the same certificate, gets the other kind of server.
"""

from __future__ import annotations

from .. import _servers
from .._inventory import WARNING, Finding, Inventory

CODE = "tls_mode_mix"


def check(inventory: Inventory) -> list[Finding]:
    found, known = [], set()
    for workload in inventory.workloads:
        for servers in (_servers.on_blue(inventory, workload), _servers.on_green(inventory, workload)):
            for older, server in _servers.meeting([s for s in servers if s.kind == "tls"]):
                hosts = _servers.overlap(older, server)
                mix = (older.origin, older.field, server.origin, server.field)
                if (older.mode in _servers.PASSING) == (server.mode in _servers.PASSING) or not hosts or mix in known:
                    continue
                known.add(mix)
                found.append(
                    Finding(
                        CODE, WARNING, server.gateway, f"{server.field}.tls.mode",
                        f"{server.mode} on port {server.number} of {workload.name}, where {older.gateway} {older.field}"
                        f" has {older.mode}, and {', '.join(hosts)} belongs to both",
                        "Give hosts that are passed through a port or an address of their own, or hosts that no"
                        " wildcard takes in.",
                    )
                )  # fmt: skip
    return found
