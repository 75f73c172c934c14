# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""route[].destination: host, port and subset become a Service and its port; for a subset we make a Service of its
own."""

from __future__ import annotations

import typing as t

from .._inventory import full_host, host_covers
from .._objects import Object
from ._route import TRANSLATED, Route, Target

FIELDS = ("route",)
# Istio's protocols, by appProtocol or the beginning of a port's name (istio, pkg/config/protocol/instance.go).
PROTOCOLS = {"http": "http", "http2": "h2c", "grpc": "grpc", "grpc-web": "http", "https": "https", "tls": "https"}
APP_PROTOCOLS = {"kubernetes.io/h2c": "h2c", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
OWN = {"ISTIO_MUTUAL", "DISABLE"}  # tls modes that say nothing about what the application itself speaks


def convert(route: Route) -> None:
    for number, entry in enumerate(route.has("route") or ()):
        target = _target(route, (entry or {}).get("destination") or {}, f"route[{number}]")
        if target:
            target.percent = (entry or {}).get("weight", 100 if len(route.action["route"]) == 1 else 0)
            route.targets.append(target)
    if not route.targets:
        return
    route.say("route", TRANSLATED)
    first = route.targets[0]
    if {t.protocol for t in route.targets} != {first.protocol}:
        route.refuse(
            "route", "its destinations speak different protocols, and an Ingress has one. Finish the canary first."
        )
        return
    if any(t.service[0] != first.service[0] for t in route.targets):
        route.refuse(
            "route", "its destinations are in different namespaces, and an Ingress has one. Finish the canary first."
        )
        return
    route.use("route", lambda: route.dialect.backend(first.protocol, ""))


def _target(route: Route, destination: Object, where: str) -> Target | None:
    host = destination.get("host") or ""
    ref = route.service(host)
    if ref is None:
        route.refuse(
            "route", f"{where} leads to {host}, outside the cluster. Make a Service of type ExternalName for it."
        )
        return None
    service = route.known.services.get(ref)
    if service is None:
        route.refuse("route", f"{where}: there is no Service {'/'.join(ref)}. Istio answers 503 or 500 there today.")
        return None
    if ((service.get("spec") or {}).get("type")) == "ExternalName":
        route.say(
            "route", TRANSLATED, f"{where}: whether the controller follows ExternalName Services is its own setting"
        )
    port = _port(route, service, destination, where)
    if port is None:
        return None
    target = Target(ref, port["port"], protocol_of(port))
    rules = [r for r in route.known.destination_rules if _covers(r, route, host)]
    target.protocol = _traffic_policy(route, rules, destination.get("subset") or "", target, where)
    if destination.get("subset"):
        _subset(route, rules, service, destination["subset"], target, where)
    return target


def protocol_of(port: Object) -> str:
    """What an application speaks on a Service's port: http, https, h2c or grpc."""
    app = (port.get("appProtocol") or "").lower()
    if app in APP_PROTOCOLS:
        return APP_PROTOCOLS[app]
    name = (port.get("name") or "").lower()
    for word in (app, name if name in PROTOCOLS else "", name.rpartition("-")[0], name.partition("-")[0]):
        if word in PROTOCOLS:
            return PROTOCOLS[word]
    return "http"  # what Istio finds out by itself, for HTTP routes


def _port(route: Route, service: Object, destination: Object, where: str) -> Object | None:
    ports = (service.get("spec") or {}).get("ports") or []
    number = (destination.get("port") or {}).get("number")
    if number is None and len(ports) == 1:
        return ports[0]
    found = next((p for p in ports if p["port"] == number), None)
    if found is None:
        have = ", ".join(str(p["port"]) for p in ports) or "none"
        route.refuse("route", f"{where}: found port {number}, and the Service has {have}. Name one of them.")
    return found


def _covers(rule: Object, route: Route, host: str) -> bool:
    own = full_host((rule.get("spec") or {}).get("host") or "", rule["metadata"]["namespace"])
    return host_covers(own, full_host(host, route.namespace))


def _traffic_policy(route: Route, rules: list[Object], subset: str, target: Target, where: str) -> str:
    """What of a DestinationRule the gateway did and the controller will not; and the protocol that its tls says."""
    protocol = target.protocol
    for rule in rules:
        spec = rule.get("spec") or {}
        of_subset = next((s.get("trafficPolicy") for s in spec.get("subsets") or () if s.get("name") == subset), None)
        policy: dict[str, t.Any] = {**(spec.get("trafficPolicy") or {}), **(of_subset or {})}
        name = "/".join((rule["metadata"]["namespace"], rule["metadata"]["name"]))
        mode = (policy.pop("tls", None) or {}).get("mode")
        if mode == "SIMPLE":
            protocol = {"grpc": "grpcs"}.get(protocol, "https")
        elif mode == "MUTUAL":
            route.refuse(
                "route",
                f"{where}: DestinationRule {name} shows a client certificate. Give it to the controller by hand.",
            )
        if policy.get("loadBalancer", {}).get("consistentHash"):
            route.refuse(
                "route",
                f"{where}: DestinationRule {name} binds clients to pods (consistentHash). Use the controller's own"
                " affinity.",
            )
        lost = sorted(key for key in policy if key not in ("tls", "portLevelSettings"))
        if lost:
            route.say(
                "route", TRANSLATED, f"{where}: {', '.join(lost)} of DestinationRule {name} is not applied any more"
            )
    return protocol


def _subset(route: Route, rules: list[Object], service: Object, subset: str, target: Target, where: str) -> None:
    labels = next(
        (s.get("labels") or {} for r in rules for s in (r.get("spec") or {}).get("subsets") or () if s.get("name") == subset),
        None,
    )  # fmt: skip
    selector = (service.get("spec") or {}).get("selector")
    if labels is None or not selector:
        route.refuse("route", f"{where}: the subset {subset} is in no DestinationRule, or its Service has no selector.")
        return
    target.selector, target.subset = {**selector, **labels}, subset
    route.say("route", TRANSLATED, f"{where}: a Service of ours selects the subset {subset}; keep its labels")
