# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Argo CD Application that takes for a difference what an admission policy adds to its VirtualServices.

With self-heal it applies them again and again; without it shows OutOfSync for as long as both sides are bound. Neither,
where its ignoreDifferences cover the gateways, or where it compares by the server's side with admission let in. Both of
the latter are needed: by default, server-side diff takes out what mutating webhooks and policies did.
"""

from __future__ import annotations

from .. import _desired, sources
from .._inventory import ERROR, WARNING, Finding, Inventory
from ..binding_policies import direct
from ..sources import argocd

CODE = "argocd_diff"
HEALS = "with selfHeal it applies again and again what the policy changes"
SHOWS = "it will show OutOfSync for as long as both sides are bound, and no sync of it changes that"
FIX = (
    "Annotate it with argocd.argoproj.io/compare-options: ServerSideDiff=true,IncludeMutationWebhook=true, or give it"
    " ignoreDifferences for /spec/gateways and each match's gateways."
)


def check(inventory: Inventory) -> list[Finding]:
    """One for each Application, since that is where it is mended. Only where a policy is going to bind."""
    if inventory.binding in ("", direct.NAME) or "applications" in inventory.unread:
        return []  # of the latter the finding `unreadable` says it
    evidence = _desired.InventoryEvidence(inventory)
    seen: dict[tuple[str, str, str], list[str]] = {}  # (severity, Application, what it does) -> VirtualServices
    for judgement in _desired.foreseen(inventory):
        if judgement.source.kind != argocd.CODE or judgement.green:
            continue
        try:
            name, application = argocd.find_application(judgement.source, judgement.body, evidence)
        except sources.Unreadable as exc:
            key = (WARNING, judgement.source.name, f"not known whether it takes what the policy adds for a difference: {exc}")
        else:
            if not argocd.sees_admission(application, judgement.body):
                continue
            heals = argocd.heals_itself(application)
            key = (ERROR, name, HEALS) if heals else (WARNING, name, SHOWS)
        seen.setdefault(key, []).append(judgement.key)
    return [
        Finding(
            CODE, severity, f"Application {name}", "spec.ignoreDifferences",
            f"{effect}. It makes {', '.join(made[:5])}{f' and {len(made) - 5} more' if len(made) > 5 else ''}", FIX,
        )
        for (severity, name, effect), made in seen.items()
    ]  # fmt: skip
