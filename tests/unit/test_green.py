# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_ready_info: each thing that keeps green from being ready is told by its code; none is waited for in vain."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_ready_info
from fake_cluster import FakeCluster, run_module

WORKLOAD = {
    "name": "public",
    "blue": {"namespace": "edge", "service": "old"},
    "green": {"namespace": "gw", "release": "new", "labels": {"app": "new"}, "node_ports": {"https": 30444}},
}
PAIR = {"blue": "edge/public", "green": "gw/public", "workload": "public"}


def thing(kind, ref, spec, api="v1", labels=None, status=None):
    namespace, name = ref.split("/")
    meta = {"namespace": namespace, "name": name, "labels": labels or {}}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec, **({"status": status} if status else {})}


def service(ref, app, node_port):
    ports = [{"name": "https", "port": 443, "nodePort": node_port}]
    return thing("Service", ref, {"selector": {"app": app}, "ports": ports})


def pod(ref, ready=True, account="", **labels):
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    spec = {"serviceAccountName": account} if account else {}
    return thing("Pod", ref, spec, labels=labels, status={"phase": "Running", "conditions": [condition]})


def gateway(ref, **selector):
    return thing("Gateway", ref, {"selector": selector}, "networking.istio.io/v1")


@pytest.fixture
def cluster():
    return FakeCluster(
        service("edge/old", "old", 30443), service("gw/new", "new", 30444), pod("edge/o1", app="old"),
        pod("edge/o2", ready=False, app="old"), pod("gw/n1", app="new"), gateway("edge/public", app="old"),
        gateway("gw/public", app="new"),
    )  # fmt: skip


def run(cluster, **params):
    return run_module(gateway_ready_info, {"workloads": [WORKLOAD], "pairs": [PAIR], **params}, cluster)


def codes(result):
    return [problem["code"] for problem in result["failure"]["problems"]]


