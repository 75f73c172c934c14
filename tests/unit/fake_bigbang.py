# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big Bang before its migration, as a whole: the umbrella, its packages istio and istio-operator, and what the operator
has made of the IstioOperator. And what deploying green makes of it, as Big Bang and Flux do that."""

from __future__ import annotations

import copy

from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import flux_helm_release as flux
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import istio_operator as operator
from fake_blue import blue, encoded, gateway, obj, record, secret
from fake_cluster import FakeCluster

NAME = "public-ingressgateway"
PODS = {"app": NAME}
IOP = "install.istio.io/v1alpha1"
KINDS = {
    f"/apis/{flux.GROUP}/v2": [{"kind": "HelmRelease", "name": "helmreleases", "namespaced": True}],
    f"/apis/{IOP}": [{"kind": "IstioOperator", "name": "istiooperators", "namespaced": True}],
}
ISTIOD = "---\n".join(
    f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: istiod, namespace: istio-system}}\n"
    for version, kind in (("v1", "Service"), ("apps/v1", "Deployment"))
)
RELEASES = ("bigbang", "istio-system-istio", "istio-operator-istio-operator")
IN = {"bigbang": "bigbang", "istio-operator-istio-operator": "istio-operator"}  # by release, else istio-system
CERTIFICATE = "apiVersion: v1\nkind: Secret\nmetadata: {name: public-cert, namespace: istio-system}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n"
ISTIO = """\
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: public, namespace: istio-system}
---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: istiocontrolplane, namespace: istio-system}
"""
OPERATOR = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: istio-operator
  namespace: istio-operator
  labels:
    {flux.GROUP}/name: istio-operator
    {flux.GROUP}/namespace: bigbang
spec: {{replicas: 1}}
"""


def package(name: str) -> str:
    return f"apiVersion: {flux.GROUP}/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: bigbang}}\n"


def of(release: str, namespace: str, package: str) -> dict:
    """What Helm and helm-controller write on what they make."""
    return {
        "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace},
        "labels": {f"{flux.GROUP}/name": package, f"{flux.GROUP}/namespace": "bigbang"},
    }  # fmt: skip


def by_umbrella() -> dict:
    return of("bigbang", "bigbang", "bigbang")


def by_operator(component: str) -> dict:
    owner = {operator.OWNER: "istiocontrolplane", operator.OWNER_NAMESPACE: "istio-system"}
    return {"annotations": {}, "labels": {**owner, operator.COMPONENT: component}}


def with_meta(body: dict, meta: dict) -> dict:
    body = copy.deepcopy(body)
    body["metadata"].update(copy.deepcopy(meta))
    return body


def helm_release(name: str, meta: dict | None = None, **spec) -> dict:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
    status = {"observedGeneration": 1, "conditions": [ready], "history": [{"chartVersion": "2.54.0"}]}
    body = {"apiVersion": f"{flux.GROUP}/v2", "kind": "HelmRelease", "metadata": {"name": name, "namespace": "bigbang"}}
    return with_meta({**body, "spec": spec, "status": status}, meta or {})


def deployment(name: str, labels: dict, namespace: str = "istio-system", replicas: int = 2) -> dict:
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": f"{name}-service-account", "containers": [{}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    status = {"readyReplicas": replicas, "observedGeneration": 9}
    return obj("apps/v1", "Deployment", name, namespace, spec=spec, status=status)


def stored(release: str, manifest: str, version: int = 1) -> dict:
    value = encoded(manifest, version, name=release, namespace=IN.get(release, "istio-system"))
    return record(value, version, storage="bigbang", label=release)


