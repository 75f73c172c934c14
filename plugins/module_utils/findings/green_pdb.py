# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PodDisruptionBudget holds blue's pods, and none holds as many of green's: a node drain may take them all at once."""

from __future__ import annotations

import math
import typing as t

from .._inventory import WARNING, Finding, Inventory, Object, named, ref_of
from .._objects import picks
from .._sizes import count

CODE = "green_pdb"


def check(inventory: Inventory) -> list[Finding]:
    """Looked at once green is deployed."""
    found = []
    for workload in inventory.workloads:
        sizes = count(inventory, workload)
        if sizes.green is None:
            continue
        at_blue = _held(inventory, workload.blue[0], inventory.blue_labels(workload), sizes.blue)
        at_green = _held(inventory, workload.green[0], [workload.green_labels], sizes.green)
        if at_blue and (not at_green or at_green[0][0] < at_blue[0][0]):
            (stay, pdb), (fewer, own) = at_blue[0], at_green[0] if at_green else (0, None)
            found.append(
                Finding(
                    CODE, WARNING, named(pdb), "spec.selector" if own is None else "spec",
                    f"it holds blue's pods of {workload.name}; nothing holds green's" if own is None else
                    f"it holds {stay} of {sizes.blue} pods of blue's ({workload.name}); {named(own)} holds {fewer} of"
                    f" green's {sizes.green}",
                    f"Create one for pods labelled {workload.green_labels} in namespace {workload.green[0]}."
                    if own is None else f"Let {named(own)} hold as many.",
                )
            )  # fmt: skip
    return found


def _held(
    inventory: Inventory, namespace: str, pods: t.Sequence[dict[str, str]], size: int
) -> list[tuple[int, Object]]:  # fmt: skip
    """What holds these pods, with how many have to stay of `size`; the most first."""
    held = [
        (_stay(pdb.get("spec") or {}, size), pdb) for pdb in inventory["pdbs"]
        if ref_of(pdb)[0] == namespace and any(picks((pdb.get("spec") or {}).get("selector"), ls) for ls in pods)
    ]  # fmt: skip
    return sorted(held, key=lambda one: one[0], reverse=True)


def _stay(spec: Object, size: int) -> int:
    """A percentage is rounded up, of those that stay and of those that may go."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    number = most if least is None else least
    if number is None:
        return 0
    pods = math.ceil(size * int(number[:-1]) / 100) if isinstance(number, str) else number
    return max(0, size - pods) if least is None else min(pods, size)
