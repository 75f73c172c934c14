# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""match.headers: one header with one value can be an Ingress beside the main one, with controllers that know
canaries."""

from __future__ import annotations

from ..ingress_dialects import Words
from ._route import Route

FIELDS = ("match.headers",)


def convert(route: Route) -> None:
    headers = route.has("match.headers")
    if not headers:
        return
    if len(headers) > 1 or next(iter(headers.values())) is None or "exact" not in (next(iter(headers.values())) or {}):
        route.refuse(
            "match.headers",
            f"only one header with one exact value can be matched; found {', '.join(sorted(headers))}. Give these"
            " clients a host or a path of their own, or use a route of the controller's own kind.",
        )
        return
    ((name, match),) = headers.items()
    if len(route.targets) > 1:
        route.refuse(
            "match.headers", "it has weights as well, and a controller takes one of both. Finish the canary first."
        )
        return
    if route.use("match.headers", lambda: Words(differs=route.dialect.header_match(name, match["exact"]).differs)):
        route.beside = (name, match["exact"])
