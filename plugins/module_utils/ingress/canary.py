# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""canary-*: a second Ingress whose Service gets some of the requests of the first one's.

A header counts before a cookie, a cookie before the weight. It belongs to the main Service (ingress-nginx merges
"alternative backends" by upstream), so that every path to that Service has it, those that the canary does not name too.
"""

from __future__ import annotations

import re
import typing as t

from .._routes import usable
from ._model import NGINX, TOKEN, Backend, Canary, Object, Route, Source, World

CODE = "canary"
ANNOTATIONS = {
    "canary": "routes of the main Ingress get a second destination",
    "canary-by-header": "match on the header; `always` and `never` if no value is given",
    "canary-by-header-value": "exact value of that header",
    "canary-by-header-pattern": "regular expression for it",
    "canary-by-cookie": "match on the cookie; `always` and `never`",
    "canary-weight": "weights, 100 in all",
    "canary-weight-total": "what the weight is a part of",
}
NAMES = tuple(ANNOTATIONS)


def apply(source: Source, world: World) -> None:
    if not source.canary:
        source.flag("canary")
        for name in NAMES:
            source.not_needed(name, "it is no canary: annotation canary is not true")
        return
    canary = _read(source, world)
    mains = [
        s
        for s in world.sources
        if not s.canary and s.target.name == source.target.name and s.namespace == source.namespace
    ]
    found = False
    for route in source.routes:
        main = _main(route, mains)
        if main is None or main.backend is None:
            source.warn(
                "canary_alone", f"{route.field}.path", f"no Ingress of this namespace has {route.host}{route.path} as"
                f" {route.path_type}: the canary gets no request",
                "Give it the host, path and pathType of its main Ingress.",
            )  # fmt: skip
            continue
        key = (source.target.name, main.backend)
        if main.backend == route.backend or key in world.canaries:
            source.warn(
                "canary_second", route.field, f"{main.backend} is its own canary, or has one already; only one counts",
                "Remove one.",
            )  # fmt: skip
            continue
        if route.backend is None:
            raise AssertionError(f"{route}: a canary's route has a backend")
        world.canaries[key] = Canary(source, route.backend, **canary)
        found = True
        named = {(own.host, own.path) for own in source.routes}
        more = [
            other for s in mains for other in s.routes
            if other.backend == main.backend and (other.host, other.path) not in named
        ]  # fmt: skip
        if more:
            source.warn(
                "canary_leak", route.field, f"its Service {main.backend} also serves"
                f" {', '.join(sorted({r.host + r.path for r in more}))}, and the canary counts there, too, as on blue",
                "If that is not meant, edit the VirtualService after the migration.",
            )  # fmt: skip
    for name in NAMES:
        if found:
            source.translated(name, "in the VirtualService of the main Ingress")
        else:
            source.not_needed(name, "no Ingress has its host and path, so it gets no request")
    for name in source.annotations:
        if name.startswith(NGINX) and name.removeprefix(NGINX) not in NAMES:
            if name.removeprefix(NGINX) in ("affinity-canary-behavior", "load-balance", "upstream-hash-by"):
                source.refuse(name, "it is about how a canary's pods are chosen", "See the main Ingress.", "warning")
            else:
                source.not_needed(name, "ingress-nginx ignores it on a canary; what the main Ingress says counts")


def _main(route: Route, mains: t.Sequence[Source]) -> Route | None:
    for source in mains:
        for other in source.routes:
            if (other.host, other.path, other.path_type) == (
                route.host,
                route.path,
                route.path_type,
            ) and not other.first:
                return other
    return None


def _read(source: Source, world: World) -> Object:
    total = max(source.number("canary-weight-total") or 0, 100)
    weight = min(source.number("canary-weight") or 0, total)
    percent = round(weight * 100 / total)
    if percent * total != weight * 100:
        source.warn(
            "canary_rounded", "metadata.annotations[nginx.ingress.kubernetes.io/canary-weight]",
            f"{weight} of {total} is written as {percent} of 100", "Choose a whole percentage.",
        )  # fmt: skip
    header, value = source.get("canary-by-header") or "", source.get("canary-by-header-value") or ""
    pattern = source.get("canary-by-header-pattern") or ""
    why = f"{header!r} is no name of a header" if header and not TOKEN.fullmatch(header) else ""
    if header and not value and pattern:
        why = why or usable(pattern)
    if why:
        # With less than all of it, the canary would get other requests than on blue.
        for name in ("canary-by-header", "canary-by-header-pattern"):
            source.refuse(name, why, "Correct it; until then only cookie and weight count.")
        header = ""
    return {
        "weight": percent, "header": header, "header_value": value, "header_pattern": pattern,
        "cookie": source.get("canary-by-cookie") or "",
    }  # fmt: skip


def variants(canary: Canary | None, main: Backend) -> list[tuple[Object, list[tuple[Backend, int]]]]:
    """(headers that a request must have, destinations with their weights), the first that fits counts; the last fits
    every request."""
    if canary is None:
        return [({}, [(main, 100)])]
    other, found = canary.backend, []
    if canary.header:
        name = canary.header.lower()
        if canary.header_value:
            found.append(({name: {"exact": canary.header_value}}, [(other, 100)]))
        elif canary.header_pattern:
            found.append(({name: {"regex": f".*(?:{canary.header_pattern}).*"}}, [(other, 100)]))
        else:
            found += [({name: {"exact": "always"}}, [(other, 100)]), ({name: {"exact": "never"}}, [(main, 100)])]
    if canary.cookie:
        for value, backend in (("always", other), ("never", main)):
            pattern = rf"(?:.*;\s*)?{re.escape(canary.cookie)}={value}(?:;.*)?"
            found.append(({"cookie": {"regex": pattern}}, [(backend, 100)]))
    shares = [(main, 100 - canary.weight), (other, canary.weight)]
    return [*found, ({}, [(backend, weight) for backend, weight in shares if weight])]
