# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations of blue's Service that a load balancer's controller reads, and that green's does not have.

The same Service without them is another balancer: public in place of internal, without PROXY protocol, of another type.
"""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, annotations_of, named
from .._twin import title
from .._values import BALANCER_ANNOTATION

CODE = "load_balancer_annotations"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        blue, green = inventory.find("services", workload.blue), inventory.find("services", workload.green)
        given = annotations_of(green) if green else workload.foretold(blue)["annotations"]
        other = {
            k: v for k, v in annotations_of(blue or {"metadata": {}}).items()
            if BALANCER_ANNOTATION.match(k) and given.get(k) != v
        }  # fmt: skip
        if blue and other:
            found.append(
                Finding(
                    CODE, WARNING, named(blue), "metadata.annotations",
                    f"{', '.join(f'{k}={v}' for k, v in sorted(other.items()))}: not so on green's Service"
                    f" {title(workload.green)}",
                    "Set those that are to hold in green.chart_values.service.annotations; not those that name one"
                    " balancer, address or target group.",
                )
            )  # fmt: skip
    return found
