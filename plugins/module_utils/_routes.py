# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests follow from Gateways and VirtualServices: for each route one that reaches it, or why there is none.

The rules are istiod's, as of 1.31: pilot/pkg/networking/core/gateway.go (virtual hosts, TLS), core/route/route.go
(order and matching), pilot/pkg/model/virtualservice.go (delegates), push_context.go (exportTo), pkg/config/host (host
names). A request is only taken for a route if evaluating the whole virtual host with it, in Envoy's order, ends at that
route; so a route that another one shadows is noticed instead of probing the other one twice.

Not modelled: several Gateway objects that share one plain-text port of one workload (their virtual hosts are merged;
here each is looked at alone), EnvoyFilters, and policies. Those change what blue answers, and blue's answer is what
counts.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass, field

from ._compare import private_names
from ._objects import key_of
from ._probe import GRPC_HEALTH, PROTOCOLS, SAFE_METHODS
from ._virtual_services import MESH, is_delegate, resolve

Object = dict[str, t.Any]
FILLER = "bluegreen-probe"  # stands in where a route takes any value
UNKNOWN_HOST = "bluegreen-probe.invalid"  # RFC 2606: nobody can have it
# What PCRE knows and RE2 does not: look-around, back references, possessive quantifiers, atomic groups, conditions.
PCRE_ONLY = re.compile(r"\(\?(?:[=!>#(|]|<[=!])|\\[1-9]|\\[gkKGRXZ]|[*+?}]\+")
PLAIN = frozenset(("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"))


# -- host names --------------------------------------------------------------------------------------------------------
def subset(inner: str, outer: str) -> bool:
    """Whether every name that `inner` stands for is one of `outer` (either may begin with a `*`)."""
    if not outer.startswith("*"):
        return inner == outer
    if inner.startswith("*"):
        return len(inner) >= len(outer) and inner[1:].endswith(outer[1:])
    return inner.endswith(outer[1:])


def intersection(hosts: t.Iterable[str], others: t.Sequence[str]) -> list[str]:
    """The narrower of each pair where one is within the other, in order, once each."""
    found: dict[str, None] = {}
    for host, other in itertools.product(hosts, others):
        if subset(host, other):
            found[host] = None
        elif subset(other, host):
            found[other] = None
    return list(found)


def server_hosts(server: Object, gateway_namespace: str, vs_namespace: str | None) -> list[str]:
    """A server's hosts without their namespace part; those only that VirtualServices of vs_namespace may use (None:
    all).

    `host` and `*/host` are for every namespace, `./host` for the gateway's own, `ns/host` for that one.
    """
    found: dict[str, None] = {}
    for entry in server.get("hosts") or ():
        namespace, slash, host = entry.rpartition("/")
        namespace = gateway_namespace if namespace == "." else namespace
        if not slash or namespace == "*" or vs_namespace in (None, namespace):
            found[host.lower()] = None
    return list(found)


def virtual_host_of(hosts: t.Iterable[str], name: str) -> str | None:
    """The one that Envoy picks for a name: itself, else the longest wildcard that it ends with, else `*`."""
    fitting = [host for host in hosts if subset(name, host)]
    return max(fitting, key=lambda host: (not host.startswith("*"), len(host)), default=None)


# -- matching ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Ask:
    """The parts of a request that routes look at. headers: by lower-case name."""

    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    authority: str = ""
    scheme: str = "https"


def string_matches(match: Object | None, value: str | None, ignore_case: bool = False) -> bool:
    """A StringMatch. An empty one, and the regex `*`, ask for presence alone. Raises re.error for what is no regex."""
    if value is None:
        return False
    kind, wanted = next(iter((match or {}).items()), ("", ""))
    if not kind or (kind == "regex" and wanted == "*"):
        return True
    if ignore_case and kind != "regex":
        wanted, value = wanted.lower(), value.lower()
    if kind == "exact":
        return value == wanted
    if kind == "prefix":
        return value.startswith(wanted)
    return re.fullmatch(wanted, value) is not None


def matches(match: Object | None, ask: Ask) -> bool:
    """Whether an HTTPMatchRequest (None: no conditions) lets a request in. Gateways, port and source are not looked
    at."""
    if not match:
        return True
    if match.get("uri") and not string_matches(match["uri"], ask.path, bool(match.get("ignoreUriCase"))):
        return False
    for name, value in (("method", ask.method), ("authority", ask.authority), ("scheme", ask.scheme)):
        if match.get(name) and not string_matches(match[name], value):
            return False
    for name, wanted in (match.get("headers") or {}).items():
        if not string_matches(wanted, ask.headers.get(name.lower())):
            return False
    for name, wanted in (match.get("withoutHeaders") or {}).items():
        if string_matches(wanted, ask.headers.get(name.lower())):
            return False
    return all(string_matches(wanted, ask.query.get(name)) for name, wanted in (match.get("queryParams") or {}).items())


