# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who will argue about spec.gateways: the sources that VirtualServices on blue are made from.

Argo CD and Flux put back what others patch, or do so when they are run next, as Helm and kubectl do. Where nothing is
patched, one finding for each source: a cluster has few of them, and many VirtualServices. Where VirtualServices will be
patched (strategy direct), one for each of these, so that each can be accepted by itself: an error where its source puts
it back unasked, which binding refuses.
"""

from __future__ import annotations

from .. import _desired, sources
from .._inventory import ERROR, WARNING, Finding, Inventory, ref_of
from .._twin import title
from ..binding_policies import direct

CODE = "field_owner"


def check(inventory: Inventory) -> list[Finding]:
    if inventory.binding == direct.NAME:
        return _harmed(inventory)
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


def _harmed(inventory: Inventory) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR if judgement.puts_back else WARNING, f"VirtualService {judgement.key}", "spec.gateways",
            f"{judgement.source.title} makes it, and a patch is to bind it (strategy direct):"
            f" {judgement.puts_back or sources.effect(judgement.source)}",
            "Let the source name green as well, or hold it still until unbinding. Where the cluster can have an admission"
            " policy or Kyverno, bind by that.",
        )
        for judgement in _desired.foreseen(inventory)
        if not judgement.green
    ]  # fmt: skip
