# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService matches a port number that blue's Gateway has and green's has not.

In a route, match.port is the number in the Gateway's server, not the one that clients use, nor the pods'. A second
entry for green's is all it takes: entries of a route's match are alternatives.
"""

from __future__ import annotations

from .._inventory import ERROR, Finding, GatewayPair, Inventory, named
from .._twin import title
from .._virtual_services import alike

CODE = "route_port_match"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for vs, pairs in inventory.routed:
        for kind in ("http", "tls", "tcp"):
            for i, route in enumerate((vs.get("spec") or {}).get(kind) or ()):
                matches = (route or {}).get("match") or ()
                for j, match in enumerate(matches):
                    port = (match or {}).get("port")
                    others = [other.get("port") for other in alike(matches, match, ("port",))] if port else []
                    for pair in pairs if port else ():
                        blue, green = _numbers(inventory, pair)
                        if port in blue and port not in green and not green.union([None]).intersection(others):
                            found.append(
                                Finding(
                                    CODE, ERROR, named(vs), f"spec.{kind}[{i}].match[{j}].port",
                                    f"{port} is a port of Gateway {title(pair.blue)}; {title(pair.green)} has"
                                    f" {', '.join(map(str, sorted(green)))}",
                                    "Match green's port in a second entry, or drop the condition.",
                                )
                            )  # fmt: skip
    return found


def _numbers(inventory: Inventory, pair: GatewayPair) -> tuple[set[int], set[int]]:
    sides = [inventory.find("gateways", ref) for ref in (pair.blue, pair.green)]
    blue, green = ({s["port"]["number"] for s in ((g or {}).get("spec") or {}).get("servers") or ()} for g in sides)
    return blue, green if sides[1] else {pair.ports.get(number, number) for number in blue}
