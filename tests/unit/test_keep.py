# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resource_keep and resource_keep_info, whole, against a fake API server."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import stat

import pytest
from ansible.module_utils.common import warnings
from ansible_collections.bluegreen.mesh.plugins.module_utils import _deletion_guard as guard
from ansible_collections.bluegreen.mesh.plugins.module_utils import _helm_release as helm
from ansible_collections.bluegreen.mesh.plugins.module_utils import _keep_target
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, resource_keep
from fake_blue import (
    HELM,
    JOURNAL,
    MANIFEST,
    act,
    annotations_of,
    blue,
    encoded,
    gateway,
    info,
    kept,
    manifest_of,
    obj,
    record,
    refused,
    secret,
    snapshot,
)
from fake_cluster import run_module


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(guard.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


@pytest.fixture(autouse=True)
def no_old_warnings():
    """Ansible collects them for the life of a process, which is one module's elsewhere."""
    warnings._global_warnings.clear()


# -- keeping ---------------------------------------------------------------------------------------------------------
def test_a_gateway_and_its_secret_are_kept_in_every_way():
    cluster = blue()
    result = kept(cluster)
    assert result["changed"] and result["guard"] == "active"
    assert [(p["kind"], p["name"], p["live"], p["record"], p["guard"]) for p in result["protected"]] == [
        ("Gateway", "public", True, True, True), ("Secret", "public-cert", True, True, True),
    ]  # fmt: skip
    assert result["protected"][0]["owner"] == {
        "release": "blue", "namespace": "istio-system", "revision": 1, "status": "deployed",
        "storage": "Secret istio-system/sh.helm.release.v1.blue.v1",
    }  # fmt: skip
    assert result["protected"][1]["origin"] == "spec.servers[1].tls.credentialName of Gateway istio-system/public"
    for plural, name in (("gateways", "public"), ("secrets", "public-cert")):
        found = annotations_of(cluster, plural, name)
        assert found["helm.sh/resource-policy"] == "keep" and found[guard.KEPT_BY] == "night"
        assert HELM.items() <= found.items(), "it stays the release's, which the way back goes on with"
        assert json.loads(found[_keep_target.UNDO]) == {"live": None, "record": None}
    manifest = manifest_of(cluster)
    assert manifest.count("helm.sh/resource-policy: keep") == 2 and "über" in manifest
    assert (
        manifest.replace("    helm.sh/resource-policy: keep\n", "").replace(
            "  annotations:\n  name: public-cert", "  name: public-cert"
        )
        == MANIFEST
    )
    assert cluster.names(guard.POLICIES) == ["bluegreen-mesh-keep-night"]
    stored = cluster.peek("secrets", "istio-system", "sh.helm.release.v1.blue.v1")
    assert stored["metadata"]["labels"]["owner"] == "helm" and stored["type"] == "helm.sh/release.v1"
    assert "c2VjcmV0" not in json.dumps(result) and encoded() not in json.dumps(result)


def test_a_second_run_changes_nothing():
    cluster = blue()
    kept(cluster)
    writes = cluster.writes
    result = kept(cluster)
    assert result["changed"] is False and cluster.writes == writes
    assert result["diff"] == {"before": {}, "after": {}}
    assert all(p["live"] and p["record"] and p["guard"] for p in result["protected"])


def test_check_mode_writes_nothing_and_tells_the_truth():
    cluster = blue()
    before = snapshot(cluster)
    predicted = act(cluster, check=True)
    assert snapshot(cluster) == before
    assert predicted["changed"] and predicted["guard"] == "pending"
    result = kept(cluster)
    assert predicted["protected"] == result["protected"]
    assert predicted["diff"] == result["diff"]
    again = act(cluster, check=True)
    assert again["changed"] is False and again["guard"] == "active"


def test_the_diff_shows_annotations_only():
    diff = kept(blue())["diff"]
    assert diff["before"]["Gateway istio-system/public"] == {}
    assert diff["after"]["Gateway istio-system/public"]["helm.sh/resource-policy"] == "keep"
    name = "Secret istio-system/sh.helm.release.v1.blue.v1 (Helm release istio-system/blue)"
    assert diff["before"][name] == {"Gateway istio-system/public": None, "Secret istio-system/public-cert": None}
    assert diff["after"][name] == {"Gateway istio-system/public": "keep", "Secret istio-system/public-cert": "keep"}


def test_a_live_annotation_alone_is_half_of_it():
    cluster = blue(objects=[gateway({"helm.sh/resource-policy": "keep"}), secret()])
    kept(cluster)
    assert json.loads(annotations_of(cluster)[_keep_target.UNDO]) == {"record": None}
    assert manifest_of(cluster).count("resource-policy") == 2


def test_a_record_alone_is_the_other_half():
    manifest = MANIFEST.replace('    über: "1"\n', '    helm.sh/resource-policy: " Keep"\n')
    cluster = blue(records=[record(encoded(manifest))])
    kept(cluster)
    assert json.loads(annotations_of(cluster)[_keep_target.UNDO]) == {"live": None}
    assert manifest_of(cluster).count('helm.sh/resource-policy: " Keep"') == 1


def test_odd_spellings_are_replaced_and_come_back():
    manifest = MANIFEST.replace('    über: "1"\n', "    helm.sh/resource-policy: retain\n")
    cluster = blue(
        objects=[gateway({"helm.sh/resource-policy": "Keep "}), secret()], records=[record(encoded(manifest))]
    )
    kept(cluster)
    assert annotations_of(cluster)["helm.sh/resource-policy"] == "keep"
    assert "resource-policy: retain" not in manifest_of(cluster)
    kept(cluster, state="released")
    assert annotations_of(cluster)["helm.sh/resource-policy"] == "Keep "
    assert manifest_of(cluster) == manifest


def test_the_highest_revision_counts_whatever_its_status():
    records = [
        record(version=9, status="deployed"), record(version=10, status="failed"),
        record(version=2, status="superseded"),
    ]  # fmt: skip
    cluster = blue(records=records)
    result = kept(cluster)
    assert result["protected"][0]["owner"]["revision"] == 10 and result["protected"][0]["owner"]["status"] == "failed"
    assert "resource-policy" in manifest_of(cluster, 10) and "resource-policy" not in manifest_of(cluster, 9)


def test_the_highest_revision_may_be_superseded():
    cluster = blue(records=[record(version=1), record(version=2, status="superseded")])
    assert kept(cluster)["protected"][0]["owner"]["revision"] == 2


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_storage_in_another_namespace_and_driver(kind):
    cluster = blue(records=[record(storage="bigbang", kind=kind)])
    result = kept(cluster)
    assert result["protected"][0]["owner"]["storage"] == f"{kind} bigbang/sh.helm.release.v1.blue.v1"
    assert "resource-policy" in manifest_of(cluster, storage="bigbang", kind=f"{kind.lower()}s")


def test_a_release_of_the_same_name_in_another_namespace_is_left_alone():
    other = encoded(MANIFEST.replace("namespace: istio-system", "namespace: other"), namespace="other")
    cluster = blue(records=[record(storage="other", value=other, version=7), record()])
    assert kept(cluster)["protected"][0]["owner"]["revision"] == 1
    assert "resource-policy" not in manifest_of(cluster, 7, "other")


def test_an_uncompressed_record_stays_one():
    cluster = blue(records=[record(encoded(gzipped=False))])
    kept(cluster)
    value = base64.b64decode(cluster.peek("secrets", "istio-system", "sh.helm.release.v1.blue.v1")["data"]["release"])
    assert b"resource-policy: keep" in base64.b64decode(value)


def test_an_owner_that_the_object_does_not_name_is_found():
    bare = gateway()
    bare["metadata"]["annotations"] = {}
    assert kept(blue(objects=[bare, secret()]))["protected"][0]["owner"]["release"] == "blue"


def test_an_object_without_owner():
    bare = gateway(tls={"mode": "PASSTHROUGH"})
    bare["metadata"]["annotations"] = {}
    result = kept(blue(objects=[bare], records=[]))
    assert result["protected"][0]["owner"] is None and result["protected"][0]["record"] is False
    assert result["protected"][0]["live"] and result["protected"][0]["guard"]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "no_record"),
        ([record(encoded("kind: A\n"))], "not_in_manifest"),
        ([record(encoded(MANIFEST.replace("über", "helm.sh/hook")))], "hook"),
        ([record(encoded(status="uninstalled"), status="uninstalled")], "not_in_manifest"),
    ],
)
def test_where_no_record_needs_an_edit(records, reason):
    tls = {"mode": "SIMPLE", "credentialName": "configmap://elsewhere"}
    cluster = blue(objects=[gateway(tls=tls)], records=records)
    before = [cluster.peek("secrets", "istio-system", r["metadata"]["name"]) for r in records]
    result = kept(cluster)
    assert result["protected"][0]["record"] is False
    assert result["protected"][0]["record_reason"] == _keep_target.RECORD_REASONS[reason]
    assert [cluster.peek("secrets", "istio-system", r["metadata"]["name"]) for r in records] == before


