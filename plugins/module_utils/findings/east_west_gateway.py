# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue carries traffic between clusters or networks: other clusters know its address, and its pods a router mode.

Istio's gateway chart gives green neither ISTIO_META_ROUTER_MODE nor the network's label by itself; meshNetworks, or the
label topology.istio.io/network of blue's Service, tell other clusters to go to blue.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, Object, labels_of, named, template_labels

CODE = "east_west_gateway"
VARIABLES = ("ISTIO_META_ROUTER_MODE", "ISTIO_META_REQUESTED_NETWORK_VIEW")
NETWORK = "topology.istio.io/network"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        signs = list(_signs(inventory.blue_deployment(workload), inventory.find("services", workload.blue)))
        for gateway in inventory["gateways"]:
            servers = (gateway.get("spec") or {}).get("servers") or ()
            passes = any((s.get("tls") or {}).get("mode") == "AUTO_PASSTHROUGH" for s in servers)
            if passes and workload in inventory.on_blue(gateway):
                signs.append((named(gateway), "spec.servers[].tls.mode", "AUTO_PASSTHROUGH"))
        found += [
            Finding(
                CODE, ERROR, item, field, f"{value}: blue of {workload.name} is a gateway between clusters or networks",
                "Migrate it by itself: give green networkGateway and the same environment in the chart's values, let"
                " the other clusters know green's address beside blue's, and waive this.",
            )
            for item, field, value in signs
        ]  # fmt: skip
    return found


def _signs(deployment: Object | None, service: Object | None) -> t.Iterator[tuple[str, str, str]]:
    if deployment:
        for container in (deployment["spec"]["template"].get("spec") or {}).get("containers") or ():
            for variable in container.get("env") or ():
                if variable["name"] in VARIABLES and variable.get("value") not in (None, "", "standard"):
                    yield named(deployment), f"env {variable['name']}", variable["value"]
        if NETWORK in template_labels(deployment):
            yield named(deployment), f"spec.template.metadata.labels[{NETWORK}]", template_labels(deployment)[NETWORK]
    if service and NETWORK in labels_of(service):
        yield named(service), f"metadata.labels[{NETWORK}]", labels_of(service)[NETWORK]
