# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""delegate: a root's route that another VirtualService fills in. What arrives here is filled in already."""

from __future__ import annotations

from ._route import TRANSLATED, Route

FIELDS = ("delegate",)


def convert(route: Route) -> None:
    if ">" in route.label:
        route.say("delegate", TRANSLATED, f"it is filled in: {route.label}")
    elif route.has("delegate"):
        route.refuse("delegate", "the delegate is missing, so the route does not answer today. Take it out.")
