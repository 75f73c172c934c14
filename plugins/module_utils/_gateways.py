# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind Istio Gateways: pods, Services, NodePorts, nodes and certificates.

Plain functions over objects; only read() and istio_list() at the end ask a cluster.

How a Gateway's server port becomes a NodePort. A server port N that is a port of a Service which selects the gateway's
pods means that Service's targetPort; otherwise the pods listen on N itself (istiod, pilot/pkg/model/gateway.go,
resolvePorts; a Service labelled experimental.istio.io/disable-gateway-port-translation does not take part). So the
old charts' server port 8443 is reached through Service port 443 -> targetPort 8443, and the newer charts' server port
443 through Service port 443 whatever its targetPort. Backwards: the pods' listening port is found first, and every
Service port whose targetPort is that port reaches the server.
"""

from __future__ import annotations

import base64
import datetime
import difflib
import typing as t
from dataclasses import dataclass

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    CRYPTOGRAPHY_ERROR = None
except ImportError:  # ansible-core brings it; without it certificates are named and not described
    x509 = None
    CRYPTOGRAPHY_ERROR = "the Python library cryptography is not installed"

from ._client import ApiError, Cluster, path_of
from ._module import Refusal
from ._objects import holds, key_of, label_query, labels_of, selector_of, selects
from ._routes import Workload

Object = dict[str, t.Any]
ISTIO_VERSIONS = ("networking.istio.io/v1", "networking.istio.io/v1beta1")  # v1 is served from Istio 1.22
UNTRANSLATED = "experimental.istio.io/disable-gateway-port-translation"
BUILTIN = "builtin://"  # credentialName of no Secret


def choose(gateways: t.Sequence[Object], wanted: t.Sequence[str]) -> tuple[list[Object], dict[str, list[str]]]:
    """The Gateways that are named (all, if none is), and for each name that is none the existing ones near to it.

    Raises ValueError for a name that is not NAMESPACE/NAME.
    """
    by_key = {key_of(gateway): gateway for gateway in gateways}
    for name in wanted:
        if name.count("/") != 1 or not all(name.split("/")):
            raise ValueError(f"gateways: {name!r} is not NAMESPACE/NAME.")
    missing = {name: near(name, by_key) for name in wanted if name not in by_key}
    names = dict.fromkeys(wanted) if wanted else sorted(by_key)
    return [by_key[name] for name in names if name in by_key], missing


def near(name: str, existing: t.Iterable[str]) -> list[str]:
    """Up to five existing names that one may have meant: like it as a whole, or the same behind the slash."""
    existing = list(existing)
    alike = difflib.get_close_matches(name, existing, n=5, cutoff=0.6)
    short = name.rpartition("/")[2]
    return list(dict.fromkeys([*alike, *(other for other in existing if other.rpartition("/")[2] == short)]))[:5]


def is_ready(obj: Object) -> bool:
    return holds(obj, "Ready")


def pods_of(gateway: Object, pods: t.Iterable[Object]) -> list[Object]:
    """Pods that the Gateway's selector selects, in whatever namespace, and that have not ended."""
    selector = selector_of(gateway)
    return [
        pod
        for pod in pods
        if selects(selector, labels_of(pod)) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]


def list_pods(cluster: Cluster, gateways: t.Iterable[Object]) -> list[Object]:
    """Pods that any of the Gateways' selectors selects, each once: a list for each different selector."""
    queries = dict.fromkeys(label_query(own) for gateway in gateways if (own := selector_of(gateway)))
    listed = (pod for query in queries for pod in cluster.list(path_of("v1", "pods"), {"labelSelector": query}))
    return list({key_of(pod): pod for pod in listed}.values())


def services_of(pods: t.Iterable[Object], services: t.Iterable[Object], gateway: Object | None = None) -> list[Object]:
    """Services that send to these pods. With no pods (scaled to zero), those whose selector contains the Gateway's."""
    pods = list(pods)
    found = []
    for service in services:
        selector = selector_of(service)
        if pods:
            space = service["metadata"]["namespace"]
            fits = any(pod["metadata"]["namespace"] == space and selects(selector, labels_of(pod)) for pod in pods)
        else:
            fits = selects(selector_of(gateway), selector)
        if fits:
            found.append(service)
    return found


