# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that has to be copied is renewed at its source: the copy gets old."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table
from ..ingress._tls import credential

CODE = "certificate_elsewhere"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    ours = {(o["metadata"]["namespace"], o["spec"]["secretName"]) for o in objects if o["kind"] == "Certificate"}
    made = {
        (c["metadata"]["namespace"], (c.get("spec") or {}).get("secretName")): c["metadata"]["name"]
        for c in world.certificates
    }
    found = {}
    for table in tables:
        if table.secret in made and table.secret[0] != table.target.workload_namespace:
            if (table.target.workload_namespace, credential(table.target, table.secret)) not in ours:
                found[table.secret] = Finding(
                    CODE, WARNING, f"Certificate {table.secret[0]}/{made[table.secret]}", "metadata.namespace",
                    f"it renews Secret {'/'.join(table.secret)}, of which the gateway's pods in"
                    f" {table.target.workload_namespace} read a copy",
                    f"Write a Certificate for {table.host} in {table.target.workload_namespace}, or copy the Secret"
                    " after each renewal.",
                )  # fmt: skip
    return list(found.values())
