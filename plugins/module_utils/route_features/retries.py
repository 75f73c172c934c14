# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retries. Without them Istio tries twice more where a connection fails, a stream is refused or the answer is 503."""

from __future__ import annotations

from ._route import Route, duration

FIELDS = ("retries",)
DEFAULT_ON = "connect-failure,refused-stream,unavailable,cancelled,503"  # istio, pilot .../route/retry/retry.go


def convert(route: Route) -> None:
    retries = route.has("retries")
    if not retries:
        return
    on = [word.strip() for word in (retries.get("retryOn") or DEFAULT_ON).split(",") if word.strip()]
    answer = route.use("retries", lambda: route.dialect.retries(int(retries.get("attempts") or 0), on))
    if answer and retries.get("perTryTimeout"):
        try:
            seconds = duration(retries["perTryTimeout"])
        except ValueError:
            seconds = 0
        route.say("retries", "translated", f"a single try is not ended after {seconds:g} s")
