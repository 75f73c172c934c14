# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green's proxies have less CPU or memory than blue's, or no request or limit where blue has one."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding, Inventory, named
from .._sizes import proxy_resources, quantity

CODE = "green_resources"


def check(inventory: Inventory) -> list[Finding]:
    """A limit that green lacks is no less; a request that it lacks is."""
    found = []
    for blue, green in inventory.deployed():
        wanted, given = proxy_resources(blue), proxy_resources(green)
        less = [
            f"{kind}.{name} {given.get(kind, {}).get(name, 'not set')}, blue {value}"
            for kind in ("requests", "limits")
            for name, value in (wanted.get(kind) or {}).items()
            if _less(given.get(kind, {}).get(name), value, kind)
        ]
        if less:
            found.append(
                Finding(
                    CODE, WARNING, named(green), "spec.template.spec.containers[0].resources", "; ".join(less),
                    "Set resources in the chart's values as blue has them.",
                )
            )  # fmt: skip
    return found


def _less(given: t.Any, wanted: t.Any, kind: str) -> bool:
    if given is None:
        return kind == "requests"
    return quantity(given) < quantity(wanted)
