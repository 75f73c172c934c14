# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_selector: the label that tells blue's pods from green's, and nothing where none is needed."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_selector, migration_journal
from fake_cluster import FakeCluster, run_module

NAME = "public-ingressgateway"
GREEN = {"app": NAME, "istio": "ingressgateway"}
BLUE = {
    **GREEN, "operator.istio.io/component": "IngressGateways", "chart": "gateways", "istio.io/rev": "default",
    "sidecar.istio.io/inject": "false",
}  # fmt: skip
WHERE = {"namespace": "bluegreen-mesh", "name": "night"}


def thing(api, kind, name, spec, **meta):
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"namespace": "istio-system", "name": name, **meta},
        "spec": spec,
    }


def mesh(pods, selector=None, **meta):
    template = {"metadata": {"labels": pods}, "spec": {}}
    return FakeCluster(
        thing("v1", "Service", NAME, {"selector": {"app": NAME}}),
        thing("apps/v1", "Deployment", NAME, {"template": template}),
        thing(
            "networking.istio.io/v1",
            "Gateway",
            "public",
            {"selector": {"app": NAME} if selector is None else selector},
            **meta,
        ),
    )


def run(cluster, check=False, **params):
    if params.get("state") != "restored":
        params = {"gateways": ["istio-system/public"], "service": f"istio-system/{NAME}", "labels": GREEN, **params}
    return run_module(gateway_selector, params, cluster, check=check)


def selector(cluster):
    return cluster.peek("gateways", "istio-system", "public")["spec"]["selector"]


def test_the_operators_label_is_added_and_nothing_else_changes():
    cluster = mesh(BLUE)
    predicted = run(cluster, check=True)
    assert cluster.writes == 0 and predicted["changed"]
    assert run(cluster)["diff"] == predicted["diff"]
    assert selector(cluster) == {"app": NAME, "operator.istio.io/component": "IngressGateways"}
    assert selector(cluster).items() <= BLUE.items() and not run(cluster)["changed"]


@pytest.mark.parametrize(
    ("extra", "label"),
    [
        ({"release": "istio", "zone": "a"}, {"release": "istio"}),
        ({"zone": "a", "team": "edge"}, {"team": "edge"}),
        ({"istio": "old", "app.kubernetes.io/name": "x", "helm.sh/chart": "x"}, {"istio": "old"}),
    ],
)
def test_another_label_where_there_is_no_operator(extra, label):
    cluster = mesh({**GREEN, **extra})
    run(cluster)
    assert selector(cluster) == {"app": NAME, **label}


def test_a_gateway_without_a_selector_gets_one():
    cluster = mesh(BLUE, selector={})
    run(cluster)
    assert selector(cluster) == {"operator.istio.io/component": "IngressGateways"}


def test_nothing_where_green_is_not_selected():
    assert not run(mesh(BLUE), labels={"app": "public-gateway"})["changed"]


@pytest.mark.parametrize(
    ("cluster", "params", "code"),
    [
        (mesh({**GREEN, "app.kubernetes.io/name": "x", "istio.io/rev": "default"}), {}, "no_label"),
        (mesh(BLUE, selector={"app": "x"}), {}, "not_blues"),
        (mesh(BLUE), {"gateways": ["istio-system/nope"]}, "no_such_gateway"),
        (mesh(BLUE), {"service": "istio-system/nope"}, "no_such_service"),
    ],
)
def test_what_cant_be_done_is_refused(cluster, params, code):
    assert run(cluster, **params)["failure"]["code"] == code and cluster.writes == 0


def test_the_journals_inverse_undoes_it():
    cluster = mesh(BLUE)
    epoch = run_module(migration_journal, {**WHERE, "state": "open"}, cluster)["epoch"]
    run(cluster, journal={**WHERE, "epoch": epoch, "phase": "deploy"})
    (step,) = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    assert step["state"] == "done" and step["inverse"]["module"] == "gateway_selector"
    assert run(cluster, **step["inverse"]["params"])["changed"] and selector(cluster) == {"app": NAME}
    cluster.delete("/apis/networking.istio.io/v1/namespaces/istio-system/gateways/public")
    assert not run(cluster, **step["inverse"]["params"])["changed"]


def test_who_puts_it_back_is_named():
    flux = {"helm.toolkit.fluxcd.io/name": "istio", "helm.toolkit.fluxcd.io/namespace": "bigbang"}
    assert "HelmRelease bigbang/istio" in str(run(mesh(BLUE, labels=flux))["warnings"])


def test_a_write_meanwhile_is_retried():
    cluster = mesh(BLUE)
    cluster.on(
        "PATCH", "*", lambda _r: cluster.edit("gateways", "istio-system", "public", lambda o: o.update(x=1)), times=1
    )
    assert run(cluster)["changed"] and len(selector(cluster)) == 2


def entry(manager, operation, *labels):
    fields = {"f:spec": {"f:selector": {f"f:{label}": {} for label in labels}}}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}


@pytest.mark.parametrize("refused", [False, True])
def test_fields_are_given_back_to_who_applied_them(refused):
    """Else the next upgrade by Helm 4 would fail with a conflict. The label that was added stays ours."""
    cluster = mesh(BLUE, managedFields=[entry("helm", "Apply", "app")])

    def taken(request):
        if any(operation["path"] == "/spec/selector" for operation in request.body):
            body = next(body for key, body in cluster._store.items() if key[1] == "gateways")
            body["metadata"]["managedFields"] = [entry("bluegreen-mesh", "Update", "app", "component")]
        elif refused:
            return 403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}

    cluster.on("PATCH", "*/gateways/public", taken)
    warned = json.dumps(run(cluster).get("warnings", []))
    held = cluster.peek("gateways", "istio-system", "public")["metadata"]["managedFields"]
    owners = {e["manager"]: sorted(e["fieldsV1"]["f:spec"]["f:selector"]) for e in held}
    if refused:
        assert owners == {"bluegreen-mesh": ["f:app", "f:component"]}
        assert "Gateway istio-system/public: fields could not be given back to helm" in warned
    else:
        assert owners == {"bluegreen-mesh": ["f:component"], "helm": ["f:app"]} and warned == "[]"
    assert not run(cluster)["changed"]
