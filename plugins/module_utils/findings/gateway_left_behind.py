# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An egress, east-west or other gateway comes from what owns blue too, and no workload names it.

When the owner is removed, it goes as well: the operator's IstioOperator, or the one Helm release, made them all.
"""

from __future__ import annotations

from .. import sources
from .._inventory import ERROR, Finding, Inventory, Object, labels_of, named, ref_of, template_labels
from .._objects import OPERATOR
from .._objects import selector_of, selects

CODE = "gateway_left_behind"


def check(inventory: Inventory) -> list[Finding]:
    known = [
        ref_of(d) for w in inventory.workloads
        for d in (inventory.blue_deployment(w), inventory.green_deployment(w)) if d
    ]  # fmt: skip
    blues = {_owner(d) for w in inventory.workloads if (d := inventory.blue_deployment(w))} - {""}
    found = []
    # An IstioOperator's gateways may be in any namespace; of other owners those of the workloads' are looked at.
    looked_at = {ref_of(d): d for kind in ("deployments", "of_operators") for d in inventory[kind]}
    for ref, deployment in looked_at.items():
        if ref in known or _owner(deployment) not in blues or not _is_gateway(deployment):
            continue
        labels = template_labels(deployment)
        served = [named(g) for g in inventory["gateways"] if selects(selector_of(g), labels)]
        found.append(
            Finding(
                CODE, ERROR, named(deployment), "metadata",
                f"a gateway of {_owner(deployment)}, as blue is; no workload names it"
                + (f", and {', '.join(served)} is served by it" if served else ""),
                "Add a workload for it, or move it to an owner of its own first; keep alone does not cover it.",
            )
        )  # fmt: skip
    return found


def _owner(deployment: Object) -> str:
    operator = labels_of(deployment).get(OPERATOR)
    if operator:
        return f"IstioOperator {labels_of(deployment).get(OPERATOR + '-namespace', '?')}/{operator}"
    # kubectl is nobody's owner: what it applied stays when other things that it applied go
    found = [source for source in sources.of(deployment) if source.kind != sources.last_applied.CODE]
    return found[0].title if found else ""


def _is_gateway(deployment: Object) -> bool:
    """The proxy in its role as a router, or pods that the injector makes one."""
    template = deployment["spec"]["template"]
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    containers = (template.get("spec") or {}).get("containers") or ()
    routers = any("router" in (c.get("args") or ()) for c in containers)
    return routers or "gateway" in annotations.get("inject.istio.io/templates", "")
