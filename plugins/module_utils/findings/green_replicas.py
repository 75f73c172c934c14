# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green has fewer pods than blue: it is to carry the same traffic. Looked at once green is deployed."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, named
from .._sizes import floor, replicas

CODE = "green_replicas"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for blue, green in inventory.deployed():
        if floor(inventory, green) < replicas(blue):
            found.append(
                Finding(
                    CODE, ERROR, named(green), "spec.replicas",
                    f"at least {floor(inventory, green)}; {named(blue)} has {replicas(blue)}",
                    f"Set replicaCount (or autoscaling.minReplicas) of green to {replicas(blue)} until the cleanup.",
                )
            )  # fmt: skip
    return found
