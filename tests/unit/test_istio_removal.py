# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_removal_info: the order in which Istio goes, and who is in the way; and that it goes in that order."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import istio_removal_info, resource_archive
from fake_cluster import FakeCluster, run_module
from fake_ingress import gateway_pod, gateway_service, journal, namespace, thing, virtual_service
from fake_rollout import deployment

GATEWAYS = [{"namespace": "istio-system", "labels": {"istio": "ingressgateway"}}]
HOOKS = "admissionregistration.k8s.io/v1"
HELM = {"meta.helm.sh/release-name": "istiod", "meta.helm.sh/release-namespace": "istio-system"}


def crd(plural="virtualservices", group="networking.istio.io", kind="VirtualService"):
    names = {"plural": plural, "kind": kind}
    versions = [{"name": "v1", "served": True}]
    return thing(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"{plural}.{group}",
        {"group": group, "names": names, "versions": versions},
    )


def istio():
    balancer = gateway_service()
    balancer["spec"]["type"] = "LoadBalancer"
    balancer["metadata"]["finalizers"] = ["service.kubernetes.io/load-balancer-cleanup"]
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    pods = gateway_pod()
    pods["spec"]["containers"] = [{"name": "istio-proxy"}]
    own = deployment("istio-system/ingressgateway", labels={"istio": "ingressgateway"})
    hpa = {"scaleTargetRef": {"kind": "Deployment", "name": "ingressgateway"}}
    return [
        namespace("istio-system"), balancer, pods, own, thing("autoscaling/v2", "HorizontalPodAutoscaler", "istio-system/gw", hpa),
        deployment("istio-system/istiod") | {"metadata": {"namespace": "istio-system", "name": "istiod", "labels": {"app": "istiod"}}},
        thing("v1", "Service", "istio-system/istiod", {"selector": {"app": "istiod"}}, labels={"app": "istiod"}),
        thing(HOOKS, "MutatingWebhookConfiguration", "istio-sidecar-injector"),
        thing(HOOKS, "ValidatingWebhookConfiguration", "istio-validator-istio-system"),
        thing(HOOKS, "MutatingWebhookConfiguration", "somebody-elses"),
        thing("v1", "ConfigMap", "istio-system/istio", data={"mesh": ""}), thing("v1", "ConfigMap", "istio-system/ours", data={}),
        thing("rbac.authorization.k8s.io/v1", "ClusterRole", "istiod-clusterrole-istio-system"),
        thing("rbac.authorization.k8s.io/v1", "ClusterRole", "admin"),
        crd(), crd("things", "example.com", "Thing"), virtual_service(), deployment(),
    ]  # fmt: skip


def run(*more, drop=(), **options):
    objects = [item for item in istio() if item["metadata"]["name"] not in drop]
    return run_module(istio_removal_info, {"gateways": GATEWAYS, **options}, FakeCluster(*objects, *more))


def names(stage):
    return [f"{r['kind']} {r['name']}" for r in stage["resources"]]


def test_everything_of_istios_goes_in_order_and_nothing_else():
    done = run()
    assert done["errors"] == []
    assert {s["stage"]: names(s) for s in done["stages"]} == {
        "gateways": ["Service ingressgateway", "HorizontalPodAutoscaler gw", "Deployment ingressgateway"],
        "webhooks": ["MutatingWebhookConfiguration istio-sidecar-injector", "ValidatingWebhookConfiguration istio-validator-istio-system"],
        "control_plane": ["Service istiod", "Deployment istiod", "ConfigMap istio"],
        "access": ["ClusterRole istiod-clusterrole-istio-system"], "configuration": [], "crds": [],
    }  # fmt: skip
    assert [s["stage"] for s in done["stages"]] == [
        "gateways",
        "webhooks",
        "control_plane",
        "access",
        "configuration",
        "crds",
    ]
    assert done["balancers"] == {"Service istio-system/ingressgateway": ["192.0.2.1"]}


def test_what_istiod_leaves_in_every_namespace_is_named_and_how_to_be_rid_of_it():
    said = run()["kept"]["istio-ca-root-cert and istio-ca-crl in every namespace"]
    assert "--field-selector metadata.name=istio-ca-root-cert" in said
    gone = run_module(istio_removal_info, {"gateways": GATEWAYS}, FakeCluster())
    assert gone["kept"] == {}, "it is said once, with what has written them"


