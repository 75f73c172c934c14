# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress objects that istiod serves at the pods of meshConfig.ingressSelector: a setting of the mesh, for one side.

Which are istiod's, and which pods serve them, is as in its source (1.31, pilot/pkg/config/kube/ingress): an annotation
goes by meshConfig.ingressClass, spec.ingressClassName by the class' controller, and what has neither is istiod's in
mode DEFAULT. Where the configuration can't be read, every Ingress of class istio is taken for blue's.
"""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, Object, named
from .._objects import annotations_of, selects
from .._twin import title

CODE = "ingress_class_istio"
CONTROLLER = "istio.io/ingress-controller"
ANNOTATION = "kubernetes.io/ingress.class"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for ingress in inventory["ingresses"]:
        field, name = _class(ingress)
        pods = _served_by(inventory, field, name)
        if pods:
            what = f"class {name}" if name is not None else "an Ingress without a class, in mode DEFAULT,"
            found.append(
                Finding(
                    CODE, ERROR, named(ingress), field, f"{what} is served by {pods}",
                    "Replace it by a Gateway and a VirtualService before the cutover. Waive this if other pods serve"
                    " it, or if meshConfig.ingressSelector and ingressService are going to follow.",
                )
            )  # fmt: skip
    return found


def _class(ingress: Object) -> tuple[str, str | None]:
    """Where its class stands, and which it is; an annotation counts before the field."""
    if ANNOTATION in annotations_of(ingress):
        return f"metadata.annotations[{ANNOTATION}]", annotations_of(ingress)[ANNOTATION]
    return "spec.ingressClassName", (ingress.get("spec") or {}).get("ingressClassName")


def _served_by(inventory: Inventory, field: str, name: str | None) -> str:
    """The pods that serve it, if blue's are among them; '' if not."""
    controllers = {c["metadata"]["name"]: (c.get("spec") or {}).get("controller") for c in inventory["ingress_classes"]}
    if not inventory.mesh_configs and (name == "istio" or controllers.get(name) == CONTROLLER):
        return "the pods of meshConfig.ingressSelector (if not set, istio: ingressgateway)"
    for ref, config in inventory.mesh_configs:
        mode, label = config.get("ingressControllerMode", "STRICT"), _label(config)
        if mode in ("OFF", False):  # without quotes, OFF is false
            istiods = False
        elif field != "spec.ingressClassName":
            istiods = name == config.get("ingressClass", "istio")
        elif name in controllers:
            istiods = controllers[name] == CONTROLLER
        else:
            istiods = mode == "DEFAULT" and (name is None or "ingress_classes" not in inventory.unread)
        blues = [w.name for w in inventory.workloads if any(selects(label, o) for o in inventory.blue_labels(w))]
        if istiods and blues:
            told = f"istio: {label['istio']} (ConfigMap {title(ref)})"
            return f"the pods with {told}, as are blue's ({', '.join(blues)})"
    return ""


def _label(config: Object) -> dict[str, str]:
    """Of the pods that serve Ingresses. The Service's name stands for it, unless that is the default one."""
    service = config.get("ingressService")
    named_so = service if service != "istio-ingressgateway" else None
    return {"istio": config.get("ingressSelector") or named_so or "ingressgateway"}
