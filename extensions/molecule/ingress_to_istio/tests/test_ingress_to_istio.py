# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab after the journey from Traefik to Istio, looked at from outside: clients, balancer, API server, files."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time

import lab
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingress_convert, _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = pathlib.Path(os.environ["LAB_STATE"])
APPS = pathlib.Path(__file__).parents[4] / "tests" / "lab" / "apps" / "ingresses"
INGRESSES = [
    one for one in yaml.safe_load_all((APPS / "ingresses.yaml").read_text(encoding="utf-8")) if one["kind"] == "Ingress"
]  # fmt: skip
ISTIO = "networking.istio.io/v1"
REQUESTS = 10_000  # the clients send 120 a second, and the journey takes minutes


def pods(cluster: Cluster, namespace: str) -> list[str]:
    return sorted(pod["status"]["podIP"] for pod in cluster.list(path_of("v1", "pods", namespace)))


def seen(since: float = 0.0, colours: dict[str, list[str]] | None = None) -> dict:
    return _traffic.summarise(_traffic.read_records(_traffic.records_path(str(STATE / "traffic")), since=since), colours)


def test_no_request_was_lost() -> None:
    total = seen()
    assert total["total"]["failed"] == 0, str(total["errors"])
    assert total["total"]["requests"] >= REQUESTS
    assert total["protocols"].keys() == {"http1", "h2", "grpc", "websocket"}


def test_clients_were_moved_from_traefik_to_istio(cluster: Cluster) -> None:
    sides = {"blue": pods(cluster, "traefik"), "green": pods(cluster, "istio-ingress")}
    assert sides["blue"] and sides["green"]
    assert seen(colours=sides)["colours"]["blue"]["requests"] >= 1000  # it served them before
    since = time.time()
    lab.until(lambda: seen(since, sides)["colours"]["green"]["requests"] >= 300, what="clients at green")
    assert seen(since, sides)["colours"]["blue"]["requests"] == 0


def test_the_balancer_gives_all_to_istio() -> None:
    rows = [line.split() for line in lab.ask("show servers state").splitlines()]
    found = {row[3]: int(row[7]) for row in rows if len(row) > 7 and row[1] in ("ingress_http", "ingress_https")}
    assert found == {"ingress.node-1": 0, "ingress.node-2": 0, "istio.node-1": 100, "istio.node-2": 100}


def test_the_ingresses_are_archived_and_gone(cluster: Cluster) -> None:
    assert cluster.list(path_of("networking.k8s.io/v1", "ingresses")) == []
    journal = cluster.find(path_of("v1", "configmaps", "bluegreen-mesh", "traefik-2026"))
    assert journal is not None and "resource_archive" in str(journal["data"])


def test_each_host_has_a_virtual_service_and_a_file(cluster: Cluster) -> None:
    hosts = {rule["host"] for one in INGRESSES for rule in one["spec"]["rules"]}
    made = [
        one for one in cluster.list(path_of(ISTIO, "virtualservices"))
        if one["metadata"].get("labels", {}).get("bluegreen.mesh/ingress-convert") == "traefik-2026"
    ]  # fmt: skip
    assert {host for one in made for host in one["spec"]["hosts"]} == hosts
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (STATE / "converted").rglob("*.yaml")]
    written = {one["metadata"]["name"]: one["spec"] for one in files if one.get("kind") == "VirtualService"}
    assert written == {one["metadata"]["name"]: one["spec"] for one in made}


def test_the_folder_builds_exactly_what_is_in_the_cluster(cluster: Cluster) -> None:
    """As GitOps reads it, that is by its kustomization. The cluster's own collections are read, so that one that is in
    the cluster alone is seen, too."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(STATE / "converted")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    kinds = {one["kind"] for one in built}
    assert {"Gateway", "VirtualService"} <= kinds
    there = [
        one
        for kind in {*kinds, "DestinationRule"}
        for one in cluster.list(path_of(*_ingress_convert.KINDS[kind]))
        if one["metadata"].get("labels", {}).get(_ingress_convert.MARK) == "traefik-2026"
    ]

    def by_name(objects: list[dict]) -> dict:
        return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"] for one in objects}

    assert len(built) == len(by_name(built)) and by_name(built) == by_name(there)


def test_certificates_are_beside_the_pods_that_read_them(cluster: Cluster) -> None:
    gateway = cluster.find(path_of(ISTIO, "gateways", "istio-ingress", "public"))
    assert gateway is not None
    names = {s["tls"]["credentialName"] for s in gateway["spec"]["servers"] if s.get("tls", {}).get("credentialName")}
    assert names == {"shop-ingress-cert", "media-ingress-cert", "bookinfo-ingress-cert"}
    for name in names:
        copy = cluster.find(path_of("v1", "secrets", "istio-ingress", name))
        source = cluster.find(path_of("v1", "secrets", name.removesuffix("-ingress-cert"), "ingress-cert"))
        assert copy is not None and source is not None and copy["data"] == source["data"]


def test_the_addresses_of_both_sides_were_said() -> None:
    said = " ".join((STATE / "ingress-said.txt").read_text(encoding="utf-8").split())
    for service in ("traefik/traefik", "istio-ingress/istio-ingress"):
        assert f"Service {service}: no address of its own; a balancer leads to its NodePorts" in said


def test_every_annotation_is_accounted_for() -> None:
    page = (STATE / "reports" / "traefik-2026-lab-annotations.md").read_text(encoding="utf-8")
    for one in INGRESSES:
        for name in one["metadata"].get("annotations", {}):
            row = f"| `{one['metadata']['namespace']}/{one['metadata']['name']}` | `{name}` |"
            assert row in page
