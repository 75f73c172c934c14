# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two Ingresses name two Secrets for one host. The older one counts; the other certificate is never shown."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table
from ..ingress._tls import entry_for

CODE = "tls_secret_conflict"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = {}
    for table in tables:
        for source in {location.route.source.key: location.route.source for location in table.locations}.values():
            entry = entry_for(source, table.host) or {}
            name = entry.get("secretName")
            if name and table.secret and table.secret != (source.namespace, name):
                found[(source.key, table.host)] = Finding(
                    CODE, WARNING, f"Ingress {source.key}", "spec.tls",
                    f"for {table.host} it names {source.namespace}/{name}, and an older Ingress"
                    f" {'/'.join(table.secret)}, which counts",
                    "Name one of the two in both.",
                )  # fmt: skip
    return list(found.values())
