# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An alert or recording rule names blue: green's failures raise no alarm, and blue's end does."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, named
from .._mentions import of_blue

CODE = "alert_on_blue"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for item in inventory["prometheus_rules"]:
        for i, group in enumerate((item.get("spec") or {}).get("groups") or ()):
            for j, rule in enumerate(group.get("rules") or ()):
                word = of_blue(inventory, str(rule.get("expr") or ""))
                if word:
                    found.append(
                        Finding(
                            CODE, WARNING, named(item), f"spec.groups[{i}].rules[{j}].expr",
                            f"{rule.get('alert') or rule.get('record')} asks for {word}, which is blue",
                            "Let it ask for green as well until the cleanup, and for green alone after it.",
                        )
                    )  # fmt: skip
    return found
