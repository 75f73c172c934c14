# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers show one certificate: a browser that is connected for one's host asks for the other's on that connection.

To nginx that is nothing. Envoy looks for the host among those of the server that the connection was made to, and
answers 404. Here it happens for a wildcard and the names within it, which have Gateways of their own.
"""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from .._objects import key_of
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "connection_reuse"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    first: dict[tuple[t.Any, ...], str] = {}
    found = []
    for made in (o for o in objects if o["kind"] == "Gateway"):
        for server in made["spec"]["servers"]:
            name = (server.get("tls") or {}).get("credentialName")
            key = (name, server["port"]["number"], *sorted(made["spec"]["selector"].items()))
            other = first.setdefault(key, key_of(made)) if name else key_of(made)
            if other != key_of(made):
                found.append(
                    Finding(
                        CODE, WARNING, f"Gateway {key_of(made)}", "spec.servers.tls.credentialName",
                        f"{name} is also shown by Gateway {other}: over HTTP/2 a browser asks one for the other's"
                        " hosts, and gets 404",
                        "Give the names and the wildcard certificates of their own.",
                    )
                )  # fmt: skip
    return found
