# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A NodePort that green is to have belongs to another Service: green's chart would fail halfway."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory
from .._node_ports import holders
from .._twin import title

CODE = "node_port_taken"


def check(inventory: Inventory) -> list[Finding]:
    held = holders(inventory["services"])
    found = []
    for workload in inventory.workloads:
        for port, number in sorted(workload.node_ports.items()):
            others = [f"{ns}/{name} (port {p})" for ns, name, p in held.get(number, []) if (ns, name) != workload.green]
            if others:
                found.append(
                    Finding(
                        CODE, ERROR, f"Service {title(workload.green)}", f"spec.ports[{port}].nodePort",
                        f"{number} is held by Service {', '.join(others)}", "Choose a free NodePort for green.",
                    )
                )  # fmt: skip
    numbers = [(n, w.name, p) for w in inventory.workloads for p, n in w.node_ports.items()]
    for number in sorted({n for n, _w, _p in numbers if sum(n == other[0] for other in numbers) > 1}):
        users = ", ".join(f"{w} ({p})" for n, w, p in numbers if n == number)
        first = next(w for w in inventory.workloads if number in w.node_ports.values())
        found.append(
            Finding(
                CODE, ERROR, f"Service {title(first.green)}", "spec.ports[].nodePort",
                f"{number} is wanted twice: {users}", "Give every port a NodePort of its own.",
            )
        )  # fmt: skip
    return found
