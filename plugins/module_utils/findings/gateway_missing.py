# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Gateway to be replaced does not exist."""

from __future__ import annotations

from .._gateways import near
from .._inventory import ERROR, Finding, Inventory, ref_of
from .._twin import title

CODE = "gateway_missing"


def check(inventory: Inventory) -> list[Finding]:
    """After the migration blue is gone on purpose: a green one in its place says so."""
    if "gateways" in inventory.unread:
        return []  # says the finding `unreadable`
    existing = {title(ref_of(g)) for g in inventory["gateways"]}
    return [
        Finding(
            CODE, ERROR, f"Gateway {title(pair.blue)}", "metadata.name", "it does not exist",
            "Correct the pair."
            + (f" Did you mean {', '.join(alike)}?" if (alike := near(title(pair.blue), existing)) else ""),
        )
        for pair in inventory.pairs
        if title(pair.blue) not in existing and title(pair.green) not in existing
    ]  # fmt: skip
