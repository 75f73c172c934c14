# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Gateway on blue's pods that no pair names: its routes would not be on green, and go dark with blue."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, named, ref_of

CODE = "app_owned_gateway"


def check(inventory: Inventory) -> list[Finding]:
    listed = {ref for pair in inventory.pairs for ref in (pair.blue, pair.green)}
    return [
        Finding(
            CODE, ERROR, named(gateway), "spec.selector",
            f"{(gateway.get('spec') or {}).get('selector') or 'none, which is all gateways,'} selects blue's pods of"
            f" {', '.join(w.name for w in workloads)}, and no pair names this Gateway",
            "Add a pair with a twin for it: binding VirtualServices to another Gateway does not cover its hosts.",
        )
        for gateway in inventory["gateways"]
        if ref_of(gateway) not in listed and (workloads := inventory.on_blue(gateway))
    ]  # fmt: skip