def target_of(port: Object, pods: t.Iterable[Object]) -> int | None:
    """The number that a Service port leads to; a name is looked up in the pods' container ports, None if not there."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in (pod.get("spec") or {}).get("containers") or ():
            for own in container.get("ports") or ():
                if own.get("name") == target:
                    return own["containerPort"]
    return None


def reach(number: int, services: t.Sequence[Object], pods: t.Sequence[Object]) -> tuple[int, list[Object]]:
    """Where the pods listen for server port `number`, and by which Service ports that is reached.

    Returns (listening port, [{service, name, port, target_port, node_port}]), those with a NodePort first.
    """
    listening = number
    for service in services:
        if UNTRANSLATED in labels_of(service):
            continue
        port = next((p for p in service["spec"].get("ports") or () if p["port"] == number), None)
        target = target_of(port, pods) if port else None
        if target is not None:
            listening = target
            break
    found = [
        {
            "service": key_of(service),
            "name": port.get("name"),
            "port": port["port"],
            "target_port": listening,
            "node_port": port.get("nodePort"),
        }
        for service in services
        for port in service["spec"].get("ports") or ()
        if target_of(port, pods) == listening and (port.get("protocol") or "TCP") == "TCP"
    ]
    return listening, sorted(found, key=lambda one: one["node_port"] is None)


def nodes_serving(services: t.Sequence[Object], pods: t.Sequence[Object], nodes: t.Sequence[Object]) -> list[str]:
    """Names of the nodes that a load balancer should be sending to, sorted.

    externalTrafficPolicy Local answers only on nodes with a ready pod. Cluster answers on every Ready node; nodes that
    are labelled node.kubernetes.io/exclude-from-external-load-balancers are left out, as cloud providers do.
    """
    exposed = [s for s in services if s["spec"].get("type") in ("NodePort", "LoadBalancer")]
    if not exposed:
        return []
    with_pod = {
        pod["spec"].get("nodeName") for pod in pods if is_ready(pod) and not pod["metadata"].get("deletionTimestamp")
    }
    local = any(s["spec"].get("externalTrafficPolicy") == "Local" for s in exposed)
    excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
    return sorted(
        node["metadata"]["name"]
        for node in nodes
        if is_ready(node) and (node["metadata"]["name"] in with_pod if local else excluded not in labels_of(node))
    )


def addresses(node: Object) -> list[str]:
    """InternalIP addresses."""
    return [a["address"] for a in (node.get("status") or {}).get("addresses") or () if a.get("type") == "InternalIP"]


def describe_server(server: Object, services: t.Sequence[Object], pods: t.Sequence[Object]) -> Object:
    port = server.get("port") or {}
    tls = server.get("tls") or {}
    number = port.get("number")
    listening, reached = reach(number, services, pods)
    return {
        "port": number,
        "name": port.get("name"),
        "protocol": port.get("protocol"),
        "hosts": server.get("hosts") or [],
        "tls_mode": tls.get("mode") or ("SIMPLE" if tls.get("credentialName") else None),
        "https_redirect": bool(tls.get("httpsRedirect")),
        "credential_names": credential_names(server),
        "listening": listening,
        "service_ports": reached,
        "node_port": reached[0]["node_port"] if reached else None,
    }


def credential_names(server: Object) -> list[str]:
    tls = server.get("tls") or {}
    names = tls.get("credentialNames") or ([tls["credentialName"]] if tls.get("credentialName") else [])
    return [name for name in names if not name.startswith(BUILTIN)]


def secrets_wanted(gateway: Object, pods: t.Sequence[Object]) -> list[tuple[str, str]]:
    """(namespace, name) of the Secrets that the Gateway's pods read: from their own namespace, not from the
    Gateway's."""
    spaces = sorted({pod["metadata"]["namespace"] for pod in pods}) or [gateway["metadata"]["namespace"]]
    names = dict.fromkeys(
        name.removeprefix("kubernetes://")
        for s in (gateway.get("spec") or {}).get("servers") or ()
        for name in credential_names(s)
    )
    return [(space, name) for name in names for space in spaces]


def describe_certificate(namespace: str, name: str, secret: Object | None, error: str = "") -> Object:
    """The leaf certificate of a TLS Secret; only tls.crt (or cert) is looked at. `error` says why there is none."""
    found: Object = {"namespace": namespace, "name": name, "error": error or None}
    if error:
        return found
    if secret is None:
        return {**found, "error": f"there is no Secret {name} in namespace {namespace}, where the gateway's pods are"}
    data = secret.get("data") or {}
    encoded = data.get("tls.crt") or data.get("cert")
    if not encoded:
        return {**found, "error": "it has neither tls.crt nor cert"}
    if x509 is None:
        return {**found, "error": CRYPTOGRAPHY_ERROR}
    try:
        certificate = x509.load_pem_x509_certificates(base64.b64decode(encoded))[0]
        return {**found, **_facts(certificate)}
    except ValueError as exc:
        return {**found, "error": f"tls.crt can't be read: {exc}"}


