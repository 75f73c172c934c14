# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of VirtualServices as Ingresses, a whole host at a time, and a report of every field. Pure.

Istio takes the first route that matches; a controller the longest path, an exact one before a prefix. So a route that
an earlier one hides is left out, and paths are added where Istio's prefixes of characters and an Ingress's of elements
part ways. A host moves only if every route of it can be said: half a host would be two truths about one name.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _ingresses, _mesh_mtls, _routes
from . import route_features as features
from ._inventory import ERROR, WARNING, Finding
from ._objects import Object, key_of, labels_of, selects
from ._virtual_services import MESH, delegates_of, resolve
from .ingress_dialects import Cannot, Dialect
from .route_features._route import Known, Route, Target
from .sources import controller as by_controller
from .sources import of as sources_of

HOST = "bluegreen.mesh/host"  # annotation of what a host's routes became
PROXY = "istio-proxy"
CODES = (
    "route_certificate", "route_certificate_copy", "route_mesh", "route_not_translated", "route_owner",
    "route_strict_mtls",
)  # fmt: skip
PLAIN = {
    "uri",
    "gateways",
    "port",
    "name",
    "sourceNamespace",
    "sourceLabels",
    "statPrefix",
}  # conditions of a path alone
Entry = dict[str, str]


@dataclasses.dataclass
class Cluster:
    """gateways: the old ones. namespace: of their pods, where their Secrets are. pods: of every namespace that a route
    leads to. secrets: (namespace, name) of TLS Secrets that there are; of these, copies: those that are ours, and
    renewed: by which Certificate."""

    gateways: list[Object]
    namespace: str
    virtual_services: list[Object]
    known: Known
    peer_authentications: list[Object]
    pods: list[Object]
    secrets: set[tuple[str, str]]
    root: str = "istio-system"
    copies: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    renewed: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Host:
    """What becomes of one host. copies: TLS Secrets that are to be in another namespace, (source, target). left_out:
    why it is not moved, or ''."""

    name: str
    objects: list[Object] = dataclasses.field(default_factory=list)
    report: list[Entry] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    copies: list[tuple[tuple[str, str], tuple[str, str]]] = dataclasses.field(default_factory=list)
    left_out: str = ""


@dataclasses.dataclass(frozen=True)
class Options:
    """waive: of findings. owned: whether VirtualServices that a controller makes are taken too. in_mesh: whether the
    new controller's pods have a sidecar of Istio's. certificates: copy, require or controller."""

    dialect: Dialect
    class_name: str
    waive: t.Sequence[str] = ()
    owned: bool = False
    in_mesh: bool = False
    certificates: str = "copy"


def convert(cluster: Cluster, options: Options) -> dict[str, Host]:
    """Every host of the old gateways, by its name, in their order."""
    workloads = {key_of(g): _routes.Workload(cluster.namespace) for g in cluster.gateways}
    by_key = {key_of(vs): vs for vs in cluster.virtual_services}
    found: dict[str, Host] = {}
    redirects: set[str] = set()
    for gateway in cluster.gateways:
        tables = list(_routes.tables([gateway], cluster.virtual_services, workloads))
        for table in tables:
            if table.redirect:
                redirects |= table.hosts.keys()
        for table in sorted(tables, key=lambda one: one.scheme != "https"):
            for name, entries in table.hosts.items():
                if name not in found and entries and not table.redirect:
                    secret = _secret(gateway, table, name)
                    redirect = table.scheme == "https" and _routes.virtual_host_of(redirects, name) is not None
                    found[name] = _host(cluster, options, by_key, name, entries, secret, redirect)
    return found


def _secret(gateway: Object, table: _routes.Table, host: str) -> str:
    """The name of a host's TLS Secret, '' for none."""
    if table.scheme != "https":
        return ""
    for server in (gateway.get("spec") or {}).get("servers") or ():
        own = _routes.server_hosts(server, gateway["metadata"]["namespace"], None)
        if (server.get("port") or {}).get("number") == table.port and _routes.virtual_host_of(own, host):
            tls = server.get("tls") or {}
            names = [tls.get("credentialName"), *(tls.get("credentialNames") or ())]
            return next((n.removeprefix("kubernetes://") for n in names if n), "")
    return ""


