# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""match.authority: the host once more."""

from __future__ import annotations

from ._route import NOT_NEEDED, Route

FIELDS = ("match.authority",)


def convert(route: Route) -> None:
    match = route.has("match.authority")
    if not match:
        return
    if match == {"exact": route.host} and "*" not in route.host:
        route.say("match.authority", NOT_NEEDED, "it is the host of the Ingress")
    else:
        route.refuse(
            "match.authority",
            f"an Ingress goes by its host alone ({route.host}). Give {match} a VirtualService of its own first.",
        )
