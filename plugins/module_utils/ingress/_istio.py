# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Istio objects of a conversion: Gateways, one VirtualService for each host on them, and one DestinationRule for
each Service that needs one."""

from __future__ import annotations

import collections
import hashlib
import json
import re
import typing as t

from .._inventory import ERROR, WARNING, Finding
from .._objects import key_of
from . import canary
from ._model import ANY, Backend, Object, Route, Source, Target, World
from ._order import Table
from ._tls import credential, short

API = "networking.istio.io/v1"
SOURCES = "bluegreen.mesh/converted-from"
HTTPS_REDIRECT = 308  # what ingress-nginx answers (ConfigMap http-redirect-code)


def host_name(host: str) -> str:
    """A host as a part of an object's name."""
    if host == ANY:
        return "any-host"
    return re.sub(r"[^a-z0-9]+", "-", host.replace("*", "wildcard")).strip("-")


def destination(backend: Backend, world: World) -> Object:
    found: Object = {"host": f"{backend.service}.{backend.namespace}.svc.{world.cluster_domain}"}
    if backend.port is not None:
        found["port"] = {"number": backend.port}
    return found


def gateway_of(target: Target, host: str) -> tuple[str, str]:
    """The Gateway that a host is in: names share one, and a wildcard has one of its own.

    A VirtualService reaches every host of its Gateway that is within its own (istiod gateway.go, Intersection): one for
    `*` would add its routes to those of each name in the same Gateway, in the order of their age. Ingress controllers
    ask a wildcard only where nobody has the name itself.
    """
    namespace, name = target.gateway
    return (namespace, short(f"{name}-{host_name(host)}")) if host.startswith("*") else (namespace, name)


# -- VirtualServices ---------------------------------------------------------------------------------------------------
def http_routes(table: Table, world: World) -> list[Object]:
    """A host's routes, in the order in which they are tried."""
    found: list[Object] = []
    first = [location for location in table.locations if location.route.first]
    rest = table.locations[len(first) :]
    for location in first:
        _append(found, location.route, location.uri(), dict(location.route.instead or {}))
    # One redirect for the whole host, as blue has it: also for paths that nobody serves.
    whole = bool(rest) and all(table.https(location.route) for location in rest)
    port = {"port": table.target.http_port}
    https = {"redirect": {"scheme": "https", "redirectCode": HTTPS_REDIRECT}}
    if whole:
        found.append({"name": "https-redirect", "match": [port], **https})
    for location in rest:
        route, uri = location.route, location.uri()
        if route.instead:
            _append(found, route, uri, dict(route.instead))
            continue
        if not whole and table.https(route):
            _append(found, route, {**port, **uri}, https)
        if route.backend is None:
            raise AssertionError(f"{route}: a route that answers nothing by itself has a backend")
        if route.backend.port is None:  # blue answers 503 where it can't find the port
            _append(found, route, uri, {"directResponse": {"status": 503}})
            continue
        for headers, shares in canary.variants(world.canaries.get((table.target.name, route.backend)), route.backend):
            weighted = len(shares) > 1
            to = [
                {"destination": destination(backend, world), **({"weight": weight} if weighted else {})}
                for backend, weight in shares
            ]  # fmt: skip
            match = {**uri, **({"headers": headers} if headers else {})}
            _append(found, route, match, {**route.http, "route": to})
    return found


def _append(found: list[Object], route: Route, match: Object, action: Object) -> None:
    """Adds a route, or a match to the last one if that does the same for the same path of the same Ingress."""
    last = found[-1] if found else {}
    if last.get("name") == route.name and {k: v for k, v in last.items() if k not in ("name", "match")} == action:
        if match not in last["match"]:
            last["match"].append(match)
        return
    found.append({"name": route.name, "match": [match], **json.loads(json.dumps(action))})