def test_crds_are_last_and_only_on_request():
    assert "CustomResourceDefinition virtualservices.networking.istio.io" in run()["kept"]
    done = run(crds=True)
    assert names(done["stages"][-1]) == ["CustomResourceDefinition virtualservices.networking.istio.io"]
    assert names(done["stages"][-2]) == ["VirtualService web"], "put away before their CRD takes them"
    assert names(run(configuration=True)["stages"][-1]) == []


def test_what_a_release_has_made_goes_with_its_release():
    of_helm = thing("v1", "Service", "istio-system/istiod", {}, labels={"app": "istiod"}, annotations=HELM)
    done = run(of_helm)
    (control,) = [s for s in done["stages"] if s["stage"] == "control_plane"]
    assert control["releases"] == [{"name": "istiod", "namespace": "istio-system"}] and "Service istiod" not in names(
        control
    )


def by_chart(*names, release=None):
    """Istio, where objects of these names are of a release."""
    objects = istio()
    for item in objects:
        if item["metadata"]["name"] in names:
            item["metadata"]["annotations"] = dict(release or HELM)
    return objects


ISTIOD = (  # what the chart istiod makes
    "istiod", "istio-sidecar-injector", "istio-validator-istio-system", "istio", "istiod-clusterrole-istio-system",
)  # fmt: skip


def seen(objects, **options):
    done = run_module(istio_removal_info, {"gateways": GATEWAYS, **options}, FakeCluster(*objects))
    parts = {s["stage"]: [*names(s), *(f"release {r['name']}" for r in s["releases"])] for s in done["stages"]}
    return parts, [(f["object"], f["found"]) for f in done["errors"] if f["code"] == "removal_release_split"]


def test_a_release_goes_once_with_its_pods_and_its_webhooks_before_it():
    parts, _split = seen(by_chart(*ISTIOD))
    assert parts["webhooks"] == [
        "MutatingWebhookConfiguration istio-sidecar-injector", "ValidatingWebhookConfiguration istio-validator-istio-system"
    ]  # fmt: skip
    assert parts["control_plane"] == ["release istiod"] and parts["access"] == []


def test_roles_and_accounts_of_a_gateways_release_go_with_its_pods():
    gateway = {**HELM, "meta.helm.sh/release-name": "gateway"}
    own = thing("v1", "ServiceAccount", "istio-system/gateway", labels={"app.kubernetes.io/part-of": "istio"}, annotations=gateway)
    parts, _split = seen([*by_chart("ingressgateway", "gw", release=gateway), own])
    assert parts["gateways"] == ["release gateway"]
    assert not any("gateway" in one for stage in ("control_plane", "access") for one in parts[stage])


SPLITS = [
    (["webhooks", "control_plane"], []),
    (["webhooks"], []),
    (["access"], []),
    (["gateways"], []),
    (["control_plane"], ["its removal (control_plane) takes webhooks along, which is not to go"]),
    ([], []),
]


@pytest.mark.parametrize(("remove", "found"), SPLITS)
def test_stages_that_tear_a_release_apart(remove, found):
    split = seen(by_chart(*ISTIOD), remove=remove)[1]
    assert split == [("Helm release istio-system/istiod", text) for text in found]


def test_a_gateway_in_istiods_own_release_does_not_go_alone():
    one = by_chart(*ISTIOD, "ingressgateway", "gw")
    assert seen(one, remove=["gateways"])[1] == [
        ("Helm release istio-system/istiod", "what it has of gateways goes with control_plane, which is not to go")
    ]
    assert seen(one, remove=["gateways", "webhooks", "control_plane"])[1] == []


BLOCKERS = {
    "removal_pod": thing("v1", "Pod", "shop/web-1", {"containers": [{"name": "web"}], "initContainers": [{"name": "istio-proxy"}]}),
    "removal_injection": namespace("shop", {"istio-injection": "enabled"}),
    "removal_interim": thing("networking.k8s.io/v1", "Ingress", "istio-system/i", {}, annotations={"bluegreen.mesh/part": "interim"}),
    "removal_ingress_class": thing("networking.k8s.io/v1", "Ingress", "shop/i", {}, annotations={"kubernetes.io/ingress.class": "istio"}),
    "removal_gateway_api": thing("gateway.networking.k8s.io/v1", "Gateway", "shop/g", {"gatewayClassName": "istio"}),
    "removal_operator": thing("install.istio.io/v1alpha1", "IstioOperator", "istio-system/o", {}),
}  # fmt: skip


