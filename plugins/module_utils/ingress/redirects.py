# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""permanent-redirect and temporal-redirect: an answer in the place of the backend's.

nginx returns the URL as it stands; the path and query of the request come along only where the URL says so. The two
run before ssl-redirect, so they answer at both ports.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

from ._model import Object, Source, World

CODE = "redirect"
ANNOTATIONS = {
    "permanent-redirect": "redirect, 301",
    "permanent-redirect-code": "its redirectCode",
    "temporal-redirect": "redirect, 302; counts before permanent-redirect",
    "temporal-redirect-code": "its redirectCode",
}
CODES = (301, 302, 303, 307, 308)  # those that Envoy can send
REQUEST = re.compile(r"(\$request_uri|\$uri\$is_args\$args|\$uri)$")


def apply(source: Source, world: World) -> None:
    taken = ""
    for name, usual in (("temporal-redirect", 302), ("permanent-redirect", 301)):
        url, code = source.get(name), source.number(f"{name}-code")
        if not url:
            source.not_needed(name, "it is empty")
            source.not_needed(f"{name}-code", f"there is no {name}")
            continue
        if taken:
            source.not_needed(name, f"{taken} counts before it")
            source.not_needed(f"{name}-code", f"{taken} counts before it")
            continue
        code = usual if code is None or not 300 <= code <= 308 else code
        made = redirect(url, code)
        if made is None or code not in CODES:
            why = f"Envoy can't answer {code}" if made else "it has variables of nginx, or is no URL of http or https"
            source.refuse(name, why, "Write a redirect by hand, and say with another code what is meant.")
            source.refuse(f"{name}-code", why, "As for the redirect.")
        else:
            for route in source.routes:
                if not route.first:
                    route.instead, route.backend, route.http = {"redirect": made}, None, {}
            source.translated(name, f"answered with {code}")
            source.translated(
                f"{name}-code", f"{code}" if source.get(f"{name}-code") == str(code) else f"{code}, as on blue"
            )
        taken = name


def redirect(url: str, code: int) -> Object | None:
    """Istio's redirect for what nginx's `return` takes, or None."""
    keeps = REQUEST.search(url)
    bare = url[: keeps.start()] if keeps else url
    if bare.startswith("$scheme://"):
        bare = bare.replace("$scheme", "http", 1)
        scheme = ""
    else:
        scheme = bare.partition("://")[0]
    if "$" in bare:
        return None
    found: dict[str, t.Any] = {"redirectCode": code}
    if bare.startswith("/") and not keeps:
        return {**found, "uri": bare}
    parts = urlsplit(bare)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    if scheme:
        found["scheme"] = scheme
    found["authority"] = parts.hostname
    if parts.port:
        found["port"] = parts.port
    if keeps:
        return found if not parts.path and not parts.query else None
    # Without a path of its own Envoy would keep that of the request.
    return {**found, "uri": (parts.path or "/") + (f"?{parts.query}" if parts.query else "")}
