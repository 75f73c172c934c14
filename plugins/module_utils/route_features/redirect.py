# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redirect: scheme, authority, uri, port and code."""

from __future__ import annotations

from ._route import NOT_NEEDED, Route

FIELDS = ("redirect",)
PORTS = {"https": 443, "http": 80}


def convert(route: Route) -> None:
    redirect = route.has("redirect")
    if not redirect:
        return
    code = redirect.get("redirectCode") or 301
    scheme, authority, uri = (redirect.get(key) or "" for key in ("scheme", "authority", "uri"))
    if redirect.get("derivePort"):
        route.refuse("redirect", "derivePort goes by the gateway's own port. Name the port.")
        return
    port = redirect.get("port")
    if port and port != PORTS.get(scheme):
        if not authority:
            route.refuse("redirect", f"the port {port} needs an authority to stand behind. Name it.")
            return
        authority = f"{authority}:{port}"
    if scheme == "https" and not authority and not uri and route.path == "/":
        route.to_https = route.use("redirect", lambda: route.dialect.https_redirect(True)) is not None
        return
    if not (scheme or authority or uri):
        route.say("redirect", NOT_NEEDED, "it redirects to the same place")
        return
    # What is not said stays as it was asked for.
    scheme = scheme or ("https" if route.tls else "http")
    authority = authority or ("" if "*" in route.host else route.host)
    # Istio puts the uri in the place of the whole path, whatever part of it matched.
    target = {"scheme": scheme, "authority": authority, "uri": uri, "code": code}
    route.use("redirect", lambda: route.dialect.redirect(route.kind, route.path, target))