def test_more_resources_and_kinds_that_must_be_discovered():
    widgets = {"/apis/example.com/v1": [{"kind": "Widget", "name": "widgets", "namespaced": True}]}
    service = obj("v1", "Service", "public-ingressgateway", spec={})
    cluster = blue(service, obj("example.com/v1", "Widget", "w"), kinds=widgets)
    resources = [
        {"api_version": "v1", "kind": "Service", "namespace": "istio-system", "name": "public-ingressgateway"},
        {"api_version": "example.com/v1", "kind": "Widget", "namespace": "istio-system", "name": "w"},
        {"api_version": "v1", "kind": "Namespace", "name": "istio-system"},
    ]
    result = kept(cluster, gateways=None, resources=resources)
    assert [(p["name"], p["record"], p["guard"]) for p in result["protected"]] == [
        ("public-ingressgateway", True, True), ("w", False, True), ("istio-system", False, True),
    ]  # fmt: skip


def test_requests_do_not_grow_with_the_number_of_releases():
    few, many = blue(), blue(*[record(encoded(name=f"r{n}", manifest=""), label=f"r{n}") for n in range(40)])
    for cluster in (few, many):
        kept(cluster)
    assert few.total == many.total


# -- what is left out when asked -------------------------------------------------------------------------------------
def test_each_half_alone():
    cluster = blue()
    result = kept(cluster, guard="none", live_annotation=False)
    assert result["guard"] == "none" and not cluster.names(guard.POLICIES)
    assert "helm.sh/resource-policy" not in annotations_of(cluster) and "resource-policy" in manifest_of(cluster)
    cluster = blue()
    assert kept(cluster, helm_record=False)["protected"][0]["record"] is False
    assert "resource-policy" not in manifest_of(cluster)
    assert not [r for r in cluster.log if "labelSelector" in r.query]


