# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""external-dns takes names from blue's Service or Gateway, by their annotations.

Its records point at whatever carries them. A copy of the annotation on green moves clients at once, past every gate;
without one, the records go when blue goes.
"""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, annotations_of, named

CODE = "external_dns"
PREFIX = "external-dns.alpha.kubernetes.io/"


def check(inventory: Inventory) -> list[Finding]:
    refs = [("services", w.blue) for w in inventory.workloads] + [("gateways", p.blue) for p in inventory.pairs]
    found = []
    for item in filter(None, (inventory.find(kind, ref) for kind, ref in refs)):
        keys = sorted(key for key in annotations_of(item) if key.startswith(PREFIX))
        if keys:
            found.append(
                Finding(
                    CODE, WARNING, named(item), "metadata.annotations",
                    f"{', '.join(f'{k}={annotations_of(item)[k]}' for k in keys)} makes DNS records of it",
                    "Let the names point at the balancer instead of at one gateway; and give green the annotation only"
                    " after the cutover, before the cleanup.",
                )
            )  # fmt: skip
    return found
