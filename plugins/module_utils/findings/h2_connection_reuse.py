# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser may ask one server for another server's host, and gets 404 or 421.

Over HTTP/2 a client goes on using a connection for every host that its certificate names and that has the same address.
Envoy chose the server when the connection was made, by SNI, and that server knows only its own Gateway's routes
(istio/istio issues 13589, 51233, 52853).
"""

from __future__ import annotations

from .. import _servers
from .._inventory import WARNING, Finding, Inventory
from .._served import certificates, covers

CODE = "h2_connection_reuse"


def check(inventory: Inventory) -> list[Finding]:
    served = certificates(inventory)
    found, known = [], set()
    for workload in inventory.workloads:
        sides = (
            (workload.blue[0], _servers.on_blue(inventory, workload)),
            (workload.green[0], _servers.on_green(inventory, workload)),
        )
        for namespace, servers in sides:
            for pair in _servers.meeting([s for s in servers if s.kind == "tls"]):
                for one, other in (pair, pair[::-1]):
                    names = [n for c in one.credentials for n in served.get((namespace, c), {}).get("sans", ())]
                    hosts = sorted(
                        h for h in other.hosts if any(covers(n, h) for n in names) and not _routed(h, one, other)
                    )  # fmt: skip
                    key = (one.origin, one.field, other.origin, other.field)
                    if one.mode in _servers.PASSING or not hosts or key in known:
                        continue
                    known.add(key)
                    found.append(
                        Finding(
                            CODE, WARNING, one.gateway, f"{one.field}.tls.credentialName",
                            f"its certificate names {', '.join(hosts)}, which {other.gateway} {other.field} serves on"
                            f" the same port of {workload.name}",
                            "Serve hosts of one certificate by one server, or give each server a certificate of its"
                            " own.",
                        )
                    )  # fmt: skip
    return found


def _routed(host: str, one: _servers.Server, other: _servers.Server) -> bool:
    """Whether server `one` has the routes for a host of the other's: its own host, or by a wildcard of one Gateway."""
    return host in one.hosts or (one.origin == other.origin and any(_servers.narrower(host, w) for w in one.hosts))
