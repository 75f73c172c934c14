# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real deletions do to what is kept: helm uninstall, kubectl, a namespace's end, an upgrade that drops it.

The tests build on each other, in their order. A: kept in every way; B: by the guard alone; C: by the live annotation
alone; D: with all that the Gateway needs, its release stored in ConfigMaps.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import shlex
import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _helm_release as helm
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of
from lab import part, run, uid, until

A, B, C, D = "mesh-keep-a", "mesh-keep-b", "mesh-keep-c", "mesh-keep-d"
JOURNAL = {"namespace": "mesh-keep-journal", "name": "keep"}


def gateway(namespace: str, name: str = "public") -> str:
    return path_of("networking.istio.io/v1", "gateways", namespace, name)


def secret(namespace: str, name: str = "public-cert") -> str:
    return path_of("v1", "secrets", namespace, name)


def release_of(tmp_path: pathlib.Path, namespace: str) -> dict[str, t.Any]:
    return run("resource_keep_info", tmp_path, release={"name": "blue", "namespace": namespace})


def guards(host: t.Any) -> set[str]:
    """The migrations that guard something now, as bluegreen-mesh-NAME."""
    listed = host.check_output("kubectl get validatingadmissionpolicies --output name").split()
    return {name.rpartition("/bluegreen-mesh-")[2] for name in listed}


def names(items: list[dict[str, t.Any]]) -> set[str]:
    return {f"{item['kind']} {item['name']}" for item in items}


def test_simulation_agrees_with_the_three_ways(tmp_path: pathlib.Path) -> None:
    everything = {"Gateway public", "Gateway passthrough", "Secret public-cert"}
    a, b, c = (release_of(tmp_path, namespace) for namespace in (A, B, C))
    assert names(a["keep"]) == everything == names(a["dropped"]["keep"])
    assert not everything & names(a["delete"])
    for info in (b, c):
        assert info["keep"] == [] and everything <= names(info["delete"])
        assert names(info["dropped"]["keep"]) == everything - {"Gateway passthrough"}


def test_kubectl_is_refused_by_name(host: t.Any, cluster: Cluster) -> None:
    before = uid(cluster, gateway(A))
    for what in ("gateway public", "gateways --all", "secret public-cert"):
        done = host.run(f"kubectl delete {what} --namespace {A}")
        assert done.rc != 0 and "kept by migration keep" in done.stderr, done.stderr
        missing = [words for words in ("-t cleanup", "-t rollback", "state=released") if words not in done.stderr]
        assert not missing, "what to do is not said"
    assert before and uid(cluster, gateway(A)) == before


def test_what_is_not_kept_may_be_deleted(host: t.Any, cluster: Cluster) -> None:
    assert host.run(f"kubectl delete gateway passthrough --namespace {B}").rc == 0
    assert uid(cluster, gateway(B, "passthrough")) is None


def test_helm_still_reads_its_record(host: t.Any) -> None:
    status = host.run(f"helm status blue --namespace {A} --output json")
    assert status.rc == 0 and json.loads(status.stdout)["info"]["status"] == "deployed"
    manifest = host.run(f"helm get manifest blue --namespace {A}")
    assert manifest.rc == 0 and manifest.stdout.count("helm.sh/resource-policy: keep") == 3
    original = host.run(f"helm get manifest blue --namespace {B}").stdout
    assert "resource-policy" not in original
    lines = [
        line for line in manifest.stdout.splitlines() if "resource-policy" not in line and line != "  annotations:"
    ]
    assert lines == [line for line in original.replace(B, A).splitlines() if line != "  annotations:"]


