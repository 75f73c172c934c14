# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _frozen
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import flux_helm_release as flux
from ansible_collections.bluegreen.mesh.plugins.modules import resource_keep
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
    record,
    refused,
    secret,
)
from fake_cluster import FakeCluster, run_module

LABELS = {f"{flux.GROUP}/name": "istio", f"{flux.GROUP}/namespace": "bigbang"}
KINDS = {
    f"/apis/{flux.GROUP}/v2": [{"kind": "HelmRelease", "name": "helmreleases", "namespaced": True}],
}
READY = {"type": "Ready", "status": "True", "observedGeneration": 1}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(flux.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(flux.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


def helm_release(name="istio", namespace="bigbang", labels=None, **spec):
    spec = {"targetNamespace": "istio-system", "releaseName": "blue", **spec}
    return {
        "apiVersion": f"{flux.GROUP}/v2", "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec,
        "status": {"observedGeneration": 1, "conditions": [READY]},
    }  # fmt: skip


def fluxed(*more, labels=None, **spec):
    labels = LABELS if labels is None else labels
    objects = [gateway(labels=dict(labels)), secret(labels=dict(labels))]
    return blue(helm_release(**spec), *more, objects=objects, records=[record(storage="bigbang")], kinds=KINDS)


def spec_of(cluster, name="istio"):
    return cluster.peek("helmreleases", "bigbang", name)["spec"]


def controller(cluster: FakeCluster, fails: bool = False) -> None:
    """helm-controller: makes a revision of each generation, with what the post-renderers add."""

    def reconcile(_request) -> None:
        body = cluster.peek("helmreleases", "bigbang", "istio")
        generation = body["metadata"]["generation"]
        if body["status"]["observedGeneration"] == generation or body["spec"].get("suspend"):
            return
        patches = [p for item in body["spec"].get("postRenderers") or [] for p in item["kustomize"].get("patches", [])]
        manifest = MANIFEST
        for patch in patches:
            name = json.loads(patch["patch"].partition("\n")[2])["metadata"]["name"]
            manifest = manifest.replace(
                f"  name: {name}\n", f"  name: {name}\n  labels: {{a: b}}\n" if fails else f"  name: {name}\n"
            )
            if not fails:
                old = f"  name: {name}\n" + ('  annotations:\n    über: "1"\n' if name == "public" else "")
                new = f"  name: {name}\n  annotations: {{helm.sh/resource-policy: keep}}\n"
                manifest = manifest.replace(old, new)
        cluster.add(record(encoded(manifest, version=generation), version=generation, storage="bigbang"))

        def done(body) -> None:
            body["status"] = {
                "observedGeneration": generation, "conditions": [{**READY, "observedGeneration": generation}],
            }  # fmt: skip

        cluster.edit("helmreleases", "bigbang", "istio", done)

    cluster.on("GET", "*/helmreleases/istio", reconcile)


# -- suspended -------------------------------------------------------------------------------------------------------
def test_it_is_suspended_first_and_its_record_edited():
    cluster = fluxed()
    order = []
    cluster.on("PATCH", "*", lambda r: order.append(r.path.rsplit("/", 2)[1]))
    result = kept(cluster)
    patched = [plural for plural in order if plural != "configmaps"]
    assert patched[0] == "helmreleases" and patched[-1] == "secrets"
    assert spec_of(cluster)["suspend"] is True
    assert manifest_of(cluster, storage="bigbang").count("helm.sh/resource-policy: keep") == 2
    assert [item["name"] for item in result["frozen"]] == ["istio"]
    claims = {claim["owner"]: claim for claim in result["protected"][0]["claims"]}
    assert claims.keys() == {"helm", "flux_helm_release"} and all(c["safe"] for c in claims.values())
    writes = cluster.writes
    assert kept(cluster)["changed"] is False and cluster.writes == writes


def test_released_sets_it_in_motion_again_byte_for_byte():
    cluster = fluxed(interval="5m")
    before = cluster.peek("helmreleases", "bigbang", "istio")
    stored = cluster.peek("secrets", "bigbang", "sh.helm.release.v1.blue.v1")["data"]
    kept(cluster)
    kept(cluster, state="released")
    now = cluster.peek("helmreleases", "bigbang", "istio")
    assert now["spec"] == before["spec"] and not now["metadata"].get("annotations")
    assert cluster.peek("secrets", "bigbang", "sh.helm.release.v1.blue.v1")["data"] == stored
    assert annotations_of(cluster) == HELM


def test_one_that_turns_out_to_be_going_when_it_moves_meets_the_guard():
    cluster = fluxed()
    kept(cluster)
    cluster.on("PATCH", "*/helmreleases/istio", lambda _request: cluster.edit(
        "helmreleases", "bigbang", "istio",
        lambda b: b["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"])), times=1)  # fmt: skip
    result = act(cluster, state="released")
    assert result["failure"]["code"] == "owner_deletes" and "HelmRelease bigbang/istio would delete" in result["msg"]
    assert "bluegreen.mesh/kept-by" in annotations_of(cluster)
    kept(cluster, state="released", owner_deletes="accept")
    assert annotations_of(cluster) == HELM


def test_it_stays_suspended_for_as_long_as_something_is_kept_of_it():
    cluster = fluxed()
    kept(cluster)
    part = [{"api_version": "v1", "kind": "Secret", "namespace": "istio-system", "name": "public-cert"}]
    kept(cluster, state="released", gateways=None, resources=part)
    assert spec_of(cluster)["suspend"] is True
    kept(cluster, state="released")
    assert "suspend" not in spec_of(cluster)


def test_one_that_was_suspended_before_stays_so():
    cluster = fluxed(suspend=True)
    kept(cluster)
    assert _frozen.FROZEN not in (cluster.peek("helmreleases", "bigbang", "istio")["metadata"].get("annotations") or {})
    kept(cluster, state="released")
    assert spec_of(cluster)["suspend"] is True


def test_the_journal_undoes_it_when_what_was_kept_is_gone_and_the_note_too():
    cluster = fluxed()
    kept(cluster)
    with cluster._lock:
        del cluster._store[("networking.istio.io", "gateways", "istio-system", "public")]
        del cluster._store[("", "secrets", "istio-system", "public-cert")]
    cluster.edit("helmreleases", "bigbang", "istio", lambda body: body["metadata"].pop("annotations"))
    steps = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "night")["data"]["steps"])
    assert {step["op"] for step in steps} == {"owner_frozen", "helm_record", "resource_keep"}
    for step in reversed(steps):
        params = {**step["inverse"]["params"], "journal": {**JOURNAL, "phase": "rollback"}}
        params["resources"] = params["resources"] or None
        result = run_module(resource_keep, {k: v for k, v in params.items() if v is not None}, cluster)
        assert not result.get("failed"), result
    assert "suspend" not in spec_of(cluster)


