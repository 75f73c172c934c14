# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace or a workload that something applies: it takes the switch back at its next run, or by itself."""

from __future__ import annotations

from .. import sources
from .._inventory import WARNING, Finding, named
from .._mesh_swap import Mesh, concerned

CODE = "swap_put_back"


def check(mesh: Mesh) -> list[Finding]:
    found = []
    items = [mesh.namespace(name) for name in mesh.namespaces]
    items += [workload for workload in mesh.workloads() if concerned(mesh, workload)]
    for item in items:
        item = {"kind": "Namespace", **item}
        body = {**item, "metadata": {"namespace": "", **item["metadata"]}}
        for source in sources.of(body):
            if source.kind in ("argocd", "flux_kustomize", "flux_helm", "helm"):
                found.append(
                    Finding(
                        CODE, WARNING, named(item), "metadata", f"{source.title} makes it",
                        "Turn the switch at that source too: istio-injection off, linkerd.io/inject on, in one change."
                        " With self-heal it must be there first.",
                    )
                )  # fmt: skip
    return found
