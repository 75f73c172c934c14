# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_drain: pods are evicted one after another, replaced each time, and what was cut is told."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _drain
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_drain
from fake_cluster import FakeCluster, Request, run_module

GATEWAY = "istio-system/gw"
EVICTIONS = "/api/v1/namespaces/istio-system/pods/*/eviction"


def pod(name: str, *, ready: bool = True, owned: bool = True, **spec: t.Any) -> dict[str, t.Any]:
    owners = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gw", "uid": "rs", "controller": True}]
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "istio-system", "name": name, "uid": f"uid-{name}", "labels": {"app": "gw"},
            **({"ownerReferences": owners} if owned else {}),
        },
        "spec": {"terminationGracePeriodSeconds": 8, **spec},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }  # fmt: skip


class Gateway(FakeCluster):
    """Its pods have connections, end some time after they were evicted, and are replaced.

    open: of each pod, those that are open at each look, the last one from then on; None can't be read. lasts: looks that
    an evicted pod is still there for. evicted, dry: names in order; ready_when_evicted: how many pods were ready then.
    """

    def __init__(self, opens: dict[str, list[int | None]], *pods: dict[str, t.Any], replaces: bool = True) -> None:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "istio-system", "name": "gw"},
                   "spec": {"selector": {"app": "gw"}}}  # fmt: skip
        super().__init__(service, *(pods or [pod(name) for name in opens]))
        self.opens, self.replaces, self.lasts = opens, replaces, 3
        self.evicted: list[str] = []
        self.dry: list[str] = []
        self.ready_when_evicted: list[int] = []
        self.left: dict[str, int] = {}
        self.on("POST", EVICTIONS, self.evict)
        self.on("GET", "*/proxy/stats/prometheus", self.page)
        self.on("GET", "/api/v1/namespaces/istio-system/pods", self.listed)

    def page(self, request: Request) -> tuple[int, t.Any]:
        name = request.path.split("/pods/")[1].split(":")[0]
        series = self.opens.get(name, [0])
        number = series.pop(0) if len(series) > 1 else series[0]
        if number is None:
            return 503, {}
        return 200, f'envoy_listener_downstream_cx_active{{listener_address="0.0.0.0_8443"}} {number}\n'.encode()

    def listed(self, _request: Request) -> None:
        for name in list(self.left):
            self.left[name] -= 1
            if not self.left[name]:
                del self.left[name]
                del self._store["", "pods", "istio-system", name]
                if self.replaces:
                    self.add(pod(f"{name}-new"))

    def evict(self, request: Request) -> tuple[int, t.Any]:
        name = request.body["metadata"]["name"]
        assert request.body["deleteOptions"]["preconditions"] == {"uid": f"uid-{name}"}
        if request.query.get("dryRun") == "All":
            assert request.body["deleteOptions"]["dryRun"] == ["All"]
            self.dry.append(name)
            return 201, {}
        pods = [self.peek("pods", "istio-system", one) for one in self.names("pods")]
        serving = [one for one in pods if not _drain.going(one) and gateway_drain._pod_metrics.ready(one)]
        self.ready_when_evicted.append(len(serving))
        self.evicted.append(name)
        self.left[name] = self.lasts
        self.edit("pods", "istio-system", name, lambda body: body["metadata"].update(deletionTimestamp="now"))
        return 201, {}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_drain, "POLL_SECONDS", 0.01)


def run(cluster: FakeCluster, **options: t.Any) -> dict[str, t.Any]:
    check = options.pop("check", False)
    return run_module(gateway_drain, {"services": [GATEWAY], "timeout": 5, **options}, cluster, check=check)


def test_pods_with_connections_are_replaced_one_after_another():
    cluster = Gateway({"a": [5, 5, 4, 2], "b": [0], "c": [3, 3, 0]})
    result = run(cluster)
    assert result["changed"] and cluster.evicted == ["a", "c"] and result["left"] == ["istio-system/b"]
    assert cluster.ready_when_evicted == [3, 3], "the next one goes once the last one is replaced"
    seen = [(one["name"], one["open_connections"], one["last_seen"]) for one in result["pods"]]
    assert seen == [("a", 5, 2), ("c", 3, 0)] and result["cut"] == 2
    assert cluster.names("pods") == ["a-new", "b", "c-new"]
    assert "istio-system/a: 5 open connections when evicted, 2 when last seen" in result["summary"][0]


