# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`*.example.com` is one label in an Ingress (a.example.com), and any number in Istio (a.b.example.com)."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "wildcard_wider"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    return [
        Finding(
            CODE, WARNING, f"Ingress {table.locations[0].route.source.key}", "spec.rules.host",
            f"{table.host} is one label for Ingress, and any number for Istio: green also answers for"
            f" a.b{table.host.removeprefix('*')}",
            "Nothing, if that is fine; no certificate for the wildcard covers such names. Else list the names.",
        )
        for table in tables
        if table.host.startswith("*.") and table.locations
    ]  # fmt: skip
