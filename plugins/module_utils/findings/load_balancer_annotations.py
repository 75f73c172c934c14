# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations of blue's Service that a load balancer's controller reads, and that green's does not have.

The same Service without them is another balancer: public in place of internal, without PROXY protocol, of another type.
"""

from __future__ import annotations

import re

from .._inventory import WARNING, Finding, Inventory, annotations_of, named
from .._twin import title

CODE = "load_balancer_annotations"
READ = re.compile(
    r"service\.beta\.kubernetes\.io/|service\.kubernetes\.io/|(alb|elbv2)\.(ingress\.)?k(8s|ubernetes)|"
    r"(cloud\.google|networking\.gke|beta\.cloud\.google)[a-z.]*/|(metallb\.(universe\.tf|io)|kube-vip\.io|"
    r"io\.cilium|lbipam\.cilium\.io|loadbalancer\.openstack\.org|[a-z.]*\.oraclecloud\.com)/"
)


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        blue, green = inventory.find("services", workload.blue), inventory.find("services", workload.green)
        given = annotations_of(green) if green else workload.chart_service.get("annotations") or {}
        other = {
            k: v for k, v in annotations_of(blue or {"metadata": {}}).items() if READ.match(k) and given.get(k) != v
        }
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
