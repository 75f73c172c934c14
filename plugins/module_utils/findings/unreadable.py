# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something could not be looked at, so no finding about it is not a good sign."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory

CODE = "unreadable"


def check(inventory: Inventory) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR, f"List {what.partition(' (')[0]}", "", why,
            "Allow this user to list it, or waive it if you know that none of it concerns the gateways.",
        )
        for what, why in sorted(inventory.unreadable.items())
    ]  # fmt: skip