def test_check_mode_predicts_it():
    cluster = fluxed()
    writes = cluster.writes
    predicted = act(cluster, check=True)
    assert cluster.writes == writes and predicted["changed"]
    result = kept(cluster)
    assert predicted["diff"] == result["diff"] and predicted["protected"] == result["protected"]


def test_what_would_undo_it_is_held_still_first():
    kustomized = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    parent = {f"{flux.GROUP}/name": "umbrella", f"{flux.GROUP}/namespace": "bigbang"}
    umbrella = helm_release("umbrella", driftDetection={"mode": "enabled"}, releaseName="umbrella")
    objects = [gateway(labels=LABELS), secret(labels=LABELS)]
    istio = helm_release(labels={**kustomized, **parent})
    cluster = blue(istio, umbrella, objects=objects, records=[record(storage="bigbang")], kinds=KINDS)
    kept(cluster)
    assert spec_of(cluster, "umbrella")["suspend"] is True
    annotations = cluster.peek("helmreleases", "bigbang", "istio")["metadata"]["annotations"]
    assert annotations["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled"
    kept(cluster, state="released")
    assert "suspend" not in spec_of(cluster, "umbrella") and "suspend" not in spec_of(cluster)
    assert not cluster.peek("helmreleases", "bigbang", "istio")["metadata"].get("annotations")


def test_an_upgrade_that_was_under_way_is_seen_after_suspending():
    cluster = fluxed()
    pending = record(version=2, status="pending-upgrade", storage="bigbang")
    cluster.on("PATCH", "*/helmreleases/istio", lambda _r: cluster.add(pending) and None, times=1)
    result = act(cluster)
    assert result["failed"] and result["failure"]["code"] == "owner_busy"
    assert "resource-policy" not in manifest_of(cluster, storage="bigbang")


def test_neither_way_is_refused():
    assert "bigbang/istio" in refused(fluxed(), "owner_reconciles", flux_method="none")


# -- post-renderers --------------------------------------------------------------------------------------------------
def test_post_renderers_make_a_revision_that_keeps():
    theirs = {"kustomize": {"images": [{"name": "a", "newTag": "b"}]}}
    cluster = fluxed(postRenderers=[theirs])
    controller(cluster)
    result = kept(cluster, flux_method="post_renderers")
    renderers = spec_of(cluster)["postRenderers"]
    assert renderers[0] == theirs and len(renderers) == 2 and "suspend" not in spec_of(cluster)
    assert [p["target"] for p in renderers[1]["kustomize"]["patches"]] == [
        {"group": "networking.istio.io", "version": "v1beta1", "kind": "Gateway", "name": "public"},
        {"version": "v1", "kind": "Secret", "name": "public-cert"},
    ]
    assert all(p["record"] and p["safe"] for p in result["protected"])
    assert result["protected"][0]["owner"]["revision"] == 2
    assert "resource-policy" not in manifest_of(cluster, 1, "bigbang"), "no record is edited"
    writes = cluster.writes
    assert kept(cluster, flux_method="post_renderers")["changed"] is False and cluster.writes == writes
    kept(cluster, state="released", flux_method="post_renderers")
    assert spec_of(cluster)["postRenderers"] == [theirs]
    assert "resource-policy" not in manifest_of(cluster, 3, "bigbang")


def test_post_renderers_that_were_added_since_stay():
    cluster = fluxed()
    controller(cluster)
    kept(cluster, flux_method="post_renderers")
    cluster.edit("helmreleases", "bigbang", "istio", lambda b: b["spec"]["postRenderers"].append({"kustomize": {}}))
    kept(cluster, state="released", flux_method="post_renderers")
    assert spec_of(cluster)["postRenderers"] == [{"kustomize": {}}]


def test_a_revision_that_does_not_come_or_does_not_keep():
    assert act(fluxed(), flux_method="post_renderers")["failure"]["code"] == "owner_timeout"
    cluster = fluxed()
    controller(cluster, fails=True)
    result = act(cluster, flux_method="post_renderers")
    assert result["failure"]["code"] == "owner_ineffective" and "suspend" in result["msg"]


def test_a_run_that_was_killed_while_it_waited_is_finished_by_the_next():
    cluster = fluxed()
    assert act(cluster, flux_method="post_renderers")["failed"]
    controller(cluster)
    assert all(p["record"] for p in kept(cluster, flux_method="post_renderers")["protected"])


def test_a_revision_that_fails():
    cluster = fluxed()

    def fail(body) -> None:
        body["status"] = {
            "observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "False", "reason": "UpgradeFailed", "message": "no chart"}],
        }

    cluster.on(
        "GET", "*/helmreleases/istio",
        lambda _r: cluster.edit("helmreleases", "bigbang", "istio", fail)
        if "postRenderers" in spec_of(cluster) else None,
    )  # fmt: skip
    result = act(cluster, flux_method="post_renderers")
    assert result["failure"]["code"] == "owner_failed" and "no chart" in result["msg"]


# -- finding it ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"targetNamespace": "istio-system"}, ("istio-system-istio", "istio-system", "bigbang")),
        ({}, ("istio", "bigbang", "bigbang")),
        ({"releaseName": "r", "storageNamespace": "s"}, ("r", "bigbang", "s")),
        (
            {"targetNamespace": "n" * 53},
            ("n" * 40 + "-bdac1a5f9ae0", "n" * 53, "bigbang"),
        ),
    ],
)
def test_names_as_helm_controller_makes_them(spec, expected):
    body = {"metadata": {"name": "istio", "namespace": "bigbang"}, "spec": spec}
    found = flux.release_of(body)
    assert found[1:] == expected[1:] and found[0][:41] == expected[0][:41] and len(found[0]) <= 53


