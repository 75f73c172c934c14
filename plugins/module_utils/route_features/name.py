# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""name: for debugging and access logs."""

from __future__ import annotations

from ._route import NOT_NEEDED, Route

FIELDS = ("name",)


def convert(route: Route) -> None:
    if route.has("name"):
        route.say("name", NOT_NEEDED, "it names the route in Istio's own logs")
