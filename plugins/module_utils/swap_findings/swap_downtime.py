# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload whose own strategy takes more of its pods away at once than is allowed, when they are made anew."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh, concerned, unavailable

CODE = "swap_downtime"


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR, named(workload), "spec.strategy",
            f"its rollout may take {unavailable(workload)} % of its pods away at once, and {mesh.max_unavailable} %"
            " are allowed",
            "Give it more replicas, maxSurge 1 and maxUnavailable 0, or agree on a window and waive.",
        )
        for workload in mesh.workloads()
        if concerned(mesh, workload) and unavailable(workload) > mesh.max_unavailable
    ]  # fmt: skip