# -- one host --------------------------------------------------------------------------------------------------------
def _host(
    cluster: Cluster, options: Options, by_key: dict[str, Object], name: str, entries: t.Sequence[_routes.Entry],
    secret: str, redirect: bool,
) -> Host:  # fmt: skip
    host = Host(name)
    routes = [
        Route(
            name, e.virtual_service, e.label, e.match, e.rule.action, e.rule.namespace, options.dialect, cluster.known,
            tls=bool(secret),
        )
        for e in entries
    ]  # fmt: skip
    for route in routes:
        features.convert(route)
    kept, extra = _shadows(routes)
    _edges(kept, extra)
    _beside(kept)
    _backends(kept)
    for route in routes:
        for field, (verdict, why) in sorted(route.said.items()):
            host.report.append(_entry(route.virtual_service, name, route.label, field, verdict, why))
    for key in dict.fromkeys(route.virtual_service for route in routes):
        _whole(host, by_key[key], by_key, cluster)
    _owners(host, [by_key[key] for key in dict.fromkeys(r.virtual_service for r in routes)], options)
    kept = _translated(host, kept, options)
    _strict(host, cluster, kept, options)
    if any(f.severity == ERROR and not f.waived_by(options.waive) for f in host.findings):
        host.left_out = host.left_out or "; ".join(
            f"{f.code}: {f.found}" for f in host.findings if f.severity == ERROR and not f.waived_by(options.waive)
        )
    if not host.left_out:
        _render(host, cluster, options, kept, extra, secret, redirect)
    return host


def _entry(virtual_service: str, host: str, route: str, field: str, verdict: str, why: str) -> Entry:
    return {
        "virtual_service": virtual_service,
        "host": host,
        "route": route,
        "field": field,
        "verdict": verdict,
        "why": why,
    }


def plain(route: Route) -> bool:
    """Whether only the path decides."""
    conditions = {name for name, value in (route.match or {}).items() if value not in (None, [], {}, "", False)}
    return conditions <= PLAIN and route.said.get("match.uri", ("",))[0] != features.NOT_TRANSLATED


def covers(first: Route, second: Route) -> bool:
    """Whether Istio gives `first` every path that `second` asks for."""
    if first.kind == "exact":
        return second.kind == "exact" and first.path == second.path
    return second.path.startswith(first.path)


def by_element(prefix: str, path: str) -> bool:
    """Whether an Ingress's Prefix takes a path."""
    own = prefix.rstrip("/")
    return path.rstrip("/") == own or path.startswith(own + "/")


Extra = dict[int, list[tuple[str, str]]]  # by id of a route: paths to be added, so that each goes where Istio sends it
KINDS = {"prefix": "Prefix", "exact": "Exact"}


def _shadows(routes: t.Sequence[Route]) -> tuple[list[Route], Extra]:
    """Routes that can answer at all."""
    kept: list[Route] = []
    extra: Extra = {}
    for route in routes:
        path_known = route.said.get("match.uri", ("",))[0] != features.NOT_TRANSLATED
        by = next((r for r in kept if plain(r) and path_known and covers(r, route)), None)
        if by is None:
            kept.append(route)
            continue
        if not by_element(by.path, route.path):  # /ab, which Istio's /a takes and an Ingress's does not
            _add(by, (route.path, KINDS[route.kind]), extra)
        for field in route.fields():
            route.said[field] = (
                features.NOT_NEEDED,
                f"{by.label} of {by.virtual_service} comes first and takes all of it",
            )
    return kept, extra


def _edges(kept: t.Sequence[Route], extra: Extra) -> None:
    """Istio's /api/ does not take /api; an Ingress's does, unless an exact path takes it first."""
    for route in kept:
        if route.kind != "prefix" or route.path == "/" or not route.path.endswith("/"):
            continue
        bare = route.path.rstrip("/")
        if any(r.kind == "exact" and r.path == bare for r in kept):
            continue
        owner = next((r for r in kept if plain(r) and r.kind == "prefix" and bare.startswith(r.path)), None)
        if owner is None:
            route.say("match.uri", features.TRANSLATED, f"{bare} itself is taken too")
        else:
            _add(owner, (bare, "Exact"), extra)


