# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Grafana dashboard, in a ConfigMap labelled grafana_dashboard, names blue and not green."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named
from .._mentions import of_blue

CODE = "dashboard_on_blue"


def check(inventory: Inventory) -> list[Finding]:
    return [
        Finding(
            CODE, WARNING, named(item), f"data[{key}]", f"it names {word}, which is blue",
            "Let its queries take green in, or make the gateway a variable.",
        )
        for item in inventory["dashboards"]
        for key, text in (item.get("data") or {}).items()
        if (word := of_blue(inventory, text))
    ]  # fmt: skip