@pytest.mark.parametrize("code", BLOCKERS)
def test_who_still_needs_it_is_in_the_way(code):
    done = run(BLOCKERS[code])
    assert [f["code"] for f in done["errors"]] == [code]
    assert run(BLOCKERS[code], waive=[code])["errors"] == []


def test_a_gateway_that_is_not_named_is_in_the_way():
    assert [f["object"] for f in run(gateways=[])["errors"]] == ["Pod istio-system/ingressgateway-1"]


def test_a_finished_or_leaving_pod_is_not():
    done = run(thing("v1", "Pod", "shop/job", {"containers": [{"name": "istio-proxy"}]}, status={"phase": "Succeeded"}))
    assert done["errors"] == []


WARNINGS = {
    "removal_ca": thing("v1", "Secret", "istio-system/cacerts", data={"ca-key.pem": "c2VjcmV0"}),
    "removal_finalizer": thing("v1", "ConfigMap", "istio-system/istio-leader", data={}, finalizers=["example.com/hold"]),
    "removal_static_address": thing(
        "v1", "Service", "istio-system/ingressgateway",
        {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1", "selector": {"istio": "ingressgateway"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", WARNINGS)
def test_what_is_to_be_known(code):
    done = run(WARNINGS[code])
    assert [f["code"] for f in done["findings"]] == [code] and done["errors"] == [] and "c2VjcmV0" not in str(done)


@pytest.mark.parametrize("options", [{"gateways": [{"namespace": "a", "labels": {}}]}, {"waive": ["nothing"]}])
def test_bad_options(options):
    assert run(**options)["failure"]["code"] == "bad_option"


def test_the_stages_are_what_the_archive_takes():
    fake = FakeCluster(*istio())
    fake.edit("services", "istio-system", "ingressgateway", lambda body: body["metadata"].pop("finalizers"))
    done = run_module(istio_removal_info, {"gateways": GATEWAYS}, fake)
    place = {**journal(fake, run_module), "phase": "cleanup"}
    gone = run_module(
        resource_archive,
        {"state": "removed", "key": "gateways", "resources": done["stages"][0]["resources"], "journal": place},
        fake,
    )
    assert gone["changed"] and fake.peek("deployments", "istio-system", "ingressgateway") is None
    assert fake.peek("deployments", "istio-system", "istiod") and fake.peek("deployments", "shop", "web")


SERVICE = ("services", "istio-system", "ingressgateway")
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


def removed_while(monkeypatch, then):
    """The removal of the gateways, with the load balancer's own finalizer. then: called with the cluster and the seconds
    that have passed, whenever it waits."""
    fake, clock = FakeCluster(*istio()), {"now": 0.0}
    done = run_module(istio_removal_info, {"gateways": GATEWAYS}, fake)
    place = {**journal(fake, run_module), "phase": "cleanup"}

    def sleep(seconds):
        clock["now"] += seconds
        then(fake, clock["now"])

    monkeypatch.setattr(resource_archive.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(resource_archive.time, "sleep", sleep)
    resources = done["stages"][0]["resources"]
    options = {"state": "removed", "key": "gateways", "resources": resources, "journal": place, "wait": 60}
    return run_module(resource_archive, options, fake), fake, clock["now"]


def test_the_removal_waits_until_the_load_balancer_is_released(monkeypatch):
    held = []

    def release(fake, now):
        meta = fake.peek(*SERVICE)["metadata"]
        held.append(bool(meta["deletionTimestamp"]) and meta["finalizers"] == [CLEANUP])
        if now >= 30:  # the cloud's controller has let go
            del fake._store["", *SERVICE]

    gone, fake, spent = removed_while(monkeypatch, release)
    assert gone["changed"] and not gone.get("failed") and fake.peek(*SERVICE) is None
    assert 30 <= spent < 60 and len(held) > 1 and all(held), "it is the cloud's to take the finalizer off"


def test_a_load_balancer_that_is_never_released_is_named(monkeypatch):
    stuck, fake, spent = removed_while(monkeypatch, lambda _fake, _now: None)
    assert stuck["failure"]["code"] == "still_there" and spent >= 60
    assert "Service istio-system/ingressgateway" in stuck["msg"] and CLEANUP in stuck["msg"]
    assert "Deployment" not in stuck["msg"] and fake.peek("deployments", "istio-system", "ingressgateway") is None
