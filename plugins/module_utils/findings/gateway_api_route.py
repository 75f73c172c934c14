# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of the Kubernetes Gateway API that come in by blue's Service; only VirtualServices are bound to both sides.

A gateway.networking.k8s.io Gateway uses pods that are already there when spec.addresses names their Service.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, Ref, Workload, named, ref_of

CODE = "gateway_api_route"
ROUTES = ("http_routes", "grpc_routes", "tls_routes", "tcp_routes")


def check(inventory: Inventory) -> list[Finding]:
    attached: dict[Ref, Workload] = {}
    for gateway in inventory["k8s_gateways"]:
        for workload in inventory.workloads:
            if any(
                _is_service(a, workload.blue, ref_of(gateway)[0])
                for a in (gateway.get("spec") or {}).get("addresses") or ()
            ):
                attached[ref_of(gateway)] = workload
    return [
        Finding(
            CODE, ERROR, named(route), f"spec.parentRefs[{number}]",
            f"Gateway {parent[0]}/{parent[1]} has blue's Service {attached[parent].name} as its address",
            "Add a parentRef to a Gateway whose address is green's Service.",
        )
        for kind in ROUTES
        for route in inventory[kind]
        for number, reference in enumerate((route.get("spec") or {}).get("parentRefs") or ())
        if reference.get("kind", "Gateway") == "Gateway"
        and (parent := (reference.get("namespace") or ref_of(route)[0], reference["name"])) in attached
    ]  # fmt: skip


def _is_service(address: dict[str, t.Any], service: Ref, own: str) -> bool:
    host = address.get("value", "")
    namespace, name = service
    return (
        host == f"{name}.{namespace}" or host.startswith(f"{name}.{namespace}.svc") or host == name and own == namespace
    )
