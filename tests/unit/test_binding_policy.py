# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module binding_policy against an API server in a dict, and virtual_service_gateways by way of such a policy."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding, _binding_policy
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils import binding_policies
from ansible_collections.bluegreen.mesh.plugins.modules import (
    binding_policy,
    migration_journal,
    virtual_service_gateways,
)
from fake_binding import ADMISSION, CLUSTER_POLICY, KYVERNO, serve_policies
from fake_cluster import FakeCluster, run_module
from test_virtual_service_gateways import BLUE, GREEN, PAIRS, gateway, gateways, virtual_service

NAME = "bluegreen-mesh-bind-demo"
POLICIES = "mutatingadmissionpolicies"
BINDINGS = "mutatingadmissionpolicybindings"
JOURNAL = {"namespace": "bluegreen-mesh", "name": "demo", "phase": "bind"}


@pytest.fixture
def cluster():
    return FakeCluster(
        gateway(BLUE), gateway(GREEN), virtual_service("blue", [BLUE]), virtual_service("green", [GREEN]),
        virtual_service("both", [BLUE, GREEN]), virtual_service("other", ["other/gw"]),
        virtual_service("aside", [BLUE], labels={vs.LEAVE_ALONE: "false"}),
    )  # fmt: skip


def run(cluster, check=False, **params):
    if params.get("state", "present") == "present":
        params.setdefault("pairs", PAIRS)
    return run_module(binding_policy, {"migration": "demo", "timeout": 1, **params}, cluster, check=check)


def bind(cluster, **params):
    return run_module(virtual_service_gateways, {"pairs": PAIRS, "method": "admission", **params}, cluster)


def open_journal(cluster):
    opened = run_module(migration_journal, {"name": "demo", "state": "open", "takeover": True}, cluster)
    return {**JOURNAL, "epoch": opened["epoch"]}


def undo(cluster, journal):
    """What the rollback role does."""
    steps = run_module(migration_journal, {"name": "demo", "undo_from": "bind"}, cluster)["undo"]
    modules = {"binding_policy": binding_policy, "virtual_service_gateways": virtual_service_gateways}
    for step in steps:
        params = {**step["inverse"]["params"], "journal": {**journal, "phase": "rollback"}}
        result = run_module(modules[step["inverse"]["module"]], params, cluster)
        assert not result.get("failed"), result
    return [step["op"] for step in steps]


def policies(cluster):
    return {plural: cluster.names(plural) for plural in (POLICIES, BINDINGS, "mutatingpolicies", "clusterpolicies")}


def rule_in(cluster, plural=POLICIES):
    return _binding_policy.rule_of(cluster.peek(plural, "", NAME))


# -- which strategy --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kinds", "wanted", "strategy", "kind", "why"),
    [
        ((*ADMISSION, *KYVERNO), "auto", "admission_policy", "MutatingAdmissionPolicy", "the API server has Mutating"),
        (KYVERNO, "auto", "kyverno", "MutatingPolicy", "1.36 and later); Kyverno has"),
        (CLUSTER_POLICY, "auto", "kyverno", "ClusterPolicy", "ClusterPolicy kyverno.io/v1"),
        (KYVERNO, "kyverno_cluster_policy", "kyverno_cluster_policy", "ClusterPolicy", "asked for"),
        ((*ADMISSION, *KYVERNO), "kyverno", "kyverno", "MutatingPolicy", "asked for"),
        ((), "auto", "direct", None, "no Kyverno; no Kyverno with ClusterPolicy; patches"),
        (ADMISSION, "direct", "direct", None, "asked for"),
    ],
)
def test_the_first_that_the_cluster_has(cluster, kinds, wanted, strategy, kind, why):
    serve_policies(cluster, *kinds)
    planned, done = run(cluster, check=True, strategy=wanted), run(cluster, strategy=wanted)
    assert planned["strategy"] == done["strategy"] == strategy and why in done["reason"]
    assert [o["kind"] for o in done["objects"]][:1] == ([kind] if kind else [])
    assert done["changed"] == planned["changed"] == bool(kind)
    assert done["proven"] == (["create", "update"] if kind else []) and planned["proven"] == []


def test_chosen_only_says_so(cluster):
    serve_policies(cluster, *KYVERNO)
    result = run(cluster, state="chosen")
    assert result["strategy"] == "kyverno" and not result["changed"] and cluster.requests.keys() == {"GET"}


def test_one_that_the_cluster_does_not_have_is_refused(cluster):
    serve_policies(cluster, *ADMISSION)
    result = run(cluster, strategy="kyverno")
    assert result["failure"]["code"] == "no_strategy" and "Kyverno" in result["msg"] and cluster.writes == 0


