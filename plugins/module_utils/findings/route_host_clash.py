# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService that is on green alone has a host of one that is on blue alone.

Binding puts each on the other side as well. There istiod joins the routes of both, the older one's first
(pilot/pkg/networking/core/gateway.go), and Envoy takes the innermost of two hosts that both fit: blue's clients would
get other answers, in a phase in which nobody judges them.
"""

from __future__ import annotations

from .. import _virtual_services as vs
from .._inventory import ERROR, Finding, GatewayPair, Inventory, Object, named
from .._objects import PREVIEW_OF, annotations_of
from .._routes import subset
from .._twin import title

CODE = "route_host_clash"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for pair in inventory.pairs:
        blue, green = _alone(inventory, pair)
        for body in green:
            clashes = [
                f"{host} is {wider}'s of {named(other)}, on {title(pair.blue)} alone" if wider != host else
                f"{host} is also that of {named(other)}, on {title(pair.blue)} alone"
                for other in blue
                for host in _hosts(body)
                for wider in _hosts(other)
                if subset(host, wider)
            ]  # fmt: skip
            if clashes:
                found.append(
                    Finding(
                        CODE, ERROR, named(body), "spec.hosts",
                        f"on {title(pair.green)} alone, and {'; '.join(clashes)}. Bound to both sides, it would take"
                        " requests of blue's clients",
                        "Make them one VirtualService, or take the host out of one.",
                    )
                )  # fmt: skip
    return found


def _alone(inventory: Inventory, pair: GatewayPair) -> tuple[list[Object], list[Object]]:
    """VirtualServices on blue and not on green, and the other way round."""
    blue, green = [], []
    for body in inventory["virtual_services"]:
        if vs.is_delegate(body) or PREVIEW_OF in annotations_of(body):  # which is to be blue's alone
            continue
        names = vs.gateways_of(body)
        sides = title(pair.blue) in names, title(pair.green) in names
        if sides in ((True, False), (False, True)):
            (blue if sides[0] else green).append(body)
    return blue, green


def _hosts(body: Object) -> list[str]:
    return [str(host).lower() for host in (body.get("spec") or {}).get("hosts") or ()]
