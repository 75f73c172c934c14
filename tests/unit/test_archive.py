# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deleted at cleanup is put away first, and can be made again."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _archive
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, resource_archive
from fake_cluster import FakeCluster, run_module

JOURNAL = {"namespace": "journals", "name": "m"}
GATEWAY = {
    "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
    "metadata": {"namespace": "edge", "name": "public", "annotations": {"a": "b"}},
    "spec": {"selector": {"app": "old"}, "servers": []},
}  # fmt: skip
SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "edge", "name": "old"},
    "spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 443, "nodePort": 30443}]},
}  # fmt: skip
CERTIFICATE = {
    "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
    "metadata": {"namespace": "edge", "name": "cert"}, "data": {"tls.key": "c2VjcmV0LWtleQ=="},
}  # fmt: skip
DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "edge", "name": "old", "generation": 1},
    "spec": {"replicas": 2}, "status": {"readyReplicas": 2, "observedGeneration": 1},
}  # fmt: skip
OBJECTS = (GATEWAY, SERVICE, CERTIFICATE, DEPLOYMENT)
PLURALS = {"Gateway": "gateways", "Service": "services", "Secret": "secrets", "Deployment": "deployments"}


def named(*bodies):
    return [
        {"api_version": b["apiVersion"], "kind": b["kind"], "namespace": b["metadata"]["namespace"],
         "name": b["metadata"]["name"]}
        for b in bodies
    ]  # fmt: skip


@pytest.fixture
def cluster():
    fake = FakeCluster(*copy.deepcopy(OBJECTS))
    # A Deployment that is made again has its pods at once here.
    ready = {"readyReplicas": 2, "observedGeneration": 1}
    fake.on("POST", "/apis/apps/v1/*", lambda request: request.body.update(status=ready) and None)
    return fake


def epoch_of(fake, **options):
    opened = run_module(migration_journal, {**JOURNAL, "state": "open", "run_id": "r", **options}, fake)
    return {**JOURNAL, "epoch": opened["epoch"], "phase": "cleanup"}


def run(fake, journal, check=False, **options):
    return run_module(resource_archive, {"key": "blue", "journal": journal, **options}, fake, check=check)


def undo_all(fake, journal):
    """As rollback does: each step of the journal by its inverse, newest first."""
    read = run_module(migration_journal, {**JOURNAL, "state": "read", "undo_from": "cleanup"}, fake)
    results = []
    for step in read["undo"]:
        assert step["inverse"]["module"] == "resource_archive"
        params = {**step["inverse"]["params"], "journal": {**journal, "phase": "rollback"}}
        results.append(run_module(resource_archive, params, fake))
    return results


def there(fake):
    return {b["kind"] for b in OBJECTS if fake.peek(PLURALS[b["kind"]], "edge", b["metadata"]["name"])}


