# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small mesh in which nothing is wrong, for the tests of the findings: each adds what its finding is about.

Blue is Service edge/old (pods labelled app=old, service account old-sa), green will be release new in namespace gw
(pods labelled app=new). Gateway edge/public is to become gw/public. VirtualService shop/web is on it, and leads to
Service shop/web.
"""

from __future__ import annotations

import base64
import copy
import datetime
import functools
import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, findings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAIR = {"blue": "edge/public", "green": "gw/public", "workload": "main"}
WORKLOAD = {
    "name": "main",
    "blue": {"namespace": "edge", "service": "old"},
    "green": {"namespace": "gw", "release": "new", "labels": {"app": "new"}, "node_ports": {"https": 30444}},
}


def thing(kind: str, ref: str, spec: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    """An object; more: labels, annotations and other metadata, or status."""
    namespace, _sep, name = ref.rpartition("/")
    status = {"status": more.pop("status")} if "status" in more else {}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more}
    return {"apiVersion": "fake/v1", "kind": kind, "metadata": metadata, "spec": spec or {}, **status}


def gateway(
    ref: str = "edge/public", selector: t.Any = None, hosts: t.Sequence[str] = ("*.test",), **tls: t.Any
) -> dict[str, t.Any]:
    server = {"port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": list(hosts)}
    if tls:
        server["tls"] = tls
    return thing("Gateway", ref, {"selector": {"app": "old"} if selector is None else selector, "servers": [server]})


def virtual_service(
    ref: str = "shop/web", gateways: t.Sequence[str] = ("edge/public",), **spec: t.Any
) -> dict[str, t.Any]:
    http = [{"route": [{"destination": {"host": "web"}}]}]
    return thing("VirtualService", ref, {"hosts": ["web.test"], "gateways": list(gateways), "http": http, **spec})


def service(ref: str, selector: t.Any = None, **spec: t.Any) -> dict[str, t.Any]:
    annotations = spec.pop("annotations", {})
    ports = spec.pop("ports", [{"name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443}])
    return thing("Service", ref, {"selector": selector or {}, "ports": ports, **spec}, annotations=annotations)


def pod(ref: str, labels: t.Any, node: str = "n1", account: str = "old-sa", **metadata: t.Any) -> dict[str, t.Any]:
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
    return thing("Pod", ref, {"serviceAccountName": account, "nodeName": node}, labels=labels, status=ready, **metadata)


def secret(ref: str, *keys: str) -> dict[str, t.Any]:
    return {**thing("Secret", ref), "data": dict.fromkeys(keys or ("tls.crt", "tls.key"), "")}


@functools.lru_cache(maxsize=None)
def certificate(*names: str, days: int = 365) -> str:
    """A self-signed certificate for these names, that ends in so many days: base64 of PEM, as a Secret holds it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=400))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def tls_secret(ref: str, *names: str, days: int = 365, **metadata: t.Any) -> dict[str, t.Any]:
    """A Secret with a certificate for these names, as the findings see it: without its key."""
    data = {"tls.crt": certificate(*names, days=days), "tls.key": ""}
    return {**thing("Secret", ref, **metadata), "data": data}


def deployment(
    ref: str, pod_labels: t.Any, replicas: int = 2, resources: t.Any = None, pods: t.Any = None, env: t.Any = None,
    args: t.Sequence[str] = (), **metadata: t.Any,
) -> dict[str, t.Any]:  # fmt: skip
    """pods: annotations of its pods; env: of its one container."""
    container = {
        "name": "istio-proxy", "resources": resources or {}, "args": list(args),
        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
    }  # fmt: skip
    template = {"metadata": {"labels": pod_labels, "annotations": pods or {}}, "spec": {"containers": [container]}}
    return thing("Deployment", ref, {"replicas": replicas, "template": template}, **metadata)


def both(blue: t.Any = None, green: t.Any = None) -> list[tuple[str, dict[str, t.Any]]]:
    """Both sides deployed; blue, green: more arguments of their Deployments."""
    return [
        ("services", service("gw/new", {"app": "new"})),
        ("deployments", deployment("edge/old-deploy", {"app": "old"}, **(blue or {}))),
        ("deployments", deployment("gw/new", {"app": "new"}, **(green or {}))),
    ]


def node(name: str) -> dict[str, t.Any]:
    return thing("Node", name, status={"conditions": [{"type": "Ready", "status": "True"}]})


def base() -> dict[str, list[dict[str, t.Any]]]:
    return {
        "gateways": [gateway(mode="SIMPLE", credentialName="cert")],
        "virtual_services": [virtual_service()],
        "services": [service("edge/old", {"app": "old"}), service("shop/web", {"app": "web"}, ports=[{"port": 80}])],
        "pods": [pod("edge/old-1", {"app": "old"}), pod("edge/unrelated", {"app": "x"})],
        "secrets": [secret("edge/cert")],
        "nodes": [node("n1")],
    }


def mesh(
    *added: tuple[str, dict[str, t.Any]], pairs: t.Any = None, workloads: t.Any = None, drop: t.Sequence[str] = (),
    unreadable: t.Any = None, unread: t.Collection[str] = (), **settings: t.Any,
) -> _inventory.Inventory:  # fmt: skip
    """The mesh with objects added as (kind, object), replacing one of the same name; drop: kinds to empty first."""
    objects = {kind: [] if kind in drop else items for kind, items in base().items()}
    for kind, item in added:
        kept = [other for other in objects.get(kind, []) if _inventory.ref_of(other) != _inventory.ref_of(item)]
        objects[kind] = [*kept, copy.deepcopy(item)]
    parsed = _inventory.parse([PAIR] if pairs is None else pairs, [WORKLOAD] if workloads is None else workloads)
    return _inventory.Inventory(*parsed, objects, unreadable or {}, set(unread), **settings)


def codes(inventory: _inventory.Inventory) -> set[str]:
    return {finding.code for finding in findings.examine(inventory)[0]}


def only(trap: t.Any, inventory: _inventory.Inventory) -> _inventory.Finding:
    """The one finding of a trap; that it is one, and that it is complete, is asserted."""
    found = trap.check(inventory)
    assert len(found) == 1, found
    assert found[0].code == trap.CODE and found[0].severity in ("error", "warning")
    assert found[0].object and found[0].found and found[0].fix
    return found[0]
