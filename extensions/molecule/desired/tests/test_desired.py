# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the real kubectl, helm and API server make of bound VirtualServices, and of the files that were written.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

FOLDER = pathlib.Path(os.environ["LAB_STATE"]) / "desired"
CHART, OVERRIDES = FOLDER / "chart", FOLDER / "overrides"
SPACE = "mesh-desired"
OLD, NEW = f"{SPACE}/old", f"{SPACE}/new"
PAIRS = [{"blue": OLD, "green": NEW}]


def run(module: str, tmp_path: pathlib.Path, **params: t.Any) -> dict[str, t.Any]:
    return lab.run(module, tmp_path, **{"pairs": PAIRS, **params})


def bind(tmp_path: pathlib.Path, name: str, **params: t.Any) -> dict[str, t.Any]:
    return run("virtual_service_gateways", tmp_path, names=[f"{SPACE}/{name}"], **params)


def judged(tmp_path: pathlib.Path, name: str) -> dict[str, t.Any]:
    (found,) = [s for s in run("desired_state_info", tmp_path)["sources"] if s["virtual_service"] == f"{SPACE}/{name}"]
    return found


def do(*argv: str, stdin: str | None = None) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def apply_as_helm_4_does(*options: str) -> str:
    manifests = do("helm", "template", "pipeline", str(CHART), *options)
    return do(
        "kubectl", "apply", "--server-side", "--field-manager=helm", f"--namespace={SPACE}", "--filename=-",
        stdin=manifests,
    )  # fmt: skip


def virtual_service(name: str) -> str:
    return path_of("networking.istio.io/v1", "virtualservices", SPACE, name)


def lists(cluster: Cluster, name: str) -> list[list[str]]:
    spec = cluster.get(virtual_service(name))["spec"]
    return [spec["gateways"], spec["http"][0]["match"][0]["gateways"]]


def owners(cluster: Cluster, name: str) -> dict[str, list[str]]:
    meta = cluster.get(virtual_service(name))["metadata"]
    entries = [entry for entry in meta["managedFields"] if "f:spec" in entry["fieldsV1"]]
    return {f"{entry['manager']} {entry['operation']}": sorted(entry["fieldsV1"]["f:spec"]) for entry in entries}


HELM = {"helm Apply": ["f:gateways", "f:hosts", "f:http"]}


@pytest.mark.parametrize("name", ["plain", "by-hand", "argo-calm", "flux-asleep", "shop", "pipeline", "team"])
def test_what_nobody_puts_back_is_bound(cluster, name):
    assert lists(cluster, name) == [[OLD, NEW], [OLD, NEW]]


@pytest.mark.parametrize("name", ["argo-healing", "flux-apps"])
def test_what_would_be_put_back_is_not(cluster, name):
    assert lists(cluster, name) == [[OLD], [OLD]]


# -- field ownership -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["pipeline", "team"])
def test_who_applied_it_owns_it_still(cluster, name):
    assert owners(cluster, name) == HELM


def test_what_was_not_applied_is_ours(cluster):
    """Else the test above would say nothing."""
    assert owners(cluster, "plain")["bluegreen-mesh Update"] == ["f:gateways", "f:http"]


def test_the_next_server_side_apply_passes_after_binding_and_after_unbinding(cluster, tmp_path):
    apply_as_helm_4_does()
    assert lists(cluster, "pipeline") == [[OLD], [OLD]]  # and does what its source says: that is what the gate is for
    assert bind(tmp_path, "pipeline")["counts"]["changed"] == 1
    apply_as_helm_4_does("--set=istio.gateways={%s,%s}" % (OLD, NEW))
    assert bind(tmp_path, "pipeline", state="unbound", **{"from": "blue"})["counts"]["changed"] == 1
    assert lists(cluster, "pipeline") == [[NEW], [NEW]] and owners(cluster, "pipeline") == HELM
    apply_as_helm_4_does("--set=istio.gateways={%s}" % NEW)
    assert lists(cluster, "pipeline") == [[NEW], [NEW]] and owners(cluster, "pipeline") == HELM


