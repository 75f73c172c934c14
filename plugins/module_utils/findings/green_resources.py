# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green's proxies have less CPU or memory than blue's, or no request or limit where blue has one."""

from __future__ import annotations

import re
import typing as t

from .._inventory import WARNING, Finding, Inventory, Object, named

CODE = "green_resources"
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def check(inventory: Inventory) -> list[Finding]:
    """A limit that green lacks is no less; a request that it lacks is."""
    found = []
    for blue, green in inventory.deployed():
        wanted, given = _resources(blue), _resources(green)
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


def _resources(deployment: Object) -> dict[str, dict[str, t.Any]]:
    containers = deployment["spec"]["template"].get("spec", {}).get("containers") or [{}]
    proxy = next((c for c in containers if c.get("name") == "istio-proxy"), containers[0])
    return proxy.get("resources") or {}


def _less(given: t.Any, wanted: t.Any, kind: str) -> bool:
    if given is None:
        return kind == "requests"
    return quantity(given) < quantity(wanted)


def quantity(text: t.Any) -> float:
    """A Kubernetes quantity as a number: 500m, 1Gi, 2."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([a-zA-Z]*)", str(text))
    return float(match[1]) * UNITS.get(match[2], 1) if match else 0.0
