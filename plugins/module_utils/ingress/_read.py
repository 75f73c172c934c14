# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Ingresses are converted, to which Gateway, in which order, and the routes that they say."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding
from .._objects import annotations_of, key_of
from ._model import ANY, EXACT, PREFIX, SPECIFIC, Object, Route, Source, Target, World

CLASS = "kubernetes.io/ingress.class"
DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def class_of(ingress: Object, default: str | None) -> str | None:
    """The annotation counts before spec.ingressClassName, as ingress-nginx has it; without either, the default
    class."""
    written = annotations_of(ingress).get(CLASS) or (ingress.get("spec") or {}).get("ingressClassName")
    return written or default


def default_class(classes: t.Sequence[Object]) -> str | None:
    """The default IngressClass; None where there is none, or where several claim it, which admits no Ingress."""
    found = [c["metadata"]["name"] for c in classes if annotations_of(c).get(DEFAULT) == "true"]
    return found[0] if len(found) == 1 else None


def select(
    ingresses: t.Sequence[Object], classes: t.Sequence[Object], targets: t.Sequence[Target],
    namespaces: t.Collection[str] = (),
) -> tuple[list[Source], list[Object], list[Finding]]:  # fmt: skip
    """(sources, the oldest first; what is left alone, with why; findings).

    Of one age, the last in alphabetical order of NAMESPACE/NAME is first, as in ingress-nginx (store.go,
    ListIngresses).
    """
    by_class = {target.class_name: target for target in targets}
    controllers = {c["metadata"]["name"]: (c.get("spec") or {}).get("controller") for c in classes}
    ours = {controllers[name]: name for name in by_class if controllers.get(name)}  # controller -> class of ours
    default = default_class(classes)
    sources, left, findings = [], [], []
    for ingress in sorted(ingresses, key=key_of, reverse=True):
        key = key_of(ingress)
        name = class_of(ingress, default)
        if namespaces and ingress["metadata"]["namespace"] not in namespaces:
            if name in by_class:  # asked for, but clients of blue's will find nothing there
                findings.append(_left(key, WARNING, f"its class is {name}, and its namespace is not to be converted"))
            continue
        if ingress["metadata"].get("deletionTimestamp"):
            left.append({"ingress": key, "class": name or "", "why": "it is being deleted"})
        elif name is None:
            left.append({"ingress": key, "class": "", "why": "it has no class, and there is no default IngressClass"})
            findings.append(
                Finding(
                    "ingress_without_class", ERROR, f"Ingress {key}", "spec.ingressClassName",
                    "it has no class; a controller that also serves such ones may serve it, and green will not",
                    "Give it its class, or delete it. Waive this where blue serves no such ones.",
                )
            )  # fmt: skip
        elif name not in by_class:
            left.append({"ingress": key, "class": name, "why": "its class is not among those to be converted"})
            same = ours.get(controllers.get(name))
            if same:
                text = f"its class is {name}, which is of the same controller as {same} ({controllers[name]})"
                findings.append(_left(key, ERROR, text))
        else:
            sources.append(Source(ingress, by_class[name]))
    sources.sort(key=lambda source: source.body["metadata"].get("creationTimestamp") or "")
    return sources, left, findings


def _left(key: str, severity: str, found: str) -> Finding:
    return Finding(
        "ingress_left", severity, f"Ingress {key}", "spec.ingressClassName",
        f"{found}: blue may serve it, and green will not",
        "Name its class, or its namespace, for the conversion too, or waive this where clients come to it otherwise.",
    )  # fmt: skip


def read_routes(world: World) -> None:
    """Fills the routes of every source."""
    for source in world.sources:
        spec = source.spec
        default = spec.get("defaultBackend")
        hosts: dict[str, None] = {}
        for i, rule in enumerate(spec.get("rules") or ()):
            host = (rule.get("host") or ANY).lower()
            if "." not in host and host != ANY:
                source.warn(
                    "host_short", f"spec.rules[{i}].host",
                    f"{host} has no domain, and Istio's Gateways take no such name",
                    "Give it the name that clients ask for, or leave it out.", "error",
                )  # fmt: skip
                continue
            hosts[host] = None
            if not source.canary:
                world.hosts.add((source.target.name, host))
            for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
                _add(
                    world, source, f"spec.rules[{i}].http.paths[{j}]", host, path.get("path") or "/",
                    path.get("pathType") or SPECIFIC, path["backend"],
                )  # fmt: skip
        if default:
            for host in hosts or {ANY: None}:
                _add(world, source, "spec.defaultBackend", host, "/", PREFIX, default, fallback=True)


def _add(
    world: World, source: Source, field: str, host: str, path: str, path_type: str, written: Object, **more: t.Any
) -> None:
    backend = world.backend(source.namespace, written)
    if backend is None:
        kind = (written.get("resource") or {}).get("kind")
        source.warn(
            "backend_resource", field, f"its backend is a resource ({kind}), and no Service",
            "Let a Service serve it, or write its route by hand.", "error",
        )  # fmt: skip
        return
    if path_type not in (EXACT, PREFIX):
        path_type = SPECIFIC
    source.routes.append(Route(source, field, host, path, path_type, backend, **more))