def helm4_upgrade(*options: str) -> str:
    return do("helm4", "upgrade", "team", str(CHART), f"--namespace={SPACE}", *options)


def test_helm_4_upgrades_go_through_after_binding_and_after_unbinding(cluster, tmp_path):
    found = judged(tmp_path, "team")
    assert found["green"] is False and "applied server-side" in found["told_by"]
    helm4_upgrade("--set=unrelated=1")
    assert lists(cluster, "team") == [[OLD], [OLD]] and owners(cluster, "team") == HELM
    assert bind(tmp_path, "team")["counts"]["changed"] == 1
    assert bind(tmp_path, "team", state="unbound", **{"from": "blue"})["counts"]["changed"] == 1
    assert lists(cluster, "team") == [[NEW], [NEW]] and owners(cluster, "team") == HELM
    helm4_upgrade(f"--values={OVERRIDES}/helm/{SPACE}.team.yaml")
    assert lists(cluster, "team") == [[NEW], [NEW]] and judged(tmp_path, "team")["green"] is True


def test_without_giving_back_they_would_fail(cluster):
    """The reason for all of this."""
    path = virtual_service("team")
    meta = cluster.get(path)["metadata"]
    cluster.patch(path, {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": {"gateways": [OLD, NEW]}})
    with pytest.raises(AssertionError, match="conflict"):
        helm4_upgrade()
    mine = {"op": "replace", "path": "/metadata/managedFields", "value": meta["managedFields"]}
    cluster.patch(path, [mine], "json")
    helm4_upgrade(f"--values={OVERRIDES}/helm/{SPACE}.team.yaml")
    assert lists(cluster, "team") == [[NEW], [NEW]]


def test_the_next_server_side_apply_passes_while_blue_is_pinned(cluster, tmp_path):
    meta, labels = {"namespace": SPACE, "name": "pinned"}, {"app": "mesh-desired-pinned", "team": "edge"}
    app = {"app": labels["app"]}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "none", "image": "none"}]}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pinned"}
    server = {"hosts": ["pinned.test"], "port": {"name": "http", "number": 80, "protocol": "HTTP"}}
    items = [
        {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
        for version, kind, spec in (
            ("v1", "Service", {"selector": labels, "ports": [{"name": "http", "port": 80}]}),
            ("apps/v1", "Deployment", {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}),
            ("autoscaling/v2", "HorizontalPodAutoscaler", {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2}),
            ("networking.istio.io/v1", "Gateway", {"selector": app, "servers": [server]}),
        )
    ]  # fmt: skip

    def apply():
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        do("kubectl", "apply", "--server-side", "--field-manager=helm", "--filename=-", stdin=stdin)

    apply()
    name = f"{SPACE}/pinned"
    scaler = path_of("autoscaling/v2", "horizontalpodautoscalers", SPACE, "pinned")
    pinned = lab.run("replicas_pin", tmp_path, service=name, minimum=3)
    narrowed = lab.run("gateway_selector", tmp_path, gateways=[name], service=name, labels=app)
    assert pinned["changed"] and cluster.get(scaler)["spec"]["minReplicas"] == 3, pinned
    assert narrowed["changed"] and narrowed["selectors"] == {name: labels}, narrowed
    assert "warnings" not in pinned and "warnings" not in narrowed
    apply()
    assert cluster.get(scaler)["spec"]["minReplicas"] == 1


# -- overrides, used as their first lines say ------------------------------------------------------------------------
def test_values_make_a_helm_release_green(cluster, tmp_path):
    assert judged(tmp_path, "shop")["green"] is False
    values = OVERRIDES / "helm" / f"{SPACE}.shop.yaml"
    assert f"# Makes 1 VirtualService(s) green at the source: {SPACE}/shop." in values.read_text().splitlines()
    do("helm", "upgrade", "shop", str(CHART), f"--namespace={SPACE}", f"--values={values}")
    assert lists(cluster, "shop") == [[NEW], [NEW]]
    found = judged(tmp_path, "shop")
    assert found["green"] is True and found["names"] == [NEW] and "revision 2" in found["told_by"]


def test_a_component_makes_what_is_applied_green(cluster, tmp_path):
    base, overlay = FOLDER / "base", FOLDER / "overlay"
    for folder in (base, overlay):
        folder.mkdir(exist_ok=True)
    name, host = "by-hand", "by-hand.desired.test"
    match = [{"gateways": [OLD]}]
    spec = {
        "hosts": [host],
        "gateways": [OLD],
        "http": [{"match": match, "route": [{"destination": {"host": "nowhere"}}]}],
    }
    body = {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": SPACE}, "spec": spec,
    }  # fmt: skip
    (base / "vs.yaml").write_text(json.dumps(body))
    (base / "kustomization.yaml").write_text(json.dumps({"resources": ["vs.yaml"]}))
    content = {"resources": ["../base"], "components": ["../overrides/kustomize"]}
    (overlay / "kustomization.yaml").write_text(json.dumps(content))
    assert judged(tmp_path, name)["green"] is False
    do("kubectl", "apply", f"--kustomize={overlay}")
    assert lists(cluster, name) == [[NEW], [NEW]] and judged(tmp_path, name)["green"] is True


@pytest.mark.parametrize(
    ("resource", "name", "file"),
    [
        ("applications.argoproj.io", "healing", f"argocd/{SPACE}.healing.yaml"),
        ("kustomizations.kustomize.toolkit.fluxcd.io", "apps", f"flux/Kustomization.{SPACE}.apps.yaml"),
    ],
)
def test_patches_of_sources_are_taken(resource, name, file):
    do("kubectl", "patch", resource, name, f"--namespace={SPACE}", "--type=json", f"--patch-file={OVERRIDES / file}")


def test_what_they_hold_is_understood(cluster, tmp_path):
    application = cluster.get(path_of("argoproj.io/v1alpha1", "applications", SPACE, "healing"))
    assert application["spec"]["source"]["helm"]["parameters"] == [{"name": "istio.gateways[0]", "value": NEW}]
    found = judged(tmp_path, "flux-apps")
    assert found["green"] is True and found["told_by"] == "its spec.patches"


def test_what_is_left_is_what_nobody_can_know_or_has_changed(tmp_path):
    blocking = run("desired_state_info", tmp_path)["blocking"]
    assert [entry["virtual_service"].partition("/")[2] for entry in blocking] == [
        "argo-calm", "argo-healing", "flux-asleep", "pipeline",
    ]  # fmt: skip


def test_no_permission_is_unknown_and_named(cluster, tmp_path):
    rules = [{"apiGroups": ["networking.istio.io"], "resources": ["*"], "verbs": ["list"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": SPACE},
        "rules": rules,
    }
    binding = {
        "apiVersion": role["apiVersion"], "kind": "ClusterRoleBinding", "metadata": {"name": SPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SPACE},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": SPACE}],
    }  # fmt: skip
    group = "rbac.authorization.k8s.io/v1"
    cluster.create(path_of(group, "clusterroles"), role)
    cluster.create(path_of(group, "clusterrolebindings"), binding)
    try:
        token = do("kubectl", "create", "token", "default", f"--namespace={SPACE}").strip()
        config = json.loads(do("kubectl", "config", "view", "--raw", "--output=json"))
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(config), encoding="utf-8")
        kubeconfig.chmod(0o600)
        result = run("desired_state_info", tmp_path, kubeconfig=str(kubeconfig))
        found = {s["source"]: s for s in result["sources"]}
        for source, resource in (("helm:mesh-desired/shop", "secrets"), ("argocd:healing", "applications")):
            assert found[source]["green"] is None
            assert "not allowed (403)" in found[source]["told_by"] and resource in found[source]["told_by"]
    finally:
        cluster.delete(path_of(group, "clusterrolebindings", name=SPACE))
        cluster.delete(path_of(group, "clusterroles", name=SPACE))