def test_every_strategy_is_an_option():
    choices = binding_policy.SPEC["strategy"]["choices"]
    assert choices == [binding_policies.AUTO, *binding_policies.NAMES]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"pairs": []}, "bad_options"),
        ({"pairs": [{"blue": BLUE, "green": BLUE}]}, "bad_pairs"),
        ({"pairs": [{"blue": "public", "green": GREEN}]}, "malformed_reference"),
        ({"migration": "Not a name"}, "bad_name"),
    ],
)
def test_bad_options_change_nothing(cluster, params, code):
    serve_policies(cluster, *ADMISSION)
    assert run(cluster, **params)["failure"]["code"] == code and cluster.total == 0


def test_a_blue_gateway_that_is_not_there_is_refused_before_anything_is_written(cluster):
    serve_policies(cluster, *ADMISSION)
    result = run(cluster, pairs=[{"blue": "istio-system/publik", "green": GREEN}])
    assert result["failure"]["code"] == "no_gateway" and BLUE in result["msg"] and cluster.writes == 0


# -- writing it ------------------------------------------------------------------------------------------------------
def test_present_twice_changes_once(cluster):
    serve_policies(cluster, *ADMISSION)
    assert run(cluster, check=True)["changed"] and cluster.writes == 0
    assert run(cluster)["changed"] and policies(cluster)[POLICIES] == policies(cluster)[BINDINGS] == [NAME]
    writes = cluster.writes
    again = run(cluster)
    assert not again["changed"] and cluster.writes == writes and again["proven"] == ["create", "update"]


def test_virtual_services_are_not_touched(cluster):
    serve_policies(cluster, *ADMISSION)
    run(cluster)
    assert gateways(cluster, "blue") == [BLUE] and cluster.writes == 2


def test_what_the_api_server_adds_is_no_difference(cluster):
    serve_policies(cluster, *KYVERNO)
    run(cluster)

    def add(body):
        body["spec"].update(background=True)
        body["metadata"]["labels"]["added"] = "x"

    cluster.edit("mutatingpolicies", "", NAME, add)
    assert not run(cluster)["changed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["spec"].update(failurePolicy="Fail"),
        lambda body: body["spec"]["variables"].pop(),
        lambda body: body["metadata"].update(annotations={}),
    ],
)
def test_what_others_have_changed_is_put_right(cluster, change):
    serve_policies(cluster, *ADMISSION)
    run(cluster)
    right = cluster.peek(POLICIES, "", NAME)
    cluster.edit(POLICIES, "", NAME, change)
    assert run(cluster)["changed"]
    now = cluster.peek(POLICIES, "", NAME)
    assert now["spec"] == right["spec"] and rule_in(cluster) == vs.Bound(_binding.pairs_of(PAIRS))


def test_it_is_written_again_if_its_controller_writes_meanwhile(cluster):
    serve_policies(cluster, *CLUSTER_POLICY)
    run(cluster)

    def meddle(_request):
        cluster.edit("clusterpolicies", "", NAME, lambda body: body.update(status={"ready": True}))

    cluster.on("PUT", "*/clusterpolicies/*", meddle, times=2)
    assert run(cluster, both_ways=False)["changed"]
    assert cluster.requests["PUT"] == 3 and not rule_in(cluster, "clusterpolicies").both_ways


def test_a_foreign_one_is_left_alone(cluster):
    serve_policies(cluster, *ADMISSION)
    cluster.add({"apiVersion": ADMISSION[0][0], "kind": ADMISSION[0][1], "metadata": {"name": NAME}, "spec": {}})
    for state in ("present", "absent"):
        result = run(cluster, state=state)
        assert result["failure"]["code"] == "foreign_policy" and cluster.writes == 0


def test_another_strategy_takes_over(cluster):
    serve_policies(cluster, *ADMISSION, *KYVERNO)
    run(cluster, strategy="kyverno")
    assert run(cluster)["strategy"] == "admission_policy"
    assert policies(cluster) == {POLICIES: [NAME], BINDINGS: [NAME], "mutatingpolicies": [], "clusterpolicies": []}
    assert run(cluster, strategy="direct")["changed"] and not any(policies(cluster).values())


# -- proof -----------------------------------------------------------------------------------------------------------
def test_it_waits_until_the_policy_works(cluster):
    serve_policies(cluster, *ADMISSION, after=2)
    assert run(cluster, timeout=20)["proven"] == ["create", "update"]


def test_a_policy_that_does_nothing_is_an_error(cluster):
    serve_policies(cluster, *ADMISSION, after=1000)
    result = run(cluster, timeout=0)
    assert result["failure"]["code"] == "policy_inactive"
    assert "spec.gateways" in result["msg"] and GREEN in result["msg"]


