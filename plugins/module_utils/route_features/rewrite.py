# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rewrite: uri (in the place of what matched), authority, uriRegexRewrite."""

from __future__ import annotations

from ._route import TRANSLATED, Route

FIELDS = ("rewrite",)


def convert(route: Route) -> None:
    rewrite = route.has("rewrite")
    if not rewrite:
        return
    if rewrite.get("uriRegexRewrite"):
        route.refuse(
            "rewrite", "uriRegexRewrite has no like that is sure to mean the same. Write the controller's own by hand."
        )
        return
    uri = rewrite.get("uri")
    if uri and not (uri == route.path):
        route.use("rewrite", lambda: route.dialect.rewrite_path(route.kind, route.path, uri))
    elif uri:
        route.say("rewrite", TRANSLATED, "the path stays what it is")
    if rewrite.get("authority"):
        route.use("rewrite", lambda: route.dialect.rewrite_host(rewrite["authority"]))
