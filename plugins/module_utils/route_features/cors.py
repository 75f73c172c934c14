# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""corsPolicy."""

from __future__ import annotations

from ._route import Route, duration

FIELDS = ("corsPolicy",)


def convert(route: Route) -> None:
    policy = route.has("corsPolicy")
    if not policy:
        return
    origins = list(policy.get("allowOrigin") or ())
    for match in policy.get("allowOrigins") or ():
        kind, value = next(iter((match or {}).items()), ("", ""))
        if kind == "regex" and value in (".*", "*") or kind == "prefix" and not value:
            origins.append("*")
        elif kind == "exact":
            origins.append(value)
        else:
            route.refuse(
                "corsPolicy",
                f"the origin {kind} {value!r} is no single origin. Name each, or let the application answer.",
            )
            return
    if not origins:
        route.refuse("corsPolicy", "it names no origin. Say which, or take it out.")
        return
    try:
        age = duration(policy["maxAge"]) if policy.get("maxAge") else None
    except ValueError as exc:
        route.refuse("corsPolicy", f"maxAge: {exc}.")
        return
    plain = {
        "origins": origins, "methods": policy.get("allowMethods") or [], "headers": policy.get("allowHeaders") or [],
        "expose": policy.get("exposeHeaders") or [], "max_age": age, "credentials": bool(policy.get("allowCredentials")),
    }  # fmt: skip
    if policy.get("unmatchedPreflights"):
        route.say(
            "corsPolicy", "translated", f"unmatchedPreflights ({policy['unmatchedPreflights']}) is the controller's own"
        )
    route.use("corsPolicy", lambda: route.dialect.cors(plain))