def catches_all(match: Object | None) -> bool:
    """route.go IsCatchAllRoute: no condition but, at most, a path that every path fulfils."""
    if not match:
        return True
    conditions = ("headers", "withoutHeaders", "queryParams", "method", "authority", "scheme")
    if any(match.get(name) for name in conditions):
        return False
    uri = match.get("uri") or {}
    return not uri or uri.get("prefix") == "/" or uri.get("regex") == ".*"


def value_for(match: Object | None) -> str | None:
    """A value that a StringMatch lets in, or None when we can't make one up (most regular expressions)."""
    kind, wanted = next(iter((match or {}).items()), ("", ""))
    if kind in ("exact", "prefix"):
        return wanted or FILLER
    if not kind or wanted == "*":
        return FILLER
    return next(iter(regex_samples(wanted)), None)


def regex_samples(pattern: str) -> list[str]:
    """Strings that a regex certainly lets in: its literal beginning, with something simple behind it, tried."""
    literal = re.match(r"\^?((?:\\[^\w\s]|[\w/%~@:,=&!'\"<>; -])*)", pattern)
    prefix = re.sub(r"\\(.)", r"\1", literal.group(1)) if literal else ""
    # A quantifier behind it takes the last character back; the alternatives try both.
    bases = [prefix, prefix[:-1]] if prefix else [""]
    endings = ("", "/", FILLER, "/" + FILLER, "1", "/1", "a", ".html", "a.html")
    try:
        return [base + end for base in bases for end in endings if re.fullmatch(pattern, base + end)]
    except re.error:
        return []


def usable(pattern: str) -> str:
    """Why a regular expression can't be used in Istio, or ''."""
    if PCRE_ONLY.search(pattern):
        return "it uses what Envoy's RE2 does not know (look-around, back references or possessive quantifiers)"
    try:
        re.compile(pattern)
    except re.error as exc:
        return f"it is not a valid regular expression ({exc})"
    return ""


# -- routes of a VirtualService ----------------------------------------------------------------------------------------
@dataclass(slots=True)
class Rule:
    """An HTTP route of a VirtualService, delegates resolved. namespace: that which its short names are relative to."""

    label: str
    matches: list[Object]
    action: Object
    namespace: str


@dataclass(slots=True)
class Entry:
    """One match of a rule, as it lies in a virtual host."""

    virtual_service: str
    label: str
    match: Object | None
    rule: Rule


@dataclass(frozen=True, slots=True)
class Table:
    """A server's virtual hosts, each with its routes in Envoy's order. redirect: it only sends clients to HTTPS."""

    gateway: str
    port: int
    scheme: str
    redirect: bool
    hosts: dict[str, list[Entry]]


def winner(entries: t.Iterable[Entry], ask: Ask) -> Entry | None:
    """The route that answers."""
    for entry in entries:
        try:
            if matches(entry.match, ask):
                return entry
        except re.error:  # RE2 knows what Python does not: whether this route takes the request can't be told
            return None
    return None


def exported_to(vs: Object, namespace: str) -> bool:
    """exportTo as seen from a workload's namespace. Absent means everywhere (the mesh's default may differ)."""
    exports = (vs.get("spec") or {}).get("exportTo") or ["*"]
    return "*" in exports or (
        "~" not in exports and namespace in (vs["metadata"]["namespace"] if e == "." else e for e in exports)
    )


def rules_of(vs: Object, by_key: dict[str, Object]) -> tuple[list[Rule], list[tuple[str, str, str]]]:
    """The HTTP routes of a root VirtualService, and what is lost on the way: (label, reason, words)."""
    rules: list[Rule] = []
    lost: list[tuple[str, str, str]] = []
    own = vs["metadata"]["namespace"]
    for index, http in enumerate((vs.get("spec") or {}).get("http") or ()):
        label = f"http[{index}]"
        wanted = http.get("delegate")
        roots = [_with_gateways(match, own) for match in http.get("match") or ()]
        if not wanted:
            rules.append(Rule(label, roots, http, own))
            continue
        key = f"{wanted.get('namespace') or own}/{wanted.get('name')}"
        delegate = by_key.get(key)
        if delegate is None or not is_delegate(delegate):
            lost.append((label, "delegate_missing", f"the delegate {key} does not exist, or has hosts of its own"))
            continue
        if not exported_to(delegate, own):
            lost.append((label, "not_exported", f"the delegate {key} is not exported to namespace {own}"))
            continue
        space = delegate["metadata"]["namespace"]
        for number, leaf in enumerate((delegate.get("spec") or {}).get("http") or ()):
            inner = f"{label}>{key}.http[{number}]"
            merged = merge_matches(roots, [_with_gateways(match, space) for match in leaf.get("match") or ()])
            if merged is None:
                lost.append((inner, "delegate_conflict", f"a match of {key} is not within the match of its root"))
            else:
                rules.append(Rule(inner, merged, leaf, space))
    return rules, lost


