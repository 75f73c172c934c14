# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real API server has of objects that several owners claim, while they are kept and after the way back.

The tests build on each other, in their order.
"""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of
from lab import run

SPACE = "mesh-owners"
JOURNAL = {"namespace": "mesh-owners-journal", "name": "owners"}
GATEWAY = path_of("networking.istio.io/v1", "gateways", SPACE, "public")
SERVICE = path_of("v1", "services", SPACE, "public")
OPERATOR = path_of("apps/v1", "deployments", SPACE, "istio-operator")
OWNING = "install.operator.istio.io/owning-resource"


# Each asks for `host`: pytest runs what does not after what does.
def test_each_owner_is_met_in_its_own_way(host: t.Any, cluster: Cluster) -> None:
    annotations = cluster.get(GATEWAY)["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "Validate=false,Prune=false,Delete=false"
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert annotations["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled"
    labels = cluster.get(SERVICE)["metadata"]["labels"]
    assert labels == {"operator.istio.io/component": "IngressGateways"}


def test_the_operator_is_frozen_and_its_pods_are_gone(host: t.Any, cluster: Cluster) -> None:
    assert cluster.get(OPERATOR)["spec"]["replicas"] == 0
    assert cluster.list(path_of("v1", "pods", SPACE), {"labelSelector": "name=istio-operator"}) == []


def test_nobody_deletes_them(host: t.Any) -> None:
    for what in ("gateways.networking.istio.io public", "service public"):
        done = host.run(f"kubectl delete {what} --namespace {SPACE}")
        assert done.rc != 0 and "kept by migration owners" in done.stderr, done.stderr


def test_the_way_back_gives_everything_back(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    uids = {path: cluster.get(path)["metadata"]["uid"] for path in (GATEWAY, SERVICE, OPERATOR)}
    epoch = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True)["epoch"]
    steps = run("migration_journal", tmp_path, **JOURNAL, undo_from="keep")["undo"]
    assert {step["op"] for step in steps} == {"owner_frozen", "resource_keep"}
    for step in steps:
        params = {**step["inverse"]["params"], "journal": {**JOURNAL, "epoch": epoch, "phase": "rollback"}}
        result = run("resource_keep", tmp_path, **params)
        assert not result.get("failed"), result
    gateway = cluster.get(GATEWAY)["metadata"]
    assert gateway["annotations"]["argocd.argoproj.io/sync-options"] == "Validate=false,Prune=true"
    assert not [key for key in gateway["annotations"] if "kustomize" in key or "bluegreen" in key or "helm.sh" in key]
    labels = cluster.get(SERVICE)["metadata"]["labels"]
    assert labels[OWNING] == "istiocontrolplane" and labels[f"{OWNING}-namespace"] == SPACE
    operator = cluster.get(OPERATOR)
    assert operator["spec"]["replicas"] == 1
    assert not [key for key in operator["metadata"].get("annotations") or {} if "bluegreen" in key]
    assert {path: cluster.get(path)["metadata"]["uid"] for path in uids} == uids


def test_and_they_may_be_deleted(host: t.Any) -> None:
    assert host.run(f"kubectl delete service public --namespace {SPACE}").rc == 0
    assert host.run("kubectl get validatingadmissionpolicies --output name").stdout.count("keep-owners") == 0
