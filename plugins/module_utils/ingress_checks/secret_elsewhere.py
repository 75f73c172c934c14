# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's pods read certificates from their own namespace only, and an Ingress has them in its own."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table
from ..ingress._tls import credential

CODE = "secret_elsewhere"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    if world.secrets is None:
        return []
    made = {(o["metadata"]["namespace"], o["spec"]["secretName"]) for o in objects if o["kind"] == "Certificate"}
    found = {}
    for table in tables:
        if table.secret is None:
            continue
        here = (table.target.workload_namespace, credential(table.target, table.secret))
        if here in world.secrets or here in made:
            continue
        there = table.secret in world.secrets
        found[here] = Finding(
            CODE, WARNING if there and table.secret != here else ERROR, f"Secret {'/'.join(here)}", "metadata.name",
            f"{table.host} needs it beside the gateway's pods"
            + ("" if there else f", and {'/'.join(table.secret)} does not exist"),
            f"Copy {'/'.join(table.secret)} before green has clients." if there else "Create it; blue shows its"
            " default certificate.",
        )  # fmt: skip
    return list(found.values())
