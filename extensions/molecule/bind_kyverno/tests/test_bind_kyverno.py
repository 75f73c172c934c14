# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding by both kinds of Kyverno's policies, and going back. The tests build on each other, in their order."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of
from binding import API, NAMESPACES, OPTIONS, PAIRS, VERSIONS, corpus, differences, virtual_service, vs
from lab import run, until

OLD, NEW = PAIRS[0]
JOURNAL = {"namespace": "mesh-a", "name": "kyverno"}
RULE = vs.Bound(PAIRS)


def path(name: str, api: str = API) -> str:
    return path_of(api, "virtualservices", "mesh-a", name)


def written_now(cluster: Cluster, names: list[str]) -> list[str]:
    """What a VirtualService would be stored with that someone else creates now."""
    made = cluster.create(path_of(API, "virtualservices", "mesh-a"), virtual_service("now", names), dry_run=True)
    return made["spec"]["gateways"]


def the_policies(cluster: Cluster) -> dict[str, int]:
    kinds = {"mutatingpolicies": "policies.kyverno.io/v1", "clusterpolicies": "kyverno.io/v1"}
    return {plural: len(cluster.list(path_of(api, plural))) for plural, api in kinds.items()}


def nobody_is_locked_out_without_kyverno(cluster: Cluster) -> None:
    configurations = path_of("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations")
    hooks = [
        hook for configuration in cluster.list(configurations) for hook in configuration.get("webhooks") or ()
        if any("virtualservices" in rule["resources"] for rule in hook["rules"])
    ]  # fmt: skip
    assert hooks and {hook["failurePolicy"] for hook in hooks} == {"Ignore"}, hooks


def reports_are_told(cluster: Cluster, tmp_path: pathlib.Path, strategy: str, source: str) -> None:
    """Kyverno's reports-controller runs in the lab, and gathers what was said when something was written. source: by which
    it tells the kinds of its policies apart. Both of ours have one name."""
    name = f"reported-{source.lower()}"
    cluster.create(path_of(API, "virtualservices", "mesh-a"), virtual_service(name, [OLD]))

    def reported() -> bool:
        return source in {
            result["source"] for report in cluster.list(path_of("wgpolicyk8s.io/v1alpha2", "policyreports"))
            if report.get("scope", {}).get("name") == name for result in report.get("results") or ()
        }  # fmt: skip

    until(reported, 300)
    told = run("binding_policy", tmp_path, migration="kyverno", pairs=OPTIONS, strategy=strategy)
    assert told["changed"] is False and told["reports"]["pass"] >= 1, told["reports"]
    assert told["reports"].keys() <= {"pass", "skip"}, told["reports"]


# -- MutatingPolicy --------------------------------------------------------------------------------------------------
def test_what_was_there_is_bound_and_no_field_is_ours(cluster):
    found = {name: cluster.get(path(name)) for name in ("plain", "new-only", "mesh-only")}
    assert found["plain"]["spec"]["gateways"] == ["mesh", "old", NEW]
    assert found["plain"]["spec"]["http"][0]["match"][0]["gateways"] == [OLD, NEW]
    assert found["new-only"]["spec"]["gateways"] == [OLD, NEW] and found["mesh-only"]["metadata"]["generation"] == 1
    for body in found.values():
        assert [(e["manager"], e["operation"]) for e in body["metadata"]["managedFields"]] == [("helm", "Apply")]


@pytest.mark.parametrize("api", VERSIONS)
def test_a_new_one_is_bound_in_every_version_of_the_api(cluster, api):
    name = f"new-{api.rpartition('/')[2]}"
    cluster.create(path_of(api, "virtualservices", "mesh-a"), {**virtual_service(name, [OLD]), "apiVersion": api})
    assert cluster.get(path(name))["spec"]["gateways"] == [OLD, NEW]


def test_nobody_is_locked_out_by_a_mutating_policy(cluster):
    nobody_is_locked_out_without_kyverno(cluster)


def test_a_mutating_policy_makes_of_it_what_our_plan_does(cluster):
    for namespace in NAMESPACES:
        made = virtual_service("target", ["other/gateway"], namespace)
        cluster.create(path_of(API, "virtualservices", namespace), made)
    assert differences(cluster, RULE, corpus(300, seed=11)) == []
    assert differences(cluster, RULE, corpus(100, seed=12), update=True) == []


def test_reports_of_a_mutating_policy_are_told(cluster, tmp_path):
    reports_are_told(cluster, tmp_path, "kyverno", "KyvernoMutatingPolicy")


# -- ClusterPolicy ---------------------------------------------------------------------------------------------------
def test_another_strategy_takes_over_and_the_first_one_goes(cluster, tmp_path):
    assert the_policies(cluster) == {"mutatingpolicies": 1, "clusterpolicies": 0}
    options = {"migration": "kyverno", "pairs": OPTIONS, "strategy": "kyverno_cluster_policy"}
    done = run("binding_policy", tmp_path, **options)
    assert "failed" not in done and done["objects"][0]["kind"] == "ClusterPolicy", done
    assert the_policies(cluster) == {"mutatingpolicies": 0, "clusterpolicies": 1}
    again = run("binding_policy", tmp_path, **options)
    assert again["changed"] is False and "create" in again["proven"]
    nobody_is_locked_out_without_kyverno(cluster)


def test_reports_of_a_cluster_policy_are_told(cluster, tmp_path):
    reports_are_told(cluster, tmp_path, "kyverno_cluster_policy", "kyverno")


def test_a_cluster_policy_makes_of_it_what_our_plan_does(cluster):
    assert differences(cluster, RULE, corpus(300, seed=13)) == []
    assert differences(cluster, RULE, corpus(100, seed=14), update=True) == []


def test_reduced_it_adds_no_blue(cluster, tmp_path):
    assert run("binding_policy", tmp_path, migration="kyverno", state="reduced")["changed"]
    assert written_now(cluster, [NEW]) == [NEW] and written_now(cluster, [OLD]) == [OLD, NEW]
    assert the_policies(cluster)["clusterpolicies"] == 1


# -- the way back ----------------------------------------------------------------------------------------------------
def test_rollback_removes_the_policy_and_leads_back(cluster, tmp_path):
    steps = run("migration_journal", tmp_path, **JOURNAL, undo_from="bind")["undo"]
    assert steps[0]["op"] == "binding_policy" and len(steps) > 1
    opened = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True)
    for step in steps:
        journal = {**JOURNAL, "epoch": opened["epoch"], "phase": "rollback"}
        done = run(step["inverse"]["module"], tmp_path, **step["inverse"]["params"], journal=journal)
        assert "failed" not in done, done
    assert the_policies(cluster) == {"mutatingpolicies": 0, "clusterpolicies": 0}
    assert written_now(cluster, [OLD]) == [OLD]
    assert cluster.get(path("plain"))["spec"]["gateways"] == ["mesh", "old"]
    assert cluster.get(path("new-only"))["spec"]["gateways"] == [NEW]
