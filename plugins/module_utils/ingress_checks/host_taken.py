# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something that is not ours serves the host already: another Gateway at the same pods, or another VirtualService.

Of two Gateways with one host and port at one workload istiod keeps the oldest; routes of two VirtualServices with one
host come in an order that nobody has chosen.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding
from .._objects import key_of
from .._routes import server_hosts
from .._virtual_services import resolve
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "host_taken"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    for made in (o for o in objects if o["kind"] == "Gateway"):
        space = made["metadata"]["namespace"]
        own = {
            (server["port"]["number"], host)
            for server in made["spec"]["servers"]
            for host in server_hosts(server, space, None)
        }
        selector = made["spec"]["selector"].items()
        for other in world.gateways:
            theirs = ((other.get("spec") or {}).get("selector") or {}).items()
            if key_of(other) == key_of(made) or not (theirs <= selector or selector <= theirs):
                continue
            for server in (other.get("spec") or {}).get("servers") or ():
                number = (server.get("port") or {}).get("number")
                for host in server_hosts(server, other["metadata"]["namespace"], None):
                    if (number, host) in own:
                        found.append(
                            Finding(
                                CODE, ERROR, f"Gateway {key_of(other)}", "spec.servers.hosts",
                                f"it serves {host}:{number} at the pods of {key_of(made)} already; Istio keeps the"
                                f" older",
                                "Take the host out of it, or leave that Ingress out.",
                            )
                        )  # fmt: skip
    serving: dict[tuple[str | None, str], list[Object]] = {}
    for other in world.virtual_services:
        spec, space = other.get("spec") or {}, other["metadata"]["namespace"]
        for gateway in {resolve(name, space) for name in spec.get("gateways") or ()}:
            for host in spec.get("hosts") or ():
                serving.setdefault((gateway, host), []).append(other)
    for made in (o for o in objects if o["kind"] == "VirtualService"):
        (gateway,) = made["spec"]["gateways"]
        others: dict[str, list[str]] = {}
        for host in made["spec"]["hosts"]:
            for other in serving.get((gateway, host), ()):
                others.setdefault(key_of(other), []).append(host)
        for key, same in others.items():
            if key != key_of(made):
                found.append(
                    Finding(
                        CODE, ERROR, f"VirtualService {key}", "spec.hosts",
                        f"it serves {', '.join(same)} on {gateway} already, beside {key_of(made)}: which comes"
                        " first is a matter of age",
                        "Merge the two, or take the host out of one.",
                    )
                )  # fmt: skip
    return found
