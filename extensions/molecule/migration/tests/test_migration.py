# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab after a whole migration, looked at from outside: balancer, nodes, API server, and what the clients saw."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import re
import socket
import time
import typing as t

import lab
import pycurl
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = pathlib.Path(os.environ["LAB_STATE"])
ISTIO = "networking.istio.io/v1"
NODES = ("172.30.0.11", "172.30.0.12")
BLUE_PORTS = (30021, 30080, 30443, 32021, 32080, 32443)
LISTENERS = ("public_http", "public_https", "passthrough_http", "passthrough_https")
PHASES = ["preflight", "keep", "bind", "deploy", "verify", "cutover", "soak", "unbind", "cleanup"]
PROTOCOLS = {"http1", "h2", "grpc", "websocket", "tls_passthrough"}
REQUESTS = 10_000  # the clients send 120 a second, and a migration takes minutes


def servers() -> dict[str, dict[str, str]]:
    """HAProxy's own statistics, as BACKEND/SERVER -> column -> value."""
    rows = csv.DictReader(io.StringIO(lab.ask("show stat").removeprefix("# ")))
    return {f"{row['pxname']}/{row['svname']}": row for row in rows if row["svname"].startswith(("blue-", "green-"))}


def ask(url: str, node: str, port: int, version: int = pycurl.CURL_HTTP_VERSION_1_1) -> tuple[int, str, str]:
    """Status, protocol version and calling gateway pod of a request to one node, past the balancer."""
    answer = io.BytesIO()
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.CONNECT_TO, [f"::{node}:{port}"])
    curl.setopt(pycurl.CAINFO, str(STATE / "apps" / "certs" / "ca.crt"))
    curl.setopt(pycurl.HTTP_VERSION, version)
    curl.setopt(pycurl.TIMEOUT, 10)
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.WRITEDATA, answer)
    try:
        curl.perform()
        used = {pycurl.CURL_HTTP_VERSION_1_1: "1.1", pycurl.CURL_HTTP_VERSION_2_0: "2"}
        via = re.search(r"(?m)^IP=(\S+)$", answer.getvalue().decode())
        return curl.getinfo(pycurl.RESPONSE_CODE), used[curl.getinfo(pycurl.INFO_HTTP_VERSION)], via[1] if via else ""
    finally:
        curl.close()


def records(since: float = 0.0) -> list[dict[str, t.Any]]:
    return list(_traffic.read_records(_traffic.records_path(str(STATE / "traffic")), since=since))


def references(virtual_service: dict[str, t.Any]) -> set[str]:
    """Every Gateway that a VirtualService names, on either level, as NAMESPACE/NAME or `mesh`."""
    spec = virtual_service["spec"]
    lists = [spec.get("gateways") or []]
    lists += [
        match.get("gateways") or []
        for protocol in ("http", "tls", "tcp")
        for route in spec.get(protocol) or []
        for match in route.get("match") or []
    ]
    home = virtual_service["metadata"]["namespace"]
    found = set()
    for name in {name for names in lists for name in names}:
        if legacy := re.fullmatch(r"([^./]+)\.([^./]+)\.svc\.cluster\.local", name):
            found.add(f"{legacy[2]}/{legacy[1]}")
        elif name == "mesh" or re.match(r"[^./]+/", name):
            found.add(name)
        else:
            found.add(f"{home}/{name.removeprefix('./')}")
    return found


# -- clients ---------------------------------------------------------------------------------------------------------
def test_no_request_was_lost() -> None:
    seen = _traffic.summarise(records())
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] >= REQUESTS
    assert seen["protocols"].keys() == PROTOCOLS


def test_clients_were_moved_from_blue_to_green(cluster: Cluster) -> None:
    green = lab.gateway_pods(cluster, "istio-gateway")
    # Blue's pods are gone; what is known of them is that they answered when green did not exist yet.
    first = {record["via"] for record in records()[:1000]} - {None}
    assert first and not first & green
    lately = _traffic.summarise(records(since=time.time() - 10), {"green": sorted(green), "blue": sorted(first)})
    assert lately["colours"]["green"]["requests"] >= 500
    assert lately["colours"]["blue"]["requests"] == 0
    # None: the gateway's own answers (redirects, a refusal) and gRPC health, whose answers do not name the pod.
    assert {record["via"] for record in records(since=time.time() - 10)} - {None} <= green


