# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A StatefulSet or DaemonSet makes new pods only when somebody deletes the old ones (OnDelete)."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh, concerned, on_delete

CODE = "swap_on_delete"


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR, named(workload), "spec.updateStrategy.type", "it is OnDelete",
            "Its pods keep Istio's sidecar until they are deleted. Set RollingUpdate, or delete them one by one, and"
            " waive.",
        )
        for workload in mesh.workloads()
        if concerned(mesh, workload) and on_delete(workload)
    ]  # fmt: skip