def test_an_api_server_without_admission_policies():
    result = kept(blue(served=False))
    assert result["guard"] == "unavailable" and result["protected"][0]["guard"] is False
    assert "ValidatingAdmissionPolicy" in json.dumps(result["warnings"])
    assert "Kubernetes 1.30" in refused(blue(served=False), "guard_unavailable", guard="required")


def test_a_guard_that_never_becomes_active():
    result = act(blue(after=10**6))
    assert result["failed"] and result["failure"]["code"] == "guard_inactive"


def test_going_back_takes_no_leave_to_delete():
    """What is kept again after cleanup may be the cluster's, such as a CRD, which its user need not be allowed to
    delete."""
    back = {**JOURNAL, "phase": "rollback"}
    for journal, fails in ((JOURNAL, True), (back, False)):
        cluster = blue()
        cluster.fail("DELETE", "*/secrets/public-cert", 403, "Forbidden", "no")
        result = act(cluster, journal=journal, helm_record=False)
        assert bool(result.get("failed")) is fails, result
        assert fails or result["guard"] == "active"


def test_a_guard_that_others_write():
    """It is asked for, never written; and nothing is changed before it is there."""
    cluster = blue()
    wanted = act(cluster, check=True)["guard_manifests"]
    assert [body["kind"] for body in wanted] == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    before = snapshot(cluster)
    assert "ValidatingAdmissionPolicy is not there" in refused(cluster, "not_as_written", guard_written_by="others")
    assert snapshot(cluster) == before
    foreseen = act(cluster, check=True, guard_written_by="others")
    assert foreseen["guard"] == "pending" and foreseen["guard_manifests"] == wanted
    for plural, body in zip((guard.POLICIES, guard.BINDINGS), wanted):
        cluster.create(f"/apis/{guard.API}/{plural}", copy.deepcopy(body))
    assert kept(cluster, guard_written_by="others")["guard"] == "active"
    assert kept(cluster, guard_written_by="others")["changed"] is False
    kept(cluster, state="released", guard_written_by="others")
    assert guard.KEPT_BY not in annotations_of(cluster)
    assert cluster.names(guard.POLICIES) == cluster.names(guard.BINDINGS) == ["bluegreen-mesh-keep-night"]
    cluster.edit(guard.BINDINGS, "", "bluegreen-mesh-keep-night", lambda body: body["spec"].update(validationActions=["Audit"]))
    assert "Binding is not as it should be" in refused(cluster, "not_as_written", guard_written_by="others")