def test_absent_waits_until_nothing_is_bound_any_more(cluster):
    serve_policies(cluster, *ADMISSION, after=2)
    run(cluster, timeout=20)
    assert run(cluster, state="absent", timeout=20)["proven"] == ["create", "update"]
    assert not any(policies(cluster).values())
    assert not run(cluster, state="absent")["changed"]


def test_something_else_that_binds_is_an_error(cluster):
    serve_policies(cluster, *ADMISSION, after=1000)
    cluster.add({
        "apiVersion": ADMISSION[0][0], "kind": ADMISSION[0][1], "spec": {}, "metadata": {
            "name": NAME, "labels": dict(_binding_policy.LABELS),
            "annotations": {_binding_policy.RULE: _binding_policy.written(vs.Bound(_binding.pairs_of(PAIRS)))},
        }
    })  # fmt: skip
    cluster.on("POST", "*/virtualservices", lambda request: request.body["spec"]["gateways"].append(GREEN))
    result = run(cluster, state="absent", timeout=0)
    assert result["failure"]["code"] == "policy_still_active" and "something else" in result["msg"]


# -- written by others -----------------------------------------------------------------------------------------------
def apply(cluster, manifests):
    """What a controller does."""
    for plural in (POLICIES, BINDINGS):
        for name in cluster.names(plural):
            cluster.delete(f"/apis/{ADMISSION[0][0]}/{plural}/{name}")
    cluster.add(*({**body, "metadata": {**body["metadata"], "generation": 1}} for body in manifests))


def test_a_policy_of_others_is_proven_and_never_written(cluster):
    serve_policies(cluster, *ADMISSION, after=2)
    planned = run(cluster, check=True)
    result = run(cluster, written_by="others")
    assert result["failure"]["code"] == "not_as_written" and "MutatingAdmissionPolicy is not there" in result["msg"]
    assert not any(policies(cluster).values())
    apply(cluster, planned["manifests"])
    stored = cluster.peek(POLICIES, "", NAME)
    result = run(cluster, written_by="others", timeout=20, journal=open_journal(cluster))
    assert result["proven"] == ["create", "update"] and not result["changed"]
    assert cluster.peek(POLICIES, "", NAME) == stored
    assert not run_module(migration_journal, {"name": "demo", "undo_from": "bind"}, cluster)["undo"]


def test_one_that_others_are_to_reduce_and_to_remove_is_waited_for(cluster):
    serve_policies(cluster, *ADMISSION)
    apply(cluster, run(cluster, check=True)["manifests"])
    reduced = run(cluster, check=True, state="reduced")["manifests"]
    assert "is not as it should be" in run(cluster, state="reduced", written_by="others")["msg"]
    apply(cluster, reduced)
    assert run(cluster, state="reduced", written_by="others")["proven"] == ["create", "update"]
    assert "is still there" in run(cluster, state="absent", written_by="others")["msg"]
    assert run(cluster, check=True, state="absent")["manifests"] == []
    apply(cluster, [])
    assert run(cluster, state="absent", written_by="others")["proven"] == []
    assert run(cluster, state="absent", written_by="others", pairs=PAIRS)["proven"] == ["create", "update"]


def test_one_that_is_gone_and_binds_all_the_same_is_an_error(cluster):
    serve_policies(cluster, *ADMISSION)
    cluster.on("POST", "*/virtualservices", lambda request: request.body["spec"]["gateways"].append(GREEN))
    result = run(cluster, state="absent", written_by="others", pairs=PAIRS, timeout=0)
    assert result["failure"]["code"] == "policy_still_active"


# -- reducing --------------------------------------------------------------------------------------------------------
def test_reduced_adds_no_blue_any_more_and_still_green(cluster):
    serve_policies(cluster, *ADMISSION)
    assert not run(cluster, state="reduced")["changed"] and not any(policies(cluster).values())
    run(cluster)
    assert run(cluster, state="reduced")["changed"] and not rule_in(cluster).both_ways
    assert not run(cluster, state="reduced")["changed"]
    unbound = bind(cluster, method="patch", state="unbound", names=["team/both"], **{"from": "blue"})
    assert unbound["counts"]["changed"] == 1 and gateways(cluster, "both") == [GREEN]
    bind(cluster)
    assert gateways(cluster, "blue") == [BLUE, GREEN]


