# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService of others names the Gateway that the conversion makes, in a form that means another one.

A bare name means the VirtualService's own namespace; the route then answers 404 (and some tools call it an error of the
Gateway).
"""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from .._objects import key_of
from .._virtual_services import MESH, lists_of, resolve
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "reference_unresolved"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    known = {key_of(g) for g in world.gateways} | {key_of(o) for o in objects if o["kind"] == "Gateway"}
    names = {target.gateway[1] for target in world.targets}
    found = []
    for item in world.virtual_services:
        space = item["metadata"]["namespace"]
        for pointer, references in lists_of(item).items():
            for reference in references:
                meant = resolve(reference, space)
                if meant == MESH or meant in known or str(meant).rpartition("/")[2] not in names:
                    continue
                right = next(t.name for t in world.targets if t.gateway[1] == str(meant).rpartition("/")[2])
                found.append(
                    Finding(
                        CODE, WARNING, f"VirtualService {key_of(item)}", pointer[1:].replace("/", "."),
                        f"{reference!r} means {meant}, which does not exist", f"Write {right} if that is meant.",
                    )
                )  # fmt: skip
    return found
