# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import argo_cd
from fake_blue import annotations_of, blue, gateway, info, kept, refused

OWN = "networking.istio.io/Gateway:istio-system/public"
APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "mesh", "namespace": "argocd"},
}  # fmt: skip


def tracked(annotations=None, labels=None):
    item = gateway(labels=labels or {}, tls={"mode": "PASSTHROUGH"})
    item["metadata"]["annotations"] = {argo_cd.TRACKING: f"mesh:{OWN}"} if annotations is None else dict(annotations)
    return item


def doomed(cluster):
    return [(e["owner"], e["name"]) for e in info(cluster, gateways=["istio-system/public"])["would_delete"]]


@pytest.mark.parametrize("former", [None, "Validate=false", "Prune=true, Validate=false", "Delete=confirm"])
def test_its_options_are_merged_and_come_back(former):
    before = {argo_cd.TRACKING: f"mesh:{OWN}", **({argo_cd.OPTIONS: former} if former else {})}
    cluster = blue(APPLICATION, objects=[tracked(before)], records=[])
    assert doomed(cluster) == [("argo_cd", "Application argocd/mesh")]
    kept(cluster)
    options = annotations_of(cluster)[argo_cd.OPTIONS].split(",")
    assert options[-2:] == ["Prune=false", "Delete=false"] and len(options) == len(set(options)) <= 3
    assert ("Validate=false" in options) == ("Validate" in (former or ""))
    assert doomed(cluster) == [] and kept(cluster)["changed"] is False
    kept(cluster, state="released")
    assert annotations_of(cluster) == before


def test_options_that_somebody_changed_since_are_left():
    cluster = blue(APPLICATION, objects=[tracked()], records=[])
    kept(cluster)
    cluster.edit("gateways", "istio-system", "public",
                 lambda b: b["metadata"]["annotations"].update({argo_cd.OPTIONS: "Prune=false"}))  # fmt: skip
    kept(cluster, state="released")
    assert annotations_of(cluster)[argo_cd.OPTIONS] == "Prune=false"


def test_a_tracking_annotation_that_was_copied_is_not_gone_by():
    other = tracked({argo_cd.TRACKING: "mesh:networking.istio.io/Gateway:istio-system/other"})
    assert doomed(blue(APPLICATION, objects=[other], records=[])) == []


def test_an_application_of_any_namespace():
    named = {**APPLICATION, "metadata": {"name": "mesh", "namespace": "team"}}
    item = tracked({argo_cd.TRACKING: f"team_mesh:{OWN}"})
    assert doomed(blue(named, objects=[item], records=[])) == [("argo_cd", "Application team/mesh")]


def test_labels():
    for label, there in ((argo_cd.LABELS[0], True), (argo_cd.LABELS[1], True), (argo_cd.LABELS[1], False)):
        item = tracked({}, {label: "mesh"})
        cluster = blue(*([APPLICATION] if there else []), objects=[item], records=[])
        assert bool(doomed(cluster)) is there
    claims = info(blue(objects=[item], records=[]), gateways=["istio-system/public"])["owners"][0]["claims"]
    assert claims == [], "every chart sets app.kubernetes.io/instance"


def test_its_application_is_gone():
    assert doomed(blue(objects=[tracked()], records=[])) == []


def test_who_may_not_list_applications_is_told():
    cluster = blue(APPLICATION, objects=[tracked()], records=[])
    cluster.fail("GET", "*/applications", 403, "Forbidden")
    asked = info(cluster, gateways=["istio-system/public"])
    assert "applications.argoproj.io" in str(asked["warnings"])
    # There may be one: it is met all the same.
    assert [e["owner"] for e in asked["would_delete"]] == ["argo_cd"]
    kept(cluster)
    assert "Prune=false" in annotations_of(cluster)[argo_cd.OPTIONS]


PRUNES = {"syncPolicy": {"automated": {"prune": True}}}
LEFT = {"group": "networking.istio.io", "kind": "Gateway", "namespace": "istio-system", "name": "public"}


@pytest.mark.parametrize(
    ("meta", "spec", "status", "deletes"),
    [
        ({}, PRUNES, {"resources": [{**LEFT, "requiresPruning": True}]}, True),
        ({}, {}, {"resources": [{**LEFT, "requiresPruning": True}]}, False),
        ({}, PRUNES, {"resources": [LEFT]}, False),
        ({}, PRUNES, {"resources": [{**LEFT, "name": "other", "requiresPruning": True}]}, False),
        ({"deletionTimestamp": "x", "finalizers": [f"{argo_cd.FINALIZER}/background"]}, {}, {}, True),
        ({"deletionTimestamp": "x", "finalizers": ["other"]}, {}, {}, False),
    ],
)
def test_one_that_would_delete_it_unasked_is_no_reason_to_let_go(meta, spec, status, deletes):
    going = {**APPLICATION, "metadata": {**APPLICATION["metadata"], **meta}, "spec": spec, "status": status}
    cluster = blue(going, objects=[tracked()], records=[])
    kept(cluster)
    if deletes:
        assert "Application argocd/mesh" in refused(cluster, "owner_deletes", state="released")
    else:
        kept(cluster, state="released")


@pytest.mark.parametrize(
    ("resources", "source"),
    [([], True), ([LEFT], True), ([{**LEFT, "requiresPruning": True}], False),
     ([{**LEFT, "name": "other", "requiresPruning": True}], True)],
)  # fmt: skip
def test_its_source_has_what_would_not_be_pruned(resources, source):
    cluster = blue({**APPLICATION, "status": {"resources": resources}}, objects=[tracked()], records=[])
    (owner,) = info(cluster, gateways=["istio-system/public"])["owners"]
    assert [claim["source"] for claim in owner["claims"]] == [source]
