# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""route[].weight: more than one destination."""

from __future__ import annotations

from ..ingress_dialects import Words
from ._route import TRANSLATED, Route

FIELDS = ("route",)


def convert(route: Route) -> None:
    """The share of the smaller one goes to an Ingress beside that of the larger one (see _virtual_service_ingress)."""
    if len(route.targets) < 2:
        return
    live = [target for target in route.targets if target.percent]
    total = sum(target.percent for target in live)
    if not total:
        route.refuse("route", "its weights are all 0: Istio answers 500. Say where it leads.")
        return
    for target in live:
        target.percent = round(100 * target.percent / total)
    route.targets = sorted(live, key=lambda target: -target.percent)
    if len(live) > 2:
        route.refuse(
            "route",
            f"{len(live)} destinations have a weight, and a controller takes one beside the main one. Finish the canary"
            " first.",
        )
    elif len(live) == 2:
        route.use("route", lambda: _checked(route))
    else:
        route.say("route", TRANSLATED, "destinations of weight 0 are left out")


def _checked(route: Route) -> Words:
    """Whether the dialect can at all; its words go to the second Ingress, so none are used here."""
    words = route.dialect.share(route.targets[1].percent)
    return Words(differs=words.differs)
