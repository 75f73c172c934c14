# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._keep_target import Target
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import flux_helm_release as flux
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import istio_operator as operator
from fake_blue import act, blue, gateway, info, kept, obj, refused

LABELS = {operator.OWNER: "istiocontrolplane", operator.OWNER_NAMESPACE: "istio-system", "app": "public"}
IOP = {
    "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
    "metadata": {"name": "istiocontrolplane", "namespace": "istio-system"},
}  # fmt: skip
SERVICE = [{"api_version": "v1", "kind": "Service", "namespace": "istio-system", "name": "public"}]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(operator.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(operator.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


def deployment(replicas=2, labels=None, **container):
    template = {"metadata": {"labels": labels or {"name": "istio-operator"}}, "spec": {"containers": [container]}}
    meta = {"name": "istio-operator-1-23", "namespace": "istio-operator"}
    selector = {"matchLabels": {"name": "istio-operator"}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }  # fmt: skip


def pruned(*more, labels=None, **options):
    service = obj("v1", "Service", "public", labels=dict(LABELS if labels is None else labels), spec={})
    service["metadata"]["annotations"] = {}
    return blue(*more, objects=[service, gateway()], records=[], **options)


def keep(cluster, **params):
    return kept(cluster, gateways=None, resources=SERVICE, **params)


def labels_of(cluster):
    return cluster.peek("services", "istio-system", "public")["metadata"].get("labels")


def replicas(cluster):
    return cluster.peek("deployments", "istio-operator", "istio-operator-1-23")["spec"]["replicas"]


def doomed(cluster):
    return [e["owner"] for e in info(cluster, resources=SERVICE)["would_delete"]]


def test_the_operator_is_frozen_first_and_the_labels_come_off():
    cluster = pruned(IOP, deployment())
    assert doomed(cluster) == ["istio_operator"]
    order = []
    cluster.on("PATCH", "*", lambda r: order.append(r.path.rsplit("/", 1)[1]))
    keep(cluster)
    assert order.index("istio-operator-1-23") < order.index("public")
    assert replicas(cluster) == 0 and labels_of(cluster) == {"app": "public"}
    assert doomed(cluster) == [] and keep(cluster)["changed"] is False
    steps = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    (frozen,) = [step["inverse"]["params"]["frozen"] for step in steps if step["op"] == "owner_frozen"]
    assert frozen[0]["name"] == "istio-operator-1-23"
    assert frozen[0]["former"] == [{"path": ["spec", "replicas"], "value": 2}]


def test_released_labels_and_scales_it_again():
    cluster = pruned(IOP, deployment())
    keep(cluster)
    keep(cluster, state="released")
    assert replicas(cluster) == 2 and labels_of(cluster) == LABELS
    assert not cluster.peek("deployments", "istio-operator", "istio-operator-1-23")["metadata"].get("annotations")


def test_the_labels_come_off_when_its_pods_are_gone():
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "istio-operator", "labels": {"name": "istio-operator"}},
    }  # fmt: skip
    cluster = pruned(IOP, deployment(), pod)
    result = act(cluster, gateways=None, resources=SERVICE)
    assert result["failure"]["code"] == "owner_timeout" and "p are still there" in result["msg"]
    assert operator.OWNER in labels_of(cluster)


def test_an_operator_that_somebody_started_again_is_seen():
    cluster = pruned(IOP, deployment())
    keep(cluster)
    cluster.edit("deployments", "istio-operator", "istio-operator-1-23", lambda b: b["spec"].update(replicas=1))
    assert doomed(cluster) == ["istio_operator"]


def test_one_that_was_stopped_before_stays_so():
    cluster = pruned(IOP, deployment(replicas=0))
    keep(cluster)
    keep(cluster, state="released")
    assert replicas(cluster) == 0


def test_what_charts_write_names_no_owner():
    cluster = pruned(IOP, deployment(), labels={operator.OWNER: "unknown"})
    assert info(cluster, resources=SERVICE)["owners"][0]["claims"] == []


def test_an_operator_that_can_not_be_found_is_not_taken_for_none():
    cluster = pruned(IOP, deployment())
    cluster.fail("GET", "/apis/apps/v1/deployments", 403, "Forbidden")
    assert act(cluster, gateways=None, resources=SERVICE)["failure"]["code"] == "owner_unknown"


def test_its_istio_operator_is_gone():
    assert doomed(pruned(deployment())) == []


