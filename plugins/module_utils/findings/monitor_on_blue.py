# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ServiceMonitor or PodMonitor collects from blue and not from green: metrics end with the cutover."""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, Object, Workload, labels_of, named, ref_of
from .._objects import picks

CODE = "monitor_on_blue"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        service = inventory.find("services", workload.blue)
        green = inventory.find("services", workload.green)
        sides = {  # kind -> labels on blue, labels on green
            "service_monitors": ([labels_of(service)] if service else [], labels_of(green) if green else None),
            "pod_monitors": (inventory.blue_labels(workload), workload.green_labels),
        }
        for kind, (at_blue, at_green) in sides.items():
            if any(_takes(m, workload.green[0], at_green) for m in inventory[kind]):
                continue
            found += [
                _finding(monitor, workload) for monitor in inventory[kind]
                if any(_takes(monitor, workload.blue[0], labels) for labels in at_blue)
            ]  # fmt: skip
    return found


def _finding(monitor: Object, workload: Workload) -> Finding:
    return Finding(
        CODE, WARNING, named(monitor), "spec.selector",
        f"it selects blue of {workload.name}, and nothing of its kind selects green",
        f"Add one for green (pods labelled {workload.green_labels}, namespace {workload.green[0]}), or widen selector"
        " and namespaceSelector.",
    )  # fmt: skip


def _takes(monitor: Object, namespace: str, labels: dict[str, str] | None) -> bool:
    """labels None: those of a Service that is still to be made; then its namespace decides."""
    spec = monitor.get("spec") or {}
    where = spec.get("namespaceSelector") or {}
    there = where.get("any") or namespace in (where.get("matchNames") or [ref_of(monitor)[0]])
    return bool(there) and (labels is None or picks(spec.get("selector") or {}, labels))
