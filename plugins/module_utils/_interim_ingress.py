# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interim Ingress: the new controller takes every host and forwards it to the old Istio gateway. Pure.

While it stands, DNS or the balancer can move to the new controller before any route is there. What decides whether that
goes unnoticed:

- The gateway picks certificate and routes by server name and Host, so both go through as the client sent them, over TLS
  to the gateway's TLS port. Its plain port often only redirects to HTTPS: a bridge to that would redirect for ever.
- An Ingress has one protocol for its backend, so gRPC has Ingresses of its own.
- TLS that the gateway does not end (PASSTHROUGH), or that asks clients for certificates, can't be bridged by an
  Ingress: such hosts are refused by name, and moved first.
- The gateway believes X-Forwarded-For from as many proxies as numTrustedProxies says, and by default from none.
- A route that leads back to the new controller would go round in a circle.
"""

from __future__ import annotations

import dataclasses
import typing as t

try:
    import yaml
except ImportError:  # ansible-core needs PyYAML itself
    yaml = None

from . import _ingresses, _routes
from ._inventory import ERROR, WARNING, Finding, full_host, named, service_of
from ._objects import Object, annotations_of, key_of, labels_of, ref_of, selects
from .ingress_dialects import Cannot, Dialect

PART = "interim"
ROUTE = "route"  # the part that converted routes are
SNI_LABEL = "bluegreen-interim"  # stands for the * of a wildcard, which is no server name
CODES = (
    "interim_certificate", "interim_class", "interim_client_certificate", "interim_dialect", "interim_host_taken",
    "interim_loop", "interim_mixed_protocols", "interim_passthrough", "interim_port", "interim_redirect_loop",
    "interim_tcp", "interim_trusted_proxies", "interim_wildcard_depth",
)  # fmt: skip


@dataclasses.dataclass
class Cluster:
    """What is looked at; all lists are of plain objects.

    gateways: the old ones, to be bridged. service: the old gateway's Service. controller: (namespace, name) of the new
    controller's Service. pods: of the old gateway. mesh_configs: Istio's, decoded, by ConfigMap. secrets: by name,
    (type, keys) of those in the old gateway's namespace.
    """

    gateways: list[Object]
    virtual_services: list[Object]
    services: dict[tuple[str, str], Object]
    service: tuple[str, str]
    controller: tuple[str, str]
    pods: list[Object]
    mesh_configs: dict[str, Object]
    secrets: dict[str, tuple[str, list[str]]]
    ingresses: list[Object]
    ingress_classes: list[Object]


@dataclasses.dataclass
class Host:
    """One host of the old gateway. tls: the server that ends its TLS, None for plain HTTP alone. paths: of gRPC routes,
    where others go beside them."""

    name: str
    gateway: Object
    port: int
    tls: Object | None
    redirect: bool
    grpc: bool
    grpc_paths: list[tuple[str, str]]
    entries: list[_routes.Entry]


@dataclasses.dataclass
class Plan:
    """objects: in the order in which they are made. left_out: host -> why it has none."""

    objects: list[Object] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    differs: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def plan(
    cluster: Cluster, dialect: Dialect, class_name: str, *, except_hosts: t.Collection[str] = (), hops: int = 1,
    certificates: str = "gateway", returning: t.Collection[str] = (),
) -> Plan:  # fmt: skip
    """What is to be made, and what stands in the way. hops: proxies in front of the old gateway from then on, the new
    controller among them. certificates: gateway (each host's own Secret), or controller (its default certificate).
    returning: hosts that are forwarded although their routes are Ingresses, since those are about to go."""
    done = Plan()
    _classes(cluster, dialect, class_name, done)
    _trusted_proxies(cluster, hops, done)
    hosts = _hosts(cluster, except_hosts, done)
    moved = {
        h for i in cluster.ingresses if annotations_of(i).get("bluegreen.mesh/part") == ROUTE for h in _hosts_in(i)
    }
    for host in hosts:
        if host.name in except_hosts:
            done.left_out[host.name] = "it is in except_hosts"
        elif host.name in moved and host.name not in returning:
            done.left_out[host.name] = "its routes are Ingresses already"
        else:
            _one(cluster, dialect, class_name, host, [h.name for h in hosts], certificates, done)
    return done


def _hosts_in(ingress: Object) -> set[str]:
    return {host or "*" for host in _ingresses.hosts_of(ingress)}


# -- hosts -----------------------------------------------------------------------------------------------------------
def _hosts(cluster: Cluster, except_hosts: t.Collection[str], done: Plan) -> list[Host]:
    """Every host that has a route on the old gateways, in the order of servers; TLS before plain HTTP."""
    workload = _routes.Workload(cluster.service[0])
    workloads = {key_of(gateway): workload for gateway in cluster.gateways}
    found: dict[str, Host] = {}
    redirected: dict[str, Host] = {}
    protocols = _routes._Services(list(cluster.services.values()))
    for gateway in cluster.gateways:
        _not_http(gateway, except_hosts, done)
        tables = _routes.tables([gateway], cluster.virtual_services, workloads)
        for table in sorted(tables, key=lambda one: one.scheme != "https"):
            for name, entries in table.hosts.items():
                server = _server(gateway, table, name)
                host = Host(
                    name, gateway, table.port, server if table.scheme == "https" else None, False, False, [], entries
                )
                if table.redirect:
                    redirected.setdefault(name, host)
                elif entries and name not in found:
                    found[name] = host
                    _protocols(host, protocols)
    for name, host in found.items():
        host.redirect = host.tls is not None and _routes.virtual_host_of(redirected, name) is not None
    for name, host in redirected.items():
        if host.entries and name not in except_hosts and _routes.virtual_host_of(found, name) is None:
            done.left_out[name] = "the old gateway only redirects it to HTTPS, and serves no HTTPS for it"
            done.findings.append(
                Finding(
                    "interim_redirect_loop", ERROR, named(host.gateway), "servers", f"{name} has a redirect to HTTPS alone",
                    "Whoever is bridged to it would be redirected for ever. Serve it by HTTPS there, or name it in"
                    " except_hosts.",
                )
            )  # fmt: skip
    return list(found.values())


def _server(gateway: Object, table: _routes.Table, host: str) -> Object | None:
    """The server of this port and scheme whose hosts take this one best."""
    fitting = {}
    for server in (gateway.get("spec") or {}).get("servers") or ():
        port = server.get("port") or {}
        if port.get("number") == table.port and (port.get("protocol") == "HTTPS") == (table.scheme == "https"):
            for own in _routes.server_hosts(server, gateway["metadata"]["namespace"], None):
                fitting.setdefault(own, server)
    best = _routes.virtual_host_of(fitting, host)
    return fitting[best] if best else next(iter(fitting.values()), None)


def _protocols(host: Host, services: _routes._Services) -> None:
    grpc = [e for e in host.entries if services.protocol(e.rule.action, e.rule.namespace).startswith("grpc")]
    host.grpc = bool(grpc) and len(grpc) == len(host.entries)
    if grpc and not host.grpc:
        for entry in grpc:
            kind, value = next(iter(((entry.match or {}).get("uri") or {}).items()), ("", ""))
            path_type = {"prefix": "Prefix", "exact": "Exact"}.get(kind)
            host.grpc_paths.append((value, path_type or ""))


def _not_http(gateway: Object, except_hosts: t.Collection[str], done: Plan) -> None:
    for number, server in enumerate((gateway.get("spec") or {}).get("servers") or ()):
        protocol = ((server.get("port") or {}).get("protocol") or "").upper()
        mode = ((server.get("tls") or {}).get("mode") or "").upper()
        everyone = _routes.server_hosts(server, gateway["metadata"]["namespace"], None)
        hosts = [host for host in everyone if host not in except_hosts]
        if not hosts:
            continue
        if "PASSTHROUGH" in mode or protocol == "TLS" and not mode:  # not given means PASSTHROUGH
            for host in hosts:
                done.left_out.setdefault(host, f"its TLS is not ended at the old gateway ({mode or 'PASSTHROUGH'})")
            code, what = "interim_passthrough", f"{', '.join(hosts)}: TLS {mode or 'PASSTHROUGH'}"
            fix = (
                "An Ingress ends TLS. Move these hosts first, by the controller's own way to pass TLS through, or give"
                " them an address of their own that stays on the old gateway."
            )
        elif protocol not in ("HTTPS", *_routes.PLAIN):
            code, what = "interim_tcp", f"{protocol} on port {(server.get('port') or {}).get('number')}"
            fix = "An Ingress carries HTTP alone. Move this port by itself."
        else:
            continue
        done.findings.append(Finding(code, ERROR, named(gateway), f"spec.servers[{number}]", what, fix))


# -- one host --------------------------------------------------------------------------------------------------------
def _one(
    cluster: Cluster, dialect: Dialect, class_name: str, host: Host, everyone: t.Sequence[str], certificates: str,
    done: Plan,
) -> None:  # fmt: skip

    def refuse(code: str, field: str, found: str, fix: str) -> None:
        done.findings.append(Finding(code, ERROR, named(host.gateway), field, found, fix))
        done.left_out[host.name] = found

    before = len([f for f in done.findings if f.severity == ERROR])
    _loops(cluster, host, everyone, refuse)
    _taken(cluster, class_name, host, refuse)
    port = _port(cluster, host)
    if port is None:
        refuse(
            "interim_port", f"port {host.port}",
            f"{host.name}: Service {'/'.join(cluster.service)} has no port for the gateway's port {host.port}",
            "Add the port to the Service; the interim Ingress goes by it.",
        )  # fmt: skip
    secret = _secret(cluster, host, refuse) if certificates == "gateway" else ""
    if host.name.startswith("*.") and not dialect.wildcard_any_depth:
        done.findings.append(
            Finding(
                "interim_wildcard_depth", WARNING, named(host.gateway), "hosts",
                f"{host.name} takes names of any depth on the old gateway, and of one label on {dialect.title}",
                "Name deeper hosts that are in use in a VirtualService of their own, so that they get an Ingress.",
            )
        )  # fmt: skip
    if any(not kind for _path, kind in host.grpc_paths):
        refuse(
            "interim_mixed_protocols", "http", f"{host.name} has gRPC and other routes that paths alone don't tell apart",
            "An Ingress has one protocol for its backend. Give gRPC a host of its own, or move this host first.",
        )  # fmt: skip
    if len([f for f in done.findings if f.severity == ERROR]) > before:
        return
    try:
        made = [
            _render(cluster, dialect, class_name, host, port or 0, secret or "", grpc, done) for grpc in _parts(host)
        ]
    except Cannot as exc:
        refuse("interim_dialect", "", f"{host.name}: {dialect.title} can't carry it", str(exc))
        return
    done.objects += [item for objects in made for item in objects]


def _parts(host: Host) -> list[bool]:
    """Whether gRPC, for each Ingress of a host."""
    return [True] if host.grpc else [False, True] if host.grpc_paths else [False]


def _render(
    cluster: Cluster, dialect: Dialect, class_name: str, host: Host, port: int, secret: str, grpc: bool, done: Plan
) -> list[Object]:
    paths = host.grpc_paths if grpc and not host.grpc else [("/", "Prefix")]
    any_host = host.name == "*"
    draft = _ingresses.Draft(
        _ingresses.name_of("interim", *(["grpc"] if grpc else []), host.name), cluster.service[0], class_name,
        "" if any_host else host.name, list(dict.fromkeys(paths)), (cluster.service[1], port), secret,
    )  # fmt: skip
    tls = host.tls is not None
    protocol = ("grpcs" if grpc else "https") if tls else ("grpc" if grpc else "http")
    draft.words = [
        dialect.backend(protocol, sni_of(host.name) if tls else ""),
        dialect.https_redirect(host.redirect),
        dialect.patience(),
        dialect.priority(low=True),
    ]
    done.differs.setdefault(host.name, draft.differs)
    return _ingresses.render(draft, dialect, cluster.services)


def sni_of(host: str) -> str:
    """A server name that the gateway takes for this host: the host itself, or some name under a wildcard."""
    return "" if host == "*" else SNI_LABEL + host[1:] if host.startswith("*") else host


def _port(cluster: Cluster, host: Host) -> int | None:
    """A Gateway's port is a Service's, or that on which the pods listen (istio, pilot/pkg/model/gateway.go)."""
    ports = ((cluster.services.get(cluster.service) or {}).get("spec") or {}).get("ports") or ()
    by_port = next((p["port"] for p in ports if p["port"] == host.port), None)
    return by_port or next((p["port"] for p in ports if p.get("targetPort") == host.port), None)


def _secret(cluster: Cluster, host: Host, refuse: t.Callable[..., None]) -> str | None:
    if host.tls is None:
        return ""
    tls = host.tls.get("tls") or {}
    mode = (tls.get("mode") or "").upper()
    if mode in ("MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"):
        refuse(
            "interim_client_certificate", "tls.mode",
            f"{host.name}: TLS mode {mode} asks clients for certificates, which end at the new controller",
            "Move this host first, with the new controller asking for them, or name it in except_hosts.",
        )  # fmt: skip
        return None
    name = (tls.get("credentialName") or "").removeprefix("kubernetes://")
    names = [name] if name else list(tls.get("credentialNames") or ())
    if not names:
        refuse(
            "interim_certificate", "tls.credentialName",
            f"{host.name}: its certificate is a file in the old gateway's pods",
            "Put it into a Secret, or let the controller's default certificate serve (certificates: controller).",
        )  # fmt: skip
        return None
    kind, keys = cluster.secrets.get(names[0], ("", []))
    if kind != "kubernetes.io/tls" and not {"tls.crt", "tls.key"} <= set(keys):
        refuse(
            "interim_certificate", "tls.credentialName",
            f"{host.name}: Secret {cluster.service[0]}/{names[0]} is "
            + (f"{kind} with the keys {', '.join(keys)}" if kind else "not there"),
            "An Ingress takes a Secret with tls.crt and tls.key. Make one of that name in this namespace.",
        )  # fmt: skip
        return None
    return names[0]


def _loops(cluster: Cluster, host: Host, everyone: t.Sequence[str], refuse: t.Callable[..., None]) -> None:
    """Whether a route of this host leads to the new controller, in the cluster or by a name that will."""
    for entry in host.entries:
        for target in entry.rule.action.get("route") or ():
            name = ((target or {}).get("destination") or {}).get("host") or ""
            ref = service_of(full_host(name, entry.rule.namespace))
            outside = ((cluster.services.get(ref) or {}).get("spec") or {}).get("externalName") if ref else name
            again = _routes.virtual_host_of([h for h in everyone if h != "*"], outside) if outside else None
            if ref == cluster.controller or again:
                refuse(
                    "interim_loop", entry.label,
                    f"{host.name}: VirtualService {entry.virtual_service} {entry.label} leads to {name}, which"
                    f" {'is the new controller' if not again else f'is {again} of this gateway, so comes back'}",
                    "The request would go round for ever. Let the route lead to the application, or name the host in"
                    " except_hosts.",
                )  # fmt: skip
                return
    blue = ((cluster.services.get(cluster.service) or {}).get("spec") or {}).get("selector")
    green = ((cluster.services.get(cluster.controller) or {}).get("spec") or {}).get("selector")
    if cluster.service == cluster.controller or (
        cluster.service[0] == cluster.controller[0] and green and selects(blue, green)
    ):
        refuse(
            "interim_loop", "", f"{host.name}: Service {'/'.join(cluster.service)} sends to the new controller's pods",
            "It must send to the old gateway. Give its selector back.",
        )  # fmt: skip


def _taken(cluster: Cluster, class_name: str, host: Host, refuse: t.Callable[..., None]) -> None:
    for ingress in cluster.ingresses:
        part = annotations_of(ingress).get("bluegreen.mesh/part")
        if _ingresses.class_of(ingress) == class_name and host.name in _hosts_in(ingress) and part not in (PART, ROUTE):
            refuse(
                "interim_host_taken", "", f"{host.name} has {named(ingress)} of class {class_name} already",
                "Two Ingresses for one host hide each other. Finish that one, and name the host in except_hosts.",
            )  # fmt: skip
            return


# -- the cluster -----------------------------------------------------------------------------------------------------
def _classes(cluster: Cluster, dialect: Dialect, class_name: str, done: Plan) -> None:
    found = next((c for c in cluster.ingress_classes if ref_of(c)[1] == class_name), None)
    controller = ((found or {}).get("spec") or {}).get("controller") or ""
    if found is None:
        have = ", ".join(sorted(ref_of(c)[1] for c in cluster.ingress_classes)) or "none"
        text, severity = f"there is no IngressClass {class_name}; there are: {have}", ERROR
    elif controller not in dialect.controllers:
        text = f"its controller is {controller}; {dialect.title} has {', '.join(dialect.controllers)}"
        severity = WARNING
    else:
        return
    done.findings.append(
        Finding(
            "interim_class", severity, f"IngressClass {class_name}", "spec.controller", text,
            "Nothing serves the Ingresses, or reads these annotations, unless class and dialect are right.",
        )
    )  # fmt: skip


def trusted_proxies(pods: t.Sequence[Object], mesh_configs: t.Sequence[Object]) -> int:
    """The fewest that any of the gateway's pods trusts: its own annotation, else the default of the mesh, where there are
    several revisions the lowest one, else 0."""
    default = min((_topology(config.get("defaultConfig")) for config in mesh_configs), default=0)
    found = []
    for pod in pods:
        try:
            own = yaml.safe_load(annotations_of(pod).get("proxy.istio.io/config") or "") or {}
        except yaml.YAMLError:
            own = {}
        found.append(_topology(own) or default)
    return min(found, default=default)


def _topology(config: t.Any) -> int:
    topology = config.get("gatewayTopology") if isinstance(config, dict) else None
    return int((topology or {}).get("numTrustedProxies") or 0)


def _trusted_proxies(cluster: Cluster, hops: int, done: Plan) -> None:
    found = trusted_proxies(cluster.pods, list(cluster.mesh_configs.values()))
    if found < hops:
        done.findings.append(
            Finding(
                "interim_trusted_proxies", ERROR, f"Service {'/'.join(cluster.service)}", "numTrustedProxies",
                f"the old gateway trusts {found} proxies in front of it, and there will be {hops}",
                "Applications, logs and policies (remoteIpBlocks) would see the new controller's address as the"
                f" client's. Set gatewayTopology.numTrustedProxies: {hops} in the pods' annotation"
                " proxy.istio.io/config or the mesh config and restart them, just before traffic moves: a client that"
                " still comes directly could then forge its address.",
            )
        )  # fmt: skip


def labels_select(pods: t.Sequence[Object], service: Object | None) -> list[Object]:
    """The pods of a Service, in its namespace."""
    if service is None:
        return []
    selector = (service.get("spec") or {}).get("selector")
    own = service["metadata"]["namespace"]
    return [p for p in pods if p["metadata"]["namespace"] == own and selects(selector, labels_of(p))]
