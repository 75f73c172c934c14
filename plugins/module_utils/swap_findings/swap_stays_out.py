# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload that has stayed out of Istio's mesh by its own word, in a namespace that Linkerd will inject."""

from __future__ import annotations

from .._inventory import WARNING, Finding, named
from .._mesh_swap import LINKERD, Mesh, stays_out, template

CODE = "swap_stays_out"


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, WARNING, named(workload), "spec.template.metadata", 'it says sidecar.istio.io/inject: "false"',
            f"Linkerd does not know that word, and injects its next pods. Annotate its template {LINKERD}: disabled if"
            " it is to stay out.",
        )
        for workload in [*mesh.workloads(), *mesh.within("cronjobs")]
        if stays_out(workload) and ((template(workload).get("metadata") or {}).get("annotations") or {}).get(LINKERD) is None
    ]  # fmt: skip