def _with_gateways(match: Object | None, namespace: str) -> Object:
    match = match or {}
    if not match.get("gateways"):
        return match
    return {**match, "gateways": [resolve(reference, namespace) or reference for reference in match["gateways"]]}


def merge_matches(roots: list[Object], leaves: list[Object]) -> list[Object] | None:
    """mergeHTTPMatchRequests: each of the delegate's matches within each root match that holds it; None on a
    conflict."""
    if not roots or not leaves:
        return leaves or roots
    merged: list[Object] = []
    for leaf in leaves:
        fitting = [root for root in roots if not _conflict(root, leaf)]
        if not fitting:
            return None
        for root in fitting:
            one = {**root, **{name: value for name, value in leaf.items() if value}}
            for name in ("headers", "withoutHeaders", "queryParams", "sourceLabels"):
                both = {**(root.get(name) or {}), **(leaf.get(name) or {})}
                if both:
                    one[name] = both
            merged.append(one)
    return merged


def _conflict(root: Object, leaf: Object) -> bool:
    for name in ("uri", "scheme", "method", "authority"):
        if _string_conflict(root.get(name), leaf.get(name)):
            return True
    for name in ("headers", "withoutHeaders", "queryParams"):
        outer = root.get(name) or {}
        if any(
            _string_conflict(outer.get(key), value) for key, value in (leaf.get(name) or {}).items() if key in outer
        ):
            return True
    if bool(root.get("ignoreUriCase")) != bool(leaf.get("ignoreUriCase")):
        return True
    if root.get("port") and leaf.get("port") and root["port"] != leaf["port"]:
        return True
    if root.get("sourceNamespace") and leaf.get("sourceNamespace") != root["sourceNamespace"]:
        return True
    outer = root.get("sourceLabels") or {}
    if any(key in outer and outer[key] != value for key, value in (leaf.get("sourceLabels") or {}).items()):
        return True
    return bool(root.get("gateways") and leaf.get("gateways") and not set(leaf["gateways"]) <= set(root["gateways"]))


def _string_conflict(root: Object | None, leaf: Object | None) -> bool:
    if not root or not leaf:
        return False
    (kind, outer), (inner_kind, inner) = next(iter(root.items())), next(iter(leaf.items()))
    if "regex" in (kind, inner_kind) or (kind == "exact" and inner_kind == "prefix"):
        return True
    return inner != outer if kind == "exact" else not inner.startswith(outer)


# -- the whole ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Workload:
    """What of a gateway's pods decides about routes: where they are, how they are labelled, which NodePort reaches a
    server port (number -> NodePort)."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    node_ports: dict[int, int] = field(default_factory=dict)


@dataclass
class Found:
    """routes and unprobed as route_info returns them; unused: indices of samples that no gateway serves."""

    routes: list[Object] = field(default_factory=list)
    unprobed: list[Object] = field(default_factory=list)
    unused: list[int] = field(default_factory=list)


def withhold(found: Found) -> None:
    """Takes out the routes whose requests need what is not to be shown; they are not probed then."""
    for route in found.routes:
        names = private_names(route["headers"])
        if names:
            found.unprobed.append({
                **{key: route[key] for key in ("id", "gateway", "virtual_service", "port", "host", "route")},
                "reason": "private_header", "reachable": True,
                "detail": f"it is asked for with {', '.join(names)}, which is not shown; use reveal, and no_log with it",
            })  # fmt: skip
    found.routes = [route for route in found.routes if not private_names(route["headers"])]


def check_samples(samples: t.Sequence[Object]) -> None:
    """Raises ValueError for a sample that must not or can't be sent."""
    for index, sample in enumerate(samples):
        where = f"samples[{index}] ({sample['host']})"
        if sample["protocol"] and sample["protocol"] not in PROTOCOLS:
            raise ValueError(f"{where}: protocol is {sample['protocol']!r}; choose from {', '.join(PROTOCOLS)}.")
        if not sample["path"].startswith("/"):
            raise ValueError(f"{where}: path is {sample['path']!r}; it must begin with a slash.")
        if sample["host"].startswith("*"):
            raise ValueError(f"{where}: host must be a name, not a wildcard: it is what clients ask for.")
        safe = sample["method"] in SAFE_METHODS and not sample["body"]
        if not safe and not sample["unsafe"] and sample["protocol"] not in ("websocket", "grpc"):
            raise ValueError(
                f"{where}: {sample['method']}{' with a body' if sample['body'] else ''} may change something behind the"
                " gateways, and it is sent several times to both. If it may be, set unsafe: true."
            )
        if sample["protocol"] == "grpc" and sample["path"] not in ("/", GRPC_HEALTH) and not sample["unsafe"]:
            raise ValueError(
                f"{where}: {sample['path']} is a gRPC method other than the health check. Set unsafe: true."
            )