# -- the balancer and the nodes --------------------------------------------------------------------------------------
@pytest.mark.parametrize("listener", LISTENERS)
def test_the_balancer_gives_all_to_green(listener: str) -> None:
    found = {name: row for name, row in servers().items() if name.startswith(f"{listener}/")}
    weights = {name.removeprefix(f"{listener}/"): int(row["weight"]) for name, row in found.items()}
    assert weights == {"blue-node-1": 0, "blue-node-2": 0, "green-node-1": 100, "green-node-2": 100}
    blue = [row for name, row in found.items() if "/blue-" in name]
    assert [row["scur"] for row in blue] == ["0", "0"] and {row["status"] for row in blue} == {"DOWN"}
    # "UP 2/3" is one that was late for a check.
    assert all(row["status"].startswith("UP") for name, row in found.items() if "/green-" in name), found


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(
    ("url", "port", "version", "expected"),
    [
        ("http://shop.lab.test/", 30081, "1.1", 301),
        ("http://httpbin.lab.test/get", 30081, "1.1", 200),
        ("https://shop.lab.test/", 30444, "1.1", 200),
        ("https://status.lab.test/", 30444, "2", 200),
        ("https://back-office.lab.test/admin", 30444, "2", 403),
        ("https://vault.pass.lab.test/", 32444, "1.1", 200),
    ],
)
def test_green_answers_on_every_node(
    cluster: Cluster, node: str, url: str, port: int, version: str, expected: int
) -> None:
    wanted = pycurl.CURL_HTTP_VERSION_2TLS if version == "2" else pycurl.CURL_HTTP_VERSION_1_1
    status, used, via = ask(url, node, port, wanted)
    assert (status, used) == (expected, version)
    assert via in lab.gateway_pods(cluster, "istio-gateway") or (expected != 200 and not via)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("port", BLUE_PORTS)
def test_blue_ports_are_closed_on_every_node(node: str, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node, port), 5).close()


# -- the cluster -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        path_of(ISTIO, "gateways", "istio-system", "public"),
        path_of(ISTIO, "gateways", "istio-system", "passthrough"),
        path_of("v1", "secrets", "istio-system", "public-cert"),
        path_of("v1", "secrets", "istio-system", "sh.helm.release.v1.istio-ingress.v1"),
        path_of("v1", "services", "istio-system", "public-ingressgateway"),
        path_of("v1", "services", "istio-system", "passthrough-ingressgateway"),
        path_of("apps/v1", "deployments", "istio-system", "public-ingressgateway"),
        path_of("apps/v1", "deployments", "istio-system", "passthrough-ingressgateway"),
    ],
)
def test_what_was_blue_is_gone(cluster: Cluster, path: str) -> None:
    assert cluster.find(path) is None


def test_the_gateway_of_an_application_is_left_to_it_and_no_longer_kept(cluster: Cluster) -> None:
    left = cluster.get(path_of(ISTIO, "gateways", "httpbin", "httpbin-gateway"))
    assert "helm.sh/resource-policy" not in (left["metadata"].get("annotations") or {})
    assert "bluegreen.mesh" not in json.dumps(left["metadata"].get("annotations") or {})


def test_no_virtual_service_names_blue(cluster: Cluster) -> None:
    virtual_services = cluster.list(path_of(ISTIO, "virtualservices"))
    named = set().union(*map(references, virtual_services))
    assert len(virtual_services) > 30
    assert not named & {"istio-system/public", "istio-system/passthrough", "httpbin/httpbin-gateway"}
    green = {"public-ingressgateway", "passthrough-ingressgateway", "httpbin-gateway"}
    assert {f"istio-gateway/{name}" for name in green} | {"mesh"} <= named


def test_the_virtual_service_for_the_mesh_alone_was_never_written(cluster: Cluster) -> None:
    before = json.loads((STATE / "mesh-only.json").read_text(encoding="utf-8"))
    assert cluster.get(path_of(ISTIO, "virtualservices", "shop", "mesh-only")) == before


def test_nothing_is_guarded_any_more(cluster: Cluster) -> None:
    for plural in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        policies = cluster.list(path_of("admissionregistration.k8s.io/v1", plural))
        assert [p["metadata"]["name"] for p in policies if "bluegreen" in p["metadata"]["name"]] == []


# -- the journal, and what is refused from here on -------------------------------------------------------------------
def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "bluegreen-mesh", "ingress-2026"))["data"]
    return {name: json.loads(data[name]) for name in ("phases", "facts", "steps", "run")}


def test_the_journal_says_that_all_is_done(cluster: Cluster) -> None:
    found = journal(cluster)
    assert {name: phase["state"] for name, phase in found["phases"].items()} == dict.fromkeys(PHASES, "done")
    assert "point_of_no_return" not in found["facts"]
    assert {step["state"] for step in found["steps"]} == {"done"}
    assert found["run"]["state"] == "closed"


def test_nothing_is_bound_to_blue_again(cluster: Cluster) -> None:
    before, weights = journal(cluster), {name: row["weight"] for name, row in servers().items()}
    done = lab.play({}, "-t", "bind", timeout=120)
    assert done.returncode != 0 and "bind can't run any more" in done.stdout, done.stdout
    assert "changed=0 " in done.stdout
    after = journal(cluster)
    assert {**after, "run": None} == {**before, "run": None}
    assert {name: row["weight"] for name, row in servers().items()} == weights


