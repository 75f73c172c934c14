# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server has after twins were written, how they follow their source, and how they are undone.

The tests build on each other, in their order.
"""

from __future__ import annotations

import base64
import json
import pathlib
import time
import typing as t

import lab
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

API = "networking.istio.io/v1"
OLD, NEW = "mesh-twin-old", "mesh-twin-new"
PAIR = {
    "blue": f"{OLD}/site", "green": f"{NEW}/site", "selector": {"app": NEW}, "ports": {"8080": 80, "8443": 443},
}  # fmt: skip


def run(tmp_path: pathlib.Path, **params: t.Any) -> dict[str, t.Any]:
    return lab.run("gateway_twin", tmp_path, **params)


def gateways(cluster: Cluster) -> dict[str, t.Any]:
    return {g["metadata"]["name"]: g for g in cluster.list(path_of(API, "gateways", NEW))}


def secrets(cluster: Cluster) -> dict[str, t.Any]:
    return {s["metadata"]["name"]: s for s in cluster.list(path_of("v1", "secrets", NEW))}


def states(result: dict[str, t.Any]) -> tuple[list[str], dict[str, str]]:
    return [g["state"] for g in result["gateways"]], {s["secret"]: s["state"] for s in result["secrets"]}


def test_the_twin_reads_as_it_should(cluster: Cluster) -> None:
    assert list(gateways(cluster)) == ["site"]  # the refused runs have left nothing
    twin = gateways(cluster)["site"]
    servers = twin["spec"]["servers"]
    assert twin["spec"]["selector"] == {"app": NEW}
    assert [s["port"]["number"] for s in servers] == [80, 443, 9443]
    assert servers[0]["hosts"] == [f"{OLD}/own.twin.test", "*/all.twin.test"]
    assert servers[1]["tls"] == {"mode": "SIMPLE", "credentialName": "site"}
    assert twin["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh", "team": "edge"}
    assert twin["metadata"]["annotations"] == {"bluegreen.mesh/twin-of": f"{OLD}/site"}


def test_the_secrets_came_along(cluster: Cluster) -> None:
    copies = secrets(cluster)
    assert set(copies) == {"site", "mutual", "mutual-cacert", "taken"}
    for name in ("site", "mutual", "mutual-cacert"):
        source = cluster.get(path_of("v1", "secrets", OLD, name))
        assert (copies[name]["type"], copies[name]["data"]) == (source["type"], source["data"])
        assert copies[name]["metadata"]["annotations"]["bluegreen.mesh/source-uid"] == source["metadata"]["uid"]
        assert "owner" not in copies[name]["metadata"]["labels"]
    assert base64.b64decode(copies["taken"]["data"]["cert"]) == b"not x"


def test_it_follows_its_source(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    renewed = {"stringData": {"tls.crt": "a newer certificate"}}
    cluster.patch(path_of("v1", "secrets", OLD, "site"), renewed)
    patch = [{"op": "add", "path": "/spec/servers/1/hosts/-", "value": "new.twin.test"}]
    cluster.patch(path_of(API, "gateways", OLD, "site"), patch, kind="json")
    assert states(run(tmp_path, pairs=[PAIR], labels=["team"])) == (
        ["updated"],
        {f"{NEW}/site": "updated", f"{NEW}/mutual": "unchanged", f"{NEW}/mutual-cacert": "unchanged"},
    )
    assert base64.b64decode(secrets(cluster)["site"]["data"]["tls.crt"]) == b"a newer certificate"
    assert gateways(cluster)["site"]["spec"]["servers"][1]["hosts"][-1] == "new.twin.test"
    assert run(tmp_path, pairs=[PAIR], labels=["team"])["changed"] is False


def test_what_is_not_ours_is_compared_and_left(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    body = gateways(cluster)["site"]
    spec = {**body["spec"], "servers": body["spec"]["servers"][:1]}
    foreign = {"apiVersion": API, "kind": "Gateway", "metadata": {"name": "foreign", "namespace": NEW}, "spec": spec}
    version = cluster.create(path_of(API, "gateways", NEW), foreign)["metadata"]["resourceVersion"]
    result = run(tmp_path, pairs=[{**PAIR, "green": f"{NEW}/foreign"}])
    assert result["changed"] is False and result["gateways"][0]["state"] == "foreign"
    assert [d["field"] for d in result["gateways"][0]["differences"]] == ["spec.servers"]
    assert gateways(cluster)["foreign"]["metadata"]["resourceVersion"] == version


def test_a_missing_namespace_is_named(tmp_path: pathlib.Path) -> None:
    pair = {**PAIR, "green": "mesh-twin-nowhere/site"}
    result = run(tmp_path, pairs=[pair])
    assert (
        result["failed"] and result["failure"]["code"] == "namespace_missing" and "mesh-twin-nowhere" in result["msg"]
    )


def test_the_journals_inverses_undo_it_all(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    journal = cluster.get(path_of("v1", "configmaps", OLD, "twin"))
    steps = json.loads(journal["data"]["steps"])
    assert {step["state"] for step in steps} == {"done"} and "private key" not in journal["data"]["steps"]
    assert sorted(step["key"] for step in steps) == [f"{NEW}/{n}" for n in ("mutual", "mutual-cacert", "site", "site")]
    for step in reversed(steps):
        assert step["inverse"]["module"] == "gateway_twin"
        assert "failed" not in run(tmp_path, **step["inverse"]["params"])
    assert list(gateways(cluster)) == ["foreign"] and list(secrets(cluster)) == ["taken"]


# -- Certificates of green's own ---------------------------------------------------------------------------------------
CERTIFICATES = "cert-manager.io/v1"
CRDS = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "certificates.cert-manager.io"},
    "spec": {
        "group": "cert-manager.io", "scope": "Namespaced",
        "names": {"kind": "Certificate", "listKind": "CertificateList", "plural": "certificates", "singular": "certificate"},
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}  # fmt: skip


def await_(what: str, look: t.Callable[[], t.Any]) -> t.Any:
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within 30 s"
        time.sleep(0.1)
    return found


def test_green_gets_a_certificate_of_its_own_and_its_gateway_waits_for_it(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    """cert-manager is played: what it would say is written here."""
    cluster.create(CRDS, CRD)
    kinds = path_of(CERTIFICATES, "certificates", OLD)
    try:
        await_("the kind", lambda: cluster.raw("GET", kinds, retry=False)[0] == 200)
        spec = {"secretName": "site", "dnsNames": ["own.twin.test"], "issuerRef": {"kind": "ClusterIssuer", "name": "ca"}}
        blue = {"apiVersion": CERTIFICATES, "kind": "Certificate", "metadata": {"name": "tls", "namespace": OLD}, "spec": spec}
        cluster.create(kinds, blue)
        waiting = lab.start("gateway_twin", tmp_path, pairs=[PAIR], certificates="certificate", timeout=30)
        own = path_of(CERTIFICATES, "certificates", NEW, "tls")
        assert await_("green's Certificate", lambda: cluster.find(own))["spec"] == spec
        assert "site" not in gateways(cluster) and waiting.poll() is None
        ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
        cluster.patch(f"{own}/status", {"status": {"conditions": [ready]}})
        done = json.loads(waiting.communicate(timeout=300)[0])
        assert [entry["state"] for entry in done["issued"]] == ["created"] and "site" in gateways(cluster)
        assert run(tmp_path, pairs=[PAIR], certificates="certificate")["changed"] is False
        copied = [f"{NEW}/mutual", f"{NEW}/mutual-cacert"]
        run(tmp_path, state="absent", pairs=[PAIR], copies=copied)
        assert run(tmp_path, state="absent", issued=[f"{NEW}/tls"])["changed"] and cluster.find(own) is None
    finally:
        cluster.delete(f"{CRDS}/{CRD['metadata']['name']}")


# -- policies ----------------------------------------------------------------------------------------------------------
COPIES = {
    "AuthorizationPolicy": ("security.istio.io/v1", "authorizationpolicies", "edge-site"),
    "RequestAuthentication": ("security.istio.io/v1", "requestauthentications", "tokens-site"),
    "EnvoyFilter": ("networking.istio.io/v1alpha3", "envoyfilters", "limits-site"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", "guard-site"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", "site-site"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers", "site-site"),
    "DestinationRule": ("networking.istio.io/v1", "destinationrules", "far-site"),
}


def copies(cluster: Cluster) -> dict[str, t.Any]:
    """Kind -> the copy, where there is one."""
    paths = {kind: path_of(version, plural, NEW, name) for kind, (version, plural, name) in COPIES.items()}
    return {kind: item for kind, path in paths.items() if (item := cluster.find(path))}


def test_copies_are_for_greens_pods_and_ports(cluster: Cluster) -> None:
    specs = {kind: item["spec"] for kind, item in copies(cluster).items()}
    assert specs.keys() == COPIES.keys()
    for kind in ("AuthorizationPolicy", "RequestAuthentication", "PodDisruptionBudget"):
        assert specs[kind]["selector"] == {"matchLabels": {"app": NEW}}
    assert specs["AuthorizationPolicy"]["rules"][0]["to"][0]["operation"] == {"ports": ["443"], "paths": ["/admin"]}
    matches = [patch["match"] for patch in specs["EnvoyFilter"]["configPatches"]]
    assert matches[0]["listener"] == {"portNumber": 443}
    assert matches[1]["routeConfiguration"] == {"gateway": f"{NEW}/site"}
    (rule,) = specs["NetworkPolicy"]["ingress"]
    assert rule["from"][0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": OLD}}
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert specs["DestinationRule"] == {
        "host": "web.mesh-twin-far.svc.cluster.local", "exportTo": ["."],
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}},
    }  # fmt: skip
    scaled = specs["HorizontalPodAutoscaler"]
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (3, 5) and scaled["scaleTargetRef"]["name"] == "site"
    labels = copies(cluster)["AuthorizationPolicy"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/managed-by": "bluegreen.mesh"}


def test_the_copies_are_undone(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    journal = cluster.get(path_of("v1", "configmaps", OLD, "twin-policies"))
    steps = json.loads(journal["data"]["steps"])
    assert len(steps) == len(COPIES) and {step["state"] for step in steps} == {"done"}
    for step in reversed(steps):
        assert step["inverse"]["module"] == "policy_twin"
        assert "failed" not in lab.run("policy_twin", tmp_path, **step["inverse"]["params"])
    assert copies(cluster) == {}
