# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green's namespaces: made and journalled, and removed only when nothing of others' is in them."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_namespace, migration_journal
from fake_cluster import FakeCluster, run_module

JOURNAL = {"namespace": "bluegreen-mesh", "name": "m", "epoch": 1, "phase": "deploy"}
OURS = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
CORE = [("configmaps", "ConfigMap"), ("secrets", "Secret"), ("serviceaccounts", "ServiceAccount"), ("events", "Event")]


@pytest.fixture
def cluster():
    found = FakeCluster()
    kinds = [{"name": name, "kind": kind, "namespaced": True, "verbs": ["list"]} for name, kind in CORE]
    kinds += [{"name": "namespaces", "kind": "Namespace", "namespaced": False, "verbs": ["list"]}]
    kinds += [{"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]}]
    found.on("GET", "/api/v1", lambda _r: (200, {"resources": kinds}))
    widgets = [{"name": "widgets", "kind": "Widget", "namespaced": True, "verbs": ["list"]}]
    found.on("GET", "/apis", lambda _r: (200, {"groups": [{"preferredVersion": {"groupVersion": "x.test/v1"}}]}))
    found.on("GET", "/apis/x.test/v1", lambda _r: (200, {"resources": widgets}))
    run_module(migration_journal, {"namespace": "bluegreen-mesh", "name": "m", "state": "open"}, found)
    return found


def run(cluster, check=False, **params):
    return run_module(gateway_namespace, {"names": ["green"], "timeout": 1, "journal": JOURNAL, **params}, cluster, check=check)


def states(result):
    return [entry["state"] for entry in result["namespaces"]]


def item(kind, name, api_version="v1", **metadata):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "green", "name": name, **metadata}}


def test_it_is_made_once_with_its_inverse_written_first(cluster):
    checked = run(cluster, check=True)
    assert checked["changed"] and cluster.peek("namespaces", "", "green") is None
    assert checked["diff"]["after"] == {"Namespace green": {"exists": True}}
    assert run(cluster)["changed"]
    assert cluster.peek("namespaces", "", "green")["metadata"]["labels"] == OURS
    again = run(cluster)
    assert not again["changed"] and states(again) == ["unchanged"]
    journal = run_module(migration_journal, {"namespace": "bluegreen-mesh", "name": "m", "undo_from": "deploy"}, cluster)
    (step,) = journal["undo"]
    assert step["inverse"] == {"module": "gateway_namespace", "params": {"state": "absent", "names": ["green"]}}
    assert step["state"] == "done"


def test_one_that_a_rollback_had_to_keep_is_tried_again_by_the_next(cluster):
    run(cluster)
    where = {"namespace": "bluegreen-mesh", "name": "m"}
    (step,) = run_module(migration_journal, {**where, "undo_from": "deploy"}, cluster)["undo"]
    run_module(migration_journal, {**where, "state": "recorded", "epoch": 1, "undone": [step["id"]]}, cluster)
    assert run_module(migration_journal, {**where, "undo_from": "deploy"}, cluster)["undo"] == []
    assert not run(cluster)["changed"]
    (again,) = run_module(migration_journal, {**where, "undo_from": "deploy"}, cluster)["undo"]
    assert again["inverse"] == step["inverse"] and again["state"] == "done"


def test_an_older_run_makes_none(cluster):
    run_module(migration_journal, {"namespace": "bluegreen-mesh", "name": "m", "state": "open", "takeover": True}, cluster)
    assert run(cluster)["failure"]["code"] == "stale_epoch"
    assert cluster.peek("namespaces", "", "green") is None


def test_an_empty_one_of_ours_goes(cluster):
    run(cluster)
    cluster.add(item("ConfigMap", "kube-root-ca.crt"), item("ServiceAccount", "default"), item("Event", "e"))
    cluster.add(item("Secret", "t", annotations={"kubernetes.io/service-account.name": "default"}))
    cluster.add(item("Secret", "owned", ownerReferences=[{"uid": "1", "kind": "Deployment", "name": "d"}]))
    checked = run(cluster, check=True, state="absent")
    assert checked["changed"] and cluster.peek("namespaces", "", "green")
    assert states(run(cluster, state="absent")) == ["removed"]
    assert cluster.peek("namespaces", "", "green") is None
    again = run(cluster, state="absent")
    assert not again["changed"] and states(again) == ["absent"]


@pytest.mark.parametrize(
    ("held", "said"),
    [(item("ConfigMap", "app"), "ConfigMap app"), (item("Widget", "w", "x.test/v1"), "Widget w")],
    ids=["of a known kind", "of any kind"],
)
def test_what_is_others_keeps_it_and_is_named(cluster, held, said):
    run(cluster)
    cluster.add(held)
    result = run(cluster, state="absent")
    assert not result["changed"] and result["namespaces"][0]["inside"] == [said] and states(result) == ["kept"]
    assert cluster.peek("namespaces", "", "green") and said in str(result["warnings"])


def test_what_may_not_be_listed_is_not_taken_for_absent(cluster):
    run(cluster)
    cluster.on("GET", "/apis/x.test/v1/namespaces/green/widgets", lambda _r: (403, {"message": "no"}))
    result = run(cluster, state="absent")
    assert states(result) == ["kept"] and result["namespaces"][0]["inside"] == ["widgets (may not be listed)"]


def test_one_that_was_there_is_neither_taken_over_nor_removed(cluster):
    cluster.add(item("ConfigMap", "app"))
    assert states(run(cluster)) == ["foreign"]
    journal = run_module(migration_journal, {"namespace": "bluegreen-mesh", "name": "m", "undo_from": "deploy"}, cluster)
    assert journal["undo"] == []
    assert states(run(cluster, state="absent")) == ["foreign"] and cluster.peek("namespaces", "", "green")


def test_one_that_does_not_go_is_said_and_stops_nothing(cluster):
    run(cluster)
    cluster.edit("namespaces", "", "green", lambda body: body["metadata"].update(finalizers=["kubernetes"]))
    result = run(cluster, state="absent", timeout=0)
    assert states(result) == ["removed"] and "Namespace green was deleted 0 s ago" in str(result["warnings"])
    assert states(run(cluster, state="absent")) == ["absent"]


def test_where_an_api_group_does_not_answer_nobody_knows_what_is_there(cluster):
    run(cluster)
    hooks, cluster._hooks = cluster._hooks, []
    cluster.on("GET", "/apis/x.test/v1", lambda _r: (404, {"message": "gone"}))
    cluster._hooks += hooks
    result = run(cluster, state="absent")
    assert states(result) == ["kept"] and "not known" in result["namespaces"][0]["inside"][0]
    assert cluster.peek("namespaces", "", "green")
