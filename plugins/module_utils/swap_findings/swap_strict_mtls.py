# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods take Istio's mutual TLS alone: callers that are in Linkerd's mesh already, or in none, can't reach them."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_mtls import STRICT, mode_for, selector, strict_fields
from .._mesh_swap import Mesh
from .._objects import ref_of

CODE = "swap_strict_mtls"


def check(mesh: Mesh) -> list[Finding]:
    policies = mesh["peerauthentications"]
    found = []
    for policy in policies:
        if ref_of(policy)[0] in mesh.namespaces and strict_fields(policy):
            found.append(_finding(named(policy), "it says STRICT"))
    for name in mesh.namespaces:
        mode, policy = mode_for([p for p in policies if not selector(p)], mesh.root, name, {})
        if mode == STRICT and policy is not None and ref_of(policy)[0] != name:
            found.append(_finding(f"Namespace {name}", f"{named(policy)} of the mesh says STRICT"))
    return found


def _finding(item: str, what: str) -> Finding:
    return Finding(
        CODE, ERROR, item, "spec.mtls", what,
        "Step through PERMISSIVE with mesh_mtls before the first wave; Linkerd's policies take its place afterwards.",
    )  # fmt: skip
