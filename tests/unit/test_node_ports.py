# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_node_ports, whole, against a fake API server that allocates node ports as the real one does."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.common import warnings
from ansible_collections.bluegreen.mesh.plugins.module_utils import _node_ports
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, service_node_ports
from fake_cluster import FakeCluster, patched, run_module
from hypothesis import given
from hypothesis import strategies as st

JOURNAL = {"namespace": "bluegreen-mesh", "name": "night", "epoch": 1, "phase": "deploy"}


@pytest.fixture(autouse=True)
def no_old_warnings():
    """Ansible collects them for the life of a process, which is one module's elsewhere."""
    warnings._global_warnings.clear()


def service(name="green", namespace="istio-gateway", ports=None, meta=None, **spec):
    ports = ports or {"status-port": (15021, 30022), "http2": (80, 30081), "https": (443, 30444)}
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, **(meta or {})},
        "spec": {
            "type": "NodePort", "selector": {"app": name}, **spec,
            "ports": [
                {"name": port, "port": number, "protocol": "TCP", "targetPort": number, "nodePort": node}
                for port, (number, node) in ports.items()
            ],
        },
    }  # fmt: skip


BLUE = service("blue", "istio-system", {"http2": (80, 30080), "https": (443, 30443)})


def serve(cluster, allocated=()):
    """Refuses what the allocator of the API server refuses, in its words."""

    def admit(request):
        if request.method == "POST" and not cluster.peek("namespaces", "", request.path.split("/")[4]):
            return None  # the namespace is looked at first
        before = cluster.peek("services", "istio-gateway", "green")
        after = patched(before, request.body, request.content_type) if before else request.body
        have = {port.get("nodePort") for port in before["spec"]["ports"]} if before else set()
        for index, port in enumerate(after["spec"]["ports"]):
            number = port.get("nodePort")
            if number in have:
                continue
            why = None
            if not 30000 <= number <= 32767 and request.query.get("dryRun") != "All":
                why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            elif number in allocated:
                why = "provided port is already allocated"
            if why:
                message = f'Service "green" is invalid: spec.ports[{index}].nodePort: Invalid value: {number}: {why}'
                return 422, {"kind": "Status", "code": 422, "reason": "Invalid", "message": message}
        return None

    cluster.on("PATCH", "*/services/green", admit)
    cluster.on("POST", "*/services", admit)
    return cluster


def act(cluster, check=False, **params):
    params = {"namespace": "istio-gateway", "name": "green", **params}
    return run_module(service_node_ports, params, cluster, check=check)


def refused(cluster, code, **params):
    writes = cluster.writes
    result = act(cluster, **params)
    assert result.get("failed") and result["failure"]["code"] == code, result
    assert cluster.writes == writes
    return result["msg"]


def ports_of(cluster):
    return {p["name"]: p.get("nodePort") for p in cluster.peek("services", "istio-gateway", "green")["spec"]["ports"]}


def test_only_the_named_ports_are_set_and_nothing_else():
    cluster = serve(FakeCluster(service(), BLUE))
    before = cluster.peek("services", "istio-gateway", "green")
    result = act(cluster, node_ports={"http2": 31081, "https": "31444"})
    assert result["changed"] and result["node_ports"] == {"status-port": 30022, "http2": 31081, "https": 31444}
    assert result["diff"] == {
        "before": {"status-port": 30022, "http2": 30081, "https": 30444},
        "after": {"status-port": 30022, "http2": 31081, "https": 31444},
    }  # fmt: skip
    after = cluster.peek("services", "istio-gateway", "green")
    before["spec"]["ports"][1]["nodePort"], before["spec"]["ports"][2]["nodePort"] = 31081, 31444
    assert after["spec"] == before["spec"]


def test_a_second_run_changes_nothing_and_asks_little():
    cluster = serve(FakeCluster(service(), BLUE))
    assert act(cluster, node_ports={"http2": 31081})["changed"]
    writes, total = cluster.writes, cluster.total
    result = act(cluster, node_ports={"http2": 31081})
    assert result["changed"] is False and cluster.writes == writes and cluster.total == total + 1


def test_check_mode():
    cluster = serve(FakeCluster(service(), BLUE))
    predicted = act(cluster, check=True, node_ports={"http2": 31081})
    assert cluster.writes == 0
    result = act(cluster, node_ports={"http2": 31081})
    assert {k: v for k, v in predicted.items() if k != "invocation"} == {
        k: v for k, v in result.items() if k != "invocation"
    }
    assert refused(cluster, "port_in_use", check=True, node_ports={"http2": 30443})


def test_two_ports_change_places():
    cluster = serve(FakeCluster(service(), BLUE))
    assert act(cluster, node_ports={"http2": 30444, "https": 30081})["changed"]
    assert ports_of(cluster) == {"status-port": 30022, "http2": 30444, "https": 30081}


