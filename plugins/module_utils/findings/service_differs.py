# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of the Service that decide who gets in, and where a client ends up, and that green's does not have as blue's.

Before green's Service is there, what counts is what the chart's values will give it: by ours, Istio's chart takes over
from blue what _values.service_settings says, and knows no sessionAffinity at all, whatever is said there. A clone has
what blue has, but for the addresses.
"""

from __future__ import annotations

from .._clone import SERVICE_OWN
from .._inventory import ERROR, WARNING, Finding, Inventory
from .._twin import title

CODE = "service_differs"
# field -> what it is when not set
FIELDS = {
    "loadBalancerSourceRanges": [],
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
    "sessionAffinityConfig": {},
    "ipFamilies": None,
    "ipFamilyPolicy": "SingleStack",
    "loadBalancerClass": None,
    "externalIPs": [],
}
TAKEN_OVER = ("externalTrafficPolicy",)
NOT_IN_CHART = ("sessionAffinity", "sessionAffinityConfig")
RANGES = "loadBalancerSourceRanges"
OTHER_TYPES = ("NodePort", "ClusterIP")  # for which the API server refuses them


def check(inventory: Inventory) -> list[Finding]:
    """Ranges that are lost are an error, since everybody gets in; the rest are warnings."""
    found = []
    for workload in inventory.workloads:
        blue, green = inventory.find("services", workload.blue), inventory.find("services", workload.green)
        for field, default in FIELDS.items() if blue else ():
            wanted = (blue.get("spec") or {}).get(field) or default
            in_values = not workload.by_chart or field not in NOT_IN_CHART
            given = (green.get("spec") or {}) if green else workload.foretold(blue) if in_values else {}
            if not green and (field in TAKEN_OVER or workload.method == "clone" and field not in SERVICE_OWN):
                continue
            if field not in given and _only_the_clusters(field, wanted, green):
                continue
            if (given.get(field) or default) != wanted:
                found.append(
                    Finding(
                        CODE, ERROR if field == RANGES and wanted else WARNING,
                        f"Service {title(workload.green)}", f"spec.{field}",
                        f"{'' if green else 'will be '}{given.get(field) or default or 'not set'}; blue's"
                        f" ({title(workload.blue)}) has {wanted or 'none'}",
                        "Istio's chart has no value for it: set it in the Service once green is deployed."
                        if not in_values else
                        f"A Service of type {given['type']} can have none: see that the balancer before it lets in nobody"
                        " else, then accept this."
                        if field == RANGES and given.get("type") in OTHER_TYPES else
                        f"Set it in the chart's values (green.chart_values.service.{field}), or in the Service.",
                    )
                )  # fmt: skip
    return found


def _only_the_clusters(field: str, wanted: object, green: object) -> bool:
    """ipFamilies is filled in by the API server: one family that nobody asked for is the cluster's own."""
    return field == "ipFamilies" and (not green or not wanted) and len(wanted or ()) < 2
