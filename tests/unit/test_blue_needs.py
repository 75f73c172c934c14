# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gateways need, from the objects that the old charts and Istio's own leave."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _blue_needs
from fake_cluster import FakeCluster

SPACE = "istio-system"
RBAC = "rbac.authorization.k8s.io/v1"
ISTIOD = {"app": "istiod", "istio": "pilot", "istio.io/rev": "1-23"}


def thing(api_version: str, kind: str, name: str, namespace: str = SPACE, **more: t.Any) -> dict[str, t.Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("meta", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def gateway(selector: dict[str, str] | None = None) -> dict[str, t.Any]:
    return thing("networking.istio.io/v1", "Gateway", "public", spec={"selector": selector or {"app": "public"}})


def workload(name: str, labels: dict[str, str], kind: str = "Deployment", namespace: str = SPACE, **spec: t.Any):
    template = {"metadata": {"labels": labels}, "spec": spec}
    meta = {"labels": {"app": labels.get("app", name)}}
    return thing("apps/v1", kind, name, namespace, meta=meta, spec={"template": template})


def service(name: str, selector: dict[str, str], namespace: str = SPACE) -> dict[str, t.Any]:
    return thing("v1", "Service", name, namespace, spec={"selector": selector})


def binding(kind: str, name: str, account: str, namespace: str = SPACE, role: str = "Role") -> dict[str, t.Any]:
    subject = {"kind": "ServiceAccount", "name": account, "namespace": SPACE}
    return thing(RBAC, kind, name, namespace, roleRef={"kind": role, "name": name}, subjects=[subject])


def webhook(kind: str, name: str, of: str) -> dict[str, t.Any]:
    hooks = [{"clientConfig": {"service": {"namespace": SPACE, "name": of}}}]
    return thing("admissionregistration.k8s.io/v1", kind, name, "", webhooks=hooks)


def everything() -> list[dict[str, t.Any]]:
    volumes = [
        {"name": "a", "secret": {"secretName": "extra-cert"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "istio-ca-root-cert"}}]}},
    ]
    return [
        gateway(),
        workload("public", {"app": "public", "istio": "ingressgateway"}, serviceAccountName="public-sa",
                 imagePullSecrets=[{"name": "registry"}], volumes=volumes),
        workload("other", {"app": "other"}, serviceAccountName="other-sa"),
        workload("istiod", ISTIOD, serviceAccountName="istiod"),
        service("public", {"app": "public"}), service("other", {"app": "other"}),
        service("istiod-1-23", {"app": "istiod"}), service("headless", {}),
        thing("v1", "ServiceAccount", "public-sa", imagePullSecrets=[{"name": "private-registry"}]),
        thing("v1", "ServiceAccount", "other-sa"), thing("v1", "ServiceAccount", "istiod"),
        binding("RoleBinding", "public-sds", "public-sa"), binding("RoleBinding", "other-sds", "other-sa"),
        binding("RoleBinding", "istiod", "istiod"),
        binding("ClusterRoleBinding", "istiod-clusterrole", "istiod", "", "ClusterRole"),
        thing("autoscaling/v2", "HorizontalPodAutoscaler", "public",
              spec={"scaleTargetRef": {"kind": "Deployment", "name": "public"}}),
        thing("autoscaling/v2", "HorizontalPodAutoscaler", "other",
              spec={"scaleTargetRef": {"kind": "Deployment", "name": "other"}}),
        thing("policy/v1", "PodDisruptionBudget", "public", spec={"selector": {"matchLabels": {"app": "public"}}}),
        thing("networking.k8s.io/v1", "NetworkPolicy", "public", spec={"podSelector": {
            "matchExpressions": [{"key": "istio", "operator": "In", "values": ["ingressgateway"]}]}}),
        thing("networking.k8s.io/v1", "NetworkPolicy", "all", spec={"podSelector": {}}),
        thing("networking.k8s.io/v1", "NetworkPolicy", "none", spec={"podSelector": {"matchLabels": {"a": "b"}}}),
        webhook("MutatingWebhookConfiguration", "istio-sidecar-injector-1-23", "istiod-1-23"),
        webhook("ValidatingWebhookConfiguration", "istio-validator-1-23", "istiod-1-23"),
        webhook("ValidatingWebhookConfiguration", "kyverno", "kyverno"),
        thing("install.istio.io/v1alpha1", "IstioOperator", "istiocontrolplane"),
    ]  # fmt: skip


