# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""match.uri: prefix and exact. Istio's prefix is one of characters, an Ingress's one of whole elements."""

from __future__ import annotations

from ._route import TRANSLATED, Route

FIELDS = ("match.uri", "match.ignoreUriCase")


def convert(route: Route) -> None:
    kind, value = next(iter((route.has("match.uri") or {}).items()), ("", ""))
    if kind == "regex" and value in (".*", "/.*", "*"):
        kind, value = "prefix", "/"
    if kind == "regex":
        route.refuse(
            "match.uri",
            f"an Ingress has no regex: {value!r}. Name the paths, or write a route of the controller's own kind.",
        )
    elif kind:
        route.kind, route.path = kind, value or "/"
        if not route.path.startswith("/"):
            route.refuse("match.uri", f"{value!r} does not begin with a slash, which an Ingress's path must.")
        elif kind == "prefix" and not route.path.endswith("/"):
            route.say("match.uri", TRANSLATED, f"{route.path}x, without a slash between, is not taken any more")
        else:
            route.say("match.uri", TRANSLATED)
    if route.has("match.ignoreUriCase"):
        route.refuse(
            "match.ignoreUriCase", "an Ingress's paths mind the case. Let clients use one spelling, or redirect."
        )