def test_the_time_that_it_had_is_told_with_what_became_of_it():
    env = [{"name": "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "value": "true"}]
    patient = pod("a", containers=[{"name": "istio-proxy", "env": env}])
    patient["metadata"]["annotations"] = {"proxy.istio.io/config": "terminationDrainDuration: 30s"}
    (said,) = run(Gateway({"a": [5, 5, 0]}, patient))["summary"]
    assert said.endswith(
        "(terminationGracePeriodSeconds 8, EXIT_ON_ZERO_ACTIVE_CONNECTIONS true, terminationDrainDuration 30s)"
    )
    (said,) = run(Gateway({"a": [5, 5, 0]}))["summary"]
    assert said.endswith("(terminationGracePeriodSeconds 8)")


def test_without_connections_nothing_is_changed():
    cluster = Gateway({"a": [0], "b": [0]})
    result = run(cluster)
    assert not result["changed"] and cluster.evicted == [] and result["cut"] == 0 and result["pods"] == []


def test_connections_that_ended_meanwhile_are_no_reason_any_more():
    cluster = Gateway({"a": [1], "b": [1, 0]})
    result = run(cluster)
    assert cluster.evicted == ["a"] and result["left"] == ["istio-system/b"]


def test_what_can_not_be_read_is_evicted_and_not_called_cut_or_not():
    cluster = Gateway({"a": [None]})
    result = run(cluster)
    assert cluster.evicted == ["a"] and result["cut"] is None and result["pods"][0]["last_seen"] is None
    assert "unknown" in result["summary"][0]


def test_check_mode_asks_whether_each_might_be_evicted():
    cluster = Gateway({"a": [5], "b": [0], "c": [3]})
    result = run(cluster, check=True)
    assert result["changed"] and cluster.dry == ["a", "c"] and cluster.evicted == []
    assert result["diff"]["before"] == {"pods_with_connections": ["istio-system/a", "istio-system/c"]}


BUDGET = {
    "kind": "Status", "reason": "TooManyRequests", "message": "Cannot evict pod as it would violate the pod's disruption budget.",
    "details": {"causes": [{
        "reason": "DisruptionBudget", "message": "The disruption budget gw needs 2 healthy pods and has 2 currently",
    }]},
}  # fmt: skip


@pytest.mark.parametrize("check", [True, False])
def test_a_budget_that_forbids_it_is_named(check: bool):
    cluster = Gateway({"a": [5], "b": [5]})
    cluster._hooks.insert(0, {"method": "POST", "path": EVICTIONS, "answer": lambda _request: (429, BUDGET), "left": None})
    result = run(cluster, check=check)
    assert result["failure"]["code"] == "budget_forbids" and cluster.evicted == []
    for words in ("Pod istio-system/a", "The disruption budget gw needs 2 healthy pods and has 2", "one more pod ready"):
        assert words in result["msg"]


def test_a_permission_that_is_missing_is_named():
    cluster = Gateway({"a": [5]})
    denied = {"reason": "Forbidden", "message": 'User "x" cannot create resource "pods/eviction"'}
    cluster._hooks.insert(0, {"method": "POST", "path": EVICTIONS, "answer": lambda _request: (403, denied), "left": None})
    result = run(cluster)
    assert result["failure"]["code"] == "api" and "docs/permissions.md" in result["msg"]


def test_where_no_replacement_gets_ready_nothing_more_is_evicted():
    cluster = Gateway({"a": [5, 5, 1], "b": [5]}, replaces=False)
    result = run(cluster, timeout=0)
    assert result["failure"]["code"] == "not_replaced" and cluster.evicted == ["a"]
    assert "Pod istio-system/a is gone" in result["msg"] and "No more pods are evicted" in result["msg"]
    assert result["failure"]["pods"][0]["last_seen"] == 1, "what was cut until then is told"


def test_a_pod_that_does_not_end_stops_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway_drain, "MARGIN", 0)
    cluster = Gateway({"a": [5]}, pod("a", terminationGracePeriodSeconds=0))
    cluster.lasts = 10**6
    result = run(cluster)
    assert result["failure"]["code"] == "not_gone" and "still there" in result["msg"]


def test_a_pod_that_nothing_would_replace_is_left_alone():
    cluster = Gateway({"a": [5], "b": [5]}, pod("a"), pod("b", owned=False))
    result = run(cluster)
    assert result["failure"]["code"] == "no_controller" and cluster.evicted == [] and "istio-system/b" in result["msg"]


def test_a_run_that_was_taken_over_evicts_nothing_more():
    cluster = Gateway({"a": [5]})
    result = run(cluster, journal={"namespace": "mesh", "name": "none", "epoch": 1, "phase": "soak"})
    assert result["failed"] and "mesh/none" in result["msg"] and cluster.evicted == []


@pytest.mark.parametrize("services", [[], ["gw"], ["istio-system/"]])
def test_bad_options_are_refused(services: list[str]):
    assert run(Gateway({"a": [5]}), services=services)["failure"]["code"] == "bad_option"


def test_a_service_that_does_not_exist_is_refused():
    assert run(Gateway({"a": [5]}), services=["istio-system/gone"])["failure"]["code"] == "no_such_service"


# -- what a pod says of its time ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("annotation", "env", "drain"),
    [
        ("terminationDrainDuration: 5s\n", [], "5s"),
        ('{"concurrency": 2, "terminationDrainDuration": "30s"}', [], "30s"),
        ("", [{"name": "PROXY_CONFIG", "value": '{"terminationDrainDuration":"45s"}'}], "45s"),
        ("", [{"name": "TERMINATION_DRAIN_DURATION_SECONDS", "value": "20"}], "20"),
        ("concurrency: 2", [{"name": "POD", "valueFrom": {}}], None),
    ],
)
def test_the_time_that_is_given_is_read_from_the_pod(annotation: str, env: list[dict[str, t.Any]], drain: str | None):
    body = pod("a", containers=[{"name": "istio-proxy", "env": [*env, {"name": "MINIMUM_DRAIN_DURATION", "value": "9s"}]}])
    body["metadata"]["annotations"] = {"proxy.istio.io/config": annotation}
    assert _drain.time_given(body) == {
        "termination_grace_period_seconds": 8, "exit_on_zero_active_connections": None, "minimum_drain_duration": "9s",
        "termination_drain_duration": drain,
    }  # fmt: skip


def test_a_pod_that_says_nothing_has_thirty_seconds():
    body = pod("a")
    del body["spec"]["terminationGracePeriodSeconds"]
    assert _drain.time_given(body)["termination_grace_period_seconds"] == 30
