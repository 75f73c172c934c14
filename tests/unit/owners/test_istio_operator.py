# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
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


def pruned(*more, labels=None):
    service = obj("v1", "Service", "public", labels=dict(LABELS if labels is None else labels), spec={})
    service["metadata"]["annotations"] = {}
    return blue(*more, objects=[service, gateway()], records=[])


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
