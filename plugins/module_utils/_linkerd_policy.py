# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an AuthorizationPolicy of Istio's allows, as policies of Linkerd's, where that means the same. Pure.

Linkerd's words (policy.linkerd.io): a Server is a port of pods, and what no AuthorizationPolicy allows to it is
refused; an HTTPRoute is a part of a Server; an AuthorizationPolicy allows to one of them who meets all that it names, a
MeshTLSAuthentication (any of its identities) or a NetworkAuthentication (any of its networks).

- A rule's sources are alternatives, so each is a policy of its own; within one source all must hold, which is what
  naming several authentications means.
- Istio's paths are strings with a `*` at one end; Linkerd's prefixes are of whole elements. So they become regular
  expressions, which Linkerd's proxy matches against the whole path (linkerd2-proxy, http/route/src/http/match/path.rs).
- Once a Server has routes, only what one of them takes gets in: probes of the kubelet need a route too.
- A port without a Server is open to all unless the pod's default says otherwise. So a policy that names no ports is
  written for every port that is known of its pods, and listed if none is.
- Two Servers must not select one port of one pod. So there is one for each port of each workload, and policies for the
  whole namespace and for one workload meet at it.
- What a Server's own policy means for the Server's routes is not relied upon: a policy by path beside one for the whole
  port is listed.
- What is not sure to mean the same, or would allow more, is listed and not written.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._inventory import named
from ._mesh_swap import Mesh, template
from ._objects import Object, ref_of

API, SERVER_API, ROUTE_API = "policy.linkerd.io/v1alpha1", "policy.linkerd.io/v1beta3", "policy.linkerd.io/v1beta3"
GROUP = "policy.linkerd.io"
PROBES = "probes"
PRINCIPAL = re.compile(r"(?P<domain>[^/]*)/ns/(?P<namespace>[^/*]+)/sa/(?P<account>[^/*]+)")
NAMESPACE_ALL = re.compile(r"(?P<domain>[^/]*)/ns/(?P<namespace>[^/*]+)/sa/\*")
EVERYONE = ["0.0.0.0/0", "::/0"]


class _NotSaid(Exception):
    def __init__(self, field: str, found: str, fix: str) -> None:
        super().__init__(found)
        self.field, self.found, self.fix = field, found, fix


@dataclasses.dataclass(frozen=True)
class Listed:
    """A policy, or a rule of one, that is not written. elsewhere: it has a finding of its own."""

    policy: str
    field: str
    found: str
    fix: str
    elsewhere: bool = False


@dataclasses.dataclass
class Converted:
    """objects: in the order in which they are to be made: who may come before what is closed. from_: by name of an
    object, the policy that it comes from."""

    objects: list[Object] = dataclasses.field(default_factory=list)
    listed: list[Listed] = dataclasses.field(default_factory=list)
    from_: dict[str, str] = dataclasses.field(default_factory=dict)


def convert(mesh: Mesh, identities: t.Mapping[str, str] | None = None) -> Converted:
    """The policies in the namespaces to be swapped. identities: an Istio principal -> NAMESPACE/ACCOUNT that takes its
    place (of the old gateway, say)."""
    done = Converted()
    parts: dict[tuple[str, str, str], Object] = {}
    by_policy: list[tuple[Object, list[Object]]] = []
    for policy in sorted(mesh.within("authorizationpolicies"), key=ref_of):
        spec = policy.get("spec") or {}
        action = spec.get("action") or "ALLOW"
        if action != "ALLOW":
            done.listed.append(Listed(named(policy), "spec.action", f"it is {action}", "", elsewhere=True))
            continue
        try:
            by_policy.append((policy, _policy(mesh, policy, identities or {})))
        except _NotSaid as exc:
            done.listed.append(Listed(named(policy), exc.field, exc.found, exc.fix, elsewhere=exc.fix == ""))
    done.listed += _of_the_mesh(mesh)
    whole = {_target(i) for _policy_, made in by_policy for i in made if i["kind"] == "AuthorizationPolicy"}
    for policy, made in by_policy:
        mixed = sorted(name for name in _routed(made) if ("Server", ref_of(policy)[0], name) in whole)
        if mixed:
            fix = "Say by path for all callers of this port, or for none."
            done.listed.append(
                Listed(named(policy), "spec.rules", f"it goes by path where another policy opens {mixed[0]} whole", fix)
            )
            made = [item for item in made if item["kind"] == "Server"]
        for item in made:
            parts.setdefault((item["kind"], *ref_of(item)), item)
            done.from_.setdefault(f"{item['kind']} {'/'.join(ref_of(item))}", named(policy))
    order = ("NetworkAuthentication", "MeshTLSAuthentication", "HTTPRoute", "AuthorizationPolicy", "Server")
    done.objects = sorted(parts.values(), key=lambda i: (order.index(i["kind"]), ref_of(i)))
    return done


