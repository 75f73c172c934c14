# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the whole mesh is not known: Istio's configuration is not where it is looked for, or names another root
namespace. A REGISTRY_ONLY, a STRICT or a DENY of the whole mesh would not be found."""

from __future__ import annotations

from .._inventory import ERROR, Finding
from .._mesh_swap import Mesh

CODE = "swap_mesh_config"


def check(mesh: Mesh) -> list[Finding]:
    if not mesh.mesh_configs:
        fix = (
            "Name Istio's namespace (mesh_istio, root_namespace), or its ConfigMap if that is elsewhere (mesh_config):"
            " without it nobody knows what holds for the whole mesh."
        )
        return [Finding(CODE, ERROR, f"Namespace {mesh.root}", "", "there is no ConfigMap with Istio's configuration", fix)]
    return [
        Finding(
            CODE, ERROR, f"ConfigMap {name}", "mesh: rootNamespace",
            f"it is {config['rootNamespace']}, and policies of the whole mesh are looked for in {mesh.root}",
            f"Set mesh_istio, root_namespace: {config['rootNamespace']}, and mesh_config: {name}.",
        )
        for name, config in mesh.mesh_configs.items()
        if config.get("rootNamespace", mesh.root) != mesh.root
    ]  # fmt: skip
