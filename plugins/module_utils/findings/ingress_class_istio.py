# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress objects that istiod serves at the pods of meshConfig.ingressSelector: a setting of the mesh, for one side."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, named

CODE = "ingress_class_istio"
CONTROLLER = "istio.io/ingress-controller"


def check(inventory: Inventory) -> list[Finding]:
    classes = {
        c["metadata"]["name"]
        for c in inventory["ingress_classes"]
        if (c.get("spec") or {}).get("controller") == CONTROLLER
    }
    return [
        Finding(
            CODE, ERROR, named(ingress), "spec.ingressClassName",
            f"class {name} is served by the pods of meshConfig.ingressSelector (if not set, istio: ingressgateway)",
            "Replace it by a Gateway and a VirtualService before the cutover. Waive this if other pods serve it, or if"
            " meshConfig.ingressSelector and ingressService are going to follow.",
        )
        for ingress in inventory["ingresses"]
        if (name := _class(ingress)) in classes | {"istio"}
    ]  # fmt: skip


def _class(ingress: dict[str, t.Any]) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    return annotations.get("kubernetes.io/ingress.class") or (ingress.get("spec") or {}).get("ingressClassName") or ""
