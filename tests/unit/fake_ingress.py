# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cluster whose Istio gateway is to give way to an Ingress controller: each test adds what it is about.

Gateway istio-system/public is on the pods of Service istio-system/ingressgateway: HTTPS for *.test with the Secret
cert, and port 80, which redirects. VirtualService shop/web serves web.test there, from Service shop/web. The new
controller's Service is ingress/new, its IngressClass new.
"""

from __future__ import annotations

import typing as t

from fake_cluster import FakeCluster

NETWORKING = "networking.istio.io/v1"
GATEWAY = ("istio-system", "ingressgateway")


def thing(api: str, kind: str, ref: str, spec: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    """more: labels, annotations and other metadata; data, status, type."""
    namespace, _slash, name = ref.rpartition("/")
    rest = {key: more.pop(key) for key in ("data", "status", "type") if key in more}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **({} if spec is None else {"spec": spec}), **rest}


def https(
    hosts: t.Sequence[str] = ("*.test",), mode: str = "SIMPLE", port: int = 443, **tls: t.Any
) -> dict[str, t.Any]:
    own = {"mode": mode, **({"credentialName": "cert"} if mode == "SIMPLE" else {}), **tls}
    return {"port": {"number": port, "name": f"https-{port}", "protocol": "HTTPS"}, "hosts": list(hosts), "tls": own}


def http(hosts: t.Sequence[str] = ("*.test",), redirect: bool = True) -> dict[str, t.Any]:
    tls = {"tls": {"httpsRedirect": True}} if redirect else {}
    return {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts), **tls}


def gateway(*servers: dict[str, t.Any], ref: str = "istio-system/public") -> dict[str, t.Any]:
    spec = {"selector": {"istio": "ingressgateway"}, "servers": list(servers) or [https(), http()]}
    return thing(NETWORKING, "Gateway", ref, spec)


def to(host: str = "web", **more: t.Any) -> dict[str, t.Any]:
    """An HTTP route to a host; more: other fields of the route."""
    return {"route": [{"destination": {"host": host}}], **more}


def virtual_service(
    ref: str = "shop/web", hosts: t.Sequence[str] = ("web.test",), *routes: dict[str, t.Any], **spec: t.Any
) -> dict[str, t.Any]:
    own = {"hosts": list(hosts), "gateways": ["istio-system/public"], "http": list(routes) or [to()], **spec}
    return thing(NETWORKING, "VirtualService", ref, own)


def service(ref: str = "shop/web", name: str = "http", **spec: t.Any) -> dict[str, t.Any]:
    app = ref.rpartition("/")[2]
    own = {"selector": {"app": app}, "ports": [{"name": name, "port": 80, "targetPort": 8080}], **spec}
    return thing("v1", "Service", ref, own)


def gateway_service() -> dict[str, t.Any]:
    ports = [{"name": "http2", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]
    return thing(
        "v1", "Service", "istio-system/ingressgateway", {"selector": {"istio": "ingressgateway"}, "ports": ports}
    )


def gateway_pod(**more: t.Any) -> dict[str, t.Any]:
    own = {"labels": {"istio": "ingressgateway"}, **more}
    own.setdefault("annotations", {"proxy.istio.io/config": "gatewayTopology: {numTrustedProxies: 1}"})
    return thing("v1", "Pod", "istio-system/ingressgateway-1", {"serviceAccountName": "ingressgateway"}, **own)


def certificate(ref: str = "istio-system/cert", **more: t.Any) -> dict[str, t.Any]:
    own = {"type": "kubernetes.io/tls", "data": {"tls.crt": "Yw==", "tls.key": "aw=="}, **more}
    return thing("v1", "Secret", ref, **own)


def ingress_class(name: str = "new", controller: str = "traefik.io/ingress-controller") -> dict[str, t.Any]:
    return thing("networking.k8s.io/v1", "IngressClass", name, {"controller": controller})


def namespace(name: str, labels: t.Any = None, annotations: t.Any = None) -> dict[str, t.Any]:
    more = {**({"labels": labels} if labels else {}), **({"annotations": annotations} if annotations else {})}
    return thing("v1", "Namespace", name, **more)


def base() -> dict[str, dict[str, t.Any]]:
    items = [
        gateway(), virtual_service(), service(), gateway_service(), gateway_pod(), certificate(), ingress_class(),
        service("ingress/new", selector={"app": "controller"}),
    ]  # fmt: skip
    return {f"{i['kind']} {i['metadata'].get('namespace', '')}/{i['metadata']['name']}": i for i in items}


def cluster(*more: dict[str, t.Any], without: t.Collection[str] = ()) -> FakeCluster:
    """The cluster; more replaces objects of the same kind and name. without: 'Kind NAMESPACE/NAME'."""
    items = base()
    items |= {f"{i['kind']} {i['metadata'].get('namespace', '')}/{i['metadata']['name']}": i for i in more}
    return FakeCluster(*(item for key, item in items.items() if key not in without))


def journal(fake: FakeCluster, run_module: t.Any, phase: str = "bind") -> dict[str, t.Any]:
    from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal

    place = {"namespace": "journals", "name": "m"}
    opened = {**place, "state": "open", "takeover": True}  # a run before may have been another second's
    epoch = run_module(migration_journal, opened, fake)["epoch"]
    return {**place, "epoch": epoch, "phase": phase}