def test_a_port_of_another_service():
    message = refused(serve(FakeCluster(service(), BLUE)), "port_in_use", node_ports={"https": 30443})
    assert "30443" in message and "Service istio-system/blue, port https" in message
    namesake = service("green", "other", {"http2": (80, 30090)})
    assert "other/green" in refused(serve(FakeCluster(service(), namesake)), "port_in_use", node_ports={"https": 30090})
    balancer = service("lb", "other", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32000)
    message = refused(serve(FakeCluster(service(), balancer)), "port_in_use", node_ports={"https": 32000})
    assert "other/lb, port healthCheckNodePort" in message


def test_a_port_out_of_range():
    message = refused(serve(FakeCluster(service())), "port_out_of_range", node_ports={"http2": 31081, "https": 40443})
    assert "port https" in message and "found 40443" in message and "30000-32767" in message


# -- a Service that is still to be made --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ports", "code", "says"),
    [
        ({"http2": 30443}, "port_in_use", "Service istio-gateway/green, port http2: node port 30443 is in use by Service istio-system/blue"),
        ({"http2": 30081, "https": 30081}, "duplicate_port", "ports http2 and https would both have node port 30081"),
        ({"http2": 0}, "bad_port", "http2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [True, False])
def test_ports_that_it_can_not_have(ports, code, says, check):
    assert says in refused(FakeCluster(BLUE), code, state="free", node_ports=ports, check=check)


@pytest.mark.parametrize("there", [(), (service(type="ClusterIP"),)])
def test_ports_that_nobody_else_has(there):
    """Be it the Service itself, whatever it is now."""
    cluster = FakeCluster(BLUE, *there)
    result = act(cluster, state="free", node_ports={"http2": 30081, "https": "30444"})
    assert result["node_ports"] == {"http2": 30081, "https": 30444} and result["changed"] is False
    assert cluster.writes == 0 and cluster.total == 1


def test_a_port_that_is_allocated_to_nobody():
    message = refused(serve(FakeCluster(service()), {31081}), "port_in_use", node_ports={"http2": 31081})
    assert "no Service has it" in message


def test_another_refusal_of_the_api_server_comes_through():
    cluster = FakeCluster(service())
    cluster.fail("PATCH", "*/services/green", 422, "Invalid", "spec.ports: something else")
    assert "something else" in refused(cluster, "api", node_ports={"http2": 31081})


def test_unknown_port_names():
    message = refused(FakeCluster(service()), "unknown_port_name", node_ports={"http": 31081})
    assert "'http'" in message and "status-port, http2, https" in message


def test_a_single_port_without_name():
    nameless = service(ports={"x": (80, 30081)})
    del nameless["spec"]["ports"][0]["name"]
    cluster = FakeCluster(nameless)
    assert act(cluster, node_ports={"80": 31081})["node_ports"] == {"80": 31081}
    assert "It has: 80" in refused(cluster, "unknown_port_name", node_ports={"http": 31081})


@pytest.mark.parametrize("kind", ["ClusterIP", "ExternalName", None])
def test_types_without_node_ports(kind):
    body = service(type=kind) if kind else service()
    if kind is None:
        del body["spec"]["type"]
    message = refused(FakeCluster(body), "wrong_type", node_ports={"http2": 31081})
    assert (kind or "ClusterIP") in message and "NodePort or LoadBalancer" in message


def test_duplicates():
    assert "http2 and https" in refused(
        FakeCluster(service()), "duplicate_port", node_ports={"http2": 31000, "https": 31000}
    )
    assert "swap" in refused(FakeCluster(service()), "duplicate_port", node_ports={"http2": 30444})
    dns = service(ports={"udp": (53, 30053), "tcp": (53, 30054)})
    dns["spec"]["ports"][0]["protocol"] = "UDP"
    cluster = FakeCluster(dns)
    assert act(cluster, node_ports={"tcp": 30053})["changed"]


@pytest.mark.parametrize("value", ["x", 0, 65536, -1, True, 1.5, "", None, "٣"])
def test_what_is_no_port(value):
    assert "from 1 to 65535" in refused(FakeCluster(service()), "bad_port", node_ports={"http2": value})


def test_a_service_that_is_not_there():
    assert "Service istio-gateway/green" in refused(FakeCluster(), "not_found", node_ports={"http2": 31081})


# -- healthCheckNodePort ---------------------------------------------------------------------------------------------
def test_health_check_node_port():
    assert "type NodePort and Cluster" in refused(FakeCluster(service()), "health_check", health_check_node_port=32000)
    cluster_policy = service(type="LoadBalancer")
    assert "LoadBalancer and Cluster" in refused(
        FakeCluster(cluster_policy), "health_check", health_check_node_port=32000
    )
    local = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32000)
    result = act(FakeCluster(local), health_check_node_port=32000)
    assert result["changed"] is False and result["health_check_node_port"] == 32000
    assert "never changes it" in refused(FakeCluster(local), "health_check", health_check_node_port=32001)
    assert "bad_port" == act(FakeCluster(local), health_check_node_port=0)["failure"]["code"]
    message = refused(FakeCluster(local), "duplicate_port", health_check_node_port=32000, node_ports={"https": 32000})
    assert "healthCheckNodePort" in message
    empty = service(type="LoadBalancer", externalTrafficPolicy="Local")
    cluster = FakeCluster(empty)
    assert act(cluster, health_check_node_port=32000)["health_check_node_port"] == 32000
    assert cluster.peek("services", "istio-gateway", "green")["spec"]["healthCheckNodePort"] == 32000


# -- owners ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (
            {"annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}},
            ("helm", "release", "n", "r"),
        ),
        (
            {"labels": {"helm.toolkit.fluxcd.io/name": "r", "helm.toolkit.fluxcd.io/namespace": "n"}},
            ("flux", "HelmRelease", "n", "r"),
        ),
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "r", "kustomize.toolkit.fluxcd.io/namespace": "n"}},
            ("flux", "Kustomization", "n", "r"),
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "app:/Service:a/b"}}, ("argocd", "Application", "", "app")),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "team_app:/Service:a/b"}},
            ("argocd", "Application", "team", "app"),
        ),
        (
            {
                "labels": {
                    "install.operator.istio.io/owning-resource": "cp",
                    "install.operator.istio.io/owning-resource-namespace": "n",
                }
            },
            ("istio-operator", "IstioOperator", "n", "cp"),
        ),
        (
            {"ownerReferences": [{"kind": "Gateway", "name": "g", "controller": True}]},
            ("controller", "Gateway", "istio-gateway", "g"),
        ),
    ],
)
def test_who_puts_it_back(meta, expected):
    cluster = FakeCluster(service(meta=meta))
    result = act(cluster, node_ports={"http2": 31081})
    assert result["put_back_by"] == [dict(zip(("by", "kind", "namespace", "name"), expected))]
    assert expected[0] in json.dumps(result["warnings"]) and expected[3] in json.dumps(result["warnings"])
    warnings._global_warnings.clear()
    assert "warnings" not in act(cluster, node_ports={"http2": 31081})  # nothing to put back


