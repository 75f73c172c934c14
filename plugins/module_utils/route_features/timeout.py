# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""timeout: of the whole request. Without one Istio waits for ever, and so does the Ingress (patience)."""

from __future__ import annotations

from ._route import NOT_NEEDED, Route, duration

FIELDS = ("timeout",)


def convert(route: Route) -> None:
    text = route.has("timeout")
    if not text:
        return
    try:
        seconds = duration(text)
    except ValueError as exc:
        route.refuse("timeout", f"{exc}; expected a number with a unit, such as 10s.")
        return
    if seconds == 0:
        route.say("timeout", NOT_NEEDED, "0s is no limit, which is what the Ingress has")
    else:
        route.use("timeout", lambda: route.dialect.timeout(seconds))
