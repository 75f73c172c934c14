# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's blue under live clients, owned by one owner after another, kept, and then left by that owner: it is all
still there, the very objects, and nobody notices. Helm 3 is blue's owner in every other scenario.

Helm 4 and Flux's helm-controller are the real ones. Of the others, whose controllers the lab has not, the pruning is
played by the labels and annotations that theirs go by. At the end blue goes itself, and comes back. The tests build on
each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import tempfile
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-owners"
CHART = f"{STATE}/apps/blue"
SPACE, RELEASE = "istio-system", "istio-ingress"
ISTIO = "networking.istio.io/v1"
# What a release of blue's chart has made, as far as it is its own.
KINDS = (
    (ISTIO, "gateways"), ("v1", "secrets"), ("v1", "services"), ("v1", "serviceaccounts"), ("apps/v1", "deployments"),
    ("rbac.authorization.k8s.io/v1", "roles"), ("rbac.authorization.k8s.io/v1", "rolebindings"),
)  # fmt: skip
OPERATOR = "install.operator.istio.io/owning-resource"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
FLUX = "helm.toolkit.fluxcd.io/v2"


def settings(owner: str) -> dict[str, t.Any]:
    return {"mesh_migration": f"owners-{owner}", "mesh_journal_namespace": "mesh-owners-live"}


