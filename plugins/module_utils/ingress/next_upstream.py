# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxy-next-upstream*: what is tried again at another pod.

Istio tries twice more by default where that is safe (connect-failure, refused-stream, unavailable, cancelled). The last
two are answers of gRPC, whose calls are all POST. nginx never repeats a POST unless `non_idempotent` is there; Envoy does
not look at the method, so answers and broken connections are only repeated with it, and gRPC's never.
"""

from __future__ import annotations

import re

from ._model import Source, World

CODE = "next_upstream"
ANNOTATIONS = {
    "proxy-next-upstream": "retries.retryOn; `off` is attempts 0",
    "proxy-next-upstream-tries": "retries.attempts, one less, since the first is no retry",
    "proxy-next-upstream-timeout": "0 is what Istio does; else not translated",
}
SAFE = ("connect-failure", "refused-stream")
DEFAULT = 2  # Istio's own


def apply(source: Source, world: World) -> None:
    when, tries = source.get("proxy-next-upstream"), source.number("proxy-next-upstream-tries")
    limit = source.get("proxy-next-upstream-timeout")
    if limit is not None:
        if limit in ("0", ""):
            source.not_needed("proxy-next-upstream-timeout", "Istio has no limit for all tries, either")
        else:
            source.refuse(
                "proxy-next-upstream-timeout", "Istio has no limit for all tries together, but for the whole answer",
                "Set `timeout` or `retries.perTryTimeout` by hand if it matters.", "warning",
            )  # fmt: skip
    if when is None and tries is None:
        for route in source.routes if (source.get("backend-protocol") or "").upper() in ("GRPC", "GRPCS") else ():
            if not route.instead:
                route.http["retries"] = {"attempts": DEFAULT, "retryOn": ",".join(SAFE)}
        return
    words = (when or "error timeout").split()
    if "off" in words or tries == 1:
        retries: dict[str, object] = {"attempts": 0}
    else:
        # 0 is "no limit" on blue, which is as many as there are pods; Istio's own two are near enough to that.
        retries = {"attempts": tries - 1 if tries else DEFAULT, "retryOn": ",".join(_conditions(source, words))}
    for route in source.routes:
        if not route.instead:
            route.http["retries"] = retries
    if when is not None:
        source.translated("proxy-next-upstream", f"tried again: {retries.get('retryOn') or 'never'}")
    if tries is not None:
        source.translated("proxy-next-upstream-tries", f"{retries['attempts']} retries")


def _conditions(source: Source, words: list[str]) -> list[str]:
    found = list(SAFE) if {"error", "timeout"} & set(words) else []
    codes = [word[5:] for word in words if re.fullmatch(r"http_[45]\d\d", word)]
    if "non_idempotent" in words:
        found += [*(["reset"] if {"error", "timeout"} & set(words) else []), *codes]
    elif codes or "invalid_header" in words:
        source.refuse(
            "proxy-next-upstream", f"answers ({', '.join(codes) or 'invalid_header'}) are tried again for GET only on"
            " blue, and Envoy would repeat a POST as well",
            "Add them to retries.retryOn by hand where the routes change nothing; the rest is translated.", "warning",
        )  # fmt: skip
    return found or list(SAFE)