def _facts(certificate: t.Any) -> Object:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        sans = [str(name.value) for name in names]
    except x509.ExtensionNotFound:
        sans = []
    not_after = certificate.not_valid_after_utc
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "sans": sans,
        "not_after": not_after.isoformat(),
        "expired": not_after < datetime.datetime.now(datetime.timezone.utc),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def describe(
    gateway: Object, pods: t.Iterable[Object], services: t.Iterable[Object], nodes: t.Sequence[Object],
    certificates: t.Sequence[Object],
) -> Object:  # fmt: skip
    """One element of gateway_info's `gateways`."""
    own = pods_of(gateway, pods)
    serving = services_of(own, services, gateway)
    on = nodes_serving(serving, own, nodes)
    servers = [describe_server(s, serving, own) for s in (gateway.get("spec") or {}).get("servers") or ()]
    return {
        "ref": key_of(gateway),
        "selector": selector_of(gateway),
        "servers": servers,
        "services": [_describe_service(service, own) for service in serving],
        "pods": [
            {
                "namespace": pod["metadata"]["namespace"],
                "name": pod["metadata"]["name"],
                "labels": labels_of(pod),
                "node": (pod.get("spec") or {}).get("nodeName"),
                "ip": (pod.get("status") or {}).get("podIP"),
                "ready": is_ready(pod),
            }
            for pod in own
        ],
        "workload_namespaces": sorted(
            {pod["metadata"]["namespace"] for pod in own} or {s["metadata"]["namespace"] for s in serving}
        ),
        "certificates": list(certificates),
        "node_ports": {str(s["port"]): s["node_port"] for s in servers if s["node_port"]},
        "nodes_serving": [
            {"name": node["metadata"]["name"], "addresses": addresses(node)}
            for node in nodes
            if node["metadata"]["name"] in on
        ],
        "addresses": [a for node in nodes if node["metadata"]["name"] in on for a in addresses(node)[:1]],
    }


def _describe_service(service: Object, pods: t.Sequence[Object]) -> Object:
    spec = service["spec"]
    return {
        "namespace": service["metadata"]["namespace"],
        "name": service["metadata"]["name"],
        "type": spec.get("type") or "ClusterIP",
        "external_traffic_policy": spec.get("externalTrafficPolicy"),
        "ports": [
            {
                "name": port.get("name"),
                "port": port["port"],
                "target_port": target_of(port, pods),
                "node_port": port.get("nodePort"),
            }
            for port in spec.get("ports") or ()
        ],
    }


# -- reading -----------------------------------------------------------------------------------------------------------
@dataclass
class World:
    """What was read: the chosen Gateways, all pods that they select, all Services, all nodes."""

    gateways: list[Object]
    pods: list[Object]
    services: list[Object]
    nodes: list[Object]

    def pods_of(self, gateway: Object) -> list[Object]:
        return pods_of(gateway, self.pods)

    def workloads(self) -> dict[str, Workload]:
        """What decides about each chosen Gateway's routes, by NAMESPACE/NAME."""
        return {key_of(gateway): self._workload(gateway) for gateway in self.gateways}

    def _workload(self, gateway: Object) -> Workload:
        found = describe(gateway, self.pods, self.services, [], [])
        namespace = (found["workload_namespaces"] or [gateway["metadata"]["namespace"]])[0]
        labels = found["pods"][0]["labels"] if found["pods"] else found["selector"]
        return Workload(namespace, labels, {int(port): to for port, to in found["node_ports"].items()})


def istio_list(cluster: t.Any, plural: str) -> list[Object]:
    """All objects of one of Istio's networking kinds, by the newest version that the API server has."""
    for version in ISTIO_VERSIONS:
        try:
            return cluster.list(path_of(version, plural))
        except ApiError as exc:
            if exc.status != 404 or version == ISTIO_VERSIONS[-1]:
                raise
    raise AssertionError("unreachable: the last version returns or raises")


def read(cluster: t.Any, wanted: t.Sequence[str], nodes: bool = True) -> World:
    """One list each of Gateways, Services and nodes, and one of pods for each different selector.

    Raises Refusal no_gateway for a name that is not there, Refusal malformed_reference for one that can't be a name.
    """
    try:
        gateways, missing = choose(istio_list(cluster, "gateways"), wanted)
    except ValueError as exc:
        raise Refusal("malformed_reference", str(exc)) from exc
    if missing:
        words = [
            f"{name} (near it: {', '.join(others)})" if others else f"{name} (nothing is near it)"
            for name, others in missing.items()
        ]
        raise Refusal("no_gateway", f"gateways: there is no Istio Gateway {'; '.join(words)}.", missing=missing)
    return World(
        gateways=gateways,
        pods=list_pods(cluster, gateways),
        services=cluster.list(path_of("v1", "services")),
        nodes=cluster.list(path_of("v1", "nodes")) if nodes else [],
    )


def read_certificates(cluster: t.Any, world: World) -> dict[str, list[Object]]:
    """The certificates of each chosen Gateway, by NAMESPACE/NAME; one GET for each Secret. Not being allowed to read
    one is told in its `error` and stops nothing."""
    wanted = {key_of(gateway): secrets_wanted(gateway, world.pods_of(gateway)) for gateway in world.gateways}
    every = sorted({item for items in wanted.values() for item in items})
    got = dict(zip(every, cluster.parallel(lambda item: cluster.find(path_of("v1", "secrets", *item)), every)))
    return {
        key: [
            describe_certificate(*item, None, str(got[item])) if isinstance(got[item], Exception)
            else describe_certificate(*item, got[item])
            for item in items
        ]
        for key, items in wanted.items()
    }  # fmt: skip