def test_the_operator_by_its_command():
    assert operator.is_operator(deployment(labels={"a": "b"}, command=["operator", "server"]))
    assert not operator.is_operator(deployment(labels={"a": "b"}, command=["server"]))
    assert not operator.is_operator(deployment(labels={"a": "b"}))


# -- who would start it again ------------------------------------------------------------------------------------------
KINDS = {f"/apis/{flux.GROUP}/v2": [{"kind": "HelmRelease", "name": "helmreleases", "namespaced": True}]}
KUSTOMIZED = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def of_flux(drift, **labels):
    body = deployment()
    body["metadata"]["labels"] = {f"{flux.GROUP}/name": "istio-operator", f"{flux.GROUP}/namespace": "bigbang"}
    helm_release = {
        "apiVersion": f"{flux.GROUP}/v2", "kind": "HelmRelease",
        "metadata": {"name": "istio-operator", "namespace": "bigbang", "labels": labels},
        "spec": {"targetNamespace": "istio-operator", **({"driftDetection": {"mode": drift}} if drift else {})}, "status": {},
    }  # fmt: skip
    return pruned(IOP, body, helm_release, kinds=KINDS)


def its_release(cluster):
    return cluster.peek("helmreleases", "bigbang", "istio-operator")


def test_its_own_helm_release_that_corrects_drift_is_suspended_before_it():
    cluster = of_flux("enabled", **KUSTOMIZED)
    before = its_release(cluster)
    order = []
    cluster.on("PATCH", "*", lambda r: order.append(r.path.rsplit("/", 1)[1]))
    keep(cluster)
    assert order.index("istio-operator") < order.index("istio-operator-1-23") < order.index("public")
    assert its_release(cluster)["spec"]["suspend"] is True and replicas(cluster) == 0
    reconcile = its_release(cluster)["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"]
    assert reconcile == "disabled", "whoever applies it would resume it"
    keep(cluster, state="released")
    assert its_release(cluster)["spec"] == before["spec"] and not its_release(cluster)["metadata"].get("annotations")
    assert replicas(cluster) == 2


@pytest.mark.parametrize("drift", [None, "warn"])
def test_one_that_leaves_what_its_chart_does_not_change_goes_on(drift):
    cluster = of_flux(drift)
    keep(cluster)
    assert "suspend" not in its_release(cluster)["spec"] and replicas(cluster) == 0


