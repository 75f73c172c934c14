# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import flux_kustomization as flux
from fake_blue import annotations_of, blue, gateway, info, kept, refused, secret

LABELS = {f"{flux.GROUP}/name": "apps", f"{flux.GROUP}/namespace": "flux-system"}
KUSTOMIZATION = {
    "apiVersion": f"{flux.GROUP}/v1", "kind": "Kustomization",
    "metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {"prune": True},
}  # fmt: skip


def bare(annotations=None, labels=None):
    item = gateway(labels=dict(LABELS if labels is None else labels), tls={"mode": "PASSTHROUGH"})
    item["metadata"]["annotations"] = dict(annotations or {})
    return item


def doomed(cluster):
    return [e["owner"] for e in info(cluster, gateways=["istio-system/public"])["would_delete"]]


def test_pruning_and_reconciling_are_disabled_and_come_back():
    cluster = blue(KUSTOMIZATION, objects=[bare()], records=[])
    assert doomed(cluster) == ["flux_kustomization"]
    kept(cluster)
    found = annotations_of(cluster)
    assert (found[flux.PRUNE], found[flux.RECONCILE]) == ("disabled", "disabled")
    assert doomed(cluster) == [] and kept(cluster)["changed"] is False
    kept(cluster, state="released")
    assert annotations_of(cluster) == {}


def test_what_was_disabled_before_stays_so():
    cluster = blue(KUSTOMIZATION, objects=[bare({flux.PRUNE: "disabled", flux.RECONCILE: "enabled"})], records=[])
    assert doomed(cluster) == ["flux_kustomization"], "its next apply may take it off"
    kept(cluster)
    kept(cluster, state="released")
    assert annotations_of(cluster) == {flux.PRUNE: "disabled", flux.RECONCILE: "enabled"}


@pytest.mark.parametrize("where", ["annotations", "labels"])
def test_disabled_is_read_as_the_controller_reads_it(where):
    words = {flux.PRUNE: "Disabled", flux.RECONCILE: "DISABLED"}
    item = bare(words) if where == "annotations" else bare(labels={**LABELS, **words})
    assert doomed(blue(KUSTOMIZATION, objects=[item], records=[])) == []


def test_its_kustomization_is_gone():
    assert doomed(blue(objects=[bare()], records=[])) == []


def sources(cluster):
    (owner,) = info(cluster, gateways=["istio-system/public"])["owners"]
    return [claim["source"] for claim in owner["claims"]]


@pytest.mark.parametrize(
    ("inventory", "source"),
    [
        (None, True),
        ({"entries": [{"id": "istio-system_public_networking.istio.io_Gateway", "v": "v1"}]}, True),
        ({"entries": [{"id": "istio-system_other_networking.istio.io_Gateway", "v": "v1"}]}, False),
        ({"entries": []}, False),
    ],
)
def test_its_source_has_what_its_inventory_has(inventory, source):
    """What is kept from pruning keeps the labels, too, when it leaves the source."""
    status = {"status": {"inventory": inventory}} if inventory else {}
    for annotations in ({}, {flux.PRUNE: "disabled", flux.RECONCILE: "disabled"}):
        assert sources(blue({**KUSTOMIZATION, **status}, objects=[bare(annotations)], records=[])) == [source]


def test_beside_helm():
    """Applied by a Kustomization, and in a release: both are met."""
    cluster = blue(KUSTOMIZATION, objects=[gateway(labels=LABELS), secret()])
    assert doomed(cluster) == ["helm", "flux_kustomization"]
    kept(cluster)
    assert doomed(cluster) == []


@pytest.mark.parametrize(
    ("spec", "deletes"), [({"prune": True}, True), ({"prune": False}, False), ({"prune": True, "suspend": True}, False)]
)
def test_one_that_is_being_deleted_is_no_reason_to_let_go(spec, deletes):
    meta = {**KUSTOMIZATION["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}
    cluster = blue({**KUSTOMIZATION, "metadata": meta, "spec": spec}, objects=[bare()], records=[])
    kept(cluster)
    if deletes:
        assert "Kustomization flux-system/apps" in refused(cluster, "owner_deletes", state="released")
    else:
        kept(cluster, state="released")