def _of_the_mesh(mesh: Mesh) -> list[Listed]:
    """Policies of the root namespace hold in every other one too; Linkerd's never do."""
    found = []
    for policy in mesh["authorizationpolicies"]:
        spec = policy.get("spec") or {}
        own = (spec.get("selector") or {}).get("matchLabels") or {}
        if ref_of(policy)[0] != mesh.root or mesh.root in mesh.namespaces or spec.get("action", "ALLOW") != "ALLOW":
            continue
        if spec.get("targetRefs") or spec.get("targetRef"):
            continue
        labels = [((template(w).get("metadata") or {}).get("labels") or {}) for w in mesh.workloads()]
        if any(own.items() <= one.items() for one in labels):
            fix = "Write it as an AuthorizationPolicy of each namespace first: Linkerd's hold in their own only."
            found.append(Listed(named(policy), "metadata.namespace", "it holds in the whole mesh", fix))
    return found


def _target(item: Object) -> tuple[str, str, str]:
    target = item["spec"]["targetRef"]
    return target["kind"], ref_of(item)[0], target["name"]


def _routed(made: t.Sequence[Object]) -> set[str]:
    """Names of the Servers that have routes."""
    return {item["spec"]["parentRefs"][0]["name"] for item in made if item["kind"] == "HTTPRoute"}


# -- one policy ------------------------------------------------------------------------------------------------------
def _policy(mesh: Mesh, policy: Object, identities: t.Mapping[str, str]) -> list[Object]:
    namespace = ref_of(policy)[0]
    spec = policy.get("spec") or {}
    if spec.get("targetRef") or spec.get("targetRefs"):
        raise _NotSaid(
            "spec.targetRefs",
            "it is bound to a Gateway, Service or waypoint",
            "Write a Linkerd policy for the pods behind it.",
        )
    own = (spec.get("selector") or {}).get("matchLabels") or {}
    workloads = [
        w for w in mesh.workloads()
        if ref_of(w)[0] == namespace and own.items() <= ((template(w).get("metadata") or {}).get("labels") or {}).items()
    ]  # fmt: skip
    if not workloads:
        raise _NotSaid(
            "spec.selector", "it selects no workload", "Take it out, or write Linkerd's by hand for what it is for."
        )
    made: list[Object] = []
    for workload in workloads:
        ports = _ports(mesh, workload)
        if not ports:
            raise _NotSaid(
                "spec.selector", f"no port of {named(workload)} is known: neither its template nor a Service names one",
                "Name the ports in the workload's manifest, or write a Server for each by hand.",
            )  # fmt: skip
        servers = {port: _server(workload, port) for port in ports}
        for number, rule in enumerate(spec.get("rules") or []):
            made += _rule(policy, number, rule or {}, servers, identities, workload)
        routed = _routed(made)
        for port, server in servers.items():
            if server["metadata"]["name"] in routed:
                made += _probes(workload, server, port)
        made += servers.values()
    return made


def _rule(
    policy: Object, number: int, rule: Object, servers: dict[int, Object], identities: t.Mapping[str, str],
    workload: Object,
) -> list[Object]:  # fmt: skip
    namespace, name = ref_of(policy)
    where = f"spec.rules[{number}]"
    if rule.get("when"):
        keys = ", ".join(str((c or {}).get("key")) for c in rule["when"])
        jwt = all(str((c or {}).get("key", "")).startswith("request.auth.") for c in rule["when"])
        raise _NotSaid(
            f"{where}.when",
            f"it goes by {keys}",
            "" if jwt else "Linkerd knows callers, ports, methods and paths. Let the application look at it.",
        )
    made: list[Object] = []
    sources = rule.get("from") or [None]
    for at, entry in enumerate(sources):
        auths = _authentications(policy, f"{where}.from[{at}].source", f"{name}-{number}-{at}", entry, identities)
        made += auths
        refs = [_ref(item) for item in auths]
        for to, operation in enumerate(rule.get("to") or [None]):
            title = f"{ref_of(workload)[1]}-{name}-{number}-{to}"
            targets = _targets(policy, f"{where}.to[{to}].operation", title, operation, servers, workload)
            made += [target for target in targets if target["kind"] == "HTTPRoute"]
            for target in targets:
                made.append(
                    _object(
                        API, "AuthorizationPolicy", namespace, f"{target['metadata']['name']}-{name}-{number}-{at}",
                        {"targetRef": {"group": GROUP, "kind": target["kind"], "name": target["metadata"]["name"]},
                         "requiredAuthenticationRefs": refs},
                    )
                )  # fmt: skip
    return made


