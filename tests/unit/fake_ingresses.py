# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingresses and Services for tests, and a way to convert them and to ask both sides which backend a request reaches."""

from __future__ import annotations

import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _routes
from ansible_collections.bluegreen.mesh.plugins.module_utils import ingress as conversion
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress import _read
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress._model import NGINX, Target, World

PUBLIC = Target("nginx", ("edge", "public"), {"istio": "public"}, "edge")


def ingress(
    name: str = "shop", paths: t.Sequence[t.Any] = (("/", "Prefix", "web"),), host: str | None = "shop.example.com",
    namespace: str = "team", notes: dict[str, str] | None = None, tls: str | None = None, age: int = 0,
    class_name: str | None = "nginx", default: str | None = None,
) -> dict[str, t.Any]:  # fmt: skip
    """paths: (path, pathType, Service) each. notes: annotations; short names are ingress-nginx's. age: the higher, the
    older."""
    entries = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}}
        for path, kind, service in paths
    ]
    spec: dict[str, t.Any] = (
        {"rules": [{**({"host": host} if host else {}), "http": {"paths": entries}}]} if entries else {}
    )
    if class_name:
        spec["ingressClassName"] = class_name
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    if default:
        spec["defaultBackend"] = {"service": {"name": default, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "namespace": namespace, "name": name, "creationTimestamp": f"2026-01-{28 - age:02}T00:00:00Z",
            "annotations": {k if "/" in k else NGINX + k: v for k, v in (notes or {}).items()},
        },
        "spec": spec,
    }  # fmt: skip


def service(name: str, namespace: str = "team", **port: t.Any) -> dict[str, t.Any]:
    ports = [{"port": 80, **(port or {"name": "http"})}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"ports": ports},
    }


def world(*ingresses: dict[str, t.Any], targets: t.Sequence[Target] = (PUBLIC,), **more: t.Any) -> World:
    sources, _left, findings = _read.select(ingresses, more.pop("classes", ()), targets)
    named = {
        (i["metadata"]["namespace"], path["backend"]["service"]["name"])
        for i in ingresses
        for rule in i["spec"].get("rules") or ()
        for path in rule["http"]["paths"]
        if "service" in path["backend"]
    } | {
        (i["metadata"]["namespace"], i["spec"]["defaultBackend"]["service"]["name"])
        for i in ingresses
        if i["spec"].get("defaultBackend")
    }
    more.setdefault("services", [service(name, namespace) for namespace, name in sorted(named)])
    more.setdefault("pods", [{"metadata": {"namespace": "edge", "name": "gw", "labels": {"istio": "public"}}}])
    return World(sources, list(targets), findings=findings, **more)


def convert(*ingresses: dict[str, t.Any], **more: t.Any) -> conversion.Conversion:
    return conversion.convert(world(*ingresses, **more))


def made(result: conversion.Conversion, kind: str) -> list[dict[str, t.Any]]:
    return [item for item in result.objects if item["kind"] == kind]


def only(result: conversion.Conversion, kind: str) -> dict[str, t.Any]:
    (item,) = made(result, kind)
    return item


def routes(result: conversion.Conversion) -> list[dict[str, t.Any]]:
    return only(result, "VirtualService")["spec"]["http"]


def status(result: conversion.Conversion, name: str) -> str:
    """What the report says of an annotation."""
    (entry,) = [e for e in result.report if e["annotation"] == (name if "/" in name else NGINX + name)]
    assert entry["why"] and bool(entry["todo"]) == (entry["status"] == "not_translated")
    return entry["status"]


def codes(result: conversion.Conversion, severity: str | None = None) -> set[str]:
    return {f.code for f in result.findings if severity in (None, f.severity)}


def answer(
    result: conversion.Conversion, host: str, path: str = "/", scheme: str = "https",
    headers: dict[str, str] | None = None,
    gateway: str = "edge/public",
) -> dict[str, t.Any] | None:  # fmt: skip
    """The HTTPRoute that Istio takes for a request, None for 404: as istiod and Envoy do it (_routes.py)."""
    hosts: dict[str, t.Any] = {}
    for table in _routes.tables(made(result, "Gateway"), made(result, "VirtualService"), {}):
        # Of several Gateways at one port istiod makes one table of virtual hosts (plain HTTP), or one by SNI (HTTPS).
        if table.scheme == scheme and (table.gateway == gateway or table.gateway.startswith(f"{gateway}-")):
            hosts.update(table.hosts)
    chosen = _routes.virtual_host_of(hosts, host)
    if chosen is None:
        return None
    ask = _routes.Ask(path, headers={k.lower(): v for k, v in (headers or {}).items()}, authority=host, scheme=scheme)
    entry = _routes.winner(hosts[chosen], ask)
    return entry.rule.action if entry else None


def backend(action: dict[str, t.Any] | None) -> str | None:
    """NAMESPACE/SERVICE that a route leads to, by its largest share."""
    if not action or not action.get("route"):
        return None
    best = max(action["route"], key=lambda one: one.get("weight", 100))
    name, namespace = best["destination"]["host"].split(".")[:2]
    return f"{namespace}/{name}"
