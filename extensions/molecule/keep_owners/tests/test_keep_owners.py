# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real API server has of objects that several owners claim, while they are kept and after the way back.

The tests build on each other, in their order.
"""

from __future__ import annotations

import pathlib
import subprocess
import threading
import time
import typing as t

import lab
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
    assert "keep-owners" not in host.check_output("kubectl get validatingadmissionpolicies --output name")


def test_blue_leaves_git_by_a_commit_and_what_was_kept_then_goes(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    """The test plays kustomize-controller, as far as cleanup looks at it."""
    space, flux = "mesh-git", "kustomize.toolkit.fluxcd.io"
    repo, edge = tmp_path / "copy", tmp_path / "copy" / "edge"
    labels = {f"{flux}/name": "edge", f"{flux}/namespace": space}
    kustomization = path_of(f"{flux}/v1", "kustomizations", space, "edge")
    service = {"selector": {"app": "mesh-git-nobody"}, "ports": [{"name": "http", "port": 80}]}
    server = {"hosts": ["*.git.test"], "port": {"name": "http", "number": 80, "protocol": "HTTP"}}
    cluster.create(path_of("v1", "namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    try:
        own = {"apiVersion": f"{flux}/v1", "kind": "Kustomization", "metadata": {"name": "edge"}, "spec": {"prune": True}}
        cluster.create(path_of(f"{flux}/v1", "kustomizations", space), own)
        for version, kind, plural, spec in (
            ("v1", "Service", "services", service),
            ("networking.istio.io/v1", "Gateway", "gateways", {"selector": service["selector"], "servers": [server]}),
        ):
            body = {"apiVersion": version, "kind": kind, "metadata": {"name": "public", "labels": labels}, "spec": spec}
            cluster.create(path_of(version, plural, space), body)

        def builds(*ids: str) -> None:
            inventory = {"entries": [{"id": f"{space}_public_{one}", "v": "v1"} for one in ids]}
            cluster.patch(kustomization, {"status": {"inventory": inventory}})

        def git(*arguments: str) -> str:
            return subprocess.run(["git", "-C", str(repo), *arguments], capture_output=True, text=True, check=True).stdout

        edge.mkdir(parents=True)
        git("init", "--quiet", "--initial-branch=main")
        git("config", "user.name", "ada")
        git("config", "user.email", "ada@lab.test")
        (edge / "blue.yaml").write_text("as it is\n", encoding="utf-8")
        git("add", "--all")
        git("commit", "--quiet", "--message", "Blue")
        builds("_Service", "networking.istio.io_Gateway")
        settings = {
            "mesh_migration": "leaves-git", "mesh_journal_namespace": space, "mesh_overrides_dir": str(repo / "overrides"),
            "mesh_gateways": [{"blue": f"{space}/public", "green": f"{space}/green", "workload": "public"}],
            "mesh_workloads": [{
                "name": "public", "blue": {"namespace": space, "service": "public"},
                "green": {"namespace": space, "release": "green", "labels": {"app": "green"}, "node_ports": {}},
            }],
            "mesh_gitops": {"repo": str(repo), "branch": "main", "cleanup_paths": [str(edge)], "wait": 5},
        }  # fmt: skip
        # Nobody has edited anything yet.
        refused = lab.part(settings, "cleanup", "look.yml", "sources.yml")
        assert refused.returncode != 0 and f"Kustomization {space}/edge still has what is to go" in refused.stdout
        assert git("rev-list", "--count", "HEAD").strip() == "1"
        (edge / "blue.yaml").unlink()
        (repo / "else.yaml").write_text("somebody's, and not to be committed\n", encoding="utf-8")

        def controller() -> None:
            deadline = time.monotonic() + 60
            while git("rev-list", "--count", "HEAD").strip() == "1" and time.monotonic() < deadline:
                time.sleep(0.2)
            builds()

        at_work = threading.Thread(target=controller)
        at_work.start()
        settings["mesh_gitops"]["wait"] = 60
        done = lab.part(settings, "cleanup", "look.yml", "sources.yml")
        at_work.join()
        assert done.returncode == 0, done.stdout[-4000:]
        assert git("show", "--name-status", "--format=%s", "HEAD").split() == "Blue is gone (leaves-git) D edge/blue.yaml".split()
        gone = lab.part(settings, "cleanup", "look.yml", "delete.yml")
        assert gone.returncode == 0, gone.stdout[-4000:]
        assert host.check_output(f"kubectl get gateways.networking.istio.io,services --namespace {space} --output name") == ""
        # And it comes back by Git as well.
        steps = run("migration_journal", tmp_path, namespace=space, name="leaves-git", undo_from="cleanup")["undo"]
        assert {step["inverse"]["module"] for step in steps} >= {"git_commit", "resource_archive"}
    finally:
        host.run(f"kubectl delete namespace {space} --timeout=60s")
