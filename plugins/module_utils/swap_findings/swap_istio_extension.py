# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An EnvoyFilter, a WasmPlugin or a rate limit in the sidecars: nothing of Linkerd's takes its place."""

from __future__ import annotations

from .._inventory import WARNING, Finding, named
from .._mesh_swap import Mesh
from .._objects import ref_of

CODE = "swap_istio_extension"


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, WARNING, named(item), "", "it changes what sidecars do",
            "Linkerd's proxy has no extensions. Let the application, or the Ingress controller, do it before it is"
            " given up.",
        )
        for plural in ("envoyfilters", "wasmplugins")
        for item in mesh[plural]
        if ref_of(item)[0] in mesh.namespaces
    ]  # fmt: skip
