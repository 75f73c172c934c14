# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""from-to-www-redirect: the name with `www.` is sent to that without, or the other way, unless it has an Ingress."""

from __future__ import annotations

from ._model import ANY, PREFIX, Route, Source, World

CODE = "www_redirect"
ANNOTATIONS = {"from-to-www-redirect": "a redirect 308 on the other name"}


def apply(source: Source, world: World) -> None:
    on = source.flag("from-to-www-redirect")
    if not on:
        source.not_needed("from-to-www-redirect", "it is off")
        return
    made = []
    for host in list(dict.fromkeys(route.host for route in source.routes)):
        other = host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
        place = (source.target.name, other)
        if host.startswith("*") or host == ANY or place in world.hosts or place in world.aliases:
            continue
        world.hosts.add(place)
        redirect = {"redirect": {"authority": host, "redirectCode": 308}}
        source.routes.append(Route(source, "from-to-www-redirect", other, "/", PREFIX, None, instead=redirect))
        made.append(other)
    if made:
        source.translated("from-to-www-redirect", f"{', '.join(made)} redirected; a certificate must have the name")
    else:
        source.not_needed(
            "from-to-www-redirect", "the other name is served or redirected already, or the host is a wildcard"
        )