def _add(route: Route, path: tuple[str, str], extra: Extra) -> None:
    if any(words.path for words in route.words):  # its path is a pattern, one for the whole Ingress
        route.say("match.uri", features.TRANSLATED, f"{path[0]} is not taken any more")
    elif path not in extra.setdefault(id(route), []):
        extra[id(route)].append(path)


def _beside(kept: t.Sequence[Route]) -> None:
    """A route by header needs one by path alone to stand beside, and a controller takes one such for each path."""
    seen: set[tuple[str, str]] = set()
    for number, route in enumerate(kept):
        if route.beside is None:
            continue
        main = [r for r in kept[number + 1 :] if plain(r) and (r.kind, r.path) == (route.kind, route.path)]
        if not main:
            route.refuse("match.headers", "no route by this path alone comes behind it, which it would stand beside.")
        elif (route.kind, route.path) in seen or len(main[0].targets) > 1:
            route.refuse(
                "match.headers", "a controller takes one Ingress beside the main one, and there is one already."
            )
        elif main[0].targets and route.targets and main[0].targets[0].service[0] != route.targets[0].service[0]:
            route.refuse("match.headers", "it leads to another namespace than the route that it would stand beside.")
        seen.add((route.kind, route.path))


def _backends(kept: t.Sequence[Route]) -> None:
    """A redirect still needs a backend, which is never asked: that of any other route of the host."""
    some = next((r.targets[0] for r in kept if r.targets), None)
    for route in kept:
        if not route.targets and route.has("redirect") and not route.has("route"):
            if some is None:
                route.refuse(
                    "redirect",
                    "an Ingress has a backend even if it only redirects, and this host has none. Make a Service"
                    " for it.",
                )
            else:
                route.targets = [some]


def _translated(host: Host, kept: list[Route], options: Options) -> list[Route]:
    """Findings for what is not translated. What is waived: a field is left out, and with a condition or a destination
    its whole route, since it would mean something else without."""
    usable = []
    for route in kept:
        lost = sorted(f for f, (verdict, _why) in route.said.items() if verdict in features.BLOCKING)
        for field in lost:
            finding = Finding(
                "route_not_translated", ERROR, f"VirtualService {route.virtual_service}", f"{route.label}.{field}",
                f"{host.name}: {field} is not translated", _sentence(route.said[field][1]),
            )  # fmt: skip
            host.findings.append(finding)
        if not any(f.startswith("match.") or f in ("route", "delegate", "directResponse") for f in lost):
            if route.targets:
                usable.append(route)
    return usable


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# -- what is around the routes ---------------------------------------------------------------------------------------
def _whole(host: Host, vs: Object, by_key: dict[str, Object], cluster: Cluster) -> None:
    """The fields of a VirtualService beside its HTTP routes."""
    spec = vs.get("spec") or {}
    key = key_of(vs)
    old = {key_of(gateway) for gateway in cluster.gateways}
    names = [resolve(name, vs["metadata"]["namespace"]) for name in spec.get("gateways") or [MESH]]
    others = [name or "?" for name in names if name not in old]
    said: dict[str, tuple[str, str]] = {
        "hosts": (features.TRANSLATED, ""),
        "http": (features.TRANSLATED, "see its routes"),
    }
    if others:
        why = f"{', '.join(others)}: only the old Gateways are looked at here"
        if MESH in others:
            why += "; what sidecars do by it ends with Istio's sidecars: Linkerd wants an HTTPRoute for the Service"
            host.findings.append(
                Finding(
                    "route_mesh", WARNING, f"VirtualService {key}", "gateways", "it serves the mesh, too",
                    "Keep it until its callers are in Linkerd's mesh, and give Linkerd an HTTPRoute for what it does.",
                )
            )  # fmt: skip
        said["gateways"] = (features.NOT_TRANSLATED, why)
    else:
        said["gateways"] = (features.TRANSLATED, "by the IngressClass")
    for field in ("exportTo",):
        if spec.get(field):
            said[field] = (features.NOT_NEEDED, "controllers read every namespace that they are told to")
    for field in ("tls", "tcp"):
        if spec.get(field):
            said[field] = (
                features.NOT_TRANSLATED,
                "an Ingress ends TLS and speaks HTTP. Move it by the controller's own way.",
            )
    for field in sorted(spec.keys() - {"hosts", "http", "gateways", "exportTo", "tls", "tcp"}):
        said[field] = (features.NOT_TRANSLATED, "this version does not know the field.")
    for field, (verdict, why) in said.items():
        host.report.append(_entry(key, host.name, "", field, verdict, why))
    for delegate in sorted(delegates_of(vs) & by_key.keys()):
        host.report.append(_entry(delegate, host.name, "", "http", features.TRANSLATED, f"as a delegate of {key}"))


