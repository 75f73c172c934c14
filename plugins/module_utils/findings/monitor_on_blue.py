# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ServiceMonitor or PodMonitor collects from blue and not from green: metrics end with the cutover."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, Object, Workload, named
from .._policies import lacking

CODE = "monitor_on_blue"


def check(inventory: Inventory) -> list[Finding]:
    return [
        _finding(inventory, monitor, workload)
        for workload in inventory.workloads
        for kind in ("ServiceMonitor", "PodMonitor")
        for monitor in lacking(inventory, workload, kind)
    ]


def _finding(inventory: Inventory, monitor: Object, workload: Workload) -> Finding:
    why = inventory.not_copied.get(named(monitor))
    return Finding(
        CODE, WARNING, named(monitor), "spec.selector",
        f"it selects blue of {workload.name}, and nothing of its kind selects green",
        f"Add one for green (pods labelled {workload.green_labels}, namespace {workload.green[0]}), or widen selector"
        f" and namespaceSelector. {why or 'With mesh_policies: copy, deploy adds it.'}",
    )  # fmt: skip
