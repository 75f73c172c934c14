# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of a HelmRelease does to what is kept: suspended, with post-renderers, and with the guard alone."""

from __future__ import annotations

import json
import pathlib
import typing as t

import lab
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

RELEASES = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/mesh-keep-flux/helmreleases"


def uids(cluster: Cluster, name: str) -> dict[str, str | None]:
    namespace = f"mesh-keep-flux-{name}"
    gateway = path_of("networking.istio.io/v1", "gateways", namespace, "public")
    certificate = path_of("v1", "secrets", namespace, "public-cert")
    return {"public": lab.uid(cluster, gateway), "public-cert": lab.uid(cluster, certificate)}


def deployments(cluster: Cluster, name: str) -> list[dict[str, t.Any]]:
    return cluster.list(path_of("apps/v1", "deployments", f"mesh-keep-flux-{name}"))


def manifest(host: t.Any, name: str) -> str:
    done = host.run(f"helm get manifest blue-{name} --namespace mesh-keep-flux")
    assert done.rc == 0, done.stderr
    return done.stdout


def records(host: t.Any, name: str) -> list[dict[str, str]]:
    return json.loads(host.run(f"helm list --all --namespace mesh-keep-flux --filter blue-{name} --output json").stdout)


def reconciled(host: t.Any, cluster: Cluster, name: str, at: str) -> None:
    """Asks helm-controller to look now, and waits until it has."""
    asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": at}}}
    cluster.patch(f"{RELEASES}/{name}", asked)
    done = host.run(
        f"kubectl wait helmrelease/{name} --namespace mesh-keep-flux --timeout=60s"
        f" --for=jsonpath='{{.status.lastHandledReconcileAt}}'={at}"
    )
    assert done.rc == 0, done.stderr
    ready = host.run(f"kubectl wait helmrelease/{name} --namespace mesh-keep-flux --for=condition=Ready --timeout=60s")
    assert ready.rc == 0, ready.stderr


