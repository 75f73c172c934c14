# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a query or a dashboard is about blue alone."""

from __future__ import annotations

import re

from ._inventory import Inventory, Workload

LABELS = ("app", "istio", "app.kubernetes.io/name", "app.kubernetes.io/instance")


def of_blue(inventory: Inventory, text: str) -> str:
    """The word of blue's that the text has and green has no word beside, or ''.

    Blue's words are the names of its Service and Deployment and the values of its pods' usual labels. Where green has
    the same names, the namespace tells them apart.
    """
    for workload in inventory.workloads:
        blue, green = _words(inventory, workload)
        own = sorted(blue - green)
        if own:
            found = [word for word in own if _has(text, word)]
            if found and not any(_has(text, word) for word in green - blue):
                return found[0]
        elif (
            any(_has(text, word) for word in blue)
            and _has(text, workload.blue[0])
            and not _has(text, workload.green[0])
        ):
            return f"namespace {workload.blue[0]}"
    return ""


def _words(inventory: Inventory, workload: Workload) -> tuple[set[str], set[str]]:
    deployment = inventory.blue_deployment(workload)
    blue = {workload.blue[1], *([deployment["metadata"]["name"]] if deployment else [])}
    blue |= {ls[key] for ls in inventory.blue_labels(workload) for key in LABELS if key in ls}
    green = {workload.green[1], *(v for k, v in workload.green_labels.items() if k in LABELS)}
    return blue, green


def _has(text: str, word: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text))