def virtual_services(world: World, tables: t.Sequence[Table]) -> list[Object]:
    through = passthrough(world)
    names = _names([(table.target, table.host) for table in tables], "")
    found = []
    for table, name in zip(tables, names):
        sources = _sources(table)
        spaces = sorted({source.namespace for source in sources})
        if len(spaces) > 1:
            sources[0].warn(
                "host_shared", "spec.rules",
                f"{table.host} has Ingresses in {', '.join(spaces)}; its one VirtualService is in"
                f" {sources[0].namespace}, and who may edit that decides for all",
                "Agree on an owner, or split it with delegates.",
            )  # fmt: skip
        http = http_routes(table, world)
        if http:
            found.append(_virtual_service(world, table.target, sources, name, table.hosts, {"http": http}))
    names = _names([(target, host) for target, host, _route in through], "-tls")
    for (target, host, route), name in zip(through, names):
        tls = [{
            "match": [{"port": target.https_port, "sniHosts": [host]}],
            "route": [{"destination": destination(t.cast(Backend, route.backend), world)}],
        }]  # fmt: skip
        found.append(_virtual_service(world, target, [route.source], name, [host], {"tls": tls}))
    return found


def _names(places: t.Sequence[tuple[Target, str]], end: str) -> list[str]:
    """A name for each Gateway and host; where several would have the same one, each ends with a digest of its own."""
    plain = [f"{target.gateway[1]}-{host_name(host)}{end}" for target, host in places]
    times = collections.Counter(plain)
    digests = [hashlib.sha256(f"{target.name} {host}".encode()).hexdigest()[:6] for target, host in places]
    return [f"{name}-{digest}" if times[name] > 1 else name for name, digest in zip(plain, digests)]


def _sources(table: Table) -> list[Source]:
    """The Ingresses of a host, the oldest first."""
    found = {location.route.source.key: location.route.source for location in table.locations}
    return sorted(found.values(), key=lambda s: (s.body["metadata"].get("creationTimestamp") or "", s.key))


def _virtual_service(
    world: World, target: Target, sources: t.Sequence[Source], name: str, hosts: list[str], routes: Object
) -> Object:
    return {
        "apiVersion": API, "kind": "VirtualService",
        "metadata": {
            "namespace": sources[0].namespace, "name": short(name), "labels": dict(world.marks),
            "annotations": {SOURCES: ", ".join(sorted(source.key for source in sources))},
        },
        "spec": {"hosts": hosts, "gateways": ["/".join(gateway_of(target, hosts[0]))], **routes},
    }  # fmt: skip


def passthrough(world: World) -> list[tuple[Target, str, Route]]:
    """Hosts whose TLS goes to the backend; the oldest Ingress has one that several claim."""
    found: dict[tuple[str, str], tuple[Target, str, Route]] = {}
    for source in world.sources:
        for route in source.routes if source.passthrough else ():
            if route.path == "/" and route.backend and route.host != ANY:
                found.setdefault((source.target.name, route.host), (source.target, route.host, route))
    return [found[key] for key in sorted(found)]


# -- Gateways ----------------------------------------------------------------------------------------------------------
def gateways(world: World, tables: t.Sequence[Table]) -> list[Object]:
    """A server for plain HTTP, one for each certificate, one for passthrough; grouped as gateway_of() says."""
    through = passthrough(world)
    found: dict[tuple[str, str], Object] = {}
    for target in {t.name: t for t in world.targets}.values():
        own = [table for table in tables if table.target.name == target.name]
        sni = [host for to, host, _route in through if to.name == target.name]
        for gateway in sorted({gateway_of(target, host) for host in (*(table.host for table in own), *sni)}):
            mine = [table for table in own if gateway_of(target, table.host) == gateway]
            passed = sorted(host for host in sni if gateway_of(target, host) == gateway)
            found[gateway] = {
                "apiVersion": API, "kind": "Gateway",
                "metadata": {"namespace": gateway[0], "name": gateway[1], "labels": dict(world.marks)},
                "spec": {"selector": dict(target.selector), "servers": _servers(target, mine, passed)},
            }  # fmt: skip
    return [found[gateway] for gateway in sorted(found)]


def _servers(target: Target, tables: t.Sequence[Table], passed: list[str]) -> list[Object]:
    servers = []
    plain = _sorted(host for table in tables for host in table.hosts)
    if plain:
        servers.append({"port": {"number": target.http_port, "name": "http", "protocol": "HTTP"}, "hosts": plain})
    by_credential: dict[str, list[str]] = {}
    for table in tables:
        if table.secret:
            by_credential.setdefault(credential(target, table.secret), []).extend(table.hosts)
    for name in sorted(by_credential):
        port = {"number": target.https_port, "name": short("https-" + name.replace(".", "-")), "protocol": "HTTPS"}
        tls = {"mode": "SIMPLE", "credentialName": name}
        servers.append({"port": port, "hosts": _sorted(by_credential[name]), "tls": tls})
    if passed:
        port = {"number": target.https_port, "name": "tls-passthrough", "protocol": "TLS"}
        servers.append({"port": port, "hosts": passed, "tls": {"mode": "PASSTHROUGH"}})
    return servers