def needs(*objects: dict[str, t.Any]) -> dict[str, bool]:
    """What the shipped reading and thinking find in a cluster: 'Kind name' -> shared."""
    cluster = FakeCluster(*objects)
    gateways = [item for item in objects if item["kind"] == "Gateway"]
    found = _blue_needs.blue_needs(_blue_needs.read(cluster, gateways))
    assert len({need.ref for need in found}) == len(found)
    return {f"{n.ref.kind} {n.ref.name}": n.shared for n in found if n.ref.kind != "CustomResourceDefinition"}


def test_everything_that_blue_runs_by_and_nothing_else() -> None:
    found = needs(*everything())
    assert {name for name, shared in found.items() if not shared} == {
        "Deployment public", "Service public", "ServiceAccount public-sa", "Secret registry",
        "Secret private-registry", "Secret extra-cert", "ConfigMap istio-ca-root-cert", "RoleBinding public-sds",
        "Role public-sds", "HorizontalPodAutoscaler public", "PodDisruptionBudget public", "NetworkPolicy public",
    }  # fmt: skip
    assert {name for name, shared in found.items() if shared} == {
        "Deployment istiod", "Service istiod-1-23", "ServiceAccount istiod", "RoleBinding istiod", "Role istiod",
        "ClusterRoleBinding istiod-clusterrole", "ClusterRole istiod-clusterrole", "NetworkPolicy all",
        "Secret istio-ca-secret", "Secret cacerts", "ConfigMap istio", "ConfigMap istio-1-23",
        "ConfigMap istio-sidecar-injector", "ConfigMap istio-sidecar-injector-1-23",
        "MutatingWebhookConfiguration istio-sidecar-injector-1-23", "ValidatingWebhookConfiguration istio-validator-1-23",
        "IstioOperator istiocontrolplane", "Namespace istio-system",
    }  # fmt: skip


def test_what_a_migration_put_beside_blue_is_no_need_of_blues() -> None:
    """Guarded, it could not be taken away again."""
    helper = service("public-bluegreen", {"app": "public"})
    helper["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
    held = service("public", {"app": "public", "bluegreen.mesh/carries": "green"})
    found = needs(gateway(), workload("public", {"app": "public"}), helper, held)
    assert "Service public" in found and "Service public-bluegreen" not in found


def test_crds_are_needed_by_name() -> None:
    found = _blue_needs.blue_needs({"gateways": [gateway()]})
    crds = {need.ref.name for need in found if need.ref.kind == "CustomResourceDefinition"}
    assert {"gateways.networking.istio.io", "virtualservices.networking.istio.io"} <= crds


def test_pods_in_another_namespace_than_the_gateways() -> None:
    pod = thing("v1", "Pod", "p", "ingress", meta={"labels": {"app": "public"}})
    found = needs(gateway(), pod, workload("public", {"app": "public"}, "DaemonSet", "ingress"),
                  service("public", {"app": "public"}, "ingress"), service("same", {"app": "public"}, "elsewhere"))  # fmt: skip
    assert {"DaemonSet public", "Service public", "Namespace ingress", "Namespace istio-system"} <= found.keys()
    assert "Service same" not in found


def test_a_gateway_without_a_selector_is_for_no_pods_in_particular() -> None:
    everyone = gateway()
    everyone["spec"] = {}
    assert not [name for name in needs(everyone, workload("other", {"app": "other"})) if name.startswith("Deployment")]


def test_a_workload_that_is_scaled_to_zero_is_found_by_its_template() -> None:
    assert "Deployment public" in needs(gateway(), workload("public", {"app": "public"}))


def test_the_default_account_is_kubernetes_own() -> None:
    account = thing("v1", "ServiceAccount", "default", imagePullSecrets=[{"name": "registry"}])
    found = needs(gateway(), account, workload("public", {"app": "public"}))
    assert "Secret registry" in found and "ServiceAccount default" not in found


def test_the_number_of_requests_does_not_grow_with_what_is_there() -> None:
    few, many = FakeCluster(gateway()), FakeCluster(*everything())
    for cluster in (few, many):
        _blue_needs.read(cluster, [gateway()])
    assert few.total == many.total


def test_a_list_that_is_refused_is_not_an_empty_one() -> None:
    cluster = FakeCluster(gateway())
    cluster.fail("GET", "*/poddisruptionbudgets", 403, "Forbidden")
    with pytest.raises(_blue_needs.ApiError):
        _blue_needs.read(cluster, [gateway()])
