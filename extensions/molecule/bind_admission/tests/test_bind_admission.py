# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding by the API server's own policy: what it makes of objects, whose they are afterwards, and the ways back.

The tests build on each other, in their order.
"""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding_policy
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, Cluster, path_of
from binding import API, NAMESPACES, OPTIONS, PAIRS, VERSIONS, corpus, differences, virtual_service, vs
from lab import run

OLD, NEW = PAIRS[0]
JOURNAL = {"namespace": "mesh-a", "name": "admission"}
POLICIES = path_of("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies")
BOTH_WAYS, ONE_WAY = vs.Bound(PAIRS), vs.Bound(PAIRS, both_ways=False)


def path(name: str, namespace: str = "mesh-a", api: str = API) -> str:
    return path_of(api, "virtualservices", namespace, name)


def gateways(cluster: Cluster, name: str, namespace: str = "mesh-a") -> list[str] | None:
    return cluster.get(path(name, namespace))["spec"].get("gateways")


def written_now(cluster: Cluster, names: list[str]) -> list[str]:
    """What a VirtualService would be stored with that someone else creates now."""
    made = cluster.create(path_of(API, "virtualservices", "mesh-a"), virtual_service("now", names), dry_run=True)
    return made["spec"]["gateways"]


def specs(cluster: Cluster) -> dict[str, t.Any]:
    bodies = [body for namespace in NAMESPACES for body in cluster.list(path_of(API, "virtualservices", namespace))]
    return {vs.key_of(body): body["spec"] for body in bodies}


def opened(tmp_path: pathlib.Path, phase: str) -> dict[str, t.Any]:
    """A new run's place in the journal."""
    epoch = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True)["epoch"]
    return {**JOURNAL, "epoch": epoch, "phase": phase}


def undo(tmp_path: pathlib.Path, phase: str) -> list[str]:
    """What the rollback role does: the recorded inverses, in the journal's order."""
    steps = run("migration_journal", tmp_path, **JOURNAL, undo_from=phase)["undo"]
    journal = opened(tmp_path, "rollback")
    for step in steps:
        done = run(step["inverse"]["module"], tmp_path, **step["inverse"]["params"], journal=journal)
        assert "failed" not in done, done
        run("migration_journal", tmp_path, **JOURNAL, state="recorded", epoch=journal["epoch"], undone=[step["id"]])
    return [step["op"] for step in steps]


# -- what the policy does --------------------------------------------------------------------------------------------
def test_what_is_created_comes_out_as_our_plan_has_it(cluster):
    assert differences(cluster, BOTH_WAYS, corpus(900, seed=1)) == []


def test_what_is_updated_comes_out_as_our_plan_has_it(cluster):
    for namespace in NAMESPACES:
        target = virtual_service("target", ["other/gateway"], namespace)
        cluster.create(path_of(API, "virtualservices", namespace), target)
    assert differences(cluster, BOTH_WAYS, corpus(300, seed=2), update=True) == []


def test_the_corpus_says_something(cluster):
    bodies = [{**body, "metadata": {"resourceVersion": "", **body["metadata"]}} for body in corpus(900, seed=1)]
    verdicts = [vs.plan_one(body, BOTH_WAYS).verdict for body in bodies]
    assert verdicts.count("change") > 300 and verdicts.count("unchanged") > 50 and verdicts.count("skipped") > 30


def test_many_matches_are_within_what_the_api_server_lets_a_policy_cost(cluster):
    match = [{"gateways": ["old.mesh-a.svc.cluster.local", "mesh"]} for _n in range(1500)]
    body = virtual_service("large", [OLD], http=[{"match": match, "route": [{"destination": {"host": "nowhere"}}]}])
    assert differences(cluster, BOTH_WAYS, [body]) == []


@pytest.mark.parametrize("api", VERSIONS)
def test_a_new_one_is_bound_in_every_version_of_the_api(cluster, api):
    name = f"new-{api.rpartition('/')[2]}"
    cluster.create(path_of(api, "virtualservices", "mesh-a"), {**virtual_service(name, [OLD]), "apiVersion": api})
    assert gateways(cluster, name) == [OLD, NEW]
    cluster.patch(path(name, api=api), {"spec": {"gateways": ["mesh", NEW]}})
    assert gateways(cluster, name) == ["mesh", OLD, NEW]


def test_a_policy_that_cannot_be_evaluated_keeps_nobody_from_writing(cluster):
    made = cluster.create(
        path_of(API, "virtualservices", "mesh-a"),
        {"apiVersion": API, "kind": "VirtualService", "metadata": {"generateName": "empty-"}}, dry_run=True,
    )  # fmt: skip
    assert "spec" not in made


# -- what was there --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "expected"),
    [("plain", [OLD, NEW]), ("matches", ["old", NEW]), ("new-only", [OLD, NEW]), ("root", [OLD, NEW]),
     ("mesh-only", ["mesh"]), ("unsaid", None), ("aside", [OLD])],
)  # fmt: skip
def test_what_was_there_is_bound(cluster, name, expected):
    assert gateways(cluster, name) == expected