def _sorted(hosts: t.Iterable[str]) -> list[str]:
    return sorted(set(hosts), key=lambda host: (host == ANY, host.startswith("*"), host))


# -- DestinationRules --------------------------------------------------------------------------------------------------
def destination_rules(world: World, tables: t.Sequence[Table]) -> list[Object]:
    """By Service, with what each of its ports needs. Only the gateways see them: clients in the mesh go on as they
    are."""
    wanted: dict[tuple[str, str], dict[int, tuple[Object, Route]]] = {}
    spaces: dict[tuple[str, str], set[str]] = {}
    for table in tables:
        for location in table.locations:
            route = location.route
            if not route.traffic or route.backend is None:
                continue
            more = world.canaries.get((table.target.name, route.backend))
            for backend in (route.backend, *([more.backend] if more else [])):
                if backend.port is None:
                    continue
                ref = (backend.namespace, backend.service)
                have, first = wanted.setdefault(ref, {}).setdefault(backend.port, ({}, route))
                spaces.setdefault(ref, set()).add(table.target.workload_namespace)
                for field, value in route.traffic.items():
                    if have.setdefault(field, value) != value:
                        world.findings.append(
                            Finding(
                                "destination_rule_conflict", WARNING, f"Ingress {route.source.key}", route.field,
                                f"{field} for Service {backend} differs from that of {first.source.key}, which counts",
                                "Let both say the same, or give each a Service of its own.",
                            )
                        )  # fmt: skip
    found = []
    for ref in sorted(wanted):
        namespace, service = ref
        host = f"{service}.{namespace}.svc.{world.cluster_domain}"
        theirs = [d for d in world.destination_rules if _means((d.get("spec") or {}).get("host"), d, host)]
        ports = [{"port": {"number": port}, **wanted[ref][port][0]} for port in sorted(wanted[ref])]
        if theirs:
            route = wanted[ref][min(wanted[ref])][1]
            world.findings.append(
                Finding(
                    "destination_rule_foreign", ERROR, f"DestinationRule {key_of(theirs[0])}", "spec.host",
                    f"it is for {host}, for which Ingress {route.source.key} needs {json.dumps(ports, sort_keys=True)};"
                    " of two Istio takes one",
                    "Add that to spec.trafficPolicy.portLevelSettings, then waive this.",
                )
            )  # fmt: skip
            continue
        found.append({
            "apiVersion": API, "kind": "DestinationRule",
            "metadata": {"namespace": namespace, "name": short(f"{service}-from-ingress"), "labels": dict(world.marks)},
            "spec": {
                "host": host, "exportTo": sorted(spaces[ref]), "trafficPolicy": {"portLevelSettings": ports},
            },
        })  # fmt: skip
    return found


def _means(written: str | None, rule: Object, host: str) -> bool:
    namespace = rule["metadata"]["namespace"]
    return bool(written) and (
        host == written or ("." not in str(written) and host.startswith(f"{written}.{namespace}.svc."))
    )


# -- what comes from where ---------------------------------------------------------------------------------------------
def origins(found: t.Sequence[Object]) -> list[Object]:
    """Every match of every VirtualService, and the Ingress that it comes from."""
    rows = []
    for item in found:
        if item["kind"] != "VirtualService":
            continue
        for kind in ("http", "tls"):
            for i, route in enumerate(item["spec"].get(kind) or ()):
                source, _space, field = (route.get("name") or "").partition(" ")
                for j, match in enumerate(route["match"]):
                    rows.append({
                        "virtual_service": key_of(item), "route": f"{kind}[{i}].match[{j}]",
                        "hosts": item["spec"]["hosts"],
                        "match": match,
                        "ingress": source if field else item["metadata"]["annotations"][SOURCES], "field": field,
                    })  # fmt: skip
    return rows
