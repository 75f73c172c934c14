# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssl-passthrough: TLS goes to the backend as it is, by SNI; paths and all else of the Ingress do not count then."""

from __future__ import annotations

from ._model import ANY, Source, World

CODE = "ssl_passthrough"
ANNOTATIONS = {"ssl-passthrough": "a server of tls.mode PASSTHROUGH, and a tls route by SNI"}


def apply(source: Source, world: World) -> None:
    on = source.flag("ssl-passthrough")
    if not on:
        source.not_needed("ssl-passthrough", "it is off")
        return
    routes = [route for route in source.routes if route.path == "/" and route.backend and route.host != ANY]
    if not routes:
        source.refuse("ssl-passthrough", "no rule has a host and the path /", "Give it a host, and / as its path.")
        return
    source.passthrough = True
    source.translated("ssl-passthrough", "TLS reaches the backend as it is")
