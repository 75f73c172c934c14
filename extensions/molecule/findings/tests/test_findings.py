# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings go when their cause goes; what may not be read is one; and nothing is sent but lists."""

from __future__ import annotations

import os
import pathlib
import typing as t

import lab
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

NAMESPACE, GREEN = "mesh-findings", "mesh-findings-new"
RBAC = "rbac.authorization.k8s.io/v1"
PAIRS = [{"blue": "mesh-findings/old", "green": "mesh-findings-new/new", "ports": {"8443": 443}}]
WORKLOADS = [
    {
        "name": "main",
        "blue": {"namespace": NAMESPACE, "service": "old"},
        "green": {"namespace": "mesh-findings-new", "release": "new", "labels": {"app": "mesh-findings-new"}},
    }
]


def run(tmp_path: pathlib.Path, kubeconfig: str | None = None) -> dict[str, t.Any]:
    given = {"kubeconfig": kubeconfig} if kubeconfig else {}
    return lab.run("mesh_findings_info", tmp_path, pairs=PAIRS, workloads=WORKLOADS, **given)


def objects(result: dict[str, t.Any], code: str) -> list[str]:
    return [finding["object"] for finding in result["findings"] if finding["code"] == code]


def test_a_finding_goes_with_its_cause(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    before = run(tmp_path)
    assert objects(before, "app_owned_gateway") == ["Gateway mesh-findings/clash", "Gateway mesh-findings/own"]
    assert objects(before, "export_to_hides") == ["Service mesh-findings/hidden", "VirtualService mesh-findings/web"]
    cluster.delete(path_of("networking.istio.io/v1", "gateways", NAMESPACE, "own"))
    opened = {"spec": {"exportTo": ["*"]}}
    cluster.patch(path_of("networking.istio.io/v1", "virtualservices", NAMESPACE, "web"), opened)
    after = run(tmp_path)
    assert objects(after, "app_owned_gateway") == ["Gateway mesh-findings/clash"]
    assert objects(after, "export_to_hides") == ["Service mesh-findings/hidden"]
    gone = [finding["text"] for finding in before["findings"] if finding not in after["findings"]]
    assert len(gone) > 2 and all("mesh-findings/own" in text or "export_to_hides" in text for text in gone)
    assert [finding for finding in after["findings"] if finding not in before["findings"]] == []


def test_green_is_compared_once_it_is_there(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    codes = {"green_annotations", "green_hpa", "green_pdb", "green_replicas", "green_resources"}
    assert codes & _codes(run(tmp_path)) == set()
    labels = {"app": GREEN}
    service = {"metadata": {"name": "new"}, "spec": {"selector": labels, "ports": [{"port": 443}]}}
    cluster.create(path_of("v1", "services", GREEN), service)
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "istio-proxy", "image": "none"}]}}
    spec = {"paused": True, "replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    cluster.create(path_of("apps/v1", "deployments", GREEN), {"metadata": {"name": "new"}, "spec": spec})
    try:
        found = run(tmp_path)
        assert codes <= _codes(found)
        assert objects(found, "green_replicas") == [f"Deployment {GREEN}/new"]
        path = path_of("apps/v1", "deployments", GREEN, "new")
        cluster.patch(path, {"spec": {"replicas": 2}})
        assert objects(run(tmp_path), "green_replicas") == []
    finally:
        cluster.delete(path_of("apps/v1", "deployments", GREEN, "new"))
        cluster.delete(path_of("v1", "services", GREEN, "new"))


def test_external_dns_is_looked_for_in_every_namespace(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    labels = {"app": "records"}
    container = {"name": "external-dns", "image": "none", "args": ["--provider=aws", "--source=istio-virtualservice"]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "external-dns"}
    cluster.create(path_of("apps/v1", "deployments", "default"), {"metadata": metadata, "spec": spec})
    try:
        assert "Deployment default/external-dns" in objects(run(tmp_path), "external_dns")
    finally:
        cluster.delete(path_of("apps/v1", "deployments", "default", "external-dns"))
    assert objects(run(tmp_path), "external_dns") == ["Service mesh-findings/old"]


def reader(cluster: Cluster, tmp_path: pathlib.Path, rules: list[dict[str, t.Any]]) -> str:
    """A kubeconfig for a user with these rights alone."""
    role = {"kind": "ClusterRole", "name": NAMESPACE, "apiGroup": "rbac.authorization.k8s.io"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE}
    meta = {"metadata": {"name": NAMESPACE}}
    cluster.create(path_of("v1", "serviceaccounts", NAMESPACE), {"metadata": {"name": "reader"}})
    cluster.create(path_of(RBAC, "clusterroles"), {**meta, "rules": rules})
    cluster.create(path_of(RBAC, "clusterrolebindings"), {**meta, "roleRef": role, "subjects": [subject]})
    path = path_of("v1", "serviceaccounts", NAMESPACE, "reader", "token")
    token = cluster.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    config = yaml.safe_load(pathlib.Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
    config["users"] = [{"name": u["name"], "user": {"token": token["status"]["token"]}} for u in config["users"]]
    written = tmp_path / "kubeconfig"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(written)


def test_the_documented_rights_but_one_are_enough_to_find_the_rest(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    groups = {kind.versions[0][0].rpartition("/")[0] for kind in _inventory.KINDS}
    plurals = {kind.versions[0][1] for kind in _inventory.KINDS} - {"secrets"}
    kubeconfig = reader(
        cluster, tmp_path, [{"apiGroups": sorted(groups), "resources": sorted(plurals), "verbs": ["list"]}]
    )
    allowed, restricted = run(tmp_path), run(tmp_path, kubeconfig)
    assert objects(restricted, "unreadable") == ["List secrets in mesh-findings", "List secrets in mesh-findings-new"]
    from_secrets = {"secret_missing", "h2_connection_reuse"} | {c for c in _codes(allowed) if c.startswith("certificate")}
    assert _codes(restricted) == _codes(allowed) - from_secrets | {"unreadable"}


def _codes(result: dict[str, t.Any]) -> set[str]:
    return {finding["code"] for finding in result["findings"]}