# -- virtual_service_gateways by way of the policy -------------------------------------------------------------------
def test_existing_ones_are_bound_by_empty_patches(cluster):
    serve_policies(cluster, *ADMISSION)
    run(cluster)
    cluster.log.clear()
    result = bind(cluster)
    assert result["counts"] == {"changed": 2, "unchanged": 2, "skipped": 1, "failed": 0}
    assert gateways(cluster, "blue") == gateways(cluster, "green") == [BLUE, GREEN]
    assert gateways(cluster, "aside") == [BLUE]
    assert {r.content_type for r in cluster.log if r.method == "PATCH"} == {"application/merge-patch+json"}
    assert not bind(cluster)["changed"]


def test_without_a_policy_each_has_failed_and_says_why(cluster, monkeypatch):
    monkeypatch.setattr(_binding, "PAUSE", 0.001)
    serve_policies(cluster, *ADMISSION)
    result = bind(cluster)
    assert result["failure"]["code"] == "write_failed" and "no admission policy has done that" in result["msg"]
    assert result["failure"]["counts"]["failed"] == 2 and cluster.writes == 0


def test_a_policy_that_is_late_is_waited_for(cluster, monkeypatch):
    monkeypatch.setattr(_binding, "PAUSE", 0.001)
    serve_policies(cluster, *ADMISSION, after=3)
    rule = _binding_policy.written(vs.Bound(_binding.pairs_of(PAIRS)))
    for api, kind in ADMISSION:
        meta = {"name": NAME, "annotations": {_binding_policy.RULE: rule}}
        cluster.add({"apiVersion": api, "kind": kind, "metadata": meta, "spec": {}})
    assert bind(cluster, concurrency=1)["counts"]["changed"] == 2


def test_a_patch_that_admission_undoes_has_failed(cluster):
    serve_policies(cluster, *ADMISSION)
    run(cluster)
    result = bind(cluster, method="patch", state="unbound", names=["team/both"], **{"from": "blue"})
    assert result["failure"]["code"] == "write_failed" and "an admission policy or webhook" in result["msg"]


def test_admission_only_binds(cluster):
    result = bind(cluster, state="unbound", **{"from": "blue"})
    assert result["failure"]["code"] == "bad_options" and cluster.total == 0


# -- the way back ----------------------------------------------------------------------------------------------------
def test_rollback_removes_the_policy_before_it_restores_lists(cluster):
    serve_policies(cluster, *ADMISSION)
    journal = open_journal(cluster)
    before = {name: gateways(cluster, name) for name in ("blue", "green", "both")}
    assert run(cluster, journal=journal)["changed"] and bind(cluster, journal=journal)["changed"]
    assert undo(cluster, journal)[0] == "binding_policy"
    assert {name: gateways(cluster, name) for name in before} == before and not any(policies(cluster).values())


def test_rollback_of_a_reduced_or_removed_policy_brings_it_back(cluster):
    serve_policies(cluster, *ADMISSION)
    run(cluster)
    bind(cluster)
    journal = {**open_journal(cluster), "phase": "unbind"}
    run(cluster, state="reduced", journal=journal)
    unbind = {"method": "patch", "state": "unbound", "names": ["team/both"], "from": "blue"}
    assert bind(cluster, **unbind, journal=journal)["counts"]["changed"] == 1
    run(cluster, state="absent", journal=journal)
    assert not any(policies(cluster).values())
    undo(cluster, journal)
    assert rule_in(cluster) == vs.Bound(_binding.pairs_of(PAIRS), True) and gateways(cluster, "both") == [BLUE, GREEN]


def test_a_stale_run_writes_no_policy(cluster):
    serve_policies(cluster, *ADMISSION)
    old = open_journal(cluster)
    open_journal(cluster)
    assert run(cluster, journal=old)["failure"]["code"] == "stale_epoch" and not any(policies(cluster).values())


def test_reports_are_counted_where_there_are_any(cluster):
    report = ("wgpolicyk8s.io/v1alpha2", "PolicyReport")
    serve_policies(cluster, *KYVERNO, report)
    for name, result in (("a", "pass"), ("b", "skip"), ("c", "skip")):
        results = [{"policy": NAME, "result": result}, {"policy": "other", "result": "fail"}]
        meta = {"namespace": "team", "name": name}
        cluster.add({"apiVersion": report[0], "kind": report[1], "metadata": meta, "results": results})
    assert run(cluster)["reports"] == {"pass": 1, "skip": 2} and run(cluster, strategy="direct")["reports"] == {}


def test_diff_shows_the_policy(cluster):
    serve_policies(cluster, *ADMISSION)
    planned = run(cluster, check=True)["diff"]
    assert planned == run(cluster)["diff"] and planned["before"] == {}
    shown = planned["after"][f"MutatingAdmissionPolicy {NAME}"]
    assert json.loads(shown["rule"])["pairs"] == PAIRS and GREEN in json.dumps(shown["spec"])