def plan(
    gateways: t.Sequence[Object], virtual_services: t.Sequence[Object], services: t.Sequence[Object],
    workloads: dict[str, Workload], samples: t.Sequence[Object] = (), wildcard_label: str = "",
    identities: t.Sequence[Object] = (),
) -> Found:  # fmt: skip
    """Everything to be probed on the given Gateways.

    gateways: those to look at; virtual_services, services: all of the cluster; workloads: by gateway NAMESPACE/NAME;
    samples: as route_info takes them, checked by check_samples; wildcard_label: what to write for the `*` of a wildcard
    host, or "" to leave such hosts to samples; identities: as _identity.check lets them pass.
    """
    found = Found()
    used: set[int] = set()
    ordered = _ordered(virtual_services)
    for planner in _planners(gateways, ordered, services, workloads, samples, wildcard_label, found, used):
        planner.identities = identities
        planner.run()
    for vs in ordered:
        spec = vs.get("spec") or {}
        if not is_delegate(vs) and all(resolve(name, "") == MESH for name in spec.get("gateways") or [MESH]):
            found.unprobed.append(
                _unprobed(
                    MESH,
                    key_of(vs),
                    None,
                    spec["hosts"],
                    "",
                    "mesh_only",
                    "it is for sidecars, not for a gateway",
                    False,
                )
            )
    found.unused = [index for index in range(len(samples)) if index not in used]
    _number(found.routes)
    return found


def tables(
    gateways: t.Sequence[Object], virtual_services: t.Sequence[Object], workloads: dict[str, Workload]
) -> list[Table]:
    """Which request reaches which route: what plan() makes requests for, as a table to look requests up in."""
    planners = _planners(gateways, _ordered(virtual_services), (), workloads, (), "", Found(), set())
    return [table for planner in planners for table in planner.tables()]


def _ordered(virtual_services: t.Iterable[Object]) -> list[Object]:
    """istiod's order: the oldest first."""
    return sorted(virtual_services, key=lambda vs: (vs["metadata"].get("creationTimestamp") or "", key_of(vs)))


def _planners(
    gateways: t.Sequence[Object], ordered: list[Object], services: t.Sequence[Object], workloads: dict[str, Workload],
    samples: t.Sequence[Object], wildcard_label: str, found: Found, used: set[int],
) -> t.Iterator[_Planner]:  # fmt: skip
    by_key = {key_of(vs): vs for vs in ordered}
    known = _Services(services)
    for gateway in gateways:
        workload = workloads.get(key_of(gateway)) or Workload(gateway["metadata"]["namespace"])
        yield _Planner(gateway, workload, ordered, by_key, known, samples, wildcard_label, found, used)


def _unprobed(
    gateway: str,
    vs: str,
    port: int | None,
    hosts: t.Sequence[str],
    label: str,
    reason: str,
    detail: str,
    reachable: bool,
) -> Object:
    host = ",".join(hosts)
    at = f"{gateway}:{port}" if port else gateway
    return {
        "id": " ".join(part for part in (at, host, vs, label) if part),
        "gateway": gateway, "virtual_service": vs, "port": port, "host": host, "route": label,
        "reason": reason, "detail": detail, "reachable": reachable,
    }  # fmt: skip


def _number(routes: list[Object]) -> None:
    """Ids are used as keys: a second one of the same words gets a number behind it."""
    seen: dict[str, int] = {}
    for route in routes:
        times = seen[route["id"]] = seen.get(route["id"], 0) + 1
        if times > 1:
            route["id"] += f" #{times}"


class _Services:
    """Finds out which protocol the service behind a route speaks."""

    def __init__(self, services: t.Sequence[Object]) -> None:
        self._ports: dict[str, list[Object]] = {
            key_of(svc): (svc.get("spec") or {}).get("ports") or [] for svc in services
        }

    def protocol(self, action: Object, namespace: str) -> str:
        """Istio's word for it in lower case (grpc, http2, ...), from appProtocol or the port's name; "" if not
        known."""
        targets = action.get("route") or ()
        target = max(targets, key=lambda one: one.get("weight") or 0, default={})
        destination = target.get("destination") or {}
        name, _dot, rest = (destination.get("host") or "").partition(".")
        ports = self._ports.get(f"{rest.split('.')[0] if rest else namespace}/{name}") or []
        number = (destination.get("port") or {}).get("number")
        for port in ports:
            if port["port"] == number or (number is None and len(ports) == 1):
                return (port.get("appProtocol") or (port.get("name") or "").split("-")[0]).lower()
        return ""


