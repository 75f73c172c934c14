# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who will argue about spec.gateways: the sources that VirtualServices on blue are made from.

Argo CD and Flux put back what others patch, or do so when they are run next, as Helm and kubectl do. One finding for
each source: a cluster has few of them, and many VirtualServices.
"""

from __future__ import annotations

from .. import sources
from .._inventory import WARNING, Finding, Inventory, ref_of
from .._twin import title

CODE = "field_owner"


def check(inventory: Inventory) -> list[Finding]:
    made: dict[sources.Source, list[str]] = {}
    for vs, _pairs in inventory.routed:
        for source in sources.of(vs):
            made.setdefault(source, []).append(title(ref_of(vs)))
    return [
        Finding(
            CODE, WARNING, f"Source {source.title}", "spec.gateways",
            f"makes {len(names)} VirtualService(s) that serve on blue: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}. If they are patched, {sources.effect(source)}",
            "Bind by admission policy, or change the source; and let the source name green before unbinding.",
        )
        for source, names in made.items()
    ]  # fmt: skip
