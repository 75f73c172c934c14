# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService of others names a Gateway that there is none of: its routes answer 404 (and some tools call it an
error of the Gateway).

A bare name means the VirtualService's own namespace, so that one may mean the Gateway that the conversion makes and
name another.
"""

from __future__ import annotations

import typing as t

from .._gateways import near
from .._inventory import WARNING, Finding
from .._objects import key_of
from .._virtual_services import MESH, lists_of, resolve
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "reference_unresolved"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    if any(finding.code == "unreadable" and finding.object == "gateways" for finding in world.findings):
        return []  # what there is of them is not known
    known = {key_of(g) for g in world.gateways} | {key_of(o) for o in objects if o["kind"] == "Gateway"}
    targets = {target.gateway[1]: target.name for target in reversed(world.targets)}
    found = []
    for item in world.virtual_services:
        space = item["metadata"]["namespace"]
        for pointer, references in lists_of(item).items():
            for reference in references:
                meant = resolve(reference, space)
                if meant == MESH or meant in known:
                    continue
                if meant is None:
                    text, fix = f"{reference!r} is not a reference to a Gateway", "Write NAMESPACE/NAME."
                else:
                    text = f"{reference!r} means {meant}, which is no Gateway of others and none that is made"
                    right, alike = targets.get(meant.rpartition("/")[2]), near(meant, known)
                    hint = f" Did you mean {alike[0]}?" if alike else ""
                    fix = f"Write {right} if that is meant." if right else f"Correct or remove it.{hint}"
                where = pointer[1:].replace("/", ".")
                found.append(Finding(CODE, WARNING, f"VirtualService {key_of(item)}", where, text, fix))
    return found