class _Planner:
    """One Gateway."""

    def __init__(
        self, gateway: Object, workload: Workload, ordered: list[Object], by_key: dict[str, Object],
        services: _Services, samples: t.Sequence[Object], wildcard_label: str, found: Found, used: set[int],
    ) -> None:  # fmt: skip
        self.gateway = gateway
        self.name = key_of(gateway)
        self.namespace = gateway["metadata"]["namespace"]
        self.workload = workload
        self.services = services
        self.by_key = by_key
        self.samples = samples
        self.wildcard_label = wildcard_label
        self.found = found
        self.used = used
        self.bound = self._bound(ordered)
        self.served: set[str] = set()
        self.unknown_done: set[tuple[int, str]] = set()
        self.identities: t.Sequence[Object] = ()
        self.mutual = False  # whether the server at hand asks for a client certificate

    def run(self) -> None:
        for server in (self.gateway.get("spec") or {}).get("servers") or ():
            port = server.get("port") or {}
            protocol = (port.get("protocol") or "").upper()
            mode = ((server.get("tls") or {}).get("mode") or "").upper()
            if protocol in PLAIN:
                self._http(server, "http")
            elif mode == "AUTO_PASSTHROUGH":
                self._skip(server, "auto_passthrough", "it passes on to other clusters by SNI names made by Istio")
            elif mode == "PASSTHROUGH":
                self._passthrough(server)
            elif protocol == "HTTPS" and mode in ("MUTUAL", "ISTIO_MUTUAL"):
                self._mutual(server, mode)
                self._unknown_host(server, "https", "h2")
            elif protocol == "HTTPS":
                self._http(server, "https")
            else:
                self._tcp(server, "tls" if mode else "tcp")
        for vs in self.bound:
            if key_of(vs) not in self.served:
                self._unserved(vs)

    def _bound(self, ordered: list[Object]) -> list[Object]:
        """VirtualServices that name this gateway and are exported to its pods' namespace, in istiod's order."""
        naming = []
        for vs in ordered:
            space = vs["metadata"]["namespace"]
            names = (vs.get("spec") or {}).get("gateways") or ()
            if not is_delegate(vs) and any(resolve(name, space) == self.name for name in names):
                naming.append(vs)
        visible = []
        for vs in naming:
            if exported_to(vs, self.workload.namespace):
                visible.append(vs)
            else:
                detail = f"exportTo does not name {self.workload.namespace}, where the gateway's pods are"
                self._note(vs, None, "", "not_exported", detail, False)
        private = [vs for vs in visible if "*" not in ((vs["spec"].get("exportTo")) or ["*"])]
        return private + [vs for vs in visible if vs not in private]

    # -- HTTP ----------------------------------------------------------------------------------------------------------
    def tables(self) -> t.Iterator[Table]:
        """The virtual hosts of each server that speaks HTTP to clients."""
        for server in (self.gateway.get("spec") or {}).get("servers") or ():
            protocol = ((server.get("port") or {}).get("protocol") or "").upper()
            tls = server.get("tls") or {}
            if protocol in PLAIN or (protocol == "HTTPS" and "PASSTHROUGH" not in (tls.get("mode") or "").upper()):
                scheme = "http" if protocol in PLAIN else "https"
                redirect = bool(tls.get("httpsRedirect"))
                hosts = self._virtual_hosts(server)
                bare = dict.fromkeys(server_hosts(server, self.namespace, None)) if redirect else {}
                yield Table(self.name, server["port"]["number"], scheme, redirect, {**dict.fromkeys(bare, []), **hosts})

    def _virtual_hosts(self, server: Object) -> dict[str, list[Entry]]:
        port = server["port"]["number"]
        hosts: dict[str, list[Entry]] = {}
        for vs in self.bound:
            common = intersection(
                server_hosts(server, self.namespace, vs["metadata"]["namespace"]),
                [h.lower() for h in vs["spec"]["hosts"]],
            )
            if not common:
                continue
            entries = self._entries(vs, port)
            if entries:
                self.served.add(key_of(vs))
            for host in common:
                hosts.setdefault(host, []).extend(entries)
        for entries in hosts.values():  # SortVHostRoutes
            entries.sort(key=lambda entry: catches_all(entry.match))
        return hosts

    def _http(self, server: Object, scheme: str) -> None:
        redirect = bool((server.get("tls") or {}).get("httpsRedirect"))
        hosts = self._virtual_hosts(server)
        own = server_hosts(server, self.namespace, None)
        if redirect:
            for host in dict.fromkeys([*hosts, *own]):
                self._redirect(server, host)
        else:
            for host, entries in hosts.items():
                self._virtual_host(server, scheme, host, entries)
            for host in own:
                self._bare_host(server, scheme, "h2" if scheme == "https" else "http1", host, hosts)
        self._samples(server, scheme, hosts)
        self._unknown_host(server, scheme, "h2" if scheme == "https" else "http1")

    def _mutual(self, server: Object, mode: str) -> None:
        """Where identities have a certificate, its routes are asked for with it, and each host once without."""
        hosts = self._virtual_hosts(server)
        self.mutual = True
        ours = {host: entries for host, entries in hosts.items() if self._as(self._concrete(host) or host)}
        for host, entries in ours.items():
            self._virtual_host(server, "https", host, entries)
        self._samples(server, "https", ours)
        self.mutual = False
        for name in filter(None, map(self._concrete, ours)):
            self._route(server, "https", name, Ask(authority=name), "http1", None, "refused", "client_certificate")
        left = [host for host in server_hosts(server, self.namespace, None) if host not in ours]
        if left:
            self._skip(server, "client_certificate", f"TLS mode {mode} asks for one; give identities", left)

    def _as(self, host: str) -> list[Object]:
        """The identities that a host is to be asked as."""
        fitting = [one for one in self.identities if virtual_host_of(one["hosts"], host) is not None]
        return [one for one in fitting if one.get("client_cert") or not self.mutual]

    def _entries(self, vs: Object, port: int) -> list[Entry]:
        """BuildHTTPRoutesForVirtualService: what this gateway gets of a VirtualService, up to the first catch-all."""
        rules, lost = rules_of(vs, self.by_key)
        for label, reason, detail in lost:
            self._note(vs, port, label, reason, detail, False)
        entries: list[Entry] = []
        closed = ""
        for rule in rules:
            for number, match in enumerate(rule.matches or [None]):
                label = rule.label if match is None else f"{rule.label}.match[{number}]"
                if match and match.get("port") and match["port"] != port:
                    continue
                if not self._source(match):
                    continue
                if closed:
                    self._note(vs, port, label, "shadowed", f"{closed} before it takes every request", False)
                    continue
                entries.append(Entry(key_of(vs), label, match, rule))
                if catches_all(match):
                    closed = label
        return entries

    def _source(self, match: Object | None) -> bool:
        """sourceMatchHTTP: a list of gateways decides alone; otherwise the labels and namespace of the gateway's
        pods."""
        if not match:
            return True
        if match.get("gateways"):
            return self.name in match["gateways"]
        labels = self.workload.labels
        if any(labels.get(name) != value for name, value in (match.get("sourceLabels") or {}).items()):
            return False
        return match.get("sourceNamespace") in (None, "", self.workload.namespace)

    def _virtual_host(self, server: Object, scheme: str, host: str, entries: list[Entry]) -> None:
        concrete = self._concrete(host)
        first = True
        for entry in entries:
            where = (server, host, entry)
            if concrete is None:
                self._miss(*where, "wildcard_host", f"which names under {host} are in use is not known; give samples")
                continue
            ask, reason, detail = self._ask(entry, entries, concrete, scheme)
            if ask is None:
                self._miss(*where, reason, detail)
                continue
            protocol = self._protocol(entry, scheme)
            if protocol == "grpc":
                health = Ask(
                    GRPC_HEALTH,
                    "POST",
                    {**ask.headers, "content-type": "application/grpc"},
                    ask.query,
                    ask.authority,
                    scheme,
                )
                if winner(entries, health) is entry:
                    ask = Ask(GRPC_HEALTH, "POST", ask.headers, ask.query, ask.authority, scheme)
                else:
                    # Its methods are not ours to call. A GET to the path shows that the route leads to a gRPC server.
                    protocol = "h2"
            self._route(server, scheme, concrete, ask, protocol, entry, "answer")
            if scheme == "https" and first and protocol != "http1":
                method = ask.method if ask.method in SAFE_METHODS else "GET"
                plain = Ask(ask.path, method, ask.headers, ask.query, ask.authority, scheme)
                self._route(server, scheme, concrete, plain, "http1", entry, "answer")
            first = False

    def _protocol(self, entry: Entry, scheme: str) -> str:
        if self.services.protocol(entry.rule.action, entry.rule.namespace) == "grpc":
            return "grpc"
        return "h2" if scheme == "https" else "http1"

    def _ask(self, entry: Entry, entries: list[Entry], host: str, scheme: str) -> tuple[Ask | None, str, str]:
        """A request whose first match is `entry`, or None with a reason and words for it."""
        match = entry.match or {}
        uri = match.get("uri") or {}
        if "regex" in uri:
            paths = (
                ["/"]
                if uri["regex"] in (".*", "/.*")
                else [p for p in regex_samples(uri["regex"]) if p.startswith("/")]
            )
            if not paths:
                return None, "regex_path", f"no path is known that {uri['regex']!r} matches; give a sample"
        elif "exact" in uri:
            paths = [uri["exact"]]
        else:
            prefix = uri.get("prefix") or "/"
            paths = [prefix, prefix + ("" if prefix.endswith("/") else "/") + FILLER]
        methods = [
            method for method in SAFE_METHODS if not match.get("method") or string_matches(match["method"], method)
        ]
        if not methods:
            return (
                None,
                "unsafe_method",
                f"its method is {next(iter(match['method'].values()))}; give a sample if it may be sent",
            )
        headers: dict[str, str] = {}
        for name, wanted in (match.get("headers") or {}).items():
            value = value_for(wanted)
            if name.startswith(("@", ":")) or value is None:
                return None, "header_match", f"no value is known for header {name}; give a sample"
            headers[name.lower()] = value
        query: dict[str, str] = {}
        for name, wanted in (match.get("queryParams") or {}).items():
            value = value_for(wanted)
            if value is None:
                return None, "query_match", f"no value is known for query parameter {name}; give a sample"
            query[name] = value
        authority = match["authority"]["exact"] if "exact" in (match.get("authority") or {}) else host
        # Headers that an earlier route must not see: with them, the request passes it by.
        avoiding = {
            name.lower(): value_for(wanted) or FILLER
            for other in entries
            for name, wanted in ((other.match or {}).get("withoutHeaders") or {}).items()
        }
        own = {name.lower() for name in match.get("withoutHeaders") or {}}
        extra = {name: value for name, value in avoiding.items() if name not in own and name not in headers}
        blocked: Entry | None = None
        for more, method, path in itertools.product([{}, extra] if extra else [{}], methods, paths):
            ask = Ask(path, method, {**headers, **more}, query, authority, scheme)
            if not matches(entry.match, ask):
                continue
            taking = winner(entries, ask)
            if taking is entry:
                return ask, "", ""
            blocked = taking
        if blocked is None:
            return None, "no_request", "no request is known that fulfils its conditions; give a sample"
        return (
            None,
            "shadowed",
            f"{blocked.label} of {blocked.virtual_service} answers first; if not always, give a sample",
        )

    # -- TLS and TCP ---------------------------------------------------------------------------------------------------
    def _passthrough(self, server: Object) -> None:
        port = server["port"]["number"]
        hosts: dict[str, list[Entry]] = {}
        for vs in self.bound:
            space = vs["metadata"]["namespace"]
            if not intersection(server_hosts(server, self.namespace, space), vs["spec"]["hosts"]):
                continue
            for index, tls in enumerate(vs["spec"].get("tls") or ()):
                for number, match in enumerate(tls.get("match") or ()):
                    match = _with_gateways(match, space)
                    if (match.get("port") or port) != port or not self._source(match):
                        continue
                    self.served.add(key_of(vs))
                    label = f"tls[{index}].match[{number}]"
                    for sni in match.get("sniHosts") or ():
                        if sni not in hosts:  # the oldest has it; istiod leaves the others out
                            hosts[sni] = [Entry(key_of(vs), label, match, Rule(label, [], tls, space))]
        for sni, (entry,) in hosts.items():
            concrete = self._concrete(sni)
            if concrete is None:
                self._miss(
                    server,
                    sni,
                    entry,
                    "wildcard_host",
                    f"which names under {sni} are in use is not known; give samples",
                )
            else:
                self._route(server, "https", concrete, Ask(authority=concrete), "tls_passthrough", entry, "answer")
        for host in server_hosts(server, self.namespace, None):
            self._bare_host(server, "https", "tls_passthrough", host, hosts)
        self._samples(server, "https", hosts, "tls_passthrough")
        self._unknown_host(server, "https", "tls_passthrough")

    def _tcp(self, server: Object, scheme: str) -> None:
        port = server["port"]["number"]
        for vs in self.bound:
            space = vs["metadata"]["namespace"]
            common = intersection(server_hosts(server, self.namespace, space), vs["spec"]["hosts"])
            for index, tcp in enumerate(vs["spec"].get("tcp") or () if common else ()):
                fitting = [_with_gateways(match, space) for match in tcp.get("match") or [None]]
                if any((match.get("port") or port) == port and self._source(match) for match in fitting):
                    self.served.add(key_of(vs))
                    label = f"tcp[{index}]"
                    name = next((host for host in common if not host.startswith("*")), UNKNOWN_HOST)
                    entry = Entry(key_of(vs), label, None, Rule(label, [], tcp, space))
                    self._route(server, scheme, name, Ask(path="", method="", authority=name), "tcp", entry, "answer")
                    return  # the first one has the port

    # -- probes that belong to no route --------------------------------------------------------------------------------
    def _redirect(self, server: Object, host: str) -> None:
        concrete = self._concrete(host) or (UNKNOWN_HOST if host == "*" else host.replace("*", FILLER, 1))
        self._route(
            server, "http", concrete, Ask(authority=concrete, scheme="http"), "http1", None, "redirect", "httpsRedirect"
        )

    def _bare_host(self, server: Object, scheme: str, protocol: str, host: str, hosts: dict[str, t.Any]) -> None:
        """A name that the Gateway has and no VirtualService: 404, or no TLS, on both sides."""
        if host == "*":
            return
        name = host.replace("*", FILLER, 1)
        if virtual_host_of(hosts, name) is None:
            expect = "refused" if protocol == "tls_passthrough" else "not_found"
            self._route(
                server, scheme, name, Ask(authority=name, scheme=scheme), protocol, None, expect, "no_virtual_service"
            )

    def _unknown_host(self, server: Object, scheme: str, protocol: str) -> None:
        port = server["port"]["number"]
        if (port, scheme) in self.unknown_done:
            return
        self.unknown_done.add((port, scheme))
        ask = Ask(authority=UNKNOWN_HOST, scheme=scheme)
        self._route(server, scheme, UNKNOWN_HOST, ask, protocol, None, "refused", "unknown_host")

    # -- samples -------------------------------------------------------------------------------------------------------
    def _samples(self, server: Object, scheme: str, hosts: dict[str, list[Entry]], protocol: str = "") -> None:
        port = server["port"]["number"]
        if (server.get("tls") or {}).get("httpsRedirect"):
            return
        for index, sample in enumerate(self.samples):
            if sample["gateway"] not in ("", self.name) or sample["port"] not in (None, port):
                continue
            host = virtual_host_of(hosts, sample["host"].lower())
            if host is None:
                continue
            chosen = protocol or sample["protocol"] or ("h2" if scheme == "https" else "http1")
            grpc = chosen == "grpc"
            headers = {name.lower(): str(value) for name, value in sample["headers"].items()}
            path = GRPC_HEALTH if grpc and sample["path"] == "/" else sample["path"]
            ask = Ask(path, "POST" if grpc else sample["method"], headers, sample["query"], sample["host"], scheme)
            entry = hosts[host][0] if protocol else winner(hosts[host], ask)
            self.used.add(index)
            self._route(server, scheme, sample["host"], ask, chosen, entry, "answer", f"sample[{index}]", sample)
            if entry is not None:
                self.found.unprobed = [
                    item
                    for item in self.found.unprobed
                    if (item["gateway"], item["port"], item["virtual_service"], item["route"], item["host"])
                    != (self.name, port, entry.virtual_service, entry.label, host)
                ]

    # -- writing down --------------------------------------------------------------------------------------------------
    def _concrete(self, host: str) -> str | None:
        if not host.startswith("*"):
            return host
        if not self.wildcard_label:
            return None
        return host.replace("*", self.wildcard_label, 1) if host != "*" else f"{self.wildcard_label}.invalid"

    def _route(
        self, server: Object, scheme: str, host: str, ask: Ask, protocol: str, entry: Entry | None, expect: str,
        label: str = "", sample: Object | None = None,
    ) -> None:  # fmt: skip
        port = server["port"]["number"]
        words = (
            f"{self.name}:{port}",
            host,
            entry.virtual_service if entry else "",
            entry.label if entry else "",
            label,
            protocol,
        )
        route = {
            "id": " ".join(word for word in words if word),
            "gateway": self.name,
            "virtual_service": entry.virtual_service if entry else None,
            "route": entry.label if entry else label,
            "host": host,
            "port": port,
            "node_port": self.workload.node_ports.get(port),
            "scheme": scheme,
            "protocol": protocol,
            "sni": host if scheme in ("https", "tls") else None,
            "authority": ask.authority,
            "method": ask.method,
            "path": ask.path,
            "headers": ask.headers,
            "query": ask.query,
            "expect": expect,
        }
        if sample:
            route.update({name: sample[name] for name in ("body", "unsafe") if sample[name]})
        if not self.mutual:
            self.found.routes.append(route)
        if expect == "answer" and protocol != "tcp":
            self.found.routes += [
                {**route, "id": f"{route['id']} as {one['name']}", "identity": one["name"]} for one in self._as(host)
            ]

    def _miss(self, server: Object, host: str, entry: Entry, reason: str, detail: str) -> None:
        port = server["port"]["number"]
        self.found.unprobed.append(
            _unprobed(self.name, entry.virtual_service, port, [host], entry.label, reason, detail, True)
        )

    def _note(self, vs: Object, port: int | None, label: str, reason: str, detail: str, reachable: bool) -> None:
        hosts = (vs.get("spec") or {}).get("hosts") or []
        item = _unprobed(self.name, key_of(vs), port, hosts, label, reason, detail, reachable)
        if all(item["id"] != other["id"] for other in self.found.unprobed[-50:]):
            self.found.unprobed.append(item)

    def _skip(self, server: Object, reason: str, detail: str, left: list[str] | None = None) -> None:
        """left: of the server's hosts, those that it is about; all of them if not given."""
        hosts = server_hosts(server, self.namespace, None) if left is None else left
        port = server["port"]["number"]
        label = server["port"].get("name") or ""
        self.found.unprobed.append(_unprobed(self.name, "", port, hosts, label, reason, detail, True))
        for vs in self.bound:
            if intersection(server_hosts(server, self.namespace, vs["metadata"]["namespace"]), vs["spec"]["hosts"]):
                self.served.add(key_of(vs))

    def _unserved(self, vs: Object) -> None:
        """It names the gateway, and yet no server of it takes any of its hosts, or every match is for other
        gateways."""
        space = vs["metadata"]["namespace"]
        servers = (self.gateway.get("spec") or {}).get("servers") or ()
        if not any(
            intersection(server_hosts(server, self.namespace, space), vs["spec"]["hosts"]) for server in servers
        ):
            self._note(vs, None, "", "host_not_served", "no server of the gateway has any of its hosts", False)
        else:
            self._note(vs, None, "", "other_gateways", "its matches are for other gateways, ports or sources", False)
