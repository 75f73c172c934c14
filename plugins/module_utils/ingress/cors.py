# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""enable-cors, cors-*: corsPolicy. Its defaults are those of ingress-nginx (docs, annotations.md, enable-cors)."""

from __future__ import annotations

import re
import typing as t

from ._model import TOKEN, Object, Source, World

CODE = "cors"
ANNOTATIONS = {
    "enable-cors": "corsPolicy",
    "cors-allow-origin": "allowOrigins; `*` in a name becomes a regular expression",
    "cors-allow-methods": "allowMethods",
    "cors-allow-headers": "allowHeaders",
    "cors-expose-headers": "exposeHeaders",
    "cors-allow-credentials": "allowCredentials",
    "cors-max-age": "maxAge",
}
METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
HEADERS = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
MAX_AGE = 1728000
KNOWN = re.compile("GET|HEAD|POST|PUT|PATCH|DELETE|CONNECT|OPTIONS|TRACE")


def apply(source: Source, world: World) -> None:
    on = source.flag("enable-cors")
    if not on:
        for name in ANNOTATIONS:
            source.not_needed(name, "enable-cors is not on")
        return
    credentials, age = source.flag("cors-allow-credentials"), source.number("cors-max-age")
    policy: Object = {
        "allowOrigins": [origin(one) for one in _list(source, "cors-allow-origin", "*")],
        "allowMethods": _valid(source, "cors-allow-methods", METHODS),
        "allowHeaders": _valid(source, "cors-allow-headers", HEADERS),
        "allowCredentials": True if credentials is None else credentials,
    }
    if age != 0:  # Istio writes no age of 0; without one, browsers keep the answer for seconds
        policy["maxAge"] = f"{MAX_AGE if age is None else age}s"
    exposed = _valid(source, "cors-expose-headers", "")
    if exposed:
        policy["exposeHeaders"] = exposed
    for route in source.routes:
        if not route.instead:
            route.http["corsPolicy"] = policy
    for name in ANNOTATIONS:
        source.translated(name, "Envoy answers preflights with 200, where nginx answers 204")


def _list(source: Source, name: str, default: str) -> list[str]:
    return [part.strip() for part in (source.get(name) or default).split(",") if part.strip()]


def _valid(source: Source, name: str, default: str) -> list[str]:
    """The entries that Istio takes; others are named."""
    known = KNOWN.fullmatch if name == "cors-allow-methods" else TOKEN.fullmatch
    given = _list(source, name, default)
    wrong = [one for one in given if not known(one)]
    if wrong:
        what = "methods that Istio knows" if name == "cors-allow-methods" else "names of headers"
        source.refuse(
            name, f"{', '.join(wrong)}: these are no {what}; the rest is translated", "Correct it.", "warning"
        )
    return [one for one in given if known(one)]


def origin(text: str) -> dict[str, t.Any]:
    """A StringMatch. `*` stands for one label of a name in `https://*.example.com`, as in ingress-nginx (1.1)."""
    if text == "*" or "*" not in text:
        return {"exact": text}
    return {"regex": re.escape(text).replace(r"\*", "[A-Za-z0-9-]+")}
