# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxy-*-timeout.

nginx limits the pauses within an answer, Istio the answer as a whole: a long download is cut on green that was not on
blue. Without an annotation nothing is written: blue's 60 s are not asked for by anybody, and Istio has no limit.
"""

from __future__ import annotations

from ._model import Source, World

CODE = "timeout"
ANNOTATIONS = {
    "proxy-connect-timeout": "DestinationRule connectTimeout",
    "proxy-read-timeout": "timeout, the longer of the two, for the whole answer",
    "proxy-send-timeout": "timeout, the longer of the two, for the whole answer",
}


def apply(source: Source, world: World) -> None:
    connect = _seconds(source, "proxy-connect-timeout")
    if connect is not None:
        for route in source.routes:
            route.traffic.setdefault("connectionPool", {}).setdefault("tcp", {})["connectTimeout"] = f"{connect}s"
        source.translated("proxy-connect-timeout", f"{connect} s")
    given = {name: _seconds(source, name) for name in ("proxy-read-timeout", "proxy-send-timeout")}
    longest = max((seconds for seconds in given.values() if seconds), default=None)
    if longest is None:
        return
    for route in source.routes:
        if not route.instead:
            route.http["timeout"] = f"{longest}s"
    for name, seconds in given.items():
        if seconds is not None:
            source.translated(name, f"{longest} s for the whole answer, where nginx means each pause in it")
    source.warn(
        "timeout_is_total", "metadata.annotations[nginx.ingress.kubernetes.io/proxy-read-timeout]",
        f"answers that take longer than {longest} s in all are cut on Istio, even if bytes flow",
        "Give it as long as the longest download takes, or take it away. WebSockets are not cut.",
    )  # fmt: skip


def _seconds(source: Source, name: str) -> int | None:
    value = source.get(name)
    if value is None:
        return None
    digits = value.removesuffix("s")
    if not digits.isdigit() or not int(digits):
        source.not_needed(name, f"{value!r} is no number of seconds, and ingress-nginx ignores it")
        return None
    return int(digits)