def _owners(host: Host, roots: t.Sequence[Object], options: Options) -> None:
    """What a controller makes is moved there: it would go on making VirtualServices, and know nothing of Ingresses."""
    for vs in roots:
        for source in sources_of(vs):
            if source.kind == by_controller.CODE:
                host.findings.append(
                    Finding(
                        "route_owner", WARNING if options.owned else ERROR, f"VirtualService {key_of(vs)}",
                        "metadata.ownerReferences", f"{host.name}: {source.title} makes it",
                        "Let its owner make an Ingress, and name the host in no wave; or move a copy that nobody keeps"
                        " in step (owned: convert).",
                    )
                )  # fmt: skip


def _strict(host: Host, cluster: Cluster, kept: t.Sequence[Route], options: Options) -> None:
    if options.in_mesh:
        return
    for target in {(tgt.service, tgt.port): tgt for route in kept for tgt in route.targets}.values():
        service = cluster.known.services[target.service]
        port = next(p for p in service["spec"]["ports"] if p["port"] == target.port)
        pods = [
            p for p in cluster.pods
            if p["metadata"]["namespace"] == target.service[0]
            and selects((service.get("spec") or {}).get("selector"), labels_of(p)) and PROXY in containers(p)
        ]  # fmt: skip
        for pod in pods:
            own = port.get("targetPort")
            mode, policy = _mesh_mtls.mode_for(
                cluster.peer_authentications, cluster.root, target.service[0], labels_of(pod),
                own if isinstance(own, int) else None,
            )  # fmt: skip
            if mode == _mesh_mtls.STRICT and policy is not None:
                host.findings.append(
                    Finding(
                        "route_strict_mtls", ERROR, f"PeerAuthentication {key_of(policy)}", "spec.mtls.mode",
                        f"{host.name}: the pods of Service {'/'.join(target.service)} take mutual TLS of Istio's alone",
                        "The new controller has no sidecar of Istio's. Step through PERMISSIVE first (mesh_mtls).",
                    )
                )  # fmt: skip
                break


def containers(pod: Object) -> set[str]:
    """Names of a pod's (or a template's) containers, native sidecars too."""
    spec = pod.get("spec") or {}
    return {c["name"] for key in ("containers", "initContainers") for c in spec.get(key) or ()}


# -- objects ---------------------------------------------------------------------------------------------------------
def _render(
    host: Host, cluster: Cluster, options: Options, kept: t.Sequence[Route], extra: Extra,
    secret: str, redirect: bool,
) -> None:  # fmt: skip
    services = dict(cluster.known.services)
    for route in kept:
        for number, target in enumerate(route.targets[:2]):
            beside = number > 0 or route.beside is not None
            try:
                made = _objects(host, options, route, target, beside, extra, secret, redirect, services)
            except Cannot as exc:
                host.findings.append(
                    Finding(
                        "route_not_translated", ERROR, f"VirtualService {route.virtual_service}", route.label,
                        f"{host.name}: it can't be written", str(exc),
                    )
                )  # fmt: skip
                host.left_out = str(exc)
                host.objects = []
                return
            host.objects += [item for item in made if item not in host.objects]
    _certificates(host, cluster, options, secret)