def test_in_its_matches_too_and_in_its_delegates(cluster):
    spec = cluster.get(path("matches"))["spec"]
    assert spec["http"][0]["match"][0]["gateways"] == [OLD, NEW] and "match" not in spec["http"][1]
    assert spec["tls"][0]["match"][0]["gateways"] == ["./old", NEW]
    assert spec["tcp"][0]["match"][0]["gateways"] == ["mesh", "old.mesh-a", NEW]
    assert cluster.get(path("leaf", "mesh-b"))["spec"]["http"][0]["match"][0]["gateways"] == [OLD, NEW]


@pytest.mark.parametrize("name", ["plain", "matches", "new-only", "root"])
def test_no_field_is_ours(cluster, name):
    metadata = cluster.get(path(name))["metadata"]
    assert [(entry["manager"], entry["operation"]) for entry in metadata["managedFields"]] == [("helm", "Apply")]
    assert "f:gateways" in metadata["managedFields"][0]["fieldsV1"]["f:spec"] and metadata["generation"] == 2


@pytest.mark.parametrize("name", ["mesh-only", "unsaid", "aside"])
def test_what_is_not_concerned_was_never_written(cluster, name):
    assert cluster.get(path(name))["metadata"]["generation"] == 1


def test_its_source_can_go_on_applying_it(cluster):
    """With the field owned by a patch of ours, this would be a conflict."""
    body = virtual_service("plain", [OLD], http=[{"route": [{"destination": {"host": "elsewhere"}}]}])
    query = {"fieldManager": "helm"}
    done = cluster.call("PATCH", path("plain"), query=query, body=body, content_type="application/apply-patch+yaml")
    assert done["spec"]["gateways"] == [OLD, NEW]
    assert done["spec"]["http"][0]["route"][0]["destination"]["host"] == "elsewhere"


# -- the policy itself -----------------------------------------------------------------------------------------------
def test_a_foreign_policy_of_that_name_is_left_alone(cluster, tmp_path):
    name = _binding_policy.policy_name("foreign")
    body = cluster.get(f"{POLICIES}/{_binding_policy.policy_name('admission')}")
    cluster.create(POLICIES, {**body, "metadata": {"name": name}})
    try:
        for state in ("present", "absent"):
            refused = run("binding_policy", tmp_path, migration="foreign", state=state, pairs=OPTIONS)
            assert refused["failure"]["code"] == "foreign_policy"
        assert cluster.find(f"{POLICIES}/{name}")
    finally:
        cluster.delete(f"{POLICIES}/{name}")


def test_a_policy_that_does_not_work_is_found_out(cluster, tmp_path):
    """Two policies with a gateway in common: the second never comes out as it should."""
    pairs = [{"blue": "mesh-b/side.door", "green": "mesh-a/new"}]
    failed = run("binding_policy", tmp_path, migration="second", pairs=pairs, timeout=3)
    assert failed["failure"]["code"] == "policy_inactive" and "dry-run create" in failed["msg"]
    failed = run("binding_policy", tmp_path, migration="second", state="absent", timeout=0)
    assert failed["failure"]["code"] == "policy_still_active"
    assert "changed" in run("binding_policy", tmp_path, migration="second", state="absent")


# -- there and back --------------------------------------------------------------------------------------------------
def test_rollback_leads_back_and_nothing_is_bound_any_more(cluster, tmp_path):
    assert undo(tmp_path, "bind")[0] == "binding_policy"
    assert gateways(cluster, "matches") == ["old"] and gateways(cluster, "new-only") == [NEW]
    assert cluster.get(path("matches"))["spec"]["tcp"][0]["match"][0]["gateways"] == ["mesh", "old.mesh-a"]
    assert cluster.get(path("leaf", "mesh-b"))["spec"]["http"][0]["match"][0]["gateways"] == [OLD]
    assert written_now(cluster, [OLD]) == [OLD] and written_now(cluster, [NEW]) == [NEW]
    with pytest.raises(ApiError):
        cluster.get(f"{POLICIES}/{_binding_policy.policy_name('admission')}")


def test_unbinding_by_steps(cluster, tmp_path):
    bind = opened(tmp_path, "bind")
    assert run("binding_policy", tmp_path, pairs=OPTIONS, journal=bind)["proven"] == ["create", "update"]
    bound = run("virtual_service_gateways", tmp_path, pairs=OPTIONS, method="admission", journal=bind)
    assert bound["counts"]["failed"] == 0 and bound["counts"]["changed"] > 4
    before = specs(cluster)

    unbind = opened(tmp_path, "unbind")
    assert run("binding_policy", tmp_path, state="reduced", journal=unbind)["proven"] == ["create"]
    assert written_now(cluster, [NEW]) == [NEW] and written_now(cluster, [OLD]) == [OLD, NEW]
    assert differences(cluster, ONE_WAY, corpus(200, seed=3)) == []
    options = {"state": "unbound", "from": "blue", "pairs": OPTIONS, "check_gateways": False}
    assert run("virtual_service_gateways", tmp_path, **options, journal=unbind)["counts"]["failed"] == 0
    assert gateways(cluster, "matches") == [NEW] and gateways(cluster, "plain") == [NEW]

    assert run("binding_policy", tmp_path, state="absent", journal=unbind)["changed"]
    assert written_now(cluster, [OLD]) == [OLD] and written_now(cluster, [NEW]) == [NEW]
    assert not run("binding_policy", tmp_path, state="reduced", journal=unbind)["changed"]

    assert undo(tmp_path, "unbind")
    assert specs(cluster) == before
    assert written_now(cluster, [OLD]) == written_now(cluster, [NEW]) == [OLD, NEW]
