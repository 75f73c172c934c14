# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A NodePort that green is to have is out of the API server's range: green's chart would fail halfway.

Nothing tells the range (--service-node-port-range): a dry run allocates nothing, and does not look. So it is taken for
the default, unless a Service has a number out of that.
"""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory
from .._node_ports import holders
from .._twin import title

CODE = "node_port_range"
DEFAULT = range(30000, 32768)


def check(inventory: Inventory) -> list[Finding]:
    if any(number not in DEFAULT for number in holders(inventory["services"])):
        return []
    return [
        Finding(
            CODE, ERROR, f"Service {title(workload.green)}", f"spec.ports[{port}].nodePort",
            f"{number}; API servers have {DEFAULT[0]}-{DEFAULT[-1]} if they are not told another range, and no Service has"
            " a number out of that",
            "Choose one in the range, or accept this if the API server has another (--service-node-port-range).",
        )
        for workload in inventory.workloads
        for port, number in sorted(workload.node_ports.items())
        if number not in DEFAULT
    ]  # fmt: skip
