# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace is in Istio's ambient mesh: there are no sidecars to be swapped, and another way out."""

from __future__ import annotations

from .._inventory import ERROR, Finding
from .._mesh_swap import AMBIENT, Mesh
from .._objects import labels_of

CODE = "swap_ambient"


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR, f"Namespace {name}", f"metadata.labels.{AMBIENT}", "it is in the ambient mesh",
            "Take the label away first, and see that nothing insists on mutual TLS; ztunnel and Linkerd's proxy would"
            " both redirect the pods' traffic.",
        )
        for name in mesh.namespaces
        if labels_of(mesh.namespace(name)).get(AMBIENT) == "ambient"
    ]  # fmt: skip