def test_the_infrastructure_code_names_green() -> None:
    handed = STATE / "infrastructure"
    assert (handed / "code/lab/env.hcl").read_text(encoding="utf-8") == """\
locals {
  cluster_inputs = {
    name = "lab" # not a port
    public_ingress_gateway_http_port   = 30081
    public_ingress_gateway_https_port  = 30444
    public_ingress_gateway_status_port = 30022
    passthrough_ingress_gateway_http_port = 32081
    passthrough_ingress_gateway_https_port = 32444
    passthrough_ingress_gateway_status_port = 32022
  }
}
"""
    assert not (handed / "files/env.hcl.diff").exists()
    snippet = (handed / "files/snippets/haproxy.cfg").read_text(encoding="utf-8")
    live = {name: row["weight"] for name, row in servers().items()}
    assert live
    for name, weight in live.items():
        assert f"server {name.partition('/')[2]} ADDRESS weight {weight}\n" in snippet


# -- the way back from here. The tests build on each other -------------------------------------------------------------
def test_going_back_to_cleanup_makes_blue_again_and_moves_nothing(cluster: Cluster) -> None:
    before = {name: row["weight"] for name, row in servers().items()}
    done = lab.play({}, "-t", "rollback", "-e", "mesh_rollback_to=cleanup")
    assert done.returncode == 0, done.stdout[-4000:]
    assert {name: row["weight"] for name, row in servers().items()} == before
    for name in ("public", "passthrough"):
        assert cluster.get(path_of(ISTIO, "gateways", "istio-system", name))
        assert cluster.get(path_of("v1", "services", "istio-system", f"{name}-ingressgateway"))
        made = path_of("apps/v1", "deployments", "istio-system", f"{name}-ingressgateway")
        lab.until(lambda made=made: cluster.get(made)["status"].get("readyReplicas"))
    assert not set().union(*map(references, cluster.list(path_of(ISTIO, "virtualservices")))) & {"istio-system/public"}
    states = {name: phase["state"] for name, phase in journal(cluster)["phases"].items()}
    assert states == {name: "undone" if name == "cleanup" else "done" for name in PHASES}


def test_blue_is_made_again_and_has_all_traffic(cluster: Cluster) -> None:
    done = lab.play({}, "-t", "rollback", "-e", "mesh_rollback_to=cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    for listener in LISTENERS:
        found = {name.partition("/")[2]: row for name, row in servers().items() if name.startswith(f"{listener}/")}
        assert {name: row["weight"] for name, row in found.items()} == {
            "blue-node-1": "100", "blue-node-2": "100", "green-node-1": "0", "green-node-2": "0"
        }  # fmt: skip
        assert all(row["status"].startswith("UP") for row in found.values()), found
    states = {name: phase["state"] for name, phase in journal(cluster)["phases"].items()}
    assert states == {name: "done" if name in PHASES[:5] else "undone" for name in PHASES}


def test_blue_is_what_it_was(cluster: Cluster) -> None:
    spec = cluster.get(path_of("v1", "services", "istio-system", "public-ingressgateway"))["spec"]
    was = json.loads((STATE / "blue-service.json").read_text(encoding="utf-8"))
    assert {port["nodePort"] for port in spec["ports"]} == {30021, 30080, 30443}
    assert spec == was
    for name in ("public", "passthrough"):
        gateway = cluster.get(path_of(ISTIO, "gateways", "istio-system", name))
        assert gateway["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert cluster.get(path_of("v1", "secrets", "istio-system", "sh.helm.release.v1.istio-ingress.v1"))
    assert cluster.get(path_of("v1", "secrets", "istio-system", "public-cert"))["type"] == "kubernetes.io/tls"
    named = set().union(*map(references, cluster.list(path_of(ISTIO, "virtualservices"))))
    assert {"istio-system/public", "istio-gateway/public-ingressgateway"} <= named


def test_no_request_was_lost_on_the_way_back(cluster: Cluster) -> None:
    """Clients who had a connection to green keep it for some requests more; nothing is taken from green here."""
    begun = time.time()
    lately: list[dict[str, t.Any]] = []
    while len(lately) < 500 or {record["via"] for record in lately[-500:]} & lab.gateway_pods(cluster, "istio-gateway"):
        assert time.time() - begun < 120
        time.sleep(0.5)
        lately = records(since=begun)
    assert {record["via"] for record in lately[-500:]} & lab.gateway_pods(cluster, "istio-system")
    seen = _traffic.summarise(records())
    assert seen["total"]["failed"] == 0, str(seen["errors"])
