# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars let out only what is registered (REGISTRY_ONLY). Linkerd's let out everything, unless it has egress
policies."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh
from .._objects import ref_of

CODE = "swap_egress_allow_list"
FIX = (
    "Write NetworkPolicies, or Linkerd's EgressNetwork with a policy, that let out the same, before this is given up:"
    " ServiceEntries mean nothing to Linkerd."
)


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for name, config in mesh.mesh_configs.items():
        if (config.get("outboundTrafficPolicy") or {}).get("mode") == "REGISTRY_ONLY":
            where = "mesh: outboundTrafficPolicy.mode"
            found.append(Finding(CODE, ERROR, f"ConfigMap {name}", where, "it is REGISTRY_ONLY", FIX))
    for item in mesh["sidecars"]:
        mode = ((item.get("spec") or {}).get("outboundTrafficPolicy") or {}).get("mode")
        if mode == "REGISTRY_ONLY" and ref_of(item)[0] in (*mesh.namespaces, mesh.root):
            found.append(
                Finding(CODE, ERROR, named(item), "spec.outboundTrafficPolicy.mode", "it is REGISTRY_ONLY", FIX)
            )
    return found
