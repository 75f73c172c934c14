# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""server-alias: more names for the hosts of the Ingress. A name that has an Ingress of its own is not one."""

from __future__ import annotations

import re

from ._model import ANY, Source, World

CODE = "server_alias"
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
ANNOTATIONS = {"server-alias": "more hosts of the VirtualService and the Gateway"}


def apply(source: Source, world: World) -> None:
    written = source.get("server-alias")
    if written is None:
        return
    hosts = [host for host in dict.fromkeys(route.host for route in source.routes) if host != ANY]
    lost = []
    for alias in filter(None, (part.strip().lower() for part in written.replace(",", " ").split())):
        place = (source.target.name, alias)
        if place in world.hosts or place in world.aliases or not hosts:
            lost.append(alias)
        elif not NAME.fullmatch(alias):
            source.refuse(
                "server-alias",
                f"{alias} is no name with a domain",
                "Write an Ingress for the wildcard, or the names themselves.",
            )
            return
        else:
            world.aliases[place] = hosts[0]
    if len(hosts) > 1:
        source.warn("alias_of_several", "metadata.annotations[nginx.ingress.kubernetes.io/server-alias]",
                    f"its Ingress has {len(hosts)} hosts; the names are given to the first, {hosts[0]}",
                    "Write an Ingress for each.")  # fmt: skip
    if lost:
        source.translated("server-alias", f"but {', '.join(lost)}, which others have already")
    source.translated("server-alias", "names of the same VirtualService")
