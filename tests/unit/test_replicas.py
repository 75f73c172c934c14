# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""replicas_pin: an autoscaler's bounds are raised, never lowered, and given back."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _replicas
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, replicas_pin
from fake_cluster import FakeCluster, run_module

META = {"namespace": "edge", "name": "old"}
WHERE = {"namespace": "bluegreen-mesh", "name": "night"}


def objects(low=1, high=5, replicas=3, ready=3, scaled=True, **meta):
    hpa = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {**META, **meta},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "old"},
            "minReplicas": low, "maxReplicas": high,
        },
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": "old"}}, "spec": {}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": {"selector": {"app": "old"}}},
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": META,
            "spec": {"replicas": replicas, "template": template}, "status": {"readyReplicas": ready},
        },
        *([hpa] if scaled else []),
    ]  # fmt: skip


def run(cluster, check=False, **params):
    if params.get("state") != "restored":
        params = {"service": "edge/old", **params}
    return run_module(replicas_pin, params, cluster, check=check)


def bounds(cluster):
    spec = cluster.peek("horizontalpodautoscalers", "edge", "old")["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def mark(cluster):
    return (cluster.peek("horizontalpodautoscalers", "edge", "old")["metadata"].get("annotations") or {}).get(
        _replicas.PINNED
    )


def test_the_minimum_becomes_what_is_there_now():
    cluster = FakeCluster(*objects())
    predicted = run(cluster, check=True)
    assert bounds(cluster) == (1, 5) and cluster.writes == 0
    done = run(cluster)
    assert done["changed"] and done["minimum"] == done["ready"] == 3 and done["diff"] == predicted["diff"]
    assert bounds(cluster) == (3, 5) and done["autoscalers"] == ["edge/old"]
    assert not run(cluster)["changed"]


def test_more_load_pins_higher_and_release_gives_the_first_bounds_back():
    cluster = FakeCluster(*objects())
    run(cluster)
    cluster.edit("deployments", "edge", "old", lambda o: o["spec"].update(replicas=7))
    run(cluster)
    assert bounds(cluster) == (7, 7)
    assert run(cluster, state="released")["changed"]
    assert bounds(cluster) == (1, 5) and mark(cluster) is None
    assert not run(cluster, state="released")["changed"]


def test_nothing_is_lowered():
    cluster = FakeCluster(*objects(low=4))
    assert not run(cluster, minimum=2)["changed"] and bounds(cluster) == (4, 5) and mark(cluster) is None


def test_releasing_what_is_gone_is_nothing_to_do():
    assert not run(FakeCluster(), state="released")["changed"]
    cluster = FakeCluster(*objects())
    cluster.delete("/apis/apps/v1/namespaces/edge/deployments/old")
    assert not run(cluster, state="released")["changed"]
    assert run(FakeCluster(), state="released", service="x")["failure"]["code"] == "malformed_reference"


def test_what_others_chose_since_stays():
    cluster = FakeCluster(*objects())
    run(cluster)
    cluster.edit("horizontalpodautoscalers", "edge", "old", lambda o: o["spec"].update(minReplicas=4))
    run(cluster, state="released")
    assert bounds(cluster) == (4, 5) and mark(cluster) is None


def test_without_an_autoscaler_the_deployment_is_raised_only():
    cluster = FakeCluster(*objects(scaled=False))
    assert not run(cluster)["changed"]
    assert run(cluster, minimum=5)["changed"]
    assert cluster.peek("deployments", "edge", "old")["spec"]["replicas"] == 5
    assert not run(cluster, minimum=4)["changed"]
    assert not run(cluster, state="released")["changed"]


def test_other_deployments_autoscalers_are_left():
    cluster = FakeCluster(*objects())
    cluster.edit("horizontalpodautoscalers", "edge", "old", lambda o: o["spec"]["scaleTargetRef"].update(name="x"))
    assert run(cluster)["autoscalers"] == [] and bounds(cluster) == (1, 5)


@pytest.mark.parametrize("scaled", [True, False])
def test_the_journals_inverse_undoes_it(scaled):
    cluster = FakeCluster(*objects(scaled=scaled))
    epoch = run_module(migration_journal, {**WHERE, "state": "open"}, cluster)["epoch"]
    run(cluster, minimum=6, journal={**WHERE, "epoch": epoch, "phase": "deploy"})
    (step,) = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    assert step["state"] == "done" and step["inverse"]["module"] == "replicas_pin"
    assert run(cluster, **step["inverse"]["params"])["changed"]
    assert cluster.peek("deployments", "edge", "old")["spec"]["replicas"] == 3
    if scaled:
        assert bounds(cluster) == (1, 5) and mark(cluster) is None
    assert not run(cluster, **step["inverse"]["params"])["changed"]


def test_undoing_a_second_pin_leaves_the_first():
    cluster = FakeCluster(*objects())
    run(cluster)
    first = mark(cluster)
    epoch = run_module(migration_journal, {**WHERE, "state": "open"}, cluster)["epoch"]
    run(cluster, minimum=4, journal={**WHERE, "epoch": epoch, "phase": "cutover"})
    (step,) = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    run(cluster, **step["inverse"]["params"])
    assert bounds(cluster) == (3, 5) and mark(cluster) == first
    run(cluster, state="released")
    assert bounds(cluster) == (1, 5)


def test_what_is_gone_needs_no_undoing():
    entry = {"api_version": "apps/v1", "kind": "Deployment", "namespace": "edge", "name": "x", "spec": {}, "mark": ""}
    assert not run(FakeCluster(), state="restored", restore=[entry])["changed"]


def test_it_waits_for_the_pods_and_says_what_it_saw(monkeypatch):
    monkeypatch.setattr(_replicas, "POLL_SECONDS", 0.01)
    cluster = FakeCluster(*objects(ready=2))
    result = run(cluster, minimum=3, timeout=1)
    assert result["failure"] == {"code": "not_ready", "found": 2, "expected": 3}
    lists = []

    def become_ready(_request):
        lists.append(1)
        if len(lists) == 3:
            cluster.edit("deployments", "edge", "old", lambda o: o["status"].update(readyReplicas=3))

    cluster.on("GET", "*/deployments", become_ready)
    assert run(cluster, minimum=3, timeout=30)["ready"] == 3


def test_a_controller_that_puts_its_own_back_is_named():
    labels = {"helm.toolkit.fluxcd.io/name": "istio", "helm.toolkit.fluxcd.io/namespace": "bigbang"}
    (warning,) = run(FakeCluster(*objects(labels=labels)))["warnings"]
    assert "HelmRelease bigbang/istio" in str(warning)
    assert "warnings" not in run(FakeCluster(*objects(annotations={"meta.helm.sh/release-name": "x"})))


def test_a_write_of_the_autoscaler_meanwhile_is_no_failure():
    cluster = FakeCluster(*objects())

    def touch(o):
        o.update(status={"currentReplicas": 3})

    cluster.on("PATCH", "*", lambda _r: cluster.edit("horizontalpodautoscalers", "edge", "old", touch), times=2)
    assert run(cluster)["changed"] and bounds(cluster) == (3, 5)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"service": "edge/x"}, "no_such_service"),
        ({"service": "x"}, "malformed_reference"),
        ({"minimum": 0}, "bad_option"),
    ],
)
def test_what_is_wrong_is_refused(params, code):
    assert run(FakeCluster(*objects()), **params)["failure"]["code"] == code


