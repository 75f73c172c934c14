# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that one side serves by its own server, and the other by a wildcard's, or by another Gateway.

By SNI the most specific host wins, and only the routes of that server's Gateway and its certificate are used. So a
Gateway that is on one side only changes what a wildcard beside it serves.
"""

from __future__ import annotations

import typing as t

from .. import _servers
from .._inventory import ERROR, Finding, Inventory

CODE = "wildcard_shadowed"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        if not any(pair.workload == workload for pair in inventory.pairs):
            continue
        sides = {
            "blue": dict(_shadows(_servers.on_blue(inventory, workload))),
            "green": dict(_shadows(_servers.on_green(inventory, workload))),
        }
        for here, other in (("blue", "green"), ("green", "blue")):
            for (host, _narrow, _wide), (narrow, wide) in sides[here].items():
                if (host, narrow.origin, wide.origin) not in sides[other]:
                    found.append(
                        Finding(
                            CODE, ERROR, narrow.gateway, f"{narrow.field}.hosts",
                            f"on {here} of {workload.name} it takes {host} from {wide.gateway} {wide.field}"
                            f" ({', '.join(wide.hosts)}); on {other} nothing does",
                            "Let both sides have this server: add a pair for its Gateway, or move the host.",
                        )
                    )  # fmt: skip
    return found


def _shadows(servers: list[_servers.Server]) -> t.Iterator[tuple[t.Any, tuple[_servers.Server, _servers.Server]]]:
    """Who takes a host from whose wildcard; two servers of one Gateway share their routes."""
    for one, other in _servers.meeting([s for s in servers if s.kind == "tls"]):
        for narrow, wide in ((one, other), (other, one)):
            for host in narrow.hosts:
                if narrow.origin != wide.origin and any(_servers.narrower(host, w) for w in wide.hosts):
                    yield (host, narrow.origin, wide.origin), (narrow, wide)