# -- releasing -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("with_journal", [True, False])
@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_released_is_as_it_was_byte_for_byte(kind, with_journal, tmp_path):
    cluster = blue(records=[record(kind=kind)])
    written = (("gateways", "public"), ("secrets", "public-cert"), (f"{kind.lower()}s", "sh.helm.release.v1.blue.v1"))
    before = {name: cluster.peek(plural, "istio-system", name) for plural, name in written}
    params = {} if with_journal else {"journal": None, "migration": "night", "backup_dir": str(tmp_path)}
    kept(cluster, **params)
    result = kept(cluster, state="released", **params)
    assert result["changed"] and not cluster.names(guard.POLICIES) and not cluster.names(guard.BINDINGS)
    for plural, name in written:
        now = cluster.peek(plural, "istio-system", name)
        for body in (now, before[name]):
            body["metadata"].pop("resourceVersion")
            body["metadata"].pop("generation", None)
        assert now == before[name], name
    assert all(not p["live"] and not p["record"] and not p["guard"] for p in result["protected"])
    writes = cluster.writes
    assert kept(cluster, state="released", **params)["changed"] is False and cluster.writes == writes


def test_released_after_somebody_else_has_written_the_record():
    cluster = blue()
    kept(cluster)
    value = base64.b64decode(
        cluster.peek("secrets", "istio-system", "sh.helm.release.v1.blue.v1")["data"]["release"]
    ).decode()
    other = helm.decode(value).release | {"config": {"ratio": 2}}
    other["manifest"] = other["manifest"].replace("namespace: istio-system", "namespace: istio-system # moved")
    new = base64.b64encode(gzip.compress(json.dumps(other).encode())).decode()
    cluster.edit("secrets", "istio-system", "sh.helm.release.v1.blue.v1",
                 lambda body: body["data"].update(release=base64.b64encode(new.encode()).decode()))  # fmt: skip
    kept(cluster, state="released")
    assert manifest_of(cluster) == MANIFEST.replace("namespace: istio-system", "namespace: istio-system # moved")


def test_what_was_kept_before_stays_kept():
    manifest = MANIFEST.replace(
        "  name: public-cert\n", "  name: public-cert\n  annotations: {helm.sh/resource-policy: keep}\n"
    )
    cluster = blue(
        objects=[gateway(), secret(annotations={"helm.sh/resource-policy": "keep"})],
        records=[record(encoded(manifest))],
    )
    kept(cluster)
    result = kept(cluster, state="released")
    assert [(p["name"], p["live"], p["record"]) for p in result["protected"]] == [
        ("public", False, False),
        ("public-cert", True, True),
    ]
    assert annotations_of(cluster, "secrets", "public-cert") == {**HELM, "helm.sh/resource-policy": "keep"}
    assert manifest_of(cluster) == manifest


def test_released_after_uninstall():
    cluster = blue()
    kept(cluster)
    with cluster._lock:
        del cluster._store[("", "secrets", "istio-system", "sh.helm.release.v1.blue.v1")]
    again = kept(cluster)
    assert again["changed"] is False
    assert again["protected"][0]["record_reason"] == _keep_target.RECORD_REASONS["no_record"]
    result = kept(cluster, state="released")
    assert result["changed"] and guard.KEPT_BY not in annotations_of(cluster)


def test_released_when_the_gateway_is_gone():
    cluster = blue()
    kept(cluster)
    with cluster._lock:
        del cluster._store[("networking.istio.io", "gateways", "istio-system", "public")]
    secrets = [{"api_version": "v1", "kind": "Secret", "namespace": "istio-system", "name": "public-cert"}]
    result = kept(cluster, state="released", resources=secrets)
    assert [m["name"] for m in result["missing"]] == ["public"]
    assert not cluster.names(guard.POLICIES)


def test_released_in_part_leaves_the_rest_guarded():
    cluster = blue()
    kept(cluster)
    secrets = [{"api_version": "v1", "kind": "Secret", "namespace": "istio-system", "name": "public-cert"}]
    kept(cluster, state="released", gateways=None, resources=secrets)
    assert manifest_of(cluster).count("resource-policy") == 1
    assert guard.kept_entries(cluster.peek(guard.POLICIES, "", "bluegreen-mesh-keep-night")) == {
        "networking.istio.io/Gateway/istio-system/public"
    }