def test_a_finalizer_that_nobody_takes_off_any_more_is_taken_off_and_comes_back(cluster, monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(resource_archive.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(resource_archive.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))
    cluster.edit("services", "edge", "old", lambda b: b["metadata"].update(finalizers=["x/theirs", "x/gone"]))
    journal = epoch_of(cluster)
    held = run(cluster, journal, state="removed", resources=named(SERVICE), finalizers=["x/gone"], wait=5)
    assert held["failure"]["code"] == "still_there" and "x/theirs" in held["msg"] and "x/gone" not in held["msg"]
    done = run(cluster, journal, state="removed", resources=named(SERVICE), finalizers=["x/gone", "x/theirs"], wait=5)
    assert not done.get("failed") and cluster.peek("services", "edge", "old") is None
    undo_all(cluster, journal)
    assert cluster.peek("services", "edge", "old")["metadata"]["finalizers"] == ["x/theirs", "x/gone"]


def test_what_is_removed_comes_back_as_it_was(cluster):
    journal = epoch_of(cluster)
    before = {b["kind"]: cluster.peek(PLURALS[b["kind"]], "edge", b["metadata"]["name"]) for b in OBJECTS}
    predicted = run(cluster, journal, check=True, state="removed", resources=named(*OBJECTS))
    assert there(cluster) == PLURALS.keys() and predicted["changed"]
    removed = run(cluster, journal, state="removed", resources=named(*OBJECTS))
    assert removed["changed"] and removed["diff"] == predicted["diff"]
    assert removed["objects"][0] == "Gateway edge/public" and there(cluster) == set()
    assert not run(cluster, journal, state="removed", resources=named(*OBJECTS))["changed"]
    (back,) = undo_all(cluster, journal)
    assert back["changed"] and back["objects"] == removed["objects"] and back["notes"] == []
    for kind, old in before.items():
        new = cluster.peek(PLURALS[kind], "edge", old["metadata"]["name"])
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert {**new, "metadata": None} == {**old, "metadata": None}
        assert new["metadata"].get("annotations") == old["metadata"].get("annotations")
    (again,) = undo_all(cluster, journal)
    assert not again["changed"]


def test_no_secret_is_shown(cluster):
    journal = epoch_of(cluster)
    removed = run(cluster, journal, state="removed", resources=named(*OBJECTS))
    shown = json.dumps([removed, undo_all(cluster, journal)])
    kept = cluster.peek("configmaps", "journals", "m")
    assert "c2VjcmV0" not in shown and "c2VjcmV0" not in json.dumps(kept)


def test_what_an_earlier_run_has_archived_is_not_written_again_and_new_things_are(cluster):
    journal = epoch_of(cluster)
    assert not run(cluster, journal, resources=named(GATEWAY, SERVICE))["changed"]
    run(cluster, journal, resources=named(GATEWAY, SERVICE))
    assert len([name for name in cluster.names("secrets", "journals") if "backup" in name]) == 1
    run(cluster, journal, state="removed", resources=named(*OBJECTS))
    assert len([name for name in cluster.names("secrets", "journals") if "backup" in name]) == 2
    assert [sorted(result["objects"]) for result in undo_all(cluster, journal)] == [
        ["Deployment edge/old", "Secret edge/cert"], ["Gateway edge/public", "Service edge/old"]
    ]  # fmt: skip
    assert there(cluster) == PLURALS.keys()


def test_helms_records_come_back_and_are_not_deleted_by_us(cluster):
    labels = {"owner": "helm", "name": "ingress"}
    record = {
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": {"release": "eHg="},
        "metadata": {"namespace": "flux", "name": "sh.helm.release.v1.ingress.v1", "labels": labels},
    }  # fmt: skip
    cluster.add(record)
    journal = epoch_of(cluster)
    release = {"name": "ingress", "namespace": "flux"}
    run(cluster, journal, resources=named(GATEWAY), releases=[release])
    assert cluster.names("secrets", "flux") == [record["metadata"]["name"]]
    cluster.delete("/api/v1/namespaces/flux/secrets/sh.helm.release.v1.ingress.v1")
    undo_all(cluster, journal)
    assert cluster.peek("secrets", "flux", record["metadata"]["name"])["data"] == record["data"]


def test_a_cluster_ip_that_was_taken_is_replaced_and_that_is_said(cluster):
    journal = epoch_of(cluster)
    run(cluster, journal, state="removed", resources=named(SERVICE))

    def taken(request):
        if "clusterIP" not in request.body["spec"]:
            request.body["spec"]["clusterIP"] = "10.0.0.9"
            return None
        message = 'Service "old" is invalid: spec.clusterIPs: failed to allocate IP 10.0.0.7: already allocated'
        return 422, {"kind": "Status", "reason": "Invalid", "message": message}

    cluster.on("POST", "*/services", taken)
    (back,) = undo_all(cluster, journal)
    assert back["notes"] == [
        "Service edge/old has the ClusterIP 10.0.0.9; 10.0.0.7, which it had, has been taken by another Service."
    ]
    assert cluster.peek("services", "edge", "old")["spec"]["ports"] == SERVICE["spec"]["ports"]


def test_a_node_port_that_was_taken_is_an_error(cluster):
    journal = epoch_of(cluster)
    run(cluster, journal, state="removed", resources=named(SERVICE))
    message = "spec.ports[0].nodePort: Invalid value: 30443: provided port is already allocated"
    cluster.on("POST", "*/services", lambda _request: (422, {"kind": "Status", "message": message}))
    (back,) = undo_all(cluster, journal)
    assert back["failure"]["code"] == "not_restored" and "Service edge/old" in back["msg"] and message in back["msg"]


def test_one_that_was_made_anew_is_not_deleted(cluster):
    journal = epoch_of(cluster)
    conflict = {"kind": "Status", "reason": "Conflict", "message": "the UID in the precondition does not match"}
    cluster.on("DELETE", "*/gateways/public", lambda _request: (409, conflict))
    done = run(cluster, journal, state="removed", resources=named(GATEWAY))
    assert done["failure"]["code"] == "changed" and there(cluster) == PLURALS.keys()


def test_a_finalizer_is_named(cluster, monkeypatch):
    monkeypatch.setattr(resource_archive, "LOOK_SECONDS", 0.01)
    journal = epoch_of(cluster)
    cluster.edit("gateways", "edge", "public", lambda body: body["metadata"].update(finalizers=["x/y"]))
    cluster.on("DELETE", "*/gateways/public", lambda _request: (200, {}))
    done = run(cluster, journal, state="removed", resources=named(GATEWAY), wait=1)
    assert done["failure"]["code"] == "still_there" and "x/y" in done["msg"]


def test_pods_that_do_not_come_are_an_error():
    fake = FakeCluster(copy.deepcopy(DEPLOYMENT))
    half = {"readyReplicas": 1, "observedGeneration": 1}
    fake.on("POST", "/apis/apps/v1/*", lambda request: request.body.update(status=half) and None)
    journal = epoch_of(fake)
    run(fake, journal, state="removed", resources=named(DEPLOYMENT))
    params = {"state": "restored", "wait": 0}
    done = run(fake, {**journal, "phase": "rollback"}, **params)
    assert done["failure"]["code"] == "not_ready" and "1 of 2 pods are ready" in done["msg"]


def test_an_older_run_deletes_nothing(cluster):
    old = epoch_of(cluster)
    epoch_of(cluster, run_id="other", takeover=True)
    done = run(cluster, old, state="removed", resources=named(*OBJECTS))
    assert done["failure"]["code"] == "stale_epoch" and there(cluster) == PLURALS.keys()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"journal": None, "resources": []}, "bad_option"),
        ({"state": "restored", "key": "other"}, "no_archive"),
        ({"resources": [{"api_version": "v1", "kind": "Secret", "name": "x"}]}, "malformed_reference"),
    ],
)
def test_what_is_refused(cluster, options, code):
    journal = epoch_of(cluster)
    given = {"key": "blue", "journal": journal, **options}
    if given["journal"] is None:
        del given["journal"]
    assert run_module(resource_archive, given, cluster)["failure"]["code"] == code


