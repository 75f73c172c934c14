# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations of blue's pods that say how the proxy runs, such as proxy.istio.io/config, and that green's pods lack."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, Object, named
from .._values import PROXY_ANNOTATION

CODE = "green_annotations"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for blue, green in inventory.deployed():
        wanted, given = _annotations(blue), _annotations(green)
        other = sorted(k for k, v in wanted.items() if PROXY_ANNOTATION.match(k) and given.get(k) != v)
        if other:
            found.append(
                Finding(
                    CODE, WARNING, named(green), "spec.template.metadata.annotations",
                    f"{', '.join(other)}: not there, or not as on {named(blue)}",
                    "Set podAnnotations in the chart's values as blue has them.",
                )
            )  # fmt: skip
    return found


def _annotations(deployment: Object) -> dict[str, str]:
    return deployment["spec"]["template"].get("metadata", {}).get("annotations") or {}