def test_what_the_admission_policy_adds_is_no_drift_to_flux(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    """Its drift detection asks the API server by a dry run, which the policy answers as well."""
    old, new = "mesh-keep-flux-guard/public", "mesh-keep-flux-render/public"
    route = path_of("networking.istio.io/v1", "virtualservices", "mesh-keep-flux-app", "app")
    options = {"migration": "flux-drift", "pairs": [{"blue": old, "green": new}]}
    assert cluster.get(route)["spec"]["gateways"] == [old]
    policy = lab.run("binding_policy", tmp_path, **options, strategy="admission_policy")
    assert policy.get("changed") and "create" in policy["proven"], policy
    try:
        bound = lab.run("virtual_service_gateways", tmp_path, pairs=options["pairs"], method="admission")
        assert [item["namespace"] for item in bound["virtual_services"]["changed"]] == ["mesh-keep-flux-app"], bound
        before = cluster.get(route)
        assert before["spec"]["gateways"] == [old, new]
        reconciled(host, cluster, "app", "first")
        assert cluster.get(route)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        # It does look, and what it puts back is bound as well.
        cluster.patch(route, {"spec": {"hosts": ["other.flux.test"], "gateways": [old]}})
        reconciled(host, cluster, "app", "second")
        after = cluster.get(route)["spec"]
        assert (after["hosts"], after["gateways"]) == (["app.flux.test"], [old, new])
    finally:
        gone = lab.run("binding_policy", tmp_path, migration="flux-drift", state="absent")
    assert gone.get("changed"), gone
    # Without it, it is drift, and put back: that is what `direct` refuses.
    cluster.patch(route, {"spec": {"gateways": [old, new]}})
    reconciled(host, cluster, "app", "third")
    assert cluster.get(route)["spec"]["gateways"] == [old]


def test_released_it_is_fluxs_own_again_and_can_be_kept_again(
    host: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    params = {"migration": "flux-suspend", "gateways": ["mesh-keep-flux-suspend/public"], "guard": "none"}
    assert cluster.get(f"{RELEASES}/suspend")["spec"]["suspend"] is True
    assert manifest(host, "suspend").count("helm.sh/resource-policy: keep") == 2
    released = lab.run("resource_keep", tmp_path, **params, state="released")
    assert released.get("changed"), released
    assert not cluster.get(f"{RELEASES}/suspend")["spec"].get("suspend")
    ready = host.run("kubectl wait helmrelease/suspend --namespace mesh-keep-flux --for=condition=Ready --timeout=60s")
    assert ready.rc == 0, ready.stderr
    assert "resource-policy" not in manifest(host, "suspend")
    # Each owner has to be safe: the HelmRelease, and the release of its own.
    info = lab.run("resource_keep_info", tmp_path, gateways=params["gateways"])
    assert not any(item["safe"] for item in info["owners"]), info
    kept = lab.run("resource_keep", tmp_path, **params, backup_dir=str(tmp_path))
    assert kept.get("changed") and all(item["safe"] for item in kept["protected"]), kept
    assert cluster.get(f"{RELEASES}/suspend")["spec"]["suspend"] is True


def test_suspended_its_end_leaves_everything_and_helm_then_what_is_kept(host: t.Any, cluster: Cluster) -> None:
    before = uids(cluster, "suspend")
    assert all(before.values()) and deployments(cluster, "suspend")
    done = host.run("kubectl delete helmrelease suspend --namespace mesh-keep-flux --timeout=60s")
    assert done.rc == 0, done.stderr
    assert uids(cluster, "suspend") == before and deployments(cluster, "suspend")
    assert [item["status"] for item in records(host, "suspend")] == ["deployed"]
    done = host.run("helm uninstall blue-suspend --namespace mesh-keep-flux")
    assert done.rc == 0 and "[Gateway] public" in done.stdout, done.stderr
    assert uids(cluster, "suspend") == before and not deployments(cluster, "suspend")


def test_rendered_by_helm_controller_its_uninstall_leaves_what_is_kept(host: t.Any, cluster: Cluster) -> None:
    before = uids(cluster, "render")
    body = cluster.get(f"{RELEASES}/render")
    assert all(before.values()) and not body["spec"].get("suspend")
    assert [item["revision"] for item in records(host, "render")] == ["2"], "a new revision, made by helm-controller"
    assert manifest(host, "render").count("helm.sh/resource-policy: keep") == 2
    done = host.run("kubectl delete helmrelease render --namespace mesh-keep-flux --timeout=60s")
    assert done.rc == 0, done.stderr
    assert uids(cluster, "render") == before and not deployments(cluster, "render")
    assert records(host, "render") == []


def test_the_guard_alone_holds_it_up_and_loses_nothing(host: t.Any, cluster: Cluster, tmp_path: pathlib.Path) -> None:
    before = uids(cluster, "guard")
    assert all(before.values())
    assert host.run("kubectl delete helmrelease guard --namespace mesh-keep-flux --wait=false").rc == 0
    failed = host.run(
        "kubectl wait helmrelease/guard --namespace mesh-keep-flux --timeout=60s"
        " --for=jsonpath='{.status.conditions[?(@.type==\"Released\")].reason}'=UninstallFailed"
    )
    assert failed.rc == 0, failed.stderr
    assert uids(cluster, "guard") == before
    params = {"migration": "flux-guard", "gateways": ["mesh-keep-flux-guard/public"], "helm_record": False}
    refused = lab.run("resource_keep", tmp_path, **params, state="released")
    assert refused["failure"]["code"] == "owner_deletes" and uids(cluster, "guard") == before, refused
    released = lab.run("resource_keep", tmp_path, **params, state="released", owner_deletes="accept")
    assert released.get("changed"), released
    gone = host.run("kubectl wait helmrelease/guard --namespace mesh-keep-flux --for=delete --timeout=180s")
    assert gone.rc == 0, gone.stderr
    assert set(uids(cluster, "guard").values()) == {None}
