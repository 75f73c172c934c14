# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rewrite-target: the path that the backend is asked for, with captures of the path's regular expression.

nginx runs `rewrite "(?i)PATH" TARGET break`, which puts the target in the place of the whole path (ingress-nginx
template.go, buildProxyPass). Envoy replaces what the expression matches, so it has to match to the end.
"""

from __future__ import annotations

import re

from .._routes import usable
from ._model import Source, World
from ._order import branches

CODE = "rewrite_target"
ANNOTATIONS = {
    "rewrite-target": "rewrite.uriRegexRewrite; makes all paths of its host regular expressions, as on blue",
    "x-forwarded-prefix": "header X-Forwarded-Prefix, where there is a rewrite",
}


def apply(source: Source, world: World) -> None:
    target = source.get("rewrite-target")
    if target is not None:
        _rewrite(source, target)
    prefix = source.get("x-forwarded-prefix")
    if prefix is None:
        return
    routes = [route for route in source.routes if "rewrite" in route.http]
    if not routes:
        source.not_needed("x-forwarded-prefix", "ingress-nginx sends it only where it rewrites the path")
    elif "$" in prefix:
        source.refuse(
            "x-forwarded-prefix", "it has captures, and Istio's headers know none",
            "Write it without captures, or let the application do without.", "warning",
        )  # fmt: skip
    else:
        for route in routes:
            route.http.setdefault("headers", {}).setdefault("request", {}).setdefault("set", {})[
                "X-Forwarded-Prefix"
            ] = prefix
        source.translated("x-forwarded-prefix", "sent as a request header")


def _rewrite(source: Source, target: str) -> None:
    if not target:
        source.not_needed("rewrite-target", "it is empty")
        return
    if re.match(r"https?://|\$scheme", target):
        source.refuse(
            "rewrite-target", "it is a URL, which nginx answers with a redirect",
            "Say it with temporal-redirect, or write a redirect by hand.",
        )  # fmt: skip
        return
    if "?" in target or re.search(r"\$(?![0-9])", target):
        source.refuse(
            "rewrite-target", "it has a query, or variables of nginx other than captures",
            "Write a VirtualService by hand, or let the application understand the path.",
        )  # fmt: skip
        return
    for route in source.routes:
        if route.first:
            continue
        route.rewrite = target
        if route.rewrites and not usable(route.path):
            route.http["rewrite"] = {
                **route.http.get("rewrite", {}),
                "uriRegexRewrite": regex_rewrite(route.path, target),
            }
    source.translated("rewrite-target", "the whole path is replaced; the query stays")


def regex_rewrite(path: str, target: str) -> dict[str, str]:
    """Istio's uriRegexRewrite. A capture that the path does not have is empty, as in nginx."""
    groups = re.compile(path).groups

    def capture(match: re.Match[str]) -> str:
        return f"\\{match[1]}" if int(match[1]) <= groups else ""

    start = f"^.*?(?:{path})" if branches(path) else f"^{path}"
    return {"match": f"(?i){start}.*$", "rewrite": re.sub(r"\$([0-9])", capture, target.replace("\\", "\\\\"))}
