# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Gateway, or one Service, takes the pods of both colours.

A Gateway selects pods by label in every namespace. Where two Gateways with the same hosts and ports meet at one
workload, istiod keeps the older and drops the other's servers; when the older one is removed, its routes answer 404
(istio/istio issues 32533 and 35772). A Service that takes both colours' pods shifts traffic unasked.

Big Bang's old and new gateways meet always: both have the label app: RELEASE. There, deploying adds to blue's selector
what green's pods do not have, and that green's Gateway takes blue's pods does no harm, as it is the newer one.
"""

from __future__ import annotations

from .._inventory import ERROR, WARNING, Finding, Inventory, named
from .._objects import configures, selector_of, selects

CODE = "same_workload"
BIGBANG = "bigbang"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for pair in inventory.pairs:
        if not pair.workload:
            continue
        severity = WARNING if pair.workload.method == BIGBANG else ERROR
        blue, green = inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)
        wanted = pair.workload.green_labels
        selector = selector_of(blue)
        if blue and wanted and configures(blue, wanted):
            fix = "Give green's pods labels that this Gateway does not select."
            if severity == WARNING:
                fix = "Deploying adds a label of blue's pods to this selector. See that its owner does not put it back."
            found.append(
                Finding(
                    CODE, severity, named(blue), "spec.selector", f"{selector} selects green's pods ({wanted}) as well", fix
                )
            )
        selector = selector_of(green)
        if green and any(configures(green, labels) for labels in inventory.blue_labels(pair.workload)):
            found.append(
                Finding(
                    CODE, severity, named(green), "spec.selector", f"{selector} selects blue's pods as well",
                    "Select green's pods by a label that blue's do not have.",
                )
            )  # fmt: skip
    for workload in inventory.workloads:
        service = inventory.find("services", workload.blue)
        selector = selector_of(service)
        if service and workload.blue[0] == workload.green[0] and selects(selector, workload.green_labels):
            found.append(
                Finding(
                    CODE, ERROR, named(service), "spec.selector",
                    f"{selector} selects green's pods too, since they are in the same namespace",
                    "Give green's pods other labels, or another namespace.",
                )
            )  # fmt: skip
    return found
