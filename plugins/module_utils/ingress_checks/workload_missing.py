# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The selector of a class's Gateway matches no pod: the Gateway would be there, and nobody would listen."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from .._objects import labels_of, selects
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "workload_missing"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    for target in {target.name: target for target in world.targets}.values():
        pods = [pod for pod in world.pods if selects(target.selector, labels_of(pod))]
        here = [pod for pod in pods if pod["metadata"]["namespace"] == target.workload_namespace]
        if not here:
            elsewhere = sorted({pod["metadata"]["namespace"] for pod in pods})
            found.append(
                Finding(
                    CODE, WARNING, f"Gateway {target.name}", "spec.selector",
                    f"{target.selector} matches no pod in {target.workload_namespace}"
                    + (f", but in {', '.join(elsewhere)}" if elsewhere else ""),
                    "Correct selector or workload_namespace of the class, unless the gateway is still to be deployed.",
                )
            )  # fmt: skip
    return found
