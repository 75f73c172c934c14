# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who will argue about spec.gateways: the sources that VirtualServices on blue are made from.

A source that applies server-side (Helm 4's default, Argo CD, Flux) fails, or puts back, what others patch. One finding
for each source: a cluster has few of them, and many VirtualServices.
"""

from __future__ import annotations

from .. import _virtual_services
from .._inventory import WARNING, Finding, Inventory, ref_of
from .._twin import title

CODE = "field_owner"


def check(inventory: Inventory) -> list[Finding]:
    sources: dict[_virtual_services.Owner, list[str]] = {}
    for vs, _pairs in inventory.routed:
        owner = _virtual_services.owner_of(vs)
        if owner:
            sources.setdefault(owner, []).append(title(ref_of(vs)))
    return [
        Finding(
            CODE, WARNING, f"Source {owner.source}", "spec.gateways",
            f"makes {len(names)} VirtualService(s) that serve on blue: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}. If they are patched, {owner.effect}",
            "Bind by admission policy, or change the source; and let the source name green before unbinding.",
        )
        for owner, names in sources.items()
    ]  # fmt: skip