def test_uninstall_completes_and_leaves_what_is_kept(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    kept = {path: uid(cluster, path) for path in (gateway(A), gateway(A, "passthrough"), secret(A))}
    plan = release_of(tmp_path, A)
    done = host.run(f"helm uninstall blue --namespace {A}")
    assert done.rc == 0, done.stderr
    assert "[Gateway] public" in done.stdout and "[Secret] public-cert" in done.stdout
    assert all(kept.values()) and {path: uid(cluster, path) for path in kept} == kept
    for path in (path_of("v1", "services", A), path_of("apps/v1", "deployments", A)):
        assert cluster.list(path) == []
    left = host.check_output(f"kubectl get serviceaccounts,roles,rolebindings --namespace {A} --output name")
    assert "ingressgateway" not in left and len(plan["delete"]) == 10
    assert host.check_output(f"helm list --all --namespace {A} --short") == ""


def test_the_guard_alone_makes_uninstall_fail_and_loses_nothing(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    kept = {path: uid(cluster, path) for path in (gateway(B), secret(B))}
    done = host.run(f"helm uninstall blue --namespace {B}")
    assert done.rc != 0 and "failed to delete release" in done.stderr, done.stderr
    assert all(kept.values()) and {path: uid(cluster, path) for path in kept} == kept
    assert release_of(tmp_path, B)["release"]["status"] == "uninstalling"
    # An owner in the middle of something is not edited ...
    busy = run("resource_keep", tmp_path, migration="keep-b", gateways=[f"{B}/public"], backup_dir=str(tmp_path))
    assert busy["failed"] and busy["failure"]["code"] == "owner_busy", busy
    # ... and once released, the same command completes.
    released = run("resource_keep", tmp_path, migration="keep-b", state="released", gateways=[f"{B}/public"])
    assert released["changed"] and released["guard"] == "none", released
    assert host.run(f"helm uninstall blue --namespace {B}").rc == 0
    assert {path: uid(cluster, path) for path in kept} == dict.fromkeys(kept)


def test_the_live_annotation_alone_protects_from_an_upgrade_only(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    before = uid(cluster, gateway(C))
    values = json.loads(host.run(f"helm get values blue --namespace {C} --output json").stdout)
    values["gateways"] = {"public": None, "passthrough": None}
    (tmp_path / "values.json").write_text(json.dumps(values), encoding="utf-8")
    chart = shlex.quote(f"{os.environ['LAB_STATE']}/apps/blue")
    done = host.run(f"helm upgrade blue {chart} --namespace {C} --values {tmp_path / 'values.json'}")
    assert done.rc == 0, done.stderr
    assert before and uid(cluster, gateway(C)) == before
    assert uid(cluster, gateway(C, "passthrough")) is None
    # The certificate is still in the record, which says nothing of keeping: uninstall removes it.
    assert uid(cluster, secret(C))
    assert host.run(f"helm uninstall blue --namespace {C}").rc == 0
    assert uid(cluster, secret(C)) is None


def test_the_end_of_a_namespace_waits_for_what_is_kept(host: t.Any, cluster: Cluster) -> None:
    before = uid(cluster, secret(A))
    assert host.run(f"kubectl delete namespace {A} --wait=false").rc == 0
    stuck = host.run(
        f"kubectl wait namespace/{A} --timeout=60s"
        " --for=jsonpath='{.status.conditions[?(@.type==\"NamespaceDeletionContentFailure\")].status}'=True"
    )
    assert stuck.rc == 0, stuck.stderr
    assert before and uid(cluster, secret(A)) == before


def test_the_recorded_inverse_releases_and_the_guard_goes(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    epoch = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True)["epoch"]
    steps = run("migration_journal", tmp_path, **JOURNAL, undo_from="keep")["undo"]
    assert {step["op"] for step in steps} == {"resource_keep", "helm_record"}
    for step in steps:
        journal = {**JOURNAL, "epoch": epoch, "phase": "rollback"}
        result = run(step["inverse"]["module"], tmp_path, journal=journal, **step["inverse"]["params"])
        assert not result.get("failed"), result
    assert "keep-keep" not in guards(host)
    gone = host.run(f"kubectl wait namespace/{A} --for=delete --timeout=180s")
    assert gone.rc == 0, gone.stderr
    backup = next(step["backup"] for step in steps if step["op"] == "helm_record")
    saved = cluster.get(path_of("v1", "secrets", JOURNAL["namespace"], backup))
    assert "owner" not in saved["metadata"]["labels"]
    original = helm.decode(base64.b64encode(base64.b64decode(saved["data"]["release"])).decode())
    assert original.release["name"] == "blue" and "resource-policy" not in original.manifest


def test_releasing_gives_helm_its_record_back(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    workload = {"replicaCount": 0, "service": {"type": "ClusterIP", "ports": [{"name": "https", "port": 443}]}}
    values = {
        "gateways": {"public": {"selector": {"app": "nobody"}}, "passthrough": None},
        "certificates": {"public-cert": {"crt": "none", "key": "none"}},
        "public-ingressgateway": workload,
        "passthrough-ingressgateway": workload,
    }
    (tmp_path / "values.json").write_text(json.dumps(values), encoding="utf-8")
    chart = shlex.quote(f"{os.environ['LAB_STATE']}/apps/blue")
    done = host.run(f"helm install blue {chart} --namespace {B} --values {tmp_path / 'values.json'}")
    assert done.rc == 0, done.stderr
    path = secret(B, "sh.helm.release.v1.blue.v1")
    before = cluster.get(path)["data"]
    params = {"migration": "keep-b", "gateways": [f"{B}/public"], "backup_dir": str(tmp_path)}
    assert run("resource_keep", tmp_path, **params)["changed"]
    assert cluster.get(path)["data"] != before
    assert not run("resource_keep", tmp_path, **params)["changed"]
    assert run("resource_keep", tmp_path, **params, state="released")["changed"]
    assert cluster.get(path)["data"] == before
    assert "bluegreen.mesh/kept-by" not in cluster.get(gateway(B))["metadata"]["annotations"]
    assert not run("resource_keep", tmp_path, **params, state="released")["changed"]


def refusals(cluster: Cluster, migration: str) -> float:
    """How often the API server has refused a deletion by this migration's guard."""
    _status, _headers, data = cluster.raw("GET", "/metrics")
    name = "apiserver_validating_admission_policy_check_total"
    labels = rf'[^}}]*enforcement_action="deny"[^}}]*policy="bluegreen-mesh-keep-{migration}"[^}}]*'
    return sum(float(count) for count in re.findall(rf"(?m)^{name}\{{{labels}\}} (\S+)", data.decode()))


def test_the_garbage_collector_is_refused(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    owners = path_of("v1", "configmaps", B)
    owner = cluster.create(owners, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    meta = {"name": "owned", "ownerReferences": [reference]}
    cluster.create(path_of("v1", "secrets", B), {"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    owned = {"api_version": "v1", "kind": "Secret", "namespace": B, "name": "owned"}
    params = {"migration": "keep-gc", "resources": [owned], "backup_dir": str(tmp_path)}
    kept = run("resource_keep", tmp_path, **params)
    assert kept.get("guard") == "active", kept
    stood, before = uid(cluster, secret(B, "owned")), refusals(cluster, "keep-gc")
    cluster.delete(f"{owners}/owner")
    until(lambda: refusals(cluster, "keep-gc") > before)
    assert stood and uid(cluster, secret(B, "owned")) == stood
    released = run("resource_keep", tmp_path, **params, state="released")
    assert released.get("changed"), released
    until(lambda: uid(cluster, secret(B, "owned")) is None, 180)  # its next try


# -- D ---------------------------------------------------------------------------------------------------------------
NAME = "public-ingressgateway"
RBAC = "rbac.authorization.k8s.io/v1"
WHOLE = (
    gateway(D), secret(D), path_of("apps/v1", "deployments", D, NAME), path_of("v1", "services", D, NAME),
    path_of("v1", "serviceaccounts", D, NAME), path_of(RBAC, "roles", D, NAME), path_of(RBAC, "rolebindings", D, NAME),
)  # fmt: skip


# Each asks for `host`: pytest runs what does not after what does.
def test_no_owner_would_take_anything_of_it_along(host: t.Any, tmp_path: pathlib.Path) -> None:
    asked = run("resource_keep_info", tmp_path, gateways=[f"{D}/public"], needs=True)
    assert asked["would_delete"] == [] and all(item["intact"] for item in asked["owners"])
    owner = next(item["owner"] for item in asked["owners"] if item["kind"] == "Gateway")
    assert owner["storage"].startswith(f"ConfigMap {D}/"), owner


def test_what_the_whole_mesh_needs_is_guarded_too(host: t.Any) -> None:
    for what in (
        "crd gateways.networking.istio.io", "secret istio-ca-secret --namespace istio-system", f"namespace {D}",
    ):  # fmt: skip
        done = host.run(f"kubectl delete {what} --dry-run=server")
        assert done.rc != 0 and "kept by migration keep-d" in done.stderr, (what, done.stderr)


def test_cleanup_does_not_uninstall_what_more_than_blue_needs(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: other, version: 1.0.0}", encoding="utf-8")
    templates = {"own": ("ConfigMap", "own"), "space": ("Namespace", "mesh-keep-other"), "root": ("Secret", "istio-ca-secret")}
    for name, (kind, called) in templates.items():
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": called}}
        (chart / "templates" / f"{name}.yaml").write_text(json.dumps(body), encoding="utf-8")
    own = path_of("v1", "configmaps", D, "own")

    def helm_does(*argv: str) -> None:
        done = host.run(shlex.join(["helm", *argv, "--namespace", D]))
        assert done.rc == 0, done.stderr

    def cleanup() -> tuple[int, str]:
        pair = {"blue": f"{D}/public", "green": f"{D}/green", "workload": "public"}
        green = {"namespace": D, "release": "green", "labels": {"app": "green"}, "node_ports": {}}
        blue = {"namespace": D, "service": "public-ingressgateway"}
        settings = {
            "mesh_migration": "keep-release", "mesh_journal_namespace": JOURNAL["namespace"], "mesh_gateways": [pair],
            "mesh_workloads": [{"name": "public", "blue": blue, "green": green}],
            "cleanup_release": {"release": "other", "namespace": D},
        }  # fmt: skip
        done = part(settings, "cleanup", "look.yml", "release.yml")
        return done.returncode, " ".join(done.stdout.split())

    helm_does("install", "other", str(chart))
    code, said = cleanup()
    told = said.partition("helm uninstall other would also delete ")[2].partition(", which more than blue needs")[0]
    assert code != 0 and set(told.split(", ")) == {"Namespace mesh-keep-other", "Secret istio-ca-secret"}, said[-3000:]
    (chart / "templates" / "space.yaml").unlink()
    (chart / "templates" / "root.yaml").unlink()
    helm_does("upgrade", "other", str(chart))
    release = "meta.helm.sh/release-name"
    cluster.patch(own, {"metadata": {"annotations": {release: "another"}}})
    code, said = cleanup()
    assert code != 0 and "would also delete ConfigMap own, which another has now." in said, said[-3000:]
    assert uid(cluster, own), "a refusal deletes nothing"
    cluster.patch(own, {"metadata": {"annotations": {release: "other"}}})
    code, said = cleanup()
    assert code == 0, said[-3000:]
    assert uid(cluster, own) is None and host.check_output(f"helm list --all --short --namespace {D}") == ""


def test_uninstall_from_configmaps_leaves_all_of_it(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    before = {path: uid(cluster, path) for path in WHOLE}
    done = host.run(f"HELM_DRIVER=configmap helm uninstall blue --namespace {D}")
    assert done.rc == 0 and f"[Deployment] {NAME}" in done.stdout, done
    assert all(before.values()) and {path: uid(cluster, path) for path in before} == before
    assert host.check_output(f"HELM_DRIVER=configmap helm list --all --namespace {D} --short") == ""
    where = {"namespace": JOURNAL["namespace"], "name": "keep-d"}
    asked = run("resource_keep_info", tmp_path, journal=where)
    assert asked["missing"] == [] == asked["would_delete"], asked
    assert all(item["intact"] and item["kept_by"] == "keep-d" for item in asked["owners"])


def test_the_way_back_leaves_no_trace_in_what_others_need(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    where = {"namespace": JOURNAL["namespace"], "name": "keep-d"}
    epoch = run("migration_journal", tmp_path, **where, state="open", takeover=True)["epoch"]
    steps = run("migration_journal", tmp_path, **where, undo_from="keep")["undo"]
    for step in steps:
        params = {**step["inverse"]["params"], "journal": {**where, "epoch": epoch, "phase": "rollback"}}
        result = run("resource_keep", tmp_path, **params)
        assert not result.get("failed"), result
    crds = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    for path, policy in {
        f"{crds}/gateways.networking.istio.io": "keep",  # Istio's base chart says so itself
        secret("istio-system", "istio-ca-secret"): None,
        path_of("v1", "namespaces", None, "istio-system"): None,
    }.items():
        annotations = cluster.get(path)["metadata"].get("annotations") or {}
        assert annotations.get(helm.POLICY) == policy, path
        assert not [key for key in annotations if "bluegreen" in key], path
    assert "keep-keep-d" not in guards(host)