# -- pure --------------------------------------------------------------------------------------------------------------
def test_owners_that_are_gone_are_forgotten_and_others_kept():
    owners = [{"uid": "a", "name": "x"}, {"uid": "b", "name": "y"}]
    body = {"kind": "ConfigMap", "metadata": {"name": "n", "uid": "c", "ownerReferences": owners}, "status": {}}
    assert _archive.again(body, {"a"}) == {"kind": "ConfigMap", "metadata": {"name": "n", "ownerReferences": owners[1:]}}
    assert _archive.again(body, {"a", "b"}) == {"kind": "ConfigMap", "metadata": {"name": "n"}}
    assert body["metadata"]["uid"] == "c"


def test_a_token_is_left_to_its_controller():
    meta = {"name": "t", "annotations": {_archive.TOKEN_UID: "old", "kubernetes.io/service-account.name": "sa"}}
    made = _archive.again({"kind": "Secret", "type": _archive.TOKEN, "metadata": meta, "data": {"token": "x"}})
    assert "data" not in made and made["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "sa"}


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({}, False),
        ({"conditions": [{"type": "NamesAccepted", "status": "True"}]}, False),
        ({"conditions": [{"type": "Established", "status": "False"}]}, False),
        ({"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]}, True),
    ],
)
def test_a_kind_is_back_once_it_is_served(status, ready):
    body = {"kind": "CustomResourceDefinition", "metadata": {"name": "gateways.networking.istio.io"}, "status": status}
    assert (_archive.unready(body) == "") is ready


def test_parts_stay_under_their_limit_and_keep_their_order():
    bodies = [{"n": number, "text": hashlib.sha512(bytes([number])).hexdigest() * 2} for number in range(40)]
    parts = _archive.chunks(bodies, limit=1000)
    assert len(parts) > 5 and [body for part in parts for body in part] == bodies
    assert all(len(_archive.pack(part)) <= 1000 for part in parts)
    assert [len(part) for part in _archive.chunks(bodies[:2], limit=1)] == [1, 1]
    assert _archive.unpack(_archive.pack(bodies)) == bodies