def test_green_is_there(cluster):
    result = run(cluster)
    assert not result["changed"] and cluster.writes == 0
    assert result["workloads"] == [{"name": "public", "blue_ready": 1, "green_ready": 1}]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda c: c.delete("/api/v1/namespaces/gw/services/new"), "service_missing", "gw/new"),
        (lambda c: c.edit("services", "gw", "new", lambda o: o["spec"]["ports"][0].update(nodePort=1)), "node_port", "30444"),
        (lambda c: c.edit("services", "gw", "new", lambda o: o["spec"]["ports"][0].update(name="x")), "node_port", "no port https"),
        (lambda c: c.add(pod("gw/n2", ready=False, app="new")), "not_ready", "1 of 2"),
        (lambda c: c.add(pod("edge/o3", app="old")), "not_ready", "blue has 2"),
        (lambda c: c.delete("/api/v1/namespaces/gw/pods/n1"), "not_ready", "0 of 0"),
        (lambda c: c.delete("/apis/networking.istio.io/v1/namespaces/gw/gateways/public"), "gateway_missing", "gw/public"),
        (lambda c: c.add(gateway("gw/public", app="x")), "gateway_elsewhere", "'x'"),
        (lambda c: c.add(gateway("edge/public")), "same_labels", "edge/public"),
        (lambda c: c.edit("pods", "gw", "n1", lambda o: o["metadata"]["labels"].update(app="old")), "not_ready", "0 of 0"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_has_to_be_is_told(cluster, change, code, says):
    change(cluster)
    result = run(cluster)
    assert result["failed"] and result["failure"]["code"] == "green_not_ready"
    assert codes(result) == [code] and says in result["msg"]


def test_the_labels_that_are_counted_on(cluster):
    workload = {**WORKLOAD, "green": {**WORKLOAD["green"], "labels": {"app": "new", "colour": "green"}}}
    assert codes(run(cluster, workloads=[workload])) == ["labels"]


def test_blues_service_in_greens_namespace():
    cluster = FakeCluster(
        service("gw/old", "new", 30443),
        service("gw/new", "new", 30444),
        pod("gw/n1", app="new"),
        gateway("gw/public", app="new"),
    )
    workload = {**WORKLOAD, "blue": {"namespace": "gw", "service": "old"}}
    assert codes(run(cluster, workloads=[workload])) == ["same_labels"]


def test_pods_on_their_way_out_do_not_count(cluster):
    cluster.edit("pods", "gw", "n1", lambda o: o["metadata"].update(deletionTimestamp="x"))
    assert codes(run(cluster)) == ["not_ready"]


def test_it_waits(cluster, monkeypatch):
    monkeypatch.setattr(gateway_ready_info, "POLL_SECONDS", 0.01)
    cluster.edit("pods", "gw", "n1", lambda o: o["status"]["conditions"][0].update(status="False"))
    reads = []

    def become_ready(_request):
        reads.append(1)
        if len(reads) == 3:
            cluster.edit("pods", "gw", "n1", lambda o: o["status"]["conditions"][0].update(status="True"))

    cluster.on("GET", "*/gw/pods", become_ready)
    assert run(cluster, deadline=60)["workloads"][0]["green_ready"] == 1 and len(reads) == 3


def test_requests_do_not_grow_with_gateways(cluster):
    run(cluster)
    before = cluster.total
    cluster.add(*(gateway(f"edge/g{i}", app="x") for i in range(40)))
    pairs = [PAIR, *({"blue": f"edge/g{i}", "green": "gw/public", "workload": "public"} for i in range(40))]
    assert run(cluster, pairs=pairs)["workloads"] and cluster.total == 2 * before


def test_a_workload_that_is_not_given(cluster):
    assert run(cluster, pairs=[{**PAIR, "workload": "x"}])["failure"]["code"] == "bad_option"


# -- certificates ------------------------------------------------------------------------------------------------------
def with_certificates(cluster, *names, mode="SIMPLE", allowed=()):
    """Green's Gateway names these; allowed: service accounts that may list Secrets."""
    tls = {"mode": mode, **({"credentialName": names[0]} if len(names) == 1 else {"credentialNames": list(names)})}
    cluster.edit("gateways", "gw", "public", lambda o: o["spec"].update(servers=[{"tls": tls}]))

    def review(request):
        asked = request.body["spec"]
        assert asked["resourceAttributes"] == {"namespace": "gw", "verb": "list", "resource": "secrets"}
        user = asked["user"].removeprefix("system:serviceaccount:gw:")
        return 201, {**request.body, "status": {"allowed": user in allowed}}

    cluster.on("POST", "/apis/authorization.k8s.io/v1/namespaces/gw/localsubjectaccessreviews", review)


def test_certificates_need_a_service_account_that_may_list_secrets(cluster):
    with_certificates(cluster, "site-cert", allowed=["default"])
    assert run(cluster)["workloads"] and cluster.writes == 0
    cluster.add(pod("gw/n1", account="edge", app="new"), pod("gw/n2", account="edge", app="new"))
    result = run(cluster)
    assert codes(result) == ["secrets_not_listed"]
    assert "ServiceAccount gw/edge: may not list Secrets" in result["msg"]
    assert "Gateway gw/public names site-cert" in result["msg"]
    assert cluster.requests["POST"] == 2, "once for each service account, not for each pod"


@pytest.mark.parametrize(
    ("names", "mode", "found"),
    [
        (["site-cert"], "MUTUAL", True),
        (["one", "two"], "SIMPLE", True),
        (["builtin://"], "MUTUAL", False),
        (["site-cacert"], "MUTUAL", False),  # an authority's is nobody's secret
        (["site-cert"], "PASSTHROUGH", False),
    ],
)
def test_only_what_istiod_hands_out_by_that_permission(cluster, names, mode, found):
    with_certificates(cluster, *names, mode=mode)
    result = run(cluster)
    assert (codes(result) if result.get("failed") else []) == ["secrets_not_listed"] * found
    assert cluster.requests.get("POST", 0) == found
    assert run(cluster, pairs=[])["workloads"] and cluster.requests.get("POST", 0) == found


def test_what_may_not_be_asked_is_not_known(cluster):
    cluster.fail("POST", "*/localsubjectaccessreviews", 403, "Forbidden", times=1)
    cluster.fail("POST", "*/localsubjectaccessreviews", 500, "InternalError")
    with_certificates(cluster, "site-cert")
    result = run(cluster)
    assert not result.get("failed") and "ServiceAccount gw/default" in str(result["warnings"])
    assert "InternalError" in run(cluster)["msg"]