def test_an_object_without_labels_is_found_by_big_bangs_naming():
    value = encoded(name="istio-system-istio")
    stored = record(value, storage="bigbang", label="istio-system-istio")
    istio = helm_release()
    del istio["spec"]["releaseName"]
    meta = {"meta.helm.sh/release-name": "istio-system-istio"}
    cluster = blue(istio, objects=[gateway(meta), secret(annotations=meta)], records=[stored], kinds=KINDS)
    kept(cluster)
    assert spec_of(cluster)["suspend"] is True


def test_what_it_would_delete_is_told():
    cluster = fluxed()
    before = info(cluster, gateways=["istio-system/public"])
    assert [(e["owner"], e["name"], [o["kind"] for o in e["objects"]]) for e in before["would_delete"]] == [
        ("helm", "Helm release istio-system/blue", ["Gateway", "Secret"]),
        ("flux_helm_release", "HelmRelease bigbang/istio", ["Gateway", "Secret"]),
    ]
    kept(cluster)
    assert info(cluster, gateways=["istio-system/public"])["would_delete"] == []
    # Somebody resumes it: what we edited will be undone.
    cluster.edit("helmreleases", "bigbang", "istio", lambda body: body["spec"].update(suspend=False))
    after = info(cluster, gateways=["istio-system/public"])
    assert [e["owner"] for e in after["would_delete"]] == ["flux_helm_release"]


def test_a_release_that_keeps_it_by_itself_needs_nothing():
    manifest = MANIFEST.replace(
        "  name: public-cert\n", "  name: public-cert\n  annotations: {helm.sh/resource-policy: keep}\n"
    ).replace('    über: "1"', "    helm.sh/resource-policy: keep")
    objects = [gateway(labels=LABELS), secret(labels=LABELS)]
    cluster = blue(helm_release(), objects=objects, records=[record(encoded(manifest), storage="bigbang")], kinds=KINDS)
    kept(cluster)
    assert "suspend" not in spec_of(cluster)
    assert base64.b64decode(cluster.peek("secrets", "bigbang", "sh.helm.release.v1.blue.v1")["data"]["release"])