def test_a_kustomization_that_applies_it_is_kept_from_that():
    body = deployment()
    body["metadata"]["labels"] = dict(KUSTOMIZED)
    cluster = pruned(IOP, body)
    keep(cluster)
    annotations = cluster.peek("deployments", "istio-operator", "istio-operator-1-23")["metadata"]["annotations"]
    assert annotations["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled"
    assert doomed(cluster) == []


def test_an_application_that_may_heal_it_is_warned_of():
    body = deployment()
    tracked = "mesh:apps/Deployment:istio-operator/istio-operator-1-23"
    body["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": tracked}
    warnings = str(keep(pruned(IOP, body)).get("warnings"))
    assert "Application mesh" in warnings and "selfHeal" in warnings
    assert "selfHeal" not in str(keep(pruned(IOP, deployment())).get("warnings"))


# -- whether it would make it again ------------------------------------------------------------------------------------
def spec(*gateways, **more):
    return {"components": {"ingressGateways": [{"name": name, **has} for name, has in gateways]}, **more}


@pytest.mark.parametrize(
    ("said", "name", "expected"),
    [
        (spec(("public", {"enabled": True})), "public", True),
        (spec(("public", {})), "public", True),
        (spec(("public", {"enabled": False})), "public", False),
        (spec(("public", {"enabled": True})), "public-sds", True),
        (spec(("public", {"enabled": True})), "public-service-account", True),
        (spec(("public", {"enabled": True})), "public-internal", False),
        (spec(("public", {"enabled": True, "namespace": "edge"})), "public", False),
        (spec(("public", {"enabled": True}), namespace="edge"), "public", False),
        (spec(("other", {"enabled": True})), "public", False),
        ({}, "public", False),
        ({"profile": "default"}, "istio-ingressgateway", True),
        (spec(("istio-ingressgateway", {"enabled": False})), "istio-ingressgateway", False),
    ],
)
def test_it_makes_again_the_gateways_that_its_spec_has(said, name, expected):
    body = {"metadata": {"labels": {**LABELS, operator.COMPONENT: "IngressGateways"}}}
    target = Target(Ref("v1", "Service", "istio-system", name), "", body)
    assert operator.makes({**IOP, "spec": said}, target) is expected


def test_what_is_of_no_gateway_it_makes_again():
    target = Target(Ref("v1", "Service", "istio-system", "istiod"), "", {"metadata": {"labels": LABELS}})
    assert operator.makes({**IOP, "spec": {}}, target)


def test_blue_taken_out_of_its_spec_is_no_source_any_more():
    has = spec(("public", {"enabled": True}))
    cluster = pruned({**IOP, "spec": has}, deployment(), labels={**LABELS, operator.COMPONENT: "IngressGateways"})
    keep(cluster)

    def is_source():
        (claim,) = info(cluster, resources=SERVICE)["owners"][0]["claims"]
        return claim["source"]

    assert is_source()
    has["components"]["ingressGateways"][0]["enabled"] = False
    cluster.edit("istiooperators", "istio-system", "istiocontrolplane", lambda b: b.update(spec=has))
    assert not is_source()


def test_what_goes_is_let_go_and_the_operator_stays_still_until_the_rest_is():
    served = [{"kind": "IstioOperator", "name": "istiooperators", "namespaced": True}]
    cluster = pruned(IOP, deployment(), kinds={"/apis/install.istio.io/v1alpha1": served})
    keep(cluster)
    keep(cluster, state="released", owner_deletes="accept", thaw=False)
    assert labels_of(cluster) == LABELS and replicas(cluster) == 0
    assert cluster.raw("DELETE", "/api/v1/namespaces/istio-system/services/public")[0] == 200
    keep(cluster, state="released", needs=True)
    assert replicas(cluster) == 2


# -- released: the guard goes last -------------------------------------------------------------------------------------
def test_owners_move_and_are_asked_before_marks_and_guard_go():
    cluster = pruned(IOP, deployment())
    keep(cluster)
    first = len(cluster.log)
    seen = []

    def moves(_request):
        seen.append(cluster.raw("DELETE", "/api/v1/namespaces/istio-system/services/public")[0])

    cluster.on("PATCH", "*/istio-operator-1-23", moves)
    keep(cluster, state="released")
    assert seen == [403], "as soon as it moves it meets the guard"
    order = [
        (request.method, request.path.rsplit("/", 1)[1])
        for request in cluster.log[first:]
        if request.method in ("PATCH", "DELETE") and request.path.startswith(("/api/v1/namespaces/istio-system", "/apis"))
    ]
    guards = [("DELETE", "bluegreen-mesh-keep-night")] * 2
    assert order == [("PATCH", "istio-operator-1-23"), ("DELETE", "public"), ("PATCH", "public"), *guards]
    reads = [request.path for request in cluster.log[first:] if "istiooperators" in request.path]
    assert len(reads) == 2, "asked again, since it moves"


def test_what_it_would_delete_at_once_stays_kept():
    """An IstioOperator that was deleted while its operator was held still waits for that to take its finalizer off."""
    cluster = pruned(IOP, deployment())
    keep(cluster)
    cluster.edit("istiooperators", "istio-system", "istiocontrolplane",
                 lambda b: b["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"]))  # fmt: skip
    text = refused(cluster, "owner_deletes", state="released", gateways=None, resources=SERVICE)
    assert "IstioOperator istio-system/istiocontrolplane would delete Service public" in text
    assert replicas(cluster) == 0 and "bluegreen.mesh/kept-by" in cluster.peek(
        "services", "istio-system", "public")["metadata"]["annotations"]  # fmt: skip
    keep(cluster, state="released", owner_deletes="accept")
    assert replicas(cluster) == 2 and labels_of(cluster) == LABELS


def test_it_turns_out_only_when_it_moves():
    cluster = pruned(IOP, deployment())
    keep(cluster)
    cluster.on("PATCH", "*/istio-operator-1-23", lambda _request: cluster.edit(
        "istiooperators", "istio-system", "istiocontrolplane",
        lambda b: b["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"])))  # fmt: skip
    result = act(cluster, state="released", gateways=None, resources=SERVICE)
    assert result["failure"]["code"] == "owner_deletes"
    assert cluster.raw("DELETE", "/api/v1/namespaces/istio-system/services/public")[0] == 403
