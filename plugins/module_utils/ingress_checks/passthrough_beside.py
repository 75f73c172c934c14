# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One port passes TLS through for some hosts and ends it for others, and a wildcard overlaps: Envoy takes the more
exact name, and a client that asks by another name of the certificate comes to the wrong one."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from .._objects import key_of
from .._routes import intersection
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "passthrough_beside"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    for made in (o for o in objects if o["kind"] == "Gateway"):
        through = [
            h for s in made["spec"]["servers"] if (s.get("tls") or {}).get("mode") == "PASSTHROUGH" for h in s["hosts"]
        ]
        ended = [h for s in made["spec"]["servers"] if (s.get("tls") or {}).get("mode") == "SIMPLE" for h in s["hosts"]]
        for host in intersection(through, ended):
            found.append(
                Finding(
                    CODE, WARNING, f"Gateway {key_of(made)}", "spec.servers",
                    f"{host}: TLS is passed through and ended at one port",
                    "Keep the names apart, with certificates that do not share them.",
                )
            )  # fmt: skip
    return found
