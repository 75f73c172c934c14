# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An autoscaler of blue's that will not stay pinned: the way back would then be too narrow.

Deploying raises its minimum to what blue has, so that an idle blue is not scaled in. A controller that owns it puts its own
minimum back. Helm alone does not: it writes when somebody upgrades.
"""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding, Inventory, Workload, labels_of, named
from .._node_ports import put_back_by

CODE = "hpa_on_blue"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        owners = _owners(inventory, workload)
        for hpa in inventory["hpas"]:
            spec = hpa.get("spec") or {}
            target = spec.get("scaleTargetRef") or {}
            low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 1)
            writers = [w for w in put_back_by(hpa) if w["by"] != "helm"]
            if (
                hpa["metadata"]["namespace"] == workload.blue[0]
                and (target.get("kind"), target.get("name")) in owners
                and low < high
                and writers
            ):
                now = (hpa.get("status") or {}).get("currentReplicas")
                who = ", ".join(f"{w['kind']} {w['namespace']}/{w['name']}" for w in writers)
                found.append(
                    Finding(
                        CODE, WARNING, named(hpa), "spec.minReplicas",
                        f"{low} of at most {high}, put back by {who}; blue of {workload.name} has"
                        f" {'?' if now is None else now} now",
                        f"Until the cleanup, say minReplicas{f' {now}' * bool(now)} there, or suspend it.",
                    )
                )  # fmt: skip
    return found


def _owners(inventory: Inventory, workload: Workload) -> set[tuple[t.Any, t.Any]]:
    """(kind, name) of what makes blue's pods. A ReplicaSet's name is its Deployment's and the pod-template-hash."""
    owners = set()
    for pod in inventory.blue_pods(workload):
        for reference in pod["metadata"].get("ownerReferences") or ():
            kind, name = reference["kind"], reference["name"]
            suffix = "-" + labels_of(pod).get("pod-template-hash", "")
            owners.add(("Deployment", name.removesuffix(suffix)) if kind == "ReplicaSet" else (kind, name))
    return owners