def _authentications(
    policy: Object, where: str, title: str, entry: Object | None, identities: t.Mapping[str, str]
) -> list[Object]:
    """All of which must hold. None: everyone."""
    namespace = ref_of(policy)[0]
    source = (entry or {}).get("source") or {}
    unsaid = sorted(
        key
        for key, value in source.items()
        if value and key not in ("principals", "namespaces", "serviceAccounts", "ipBlocks")
    )
    if unsaid:
        tokens = all("equestPrincipals" in key for key in unsaid)
        raise _NotSaid(
            f"{where}.{unsaid[0]}",
            f"it goes by {', '.join(unsaid)}",
            "" if tokens else "Linkerd allows who is named, and knows no exceptions. Name who may.",
        )
    found = []
    if source.get("ipBlocks"):
        networks = [{"cidr": _cidr(block, where)} for block in source["ipBlocks"]]
        found.append(_object(API, "NetworkAuthentication", namespace, f"{title}-net", {"networks": networks}))
    refs, names = _identities(source, where, namespace, identities)
    if refs or names:
        spec: Object = {**({"identityRefs": refs} if refs else {}), **({"identities": names} if names else {})}
        found.append(_object(API, "MeshTLSAuthentication", namespace, f"{title}-tls", spec))
    if not found:
        found.append(
            _object(API, "NetworkAuthentication", namespace, "everyone", {"networks": [{"cidr": c} for c in EVERYONE]})
        )
    return found


def _cidr(block: str, where: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F.:]+(/\d+)?", block):
        raise _NotSaid(f"{where}.ipBlocks", f"{block!r} is no network", "Write it as ADDRESS/BITS.")
    return block if "/" in block else f"{block}/{128 if ':' in block else 32}"


def _identities(source: Object, where: str, own: str, replaced: t.Mapping[str, str]) -> tuple[list[Object], list[str]]:
    """(identityRefs, identities). Principals and namespaces of one source must both hold: fine if they say the same."""
    accounts: list[tuple[str, str]] = []
    whole: list[str] = []
    for principal in source.get("principals") or ():
        if principal in replaced:
            namespace, _slash, account = replaced[principal].partition("/")
            accounts.append((namespace, account))
            continue
        one, every = PRINCIPAL.fullmatch(principal), NAMESPACE_ALL.fullmatch(principal)
        if principal == "*":
            if source.get("namespaces") or source.get("serviceAccounts"):
                continue  # whoever it is, and of these
            return [], ["*"]
        if one:
            accounts.append((one["namespace"], one["account"]))
        elif every:
            whole.append(every["namespace"])
        else:
            raise _NotSaid(
                f"{where}.principals",
                f"{principal!r} is a pattern of more than one namespace",
                "Name the service accounts.",
            )
    for text in source.get("serviceAccounts") or ():
        namespace, slash, account = text.partition("/")
        accounts.append((namespace, account) if slash else (own, text))
    spaces = list(source.get("namespaces") or ())
    if any("*" in name for name in spaces):
        raise _NotSaid(f"{where}.namespaces", f"{', '.join(spaces)} has a pattern", "Name the namespaces.")
    named_ones = bool(accounts or whole)
    if named_ones and spaces:
        outside = [f"{n}/{a}" for n, a in accounts if n not in spaces] + [n for n in whole if n not in spaces]
        if outside:
            raise _NotSaid(
                f"{where}.namespaces",
                f"{', '.join(outside)} can never be in {', '.join(spaces)}",
                "Take out what never matches.",
            )
    elif spaces:
        whole = spaces
    refs = [{"kind": "ServiceAccount", "name": account, "namespace": namespace} for namespace, account in accounts]
    refs += [{"kind": "ServiceAccount", "namespace": namespace} for namespace in whole]
    return refs, []


def _targets(
    policy: Object, where: str, title: str, operation: Object | None, servers: dict[int, Object], workload: Object
) -> list[Object]:
    """Servers, or HTTPRoutes of them, that an operation means. None: all ports."""
    own = (operation or {}).get("operation") or operation or {}
    unsaid = sorted(key for key, value in own.items() if value and key not in ("ports", "methods", "paths"))
    if unsaid:
        raise _NotSaid(
            f"{where}.{unsaid[0]}",
            f"it goes by {', '.join(unsaid)}",
            "Linkerd's routes know methods and paths, and no exceptions. Say who may what.",
        )
    ports = [int(p) for p in own.get("ports") or ()] or sorted(servers)
    for port in ports:
        servers.setdefault(port, _server(workload, port))
    if not own.get("methods") and not own.get("paths"):
        return [servers[port] for port in ports]
    matches = _matches(own, where)
    return [
        _object(
            ROUTE_API, "HTTPRoute", ref_of(policy)[0], f"{title}-{port}",
            {"parentRefs": [{"group": GROUP, "kind": "Server", "name": servers[port]["metadata"]["name"]}],
             "rules": [{"matches": matches}]},
        )
        for port in ports
    ]  # fmt: skip


