# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template has Istio's containers in it (istioctl kube-inject): turning injection off does not take them away."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh, containers, template

CODE = "swap_baked_sidecar"
ISTIO = {"istio-proxy", "istio-init", "istio-validation"}


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for workload in [*mesh.workloads(), *mesh.within("cronjobs")]:
        own = sorted(containers(template(workload)) & ISTIO)
        if own:
            found.append(
                Finding(
                    CODE, ERROR, named(workload), "spec.template.spec", f"its manifest has the containers {', '.join(own)}",
                    "Take them out at the manifest's source, with the volumes and annotations that came with them, and"
                    " let Istio inject until then.",
                )
            )  # fmt: skip
    return found