def test_releasing_in_check_mode():
    cluster = blue()
    kept(cluster)
    before = snapshot(cluster)
    predicted = act(cluster, state="released", check=True)
    assert snapshot(cluster) == before and predicted["changed"]
    result = kept(cluster, state="released")
    assert predicted["protected"] == result["protected"] and predicted["diff"] == result["diff"]


def test_a_damaged_note_is_no_reason_to_take_anything_away():
    cluster = blue(
        objects=[gateway({guard.KEPT_BY: "night", _keep_target.UNDO: "{", "helm.sh/resource-policy": "keep"}), secret()]
    )
    kept(cluster, state="released")
    assert annotations_of(cluster) == {**HELM, "helm.sh/resource-policy": "keep"}


# -- the journal -----------------------------------------------------------------------------------------------------
def steps(cluster):
    return json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])


def test_inverse_and_backup_are_recorded_before_the_act():
    cluster = blue()
    original = encoded()
    seen = []
    cluster.on("PATCH", "*/gateways/*", lambda _r: seen.append([s["state"] for s in steps(cluster)]))
    kept(cluster)
    assert seen == [["recorded", "recorded"]]
    found = {step["op"]: step for step in steps(cluster)}
    assert set(found) == {"helm_record", "resource_keep"} and all(s["state"] == "done" for s in found.values())
    inverse = found["resource_keep"]["inverse"]
    assert inverse["module"] == "resource_keep" and inverse["params"]["state"] == "released"
    assert [r["name"] for r in inverse["params"]["resources"]] == ["public", "public-cert"]
    backup = cluster.peek("secrets", "bluegreen-mesh", found["helm_record"]["backup"])
    assert base64.b64decode(backup["data"]["release"]) == base64.b64decode(original)
    assert "owner" not in backup["metadata"]["labels"]


def test_the_recorded_inverse_undoes_it():
    cluster = blue()
    kept(cluster)
    for step in reversed(steps(cluster)):
        params = {**step["inverse"]["params"], "journal": {**JOURNAL, "phase": "rollback"}}
        result = run_module(resource_keep, params, cluster)
        assert not result.get("failed"), result
    assert manifest_of(cluster) == MANIFEST and annotations_of(cluster) == HELM and not cluster.names(guard.POLICIES)


def test_a_run_that_changes_nothing_records_nothing():
    cluster = blue()
    kept(cluster)
    recorded = steps(cluster)
    kept(cluster)
    assert steps(cluster) == recorded


def test_an_older_run_is_stopped():
    cluster = blue()
    again = {"state": "open", "namespace": "bluegreen-mesh", "name": "night", "operator": "you", "takeover": True}
    run_module(migration_journal, again, cluster)
    assert "you" in refused(cluster, "stale_epoch")


def test_a_killed_run_is_finished_by_the_next():
    cluster = blue()
    cluster.fail("PATCH", "*/secrets/sh.helm*", 500, "InternalError", times=1)
    assert act(cluster)["failed"]
    assert guard.KEPT_BY in annotations_of(cluster) and "resource-policy" not in manifest_of(cluster)
    kept(cluster)
    assert manifest_of(cluster).count("resource-policy") == 2
    assert [step["op"] for step in steps(cluster) if step["state"] == "done"] == [
        "helm_record"
    ]  # the other: rolled back too
    kept(cluster, state="released")
    assert manifest_of(cluster) == MANIFEST and annotations_of(cluster) == HELM


