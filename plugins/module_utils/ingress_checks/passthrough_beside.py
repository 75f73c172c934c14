# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One port passes TLS through for some hosts and ends it for others, and a wildcard overlaps: Envoy takes the more
exact name, and a client that asks by another name of the certificate comes to the wrong one."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from .._objects import key_of
from .._routes import intersection, server_hosts
from .._servers import PASSING
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "passthrough_beside"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    """A wildcard is in a Gateway of its own, and others have some at the same pods: so servers are compared, not those
    of one Gateway."""
    ours = [o for o in objects if o["kind"] == "Gateway"]
    names = {key_of(gateway) for gateway in ours}
    servers = [
        (gateway, server)
        for gateway in [*ours, *(other for other in world.gateways if key_of(other) not in names)]
        for server in (gateway.get("spec") or {}).get("servers") or ()
        if (server.get("tls") or {}).get("mode")
    ]
    found = []
    for gateway, through in servers:
        for other, ended in servers:
            if through["tls"]["mode"] not in PASSING or ended["tls"]["mode"] in PASSING:
                continue
            if not {key_of(gateway), key_of(other)} & names or not _together(gateway, through, other, ended):
                continue
            for host in intersection(_hosts(gateway, through), _hosts(other, ended)):
                found.append(
                    Finding(
                        CODE, WARNING, f"Gateway {key_of(gateway)}", "spec.servers",
                        f"{host}: TLS is passed through here, and ended at the same port by {key_of(other)}",
                        "Keep the names apart, with certificates that do not share them.",
                    )
                )  # fmt: skip
    return found


def _hosts(gateway: Object, server: Object) -> list[str]:
    return server_hosts(server, gateway["metadata"]["namespace"], None)


def _together(gateway: Object, server: Object, other: Object, another: Object) -> bool:
    """Whether both are at one port of the same pods."""
    here, there = ((one["spec"].get("selector") or {}).items() for one in (gateway, other))
    same = (server.get("port") or {}).get("number") == (another.get("port") or {}).get("number")
    return same and (here <= there or there <= here)