def old_bigbang(*more: dict, journal: bool = True) -> FakeCluster:
    public = gateway()
    public["spec"]["selector"] = PODS
    istio = {"metadata": {"name": "istiocontrolplane", "namespace": "istio-system", "finalizers": [operator.FINALIZER]}}
    istio["spec"] = {"components": {"ingressGateways": [{"name": NAME, "enabled": True}]}}
    ingress, control = by_operator("IngressGateways"), by_operator("Pilot")
    drift = {"mode": "enabled"}
    return blue(
        helm_release("bigbang"),
        helm_release("istio", by_umbrella(), targetNamespace="istio-system", driftDetection=drift),
        helm_release("istio-operator", by_umbrella(), targetNamespace="istio-operator", driftDetection=drift),
        with_meta({"apiVersion": IOP, "kind": "IstioOperator", **istio}, of("istio-system-istio", "istio-system", "istio")),
        with_meta(deployment("istio-operator", {"name": "istio-operator"}, "istio-operator", 1),
                  of("istio-operator-istio-operator", "istio-operator", "istio-operator")),
        with_meta(deployment(NAME, PODS), ingress),
        with_meta(obj("v1", "Service", NAME, spec={"selector": PODS}), ingress),
        with_meta(obj("v1", "ServiceAccount", f"{NAME}-service-account"), ingress),
        with_meta(deployment("istiod", {"app": "istiod"}), control),
        with_meta(obj("v1", "Service", "istiod", spec={"selector": {"app": "istiod"}}), control),
        with_meta({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}, by_umbrella()),
        *more,
        objects=[with_meta(public, of("istio-system-istio", "istio-system", "istio")), with_meta(secret(), by_umbrella())],
        records=[
            stored("bigbang", "---\n".join((NAMESPACE, CERTIFICATE, package("istio"), package("istio-operator")))),
            stored("istio-system-istio", ISTIO), stored("istio-operator-istio-operator", OPERATOR),
        ],
        kinds=KINDS, journal=journal,
    )  # fmt: skip


def take(cluster: FakeCluster, *keys: tuple[str, str, str, str]) -> None:
    """Away with them. keys: (group, plural, namespace, name)."""
    with cluster._lock:
        for key in keys:
            del cluster._store[key]


def deploys_green(cluster: FakeCluster, istiod: bool = True, spaces: bool = True) -> None:
    """Big Bang without istio and istio-operator: the umbrella's upgrade drops them, the certificate and the namespaces,
    by their live annotations; helm-controller uninstalls what is not suspended. istiod: whether its package takes over
    the istiod that is there; spaces: whether the operator's namespace is the umbrella's, too, and goes with the operator."""
    umbrella = cluster.peek("helmreleases", "bigbang", "bigbang")
    assert not umbrella["spec"].get("suspend"), "the umbrella deploys nothing"
    cluster.edit("secrets", "bigbang", "sh.helm.release.v1.bigbang.v1",
                 lambda b: b["metadata"]["labels"].update(status="superseded"))  # fmt: skip
    cluster.add(stored("bigbang", package("istiod"), 2))
    for plural, namespace, name in (("secrets", "istio-system", "public-cert"), ("namespaces", "", "istio-system")):
        annotations = cluster.peek(plural, namespace, name)["metadata"]["annotations"]
        assert annotations.get("helm.sh/resource-policy") == "keep", f"the upgrade deletes {plural} {name}"
    for name in ("istio", "istio-operator"):
        assert cluster.peek("helmreleases", "bigbang", name)["spec"].get("suspend"), f"{name} is uninstalled"
        take(cluster, (flux.GROUP, "helmreleases", "bigbang", name))
    if spaces:
        take(cluster, ("apps", "deployments", "istio-operator", "istio-operator"))
    if not istiod:
        return
    cluster.add(helm_release("istiod", by_umbrella(), targetNamespace="istio-system"), stored("istio-system-istiod", ISTIOD))
    taken = of("istio-system-istiod", "istio-system", "istiod")

    def take_over(body: dict) -> None:
        for field, values in taken.items():
            body["metadata"][field].update(values)

    for plural in ("deployments", "services"):
        cluster.edit(plural, "istio-system", "istiod", take_over)