# -- backups in files ------------------------------------------------------------------------------------------------
def test_backup_files_are_for_nobody_else(tmp_path):
    cluster = blue()
    kept(cluster, journal=None, migration="night", backup_dir=str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["release"] == encoded()


def test_without_journal_a_backup_directory_is_needed(tmp_path):
    assert "backup_dir" in refused(blue(), "no_backup", journal=None, migration="night")
    assert "not a directory" in refused(
        blue(), "no_backup_dir", journal=None, migration="night", backup_dir=str(tmp_path / "no")
    )
    preview = act(blue(), check=True, journal=None, migration="night")
    assert preview["changed"] and "backup_dir" in json.dumps(preview["warnings"])


# -- others write, too -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("plural", "name"), [("gateways", "public"), ("secrets", "sh.helm.release.v1.blue.v1")])
def test_a_conflict_is_read_again(plural, name):
    cluster = blue()

    def meddle(_request):
        cluster.edit(
            plural, "istio-system", name, lambda body: body["metadata"].setdefault("labels", {}).update(mine="yes")
        )

    cluster.on("PATCH", f"*/{plural}/{name}", meddle, times=1)
    result = kept(cluster)
    assert result["changed"] and all(p["record"] and p["live"] for p in result["protected"])
    assert cluster.peek(plural, "istio-system", name)["metadata"]["labels"]["mine"] == "yes"
    assert all(step["state"] == "done" for step in steps(cluster))


def test_an_upgrade_in_between_is_not_overwritten():
    cluster = blue()
    upgraded = base64.b64encode(encoded(MANIFEST.replace("über", "new")).encode()).decode()

    def upgrade(_request):
        change = {"release": upgraded}
        cluster.edit("secrets", "istio-system", "sh.helm.release.v1.blue.v1", lambda body: body["data"].update(change))

    cluster.on("PATCH", "*/secrets/sh.helm.release.v1.blue.v1", upgrade, times=1)
    kept(cluster)
    assert 'new: "1"' in manifest_of(cluster) and manifest_of(cluster).count("resource-policy") == 2


def test_the_first_note_of_what_was_before_counts():
    cluster = blue()
    kept(cluster)
    cluster.edit(
        "gateways", "istio-system", "public",
        lambda body: body["metadata"]["annotations"].update({"helm.sh/resource-policy": "retain"}),
    )  # fmt: skip
    assert kept(cluster)["changed"]
    kept(cluster, state="released")
    assert annotations_of(cluster) == HELM


def test_endless_conflict_names_the_object():
    cluster = blue()
    cluster.fail("PATCH", "*/gateways/public", 409, "Conflict")
    result = act(cluster)
    assert result["failure"]["code"] == "conflict" and "gateways/public" in result["msg"]


# -- refusals: nothing is changed ------------------------------------------------------------------------------------
def test_two_owners():
    other = record(encoded(name="green", version=3), version=3, label="green", storage="flux-system")
    message = refused(blue(other), "two_owners")
    assert "istio-system/blue" in message and "istio-system/green" in message and "flux-system" in message


@pytest.mark.parametrize("value", ["%%%", base64.b64encode(b"\x1f\x8b\x08no").decode()])
def test_undecodable_release(value):
    message = refused(blue(record(value, version=2)), "undecodable_release")
    assert "Secret istio-system/sh.helm.release.v1.blue.v2" in message
    assert "v1" in refused(blue(records=[record(value)]), "undecodable_release")


def test_an_undecodable_old_or_foreign_revision_is_no_obstacle():
    cluster = blue(record("%%%", version=1), record("%%%", version=3, label="other"), records=[record(version=2)])
    result = kept(cluster)
    assert result["protected"][0]["record"]
    assert "sh.helm.release.v1.other.v3" in json.dumps(result["warnings"])


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_an_owner_in_the_middle_of_something(status):
    message = refused(blue(records=[record(status=status)]), "owner_busy")
    assert status in message and "istio-system/blue" in message


def test_a_stuck_owner_that_already_keeps_it_is_no_obstacle():
    cluster = blue()
    kept(cluster)
    manifest = manifest_of(cluster)
    value = base64.b64encode(encoded(manifest, status="uninstalling").encode()).decode()
    cluster.edit(
        "secrets", "istio-system", "sh.helm.release.v1.blue.v1", lambda body: body["data"].update(release=value)
    )
    assert kept(cluster)["changed"] is False


def test_items_of_a_list():
    item = "- apiVersion: networking.istio.io/v1\n  kind: Gateway\n  metadata: {name: public}\n"
    manifest = f"apiVersion: v1\nkind: List\nitems:\n{item}"
    cluster = blue(records=[record(encoded(manifest))])
    message = refused(cluster, "in_list")
    assert "Gateway istio-system/public" in message and "guard" in message
    assert kept(cluster, helm_record=False)["protected"][0]["guard"]


def test_an_immutable_record():
    assert "immutable" in refused(blue(records=[record(immutable=True)]), "record_immutable")


def test_a_record_near_the_limit():
    def filled(size):  # incompressible, so that the record is this large
        return record(encoded(gzipped=False, pad="x" * size))

    room = helm.SIZE_LIMIT * 3 // 4 - len(base64.b64decode(encoded(gzipped=False, pad="")))
    message = refused(blue(records=[filled(room - 40)]), "record_too_big")
    assert "1048576" in message and "sh.helm.release.v1.blue.v1" in message
    assert kept(blue(records=[filled(room - 200)]))["protected"][0]["record"]


def test_a_manifest_that_can_not_be_edited():
    manifest = MANIFEST.replace('annotations:\n    über: "1"', "annotations: &a {x: y}").replace(
        "spec: {}", "spec: {a: *a}"
    )
    assert "Gateway public" in refused(blue(records=[record(encoded(manifest))]), "uneditable_manifest")
    broken = MANIFEST.replace("spec: {}", "spec: {")
    assert "sh.helm" in refused(blue(records=[record(encoded(broken))]), "undecodable_manifest")


def test_a_reconciling_flux_release():
    labels = {"helm.toolkit.fluxcd.io/name": "istio", "helm.toolkit.fluxcd.io/namespace": "bigbang"}

    def helm_release(suspend):
        meta = {"name": "istio", "namespace": "bigbang"}
        return {
            "apiVersion": "helm.toolkit.fluxcd.io/v2",
            "kind": "HelmRelease",
            "metadata": meta,
            "spec": {"suspend": suspend},
        }

    objects = [gateway(labels=labels), secret(labels=labels)]
    assert "bigbang/istio" in refused(
        blue(helm_release(False), objects=objects), "owner_reconciles", flux_method="none"
    )
    assert kept(blue(helm_release(True), objects=objects))["changed"]
    assert "does not exist" in json.dumps(kept(blue(objects=objects))["warnings"])


def test_what_another_migration_keeps():
    for state in ("kept", "released"):
        assert "other" in refused(
            blue(objects=[gateway({guard.KEPT_BY: "other"}), secret()]), "kept_by_other", state=state
        )


def test_what_does_not_exist():
    assert "Gateway istio-system/nope" in refused(blue(), "no_gateway", gateways=["istio-system/nope"])
    assert "secrets_namespace" in refused(blue(objects=[gateway()]), "not_found")
    resources = [{"api_version": "v1", "kind": "Service", "namespace": "istio-system", "name": "nope"}]
    assert "Service istio-system/nope" in refused(blue(), "not_found", resources=resources)


def test_what_is_being_deleted():
    dying = gateway(meta={"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]})
    assert "being deleted" in refused(blue(objects=[dying, secret()]), "being_deleted")


@pytest.mark.parametrize("text", ["public", "istio-system/", "/public", "a/b/c", ""])
def test_malformed_references(text):
    assert repr(text) in refused(blue(), "malformed_reference", gateways=[text])


def test_kinds_and_scopes():
    def resource(**what):
        return {"resources": [{"api_version": "v1", "kind": "Secret", "name": "x", **what}]}

    assert "Nope" in refused(blue(), "unknown_kind", **resource(kind="Nope", api_version="example.com/v9"))
    assert "a namespace" in refused(blue(), "malformed_reference", **resource())
    assert "cluster-scoped" in refused(blue(), "malformed_reference", **resource(kind="Namespace", namespace="x"))


def test_a_name_is_needed():
    assert "migration" in refused(blue(), "bad_name", journal=None)
    assert "Not_A_Name" in refused(blue(), "bad_name", migration="Not_A_Name")


def test_missing_permission_is_explained():
    cluster = blue()
    cluster.fail("GET", "/api/v1/secrets", 403, "Forbidden", 'User "x" cannot list resource "secrets"')
    result = act(cluster)
    assert result["failed"] and 'cannot list resource "secrets"' in result["msg"]


# -- which Secrets a Gateway names -----------------------------------------------------------------------------------
def secrets_of(**tls):
    return {(w, n): bool(f) for w, n, f in _keep_target.tls_secrets(gateway(tls=tls), "ns")}


def test_tls_secrets():
    assert secrets_of(mode="SIMPLE", credentialName="a") == {("ns", "a"): True}
    assert secrets_of(mode="MUTUAL", credentialName="a") == {("ns", "a"): True, ("ns", "a-cacert"): False}
    assert secrets_of(mode="OPTIONAL_MUTUAL", credentialName="a", caCertCredentialName="ca") == {
        ("ns", "a"): True, ("ns", "a-cacert"): False, ("ns", "ca"): False,
    }  # fmt: skip
    assert secrets_of(mode="SIMPLE", credentialNames=["rsa", "ecdsa"]) == {("ns", "rsa"): True, ("ns", "ecdsa"): True}
    assert secrets_of(mode="SIMPLE", credentialName="kubernetes://other/a") == {("other", "a"): True}
    for tls in (
        {"mode": "PASSTHROUGH", "credentialName": "a"},
        {"mode": "ISTIO_MUTUAL"},
        {"credentialName": "a"},
        {"mode": "SIMPLE", "credentialName": "configmap://a"},
        {"mode": "SIMPLE", "serverCertificate": "/a"},
    ):
        assert secrets_of(**tls) == {}
    assert _keep_target.tls_secrets({}, "ns") == []


def test_a_mutual_gateway_with_and_without_a_ca_secret():
    mutual = gateway(tls={"mode": "MUTUAL", "credentialName": "public-cert"})
    assert len(kept(blue(objects=[mutual, secret()]))["protected"]) == 2
    result = kept(blue(objects=[mutual, secret(), secret("public-cert-cacert")]))
    assert [p["name"] for p in result["protected"]] == ["public", "public-cert", "public-cert-cacert"]


def test_secrets_in_the_namespace_of_the_pods():
    elsewhere = secret(meta={"namespace": "ingress"})
    result = kept(blue(objects=[gateway(), elsewhere]), secrets_namespace="ingress")
    assert result["protected"][1]["namespace"] == "ingress"


def test_gateways_of_an_old_istio():
    old = {**gateway(), "apiVersion": "networking.istio.io/v1beta1"}
    cluster = blue(objects=[old, secret()])
    cluster.on("*", "/apis/networking.istio.io/v1/*", lambda _r: (404, {"reason": "NotFound"}))
    assert kept(cluster)["protected"][0]["api_version"] == "networking.istio.io/v1beta1"


# -- information -----------------------------------------------------------------------------------------------------
def names(items):
    return [f"{item['kind']} {item['name']}" for item in items]


def test_info_on_a_release():
    cluster = blue(obj("v1", "Service", "public-ingressgateway", spec={}))
    before = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    assert names(before["delete"]) == ["Service public-ingressgateway", "Secret public-cert", "Gateway public"]
    assert before["release"]["storage"] == "Secret istio-system/sh.helm.release.v1.blue.v1"
    assert before["release"]["status"] == "deployed" and before["release"]["revision"] == 1
    assert len(before["dropped"]["delete"]) == 3
    kept(cluster)
    after = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    assert names(after["keep"]) == ["Secret public-cert", "Gateway public"] == names(after["dropped"]["keep"])
    assert names(after["delete"]) == ["Service public-ingressgateway"]


def test_info_shows_that_a_live_annotation_does_not_help_uninstall():
    cluster = blue(
        objects=[gateway({"helm.sh/resource-policy": "keep"}), secret(annotations={"helm.sh/resource-policy": "Keep"})]
    )
    result = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    assert "Gateway public" in names(result["delete"])
    assert names(result["dropped"]["keep"]) == ["Gateway public"]
    assert names(result["dropped"]["delete"]) == ["Secret public-cert"]  # an upgrade needs exactly `keep`
    assert names(result["dropped"]["missing"]) == ["Service public-ingressgateway"]


def test_info_lists_every_revision():
    cluster = blue(records=[record(version=v, status="superseded" if v < 10 else "deployed") for v in (2, 10, 9)])
    result = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    assert [s.rpartition(".")[2] for s in result["storage"]] == ["v2", "v9", "v10"]


def test_info_on_owners():
    cluster = blue()
    result = info(cluster, gateways=["istio-system/public", "istio-system/nope"])
    assert [(o["kind"], o["owner"]["release"], o["live"], o["record"], o["kept_by"]) for o in result["owners"]] == [
        ("Gateway", "blue", False, False, None), ("Secret", "blue", False, False, None),
    ]  # fmt: skip
    assert names(result["missing"]) == ["Gateway nope"]
    kept(cluster)
    result = info(cluster, gateways=["istio-system/public"])
    assert all(o["live"] and o["record"] and o["guard"] and o["kept_by"] == "night" for o in result["owners"])


def test_info_refusals():
    def failure(cluster, **params):
        result = info(cluster, **params)
        return result["failure"]["code"], result["msg"]

    release = {"name": "blue", "namespace": "elsewhere"}
    code, message = failure(blue(), release=release)
    assert code == "not_found" and "istio-system" in message
    release["namespace"] = "istio-system"
    assert failure(blue(record(kind="ConfigMap")), release=release)[0] == "two_owners"
    assert failure(blue(record("%%%", version=2)), release=release)[0] == "undecodable_release"
    assert failure(blue(records=[record(encoded("kind: {"))]), release=release)[0] == "undecodable_manifest"
    assert info(blue())["failed"] and info(blue(), release=release, gateways=["a/b"])["failed"]
