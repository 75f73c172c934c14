# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large both sides of a gateway are: their pods, and what each proxy has. For the findings about capacity."""

from __future__ import annotations

import re
import typing as t

from ._inventory import Inventory, Object, Workload
from ._objects import ref_of

UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class Sizes(t.NamedTuple):
    """Pods of each side; green: None until it is deployed."""

    blue: int
    green: int | None

    def in_all(self) -> str:
        """What becomes of a limit that each proxy counts by itself, as words."""
        if not self.blue:
            return "blue has no pods now, so what it amounts to can't be told"
        if self.green is None:
            return f"blue has {self.blue} pods; with as many of green's beside them it is twice as much in all"
        together, after = (self.blue + self.green) / self.blue, self.green / self.blue
        changes = "" if after == 1 else f", and {after:.3g} times on green alone"
        return f"blue has {self.blue} pods and green {self.green}: {together:.3g} times as much while both serve{changes}"


def count(inventory: Inventory, workload: Workload) -> Sizes:
    blue, green = inventory.blue_deployment(workload), inventory.green_deployment(workload)
    pods = len(inventory.blue_pods(workload))
    return Sizes(max(pods, replicas(blue)) if blue else pods, floor(inventory, green) if green else None)


def replicas(deployment: Object) -> int:
    wanted = (deployment.get("spec") or {}).get("replicas")
    return 1 if wanted is None else wanted


def floor(inventory: Inventory, deployment: Object) -> int:
    """What an autoscaler may make of it, if there is one."""
    for hpa in inventory["hpas"]:
        target = (hpa.get("spec") or {}).get("scaleTargetRef") or {}
        if (ref_of(hpa)[0], target.get("kind"), target.get("name")) == (
            ref_of(deployment)[0],
            "Deployment",
            ref_of(deployment)[1],
        ):
            return hpa["spec"].get("minReplicas") or 1
    return replicas(deployment)


def proxy_resources(deployment: Object) -> dict[str, dict[str, t.Any]]:
    containers = deployment["spec"]["template"].get("spec", {}).get("containers") or [{}]
    proxy = next((c for c in containers if c.get("name") == "istio-proxy"), containers[0])
    return proxy.get("resources") or {}


def quantity(text: t.Any) -> float:
    """A Kubernetes quantity as a number: 500m, 1Gi, 2."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([a-zA-Z]*)", str(text))
    return float(match[1]) * UNITS.get(match[2], 1) if match else 0.0