def test_nobody_puts_it_back():
    assert (
        act(FakeCluster(service(meta={"labels": {"app.kubernetes.io/instance": "x"}})), node_ports={"http2": 31081})[
            "put_back_by"
        ]
        == []
    )


# -- others write, too -----------------------------------------------------------------------------------------------
def test_a_change_in_between():
    def rotate(body):
        body["spec"]["ports"].insert(0, body["spec"]["ports"].pop())

    cluster = serve(FakeCluster(service()))
    cluster.on(
        "PATCH", "*/services/green",
        lambda _r: cluster.edit("services", "istio-gateway", "green", rotate), times=1,
    )  # fmt: skip
    assert act(cluster, node_ports={"http2": 31081})["changed"]
    assert ports_of(cluster) == {"status-port": 30022, "http2": 31081, "https": 30444}


def test_endless_conflict():
    cluster = FakeCluster(service())
    cluster.fail("PATCH", "*/services/green", 409, "Conflict")
    assert "istio-gateway/green" in refused(cluster, "conflict", node_ports={"http2": 31081})


# -- the journal -----------------------------------------------------------------------------------------------------
def test_the_recorded_inverse_undoes_it():
    cluster = serve(FakeCluster(service()))
    opening = {"state": "open", "namespace": "bluegreen-mesh", "name": "night", "operator": "me"}
    run_module(migration_journal, opening, cluster)
    for wanted in ({"http2": 31081}, {"https": 31444, "http2": 31082}):
        assert act(cluster, node_ports=wanted, journal=JOURNAL)["changed"]
    (step,) = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    assert step["state"] == "done" and step["inverse"]["module"] == "service_node_ports"
    result = run_module(
        service_node_ports, {**step["inverse"]["params"], "journal": {**JOURNAL, "phase": "rollback"}}, cluster
    )
    assert result["changed"] and ports_of(cluster) == {"status-port": 30022, "http2": 30081, "https": 30444}
    run_module(migration_journal, {**opening, "operator": "you", "takeover": True}, cluster)
    assert "you" in refused(cluster, "stale_epoch", node_ports={"http2": 31081}, journal=JOURNAL)


# -- properties ------------------------------------------------------------------------------------------------------
wishes = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(30000, 30005))


@given(st.permutations(range(30000, 30003)), wishes)
def test_any_wish_is_carried_out_exactly_or_refused(have, wish):
    body = service(ports={name: (80 + i, number) for i, (name, number) in enumerate(zip("abc", have))})
    body["metadata"]["resourceVersion"] = "1"
    expected = {**dict(zip("abc", have)), **wish}
    try:
        changes = _node_ports.plan(body, wish, None)
    except _node_ports.Refusal as exc:
        assert exc.code == "duplicate_port" and len(set(expected.values())) < 3
        return
    after = patched(body, _node_ports.patch_of(body, changes), "application/json-patch+json")
    assert {p["name"]: p["nodePort"] for p in after["spec"]["ports"]} == expected
    assert len(changes) == sum(expected[n] != h for n, h in zip("abc", have))