def blues(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    """Blue's objects by name, that are there and stay."""
    found = {}
    for group_version, plural in KINDS:
        for body in cluster.list(path_of(group_version, plural, SPACE)):
            meta = body["metadata"]
            if (meta.get("annotations") or {}).get("meta.helm.sh/release-name") == RELEASE:
                assert "deletionTimestamp" not in meta, f"{plural} {meta['name']} is going"
                found[f"{plural} {meta['name']}"] = {**body, "path": path_of(group_version, plural, SPACE, meta["name"])}
    return found


def uids(objects: dict[str, dict[str, t.Any]]) -> dict[str, str]:
    return {name: body["metadata"]["uid"] for name, body in objects.items()}


def pods(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.list(path_of("v1", "pods", SPACE))}


def keep(owner: str) -> None:
    done = lab.play(settings(owner), "--tags", "preflight,keep")
    assert done.returncode == 0, done.stdout[-4000:]


def let_go(owner: str) -> None:
    done = lab.play({**settings(owner), "mesh_rollback_to": "preflight"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-4000:]


def roots() -> t.Any:
    """The root certificates that istiod hands out; every proxy of blue's is connected to it."""
    with tempfile.TemporaryDirectory() as folder:
        told = lab.run("resource_keep_info", pathlib.Path(folder), gateways=[f"{SPACE}/public"], proxies=True)
    assert told["proxies"] and all(proxy["connected"] is True for proxy in told["proxies"]), told["proxies"]
    return told["roots"]


ROOTS: list[t.Any] = []  # before the first owner has left


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    ROOTS.append(roots())
    found = blues(cluster)
    assert {name.partition(" ")[0] for name in found} == {plural for _version, plural in KINDS}
    return found


def nothing_is_lost(cluster: Cluster, before: dict[str, dict[str, t.Any]], stood: set[str], owner: str) -> None:
    assert uids(blues(cluster)) == uids(before)
    assert pods(cluster) == stood, "a pod of blue's was made anew"
    assert [roots()] == ROOTS
    # No owner is left that would take anything.
    keep(owner)


def test_helm_4_has_taken_it_over_and_its_uninstall_leaves_it(
    host: t.Any, cluster: Cluster, before: dict[str, dict[str, t.Any]], tmp_path: pathlib.Path
) -> None:
    values = host.run(f"helm get values {RELEASE} --namespace {SPACE} --output json")
    assert values.rc == 0, values.stderr
    pathlib.Path(f"{STATE}/owners-values.json").write_text(values.stdout, encoding="utf-8")
    taken = host.run(f"helm4 upgrade {RELEASE} {CHART} --namespace {SPACE} --reuse-values --server-side=false")
    assert taken.rc == 0, taken.stderr
    stood = pods(cluster)
    keep("helm4")
    done = host.run(f"helm4 uninstall {RELEASE} --namespace {SPACE} --wait")
    assert done.rc == 0 and "[Gateway] public" in done.stdout, done.stderr
    assert host.check_output(f"helm4 list --short --namespace {SPACE} --filter {RELEASE}") == ""
    nothing_is_lost(cluster, before, stood, "helm4")
    let_go("helm4")


def test_fluxs_helm_controller_has_adopted_it_and_the_end_of_the_helm_release_leaves_it(
    host: t.Any, cluster: Cluster, before: dict[str, dict[str, t.Any]]
) -> None:
    served = host.run(f"{lab.ROOT}/tests/lab/lab flux-chart blue {CHART}")
    assert served.rc == 0, served.stderr
    values = json.loads(pathlib.Path(f"{STATE}/owners-values.json").read_text(encoding="utf-8"))
    spec = {
        "interval": "1h", "releaseName": RELEASE, "targetNamespace": SPACE, "storageNamespace": SPACE,
        "chartRef": {"kind": "OCIRepository", "name": "blue", "namespace": "flux-system"}, "values": values,
    }  # fmt: skip
    body = {"apiVersion": FLUX, "kind": "HelmRelease", "metadata": {"name": "blue", "namespace": SPACE}, "spec": spec}
    cluster.create(path_of(FLUX, "helmreleases", SPACE), body)
    ready = host.run(f"kubectl wait helmrelease/blue --namespace {SPACE} --for=condition=Ready --timeout=90s")
    assert ready.rc == 0, ready.stderr
    stood = pods(cluster)
    keep("flux")
    done = host.run(f"kubectl delete helmrelease blue --namespace {SPACE} --timeout=90s")
    assert done.rc == 0, done.stderr
    nothing_is_lost(cluster, before, stood, "flux")
    let_go("flux")


def prunes(owner: str, body: dict[str, t.Any]) -> bool:
    """Whether that owner's controller would delete it once it is no longer wanted."""
    labels, annotations = (body["metadata"].get(name) or {} for name in ("labels", "annotations"))
    if owner == "operator":
        return OPERATOR in labels
    if owner == "kustomization":
        return f"{KUSTOMIZE}/name" in labels and annotations.get(f"{KUSTOMIZE}/prune") != "disabled"
    options = annotations.get("argocd.argoproj.io/sync-options", "").split(",")
    return "argocd.argoproj.io/tracking-id" in annotations and not {"Prune=false", "Delete=false"} <= set(options)


def mark(owner: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
    """The metadata by which that owner knows what is its own."""
    meta = body["metadata"]
    if owner == "operator":
        return {"labels": {OPERATOR: "istiocontrolplane", f"{OPERATOR}-namespace": "mesh-owners-live"}}
    if owner == "kustomization":
        return {"labels": {f"{KUSTOMIZE}/name": "apps", f"{KUSTOMIZE}/namespace": "mesh-owners-live"}}
    group = body["apiVersion"].rpartition("/")[0]
    return {"annotations": {"argocd.argoproj.io/tracking-id": f"mesh:{group}/{body['kind']}:{SPACE}/{meta['name']}"}}


@pytest.mark.parametrize("owner", ["operator", "kustomization", "argo"])
def test_what_other_owners_would_prune_stays(
    host: t.Any, cluster: Cluster, before: dict[str, dict[str, t.Any]], owner: str
) -> None:
    for body in blues(cluster).values():
        # What Helm has made is Helm's, too; here it has let go of it.
        cluster.patch(body["path"], {"metadata": mark(owner, body)})
    stood = pods(cluster)
    assert all(prunes(owner, body) for body in blues(cluster).values())
    keep(owner)
    pruned = [name for name, body in blues(cluster).items() if prunes(owner, body)]
    assert pruned == []
    # And whoever does not go by that is refused.
    done = host.run(f"kubectl delete deployment public-ingressgateway --namespace {SPACE}")
    assert done.rc != 0 and f"kept by migration owners-{owner}" in done.stderr, done.stderr
    nothing_is_lost(cluster, before, stood, owner)
    let_go(owner)
    assert all(prunes(owner, body) for body in blues(cluster).values()), "each owner has its own again"
    for body in blues(cluster).values():
        names = {group: dict.fromkeys(marks) for group, marks in mark(owner, body).items()}
        cluster.patch(body["path"], {"metadata": names})


def test_a_zarf_package_has_deployed_it_and_its_removal_leaves_it(
    host: t.Any, cluster: Cluster, before: dict[str, dict[str, t.Any]], tmp_path: pathlib.Path
) -> None:
    """Zarf calls Helm's library for each chart that its Secret names; here Helm's own program is called for them."""
    chart = {"chartName": RELEASE, "namespace": SPACE}
    deployed = {"name": "mesh", "deployedComponents": [{"name": "istio", "installedCharts": [chart]}]}
    values = f"--values {STATE}/owners-values.json"
    installed = host.run(f"helm upgrade --install {RELEASE} {CHART} --namespace {SPACE} {values}")
    assert installed.rc == 0, installed.stderr
    body = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "zarf-package-mesh", "labels": {"package-deploy-info": "mesh"}},
        "stringData": {"data": json.dumps(deployed)},
    }  # fmt: skip
    cluster.create(path_of("v1", "secrets", "zarf"), body)
    gateways = {"gateways": [f"{SPACE}/public", f"{SPACE}/passthrough"]}

    def by_zarf() -> dict[str, bool]:
        told = lab.run("resource_keep_info", tmp_path, **gateways)["owners"]
        return {
            f"{item['kind']} {item['name']}": claim["safe"]
            for item in told for claim in item["claims"] if claim["name"] == "Zarf package mesh"
        }  # fmt: skip

    assert {name.partition(" ")[0] for name in by_zarf()} == {"Gateway", "Secret"} and not any(by_zarf().values())
    stood = pods(cluster)
    keep("zarf")
    assert all(by_zarf().values())
    for gone in deployed["deployedComponents"][0]["installedCharts"]:
        done = host.run(f"helm uninstall {gone['chartName']} --namespace {gone['namespace']} --wait")
        assert done.rc == 0 and "[Gateway] public" in done.stdout, done.stderr
    cluster.delete(path_of("v1", "secrets", "zarf", "zarf-package-mesh"))
    nothing_is_lost(cluster, before, stood, "zarf")
    let_go("zarf")


def test_the_gate_refuses_what_would_not_last(
    host: t.Any, cluster: Cluster, before: dict[str, dict[str, t.Any]], tmp_path: pathlib.Path
) -> None:
    mine = settings("gate")
    for body in before.values():  # what they name has gone for good, and a new migration can't know that
        cluster.patch(body["path"], {"metadata": {"annotations": dict.fromkeys(HELMS)}})
    keep("gate")

    def gate() -> tuple[int, str]:
        done = lab.part(mine, "keep", "intact.yml")
        return done.returncode, " ".join(done.stdout.split())

    assert gate()[0] == 0
    # An owner that has come since.
    service = before["services public-ingressgateway"]
    cluster.patch(service["path"], {"metadata": mark("operator", service)})
    code, said = gate()
    assert code != 0 and "IstioOperator mesh-owners-live/istiocontrolplane would delete Service" in said, said[-3000:]
    cluster.patch(service["path"], {"metadata": {"labels": dict.fromkeys(mark("operator", service)["labels"])}})
    # Another object, called the same, by the UID of the one that was kept.
    account = before["serviceaccounts public-ingressgateway"]["path"]
    uid = "bluegreen.mesh/kept-uid"
    noted = cluster.get(account)["metadata"]["annotations"][uid]
    cluster.patch(account, {"metadata": {"annotations": {uid: "another"}}})
    code, said = gate()
    assert code != 0 and "ServiceAccount public-ingressgateway is gone, is being deleted, or was made" in said, said[-3000:]
    cluster.patch(account, {"metadata": {"annotations": {uid: noted}}})
    # Another root certificate, by what the journal has of the one of then.
    known = json.loads(cluster.get(path_of("v1", "configmaps", *journal_of(mine)))["data"]["facts"])["keep_roots"]
    roots_of(mine, tmp_path, dict.fromkeys(known, "another"))
    code, said = gate()
    assert code != 0 and re.search(
        rf"The root certificate in [a-z, -]*{SPACE} is not the one of when blue was kept", said
    ), said[-3000:]
    roots_of(mine, tmp_path, known)
    code, said = gate()
    assert code == 0, said[-3000:]
    let_go("gate")


def journal_of(mine: dict[str, t.Any]) -> tuple[str, str]:
    return mine["mesh_journal_namespace"], mine["mesh_migration"]


def roots_of(mine: dict[str, t.Any], tmp_path: pathlib.Path, found: t.Any) -> None:
    """What the journal is to have of them."""
    where = dict(zip(("namespace", "name"), journal_of(mine)))
    epoch = lab.run("migration_journal", tmp_path, **where, state="open", takeover=True)["epoch"]
    for step in ({"state": "recorded", "facts": {"keep_roots": found}}, {"state": "closed"}):
        done = lab.run("migration_journal", tmp_path, **where, epoch=epoch, **step)
        assert not done.get("failed"), done


PLANE = path_of("install.istio.io/v1alpha1", "istiooperators", "mesh-owners-live", "istiocontrolplane")
FINALIZER = "istio-finalizer.install.istio.io"
HELMS = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


def test_no_request_was_lost(before: dict[str, dict[str, t.Any]]) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 3000, str(seen["errors"])


def test_an_operators_blue_goes_at_cleanup_with_its_istio_operator_and_comes_back(
    cluster: Cluster, before: dict[str, dict[str, t.Any]]
) -> None:
    """After the last test of those that clients go on asking through. It is the operator's alone, and first the operator
    is there."""
    mine = settings("plane")
    helms = {"annotations": dict.fromkeys(HELMS)}
    for body in before.values():
        labels = {**mark("operator", body)["labels"], "operator.istio.io/component": "IngressGateways"}
        cluster.patch(body["path"], {"metadata": {**helms, "labels": labels}})
    gateway = {"name": "public-ingressgateway", "namespace": SPACE, "enabled": True}
    spec = {"components": {"ingressGateways": [gateway]}}
    cluster.patch(PLANE, {"metadata": {"finalizers": [FINALIZER]}, "spec": spec})
    stood = cluster.get(PLANE)["spec"]
    keep("plane")
    operator = path_of("apps/v1", "deployments", "mesh-owners-live", "istio-operator")
    assert cluster.get(operator)["spec"]["replicas"] == 0
    refused = lab.part(mine, "cleanup", "look.yml", "sources.yml")
    assert refused.returncode != 0 and "IstioOperator mesh-owners-live/istiocontrolplane still has what" in refused.stdout
    # Its package is removed.
    cluster.delete(operator)
    gone = lab.part(mine, "cleanup", "look.yml", "sources.yml", "delete.yml")
    assert gone.returncode == 0, gone.stdout[-4000:]
    assert cluster.find(PLANE) is None and not [name for name, body in before.items() if cluster.find(body["path"])]
    assert cluster.find(path_of("v1", "secrets", SPACE, "istio-ca-secret")), "more than blue needs it"
    back = lab.play({**mine, "mesh_rollback_to": "cleanup"}, "--tags", "rollback")
    assert back.returncode == 0, back.stdout[-4000:]
    assert cluster.get(PLANE)["spec"] == stood and cluster.get(PLANE)["metadata"]["finalizers"] == [FINALIZER]
    for body in before.values():
        again = cluster.get(body["path"])["metadata"]
        assert again["annotations"]["bluegreen.mesh/kept-by"] == "owners-plane"
        assert OPERATOR not in (again.get("labels") or {})
    let_go("plane")
    assert all(prunes("operator", cluster.get(body["path"])) for body in before.values())
    cluster.patch(PLANE, {"metadata": {"finalizers": []}})  # nobody is there who would take it off


def test_istioctl_is_refused_what_is_kept_and_purges_what_is_not(
    cluster: Cluster, before: dict[str, dict[str, t.Any]], tmp_path: pathlib.Path
) -> None:
    """It goes by a label that Helm's charts have, too, and asks nobody whose an object is. The last test, so it does not
    ask for `host` either: what is purged is not put back."""

    def connected() -> bool:
        told = lab.run("resource_keep_info", tmp_path, gateways=[f"{SPACE}/public"], proxies=True)["proxies"]
        return bool(told) and all(proxy["connected"] is True for proxy in told)

    lab.until(connected)  # they have just come back
    keep("purge")
    crd = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions") + "/gateways.networking.istio.io"
    paths = [crd, *(body["path"] for body in before.values())]
    stood = {path: lab.uid(cluster, path) for path in paths}
    assert all(stood.values())
    labels = cluster.get(before["deployments public-ingressgateway"]["path"])["metadata"]["labels"]
    assert "operator.istio.io/component" in labels, "else it would not be looked for"
    loose = path_of("v1", "configmaps", SPACE)
    meta = {"name": "not-kept", "labels": {"operator.istio.io/component": "Pilot"}}
    cluster.create(loose, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    purge = ["istioctl", "uninstall", "--purge", "--skip-confirmation"]
    done = subprocess.run(purge, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "public-ingressgateway is kept by migration owners-purge" in said, said[-3000:]
    assert {path: lab.uid(cluster, path) for path in paths} == stood
    assert lab.uid(cluster, f"{loose}/not-kept") is None
    let_go("purge")