def _objects(
    host: Host, options: Options, route: Route, target: Target, beside: bool, extra: Extra,
    secret: str, redirect: bool, services: dict[tuple[str, str], Object],
) -> list[Object]:  # fmt: skip
    dialect = options.dialect
    namespace, name = target.service
    made = []
    if target.selector is not None:
        own = subset_service(services[target.service], target, host.name)
        services[(namespace, own["metadata"]["name"])] = own
        name = own["metadata"]["name"]
        made.append(own)
    paths = [(route.path, KINDS[route.kind]), *([] if beside else extra.get(id(route), []))]
    suffix = [target.subset or target.service[1]] if beside else []
    title = route.virtual_service.partition("/")[2]
    draft = _ingresses.Draft(
        _ingresses.name_of(title, host.name, route.label, route.path, *suffix), namespace, options.class_name,
        "" if host.name == "*" else host.name, paths, (name, target.port),
        secret if options.certificates != "controller" else "",
    )  # fmt: skip
    draft.words = [dialect.patience()]
    if not route.to_https:
        draft.words.append(dialect.https_redirect(redirect))
    draft.words += route.words
    if route.beside:
        draft.words.append(dialect.header_match(*route.beside))
    elif beside:
        draft.words.append(dialect.share(target.percent))
    made += _ingresses.render(draft, dialect, services)
    for item in made:
        item["metadata"].setdefault("annotations", {})[HOST] = host.name
    return made


def subset_service(service: Object, target: Target, host: str) -> Object:
    """A Service of ours for a subset's pods, with the ports of the whole. Each host has its own: one that goes back takes
    nothing from others."""
    ports = [{k: v for k, v in port.items() if k != "nodePort"} for port in service["spec"]["ports"]]
    name = _ingresses.name_of(target.service[1], target.subset, host)
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": target.service[0], "name": name, "annotations": {}},
        "spec": {"selector": dict(target.selector or {}), "ports": ports},
    }  # fmt: skip


def _certificates(host: Host, cluster: Cluster, options: Options, secret: str) -> None:
    """An Ingress takes its certificate from its own namespace, which is the application's."""
    if not secret or options.certificates == "controller":
        return
    for namespace in dict.fromkeys(i["metadata"]["namespace"] for i in host.objects if i["kind"] == "Ingress"):
        source, target = (cluster.namespace, secret), (namespace, secret)
        if source == target or target in cluster.secrets and options.certificates == "require":
            continue
        if options.certificates == "require":
            finding = Finding(
                "route_certificate", ERROR, f"Secret {'/'.join(target)}", "", f"{host.name}: it does not exist",
                "An Ingress takes its certificate from its own namespace. Make it there, or let it be copied.",
            )  # fmt: skip
            host.findings.append(finding)
            if not finding.waived_by(options.waive):
                host.left_out = finding.found
                host.objects = []
            return
        host.copies.append((source, target))
        if source in cluster.renewed and (target not in cluster.secrets or target in cluster.copies):
            host.findings.append(
                Finding(
                    "route_certificate_copy", WARNING, f"Secret {'/'.join(target)}", "",
                    f"{host.name}: it is a copy of {'/'.join(source)}, which Certificate {cluster.renewed[source]} renews;"
                    " the copy stays as it is",
                    f"Write a Certificate for it in {namespace}, before that of {cluster.namespace} is renewed. Else the"
                    " copy expires.",
                )
            )  # fmt: skip


def counts(report: t.Sequence[Entry]) -> dict[str, int]:
    verdicts = (features.TRANSLATED, features.NOT_NEEDED, features.NOT_TRANSLATED)
    return {verdict: sum(entry["verdict"] == verdict for entry in report) for verdict in verdicts}


def waves(hosts: t.Mapping[str, Host], size: int) -> list[list[str]]:
    """The hosts that can move, in waves of at most `size`, those first whose Ingresses differ least from what there is.

    Hosts that share a VirtualService come in one wave where it has room for them all: who owns it looks once."""
    ready = sorted(
        (host for host in hosts.values() if host.objects),
        key=lambda host: (sum(bool(entry["why"]) for entry in host.report), host.name),
    )
    groups: list[tuple[set[str], list[str]]] = []
    for host in ready:
        keys, names = {entry["virtual_service"] for entry in host.report}, [host.name]
        for group in [g for g in groups if g[0] & keys]:
            keys, names = group[0] | keys, group[1] + names
            groups.remove(group)
        groups.append((keys, names))
    found: list[list[str]] = []
    for _keys, names in sorted(groups, key=lambda group: [h.name for h in ready].index(group[1][0])):
        if not found or len(found[-1]) + len(names) > size:
            found.append([])
        for name in names:
            if len(found[-1]) == size:
                found.append([])
            found[-1].append(name)
    return found