# -- who owns the fields ---------------------------------------------------------------------------------------------
def entry(manager, operation, *fields):
    names = {f"f:{field}": {} for field in fields}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": {"f:spec": names}}


def applied(scaled, *, lost=0):
    """By helm, on an API server that gives what a patch changes to the one who patches. lost: how many answers are."""
    plural, own = ("horizontalpodautoscalers", "minReplicas") if scaled else ("deployments", "replicas")
    cluster = FakeCluster(*objects(scaled=scaled))
    cluster.edit(plural, "edge", "old", lambda o: o["metadata"].update(managedFields=[entry("helm", "Apply", own)]))
    left = [None] * lost

    def taken(request):
        if "spec" not in request.body:
            return None
        body = next(body for key, body in cluster._store.items() if key[1:] == (plural, "edge", "old"))
        body["metadata"]["managedFields"] = [entry("bluegreen-mesh", "Update", own)]
        if not left:
            return None
        left.pop()
        body["spec"].update(request.body["spec"])
        body["metadata"].setdefault("annotations", {}).update(request.body["metadata"].get("annotations") or {})
        body["metadata"]["resourceVersion"] = cluster._next_version()
        return 409, {"kind": "Status", "code": 409, "reason": "Conflict"}

    cluster.on("PATCH", f"*/{plural}/old", taken)
    return cluster, lambda: [e["manager"] for e in cluster.peek(plural, "edge", "old")["metadata"]["managedFields"]]


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("scaled", [True, False])
def test_fields_are_given_back_to_who_applied_them(scaled, lost):
    """Else the next upgrade by Helm 4 would fail with a conflict."""
    cluster, managers = applied(scaled, lost=lost)
    assert not run(cluster, minimum=5).get("failed")
    size = bounds(cluster)[0] if scaled else cluster.peek("deployments", "edge", "old")["spec"]["replicas"]
    assert size == 5 and managers() == ["helm"]
    if scaled:
        assert run(cluster, state="released")["changed"] and bounds(cluster) == (1, 5) and managers() == ["helm"]


def test_fields_are_given_back_after_a_change_of_others_in_between():
    cluster, managers = applied(True)

    def label(request):
        if isinstance(request.body, list):
            cluster.edit("horizontalpodautoscalers", "edge", "old", lambda o: o["metadata"].update(labels={"a": "b"}))

    writes = iter([False, True])
    cluster.on("PATCH", "*/old", lambda request: label(request) if next(writes, False) else None)
    run(cluster)
    assert managers() == ["helm"]


def test_fields_that_can_not_be_given_back_are_told():
    cluster, managers = applied(True)
    refusal = (403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"})
    cluster.on("PATCH", "*/old", lambda request: refusal if isinstance(request.body, list) else None)
    warned = json.dumps(run(cluster)["warnings"])
    assert "HorizontalPodAutoscaler edge/old: fields could not be given back to helm, whose next apply" in warned
    assert bounds(cluster) == (3, 5) and managers() == ["bluegreen-mesh"]


def test_check_mode_gives_nothing_back():
    cluster, _managers = applied(True)
    assert run(cluster, check=True)["changed"] and len([r for r in cluster.asked if r.method == "PATCH"]) == 1