def _matches(own: Object, where: str) -> list[Object]:
    """Every method with every path."""
    found = []
    for method in own.get("methods") or [None]:
        if method is not None and "*" in method:
            raise _NotSaid(f"{where}.methods", f"{method!r} is a pattern", "Name the methods.")
        for path in own.get("paths") or [None]:
            match: Object = {}
            if path is not None:
                match["path"] = _path(path, where)
            if method is not None:
                match["method"] = method
            found.append(match)
    return found


def _path(text: str, where: str) -> Object:
    if "{" in text:
        raise _NotSaid(f"{where}.paths", f"{text!r} is a template", "Write its paths out, with a * at one end.")
    if "*" not in text:
        return {"type": "Exact", "value": text}
    if text == "*":
        return {"type": "PathPrefix", "value": "/"}
    if text.count("*") > 1 or not (text.startswith("*") or text.endswith("*")):
        raise _NotSaid(
            f"{where}.paths",
            f"{text!r} has a * that is at neither end",
            "Istio takes that for a character. Write what is meant.",
        )
    literal = re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text.strip("*"))
    return {"type": "RegularExpression", "value": f"{literal}.*" if text.endswith("*") else f".*{literal}"}


# -- ports, probes, objects ------------------------------------------------------------------------------------------
def _ports(mesh: Mesh, workload: Object) -> list[int]:
    """Every TCP port of its pods that is known: of their containers, and those that Services send to."""
    pod = template(workload)
    labels = (pod.get("metadata") or {}).get("labels") or {}
    found: set[int] = set()
    for container in (pod.get("spec") or {}).get("containers") or ():
        found |= {p["containerPort"] for p in container.get("ports") or () if p.get("protocol", "TCP") == "TCP"}
    for service in mesh["services"]:
        own = (service.get("spec") or {}).get("selector") or {}
        if ref_of(service)[0] == ref_of(workload)[0] and own and own.items() <= labels.items():
            numbers = [port.get("targetPort", port["port"]) for port in service["spec"].get("ports") or ()]
            found |= {number for number in numbers if isinstance(number, int)}
    return sorted(found)


def _probes(workload: Object, server: Object, port: int) -> list[Object]:
    """A route for the kubelet's HTTP probes on this port, open to all, as Linkerd has by itself where no route is
    written."""
    paths = set()
    namespace = ref_of(workload)[0]
    for container in (template(workload).get("spec") or {}).get("containers") or ():
        by_name = {p.get("name"): p["containerPort"] for p in container.get("ports") or ()}
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            get = (container.get(probe) or {}).get("httpGet") or {}
            if get and by_name.get(get.get("port"), get.get("port")) == port:
                paths.add((get.get("path") or "/").partition("?")[0])
    if not paths:
        return []
    name = server["metadata"]["name"]
    route = _object(
        ROUTE_API, "HTTPRoute", namespace, f"{name}-{PROBES}",
        {"parentRefs": [{"group": GROUP, "kind": "Server", "name": name}],
         "rules": [{"matches": [{"path": {"type": "Exact", "value": p}, "method": "GET"} for p in sorted(paths)]}]},
    )  # fmt: skip
    everyone = _object(
        API, "NetworkAuthentication", namespace, "everyone", {"networks": [{"cidr": c} for c in EVERYONE]}
    )
    allow = _object(
        API, "AuthorizationPolicy", namespace, f"{name}-{PROBES}",
        {"targetRef": {"group": GROUP, "kind": "HTTPRoute", "name": f"{name}-{PROBES}"},
         "requiredAuthenticationRefs": [_ref(everyone)]},
    )  # fmt: skip
    return [everyone, route, allow]


def _server(workload: Object, port: int) -> Object:
    namespace, name = ref_of(workload)
    spec = {"podSelector": (workload.get("spec") or {}).get("selector") or {}, "port": port}
    return _object(SERVER_API, "Server", namespace, f"{name}-{port}", spec)


def _ref(item: Object) -> Object:
    return {"group": GROUP, "kind": item["kind"], "name": item["metadata"]["name"]}


def _object(api: str, kind: str, namespace: str, name: str, spec: Object) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec}
