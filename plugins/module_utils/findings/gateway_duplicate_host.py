# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers at one workload, with TLS settings, have a host and a port in common.

istiod keeps the server of the oldest Gateway and leaves the other out, whole. When the older one is removed its routes
answer 404 (istio/istio issues 32533 and 35772). Twins are made in another order than blue's Gateways were, so another
server may win on green. A green Gateway that selects blue's pods as well, as Big Bang's do by label, is left out there by
that rule, and blue serves as before.
"""

from __future__ import annotations

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "gateway_duplicate_host"


def check(inventory: Inventory) -> list[Finding]:
    """On green only what blue does not have as well."""
    found, known = [], set()
    greens = {pair.green for pair in inventory.pairs}
    for workload in inventory.workloads:
        for servers in (_servers.on_blue(inventory, workload), _servers.on_green(inventory, workload)):
            for older, server in _servers.meeting([s for s in servers if s.has_tls]):
                if server.origin in greens and older.origin not in greens:  # by green's own name at blue's pods only
                    continue
                for host in sorted(set(older.hosts) & set(server.hosts)):
                    clash = (host, server.listener, frozenset((older.origin, server.origin)))
                    if clash in known:
                        continue
                    known.add(clash)
                    found.append(
                        Finding(
                            CODE, ERROR, server.gateway, f"{server.field}.hosts",
                            f"{host} on port {server.number} of {workload.name} is that of {older.gateway}"
                            f" {older.field} too, which is older; istiod leaves this whole server out",
                            "Serve the host in one Gateway, or by pods of its own.",
                        )
                    )  # fmt: skip
    return found
