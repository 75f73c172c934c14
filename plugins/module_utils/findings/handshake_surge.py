# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green has less CPU in all than blue, and at the last step all clients make new connections to it at once.

A connection's TLS handshake costs as much as hundreds of requests on one that is open. Blue got its connections over
hours; what ends there at the last step, comes to green within seconds. Looked at once green is deployed.
"""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, Workload, named
from .._sizes import count, proxy_resources, quantity

CODE = "handshake_surge"
ENDED = ("SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        blue, green = inventory.blue_deployment(workload), inventory.green_deployment(workload)
        if not blue or not green or not _ends_tls(inventory, workload):
            continue
        sizes = count(inventory, workload)
        had, has = proxy_resources(blue), proxy_resources(green)
        short = []
        for kind in ("requests", "limits"):
            wanted, given = ((side.get(kind) or {}).get("cpu") for side in (had, has))
            if wanted is None:
                continue
            if given is None:
                if kind == "requests":  # without a limit nothing is throttled; without a request nothing is set aside
                    short.append(f"requests.cpu is not set, so no CPU is set aside for it; blue has {sizes.blue} x {wanted}")
            elif (sizes.green or 0) * quantity(given) < sizes.blue * quantity(wanted):
                short.append(f"{kind}.cpu {sizes.green} x {given}, blue {sizes.blue} x {wanted}")
        if short:
            found.append(
                Finding(
                    CODE, WARNING, named(green), "spec.template.spec.containers[0].resources", "; ".join(short),
                    "Give green as much CPU in all as blue has, by resources or by replicas, before all clients make their"
                    " handshakes there at once; or end with smaller steps.",
                )
            )  # fmt: skip
    return found


def _ends_tls(inventory: Inventory, workload: Workload) -> bool:
    gateways = (inventory.find("gateways", pair.blue) for pair in inventory.pairs if pair.workload == workload)
    return any(
        (server.get("tls") or {}).get("mode") in ENDED
        for gateway in gateways
        if gateway
        for server in (gateway.get("spec") or {}).get("servers") or ()
    )
