# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService that sidecars go by (gateway mesh): canaries, timeouts and retries between Services end with
them."""

from __future__ import annotations

from .._inventory import WARNING, Finding, full_host, named, service_of
from .._mesh_swap import Mesh
from .._objects import ref_of
from .._virtual_services import MESH, resolve

CODE = "swap_mesh_route"


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for item in mesh["virtualservices"]:
        spec = item.get("spec") or {}
        own = ref_of(item)[0]
        names = {resolve(name, own) for name in spec.get("gateways") or [MESH]}
        services = [service_of(full_host(host, own)) for host in spec.get("hosts") or ()]
        near = own in mesh.namespaces or any(ref and ref[0] in mesh.namespaces for ref in services)
        if MESH in names and spec.get("hosts") and near:
            found.append(
                Finding(
                    CODE, WARNING, named(item), "spec.gateways", f"callers' sidecars route {', '.join(spec['hosts'])} by it",
                    "Linkerd's proxy goes by HTTPRoutes whose parent is the Service. Write one where a weight, a"
                    " timeout or a retry matters; else the Service is called as it is.",
                )
            )  # fmt: skip
    return found
