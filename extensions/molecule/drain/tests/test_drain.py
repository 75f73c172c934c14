# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that keep their connections to blue after the cutover: soak names them, and cuts them by leave only.

The tests build on each other, in their order.
"""

from __future__ import annotations

import csv
import json
import os
import pathlib
import re
import socket
import ssl
import threading
import time
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC, STAYING = f"{STATE}/traffic-drain", f"{STATE}/traffic-drain-long"
CA = f"{STATE}/apps/certs/ca.crt"
OURS = {"mesh_migration": "drain", "mesh_journal_namespace": "mesh-drain"}
DEADLINE = 45
SETTINGS = {
    **OURS,
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [100],
    **lab.QUICK,
    "mesh_soak": {"window": 5, "deadline": DEADLINE},
}
TARGETS = yaml.safe_load((lab.ROOT / "tests/lab/apps/targets.yml").read_text(encoding="utf-8"))
LONG = ("shop", "shop-api", "vault")  # http1, h2, and TLS that blue does not end
WEBSOCKETS = 3
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class WebSocket(threading.Thread):
    """It is open and waits for news, as that of a page does. The traffic probe has none that live: the lab's echo server
    ends one after its first answer. ended: when the connection ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        raw = socket.create_connection(("172.30.0.20", 443), 10)
        self.tls = ssl.create_default_context(cafile=CA).wrap_socket(raw, server_hostname="live.lab.test")
        self.tls.sendall(
            b"GET /socket HTTP/1.1\r\nHost: live.lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.tls.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        self.tls.settimeout(None)
        self.ended: float | None = None

    def run(self) -> None:
        try:
            while self.tls.recv(4096):
                pass
        except OSError:  # cut without a goodbye
            pass
        self.ended = time.time()
        self.tls.close()  # else HAProxy keeps its half of the session


class Clients(t.NamedTuple):
    websockets: list[WebSocket]
    pods: dict[str, str]  # blue's, from when all of them came: uid -> name


def blues_pods(cluster: Cluster) -> list[dict[str, t.Any]]:
    pods = cluster.list(path_of("v1", "pods", "istio-system"))
    return [pod for pod in pods if re.search(r"-ingressgateway-", pod["metadata"]["name"])]


def ready(pod: dict[str, t.Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])


def sessions() -> dict[str, int]:
    """Open sessions at blue's servers, by backend, as the balancer itself tells them."""
    found: dict[str, int] = {}
    for row in csv.DictReader(lab.ask("show stat -1 4 -1").removeprefix("# ").splitlines()):
        if row["svname"].startswith("blue-"):
            found[row["pxname"]] = found.get(row["pxname"], 0) + int(row["scur"])
    return found


def lasting() -> dict[str, int]:
    """How many of them are more than a minute old."""
    found: dict[str, int] = {}
    for backend, age in re.findall(r"\bbe=(\S+) srv=blue-\S+ .*?\bage=(\S+)", lab.ask("show sess")):
        seconds = sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([dhms])", age))
        found[backend] = found.get(backend, 0) + (seconds > 60)
    return found


def said(done: t.Any) -> str:
    return " ".join((done.stdout + done.stderr).split())


def records(folder: str) -> list[dict[str, t.Any]]:
    return list(_traffic.read_records(_traffic.records_path(folder)))


@pytest.fixture(scope="module")
def clients(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """They come while blue has everything, and stay when green has."""
    done = lab.play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify")
    assert done.returncode == 0, done.stdout[-4000:]
    targets = [{**one, "connection_lifetime": 10**6} for one in TARGETS if one["name"] in LONG]
    started = lab.run(
        "traffic_probe", tmp_path_factory.mktemp("long"), cluster=False, state="started", dir=STAYING, targets=targets,
        rate=10, ca_file=CA, max_seconds=3600,
    )  # fmt: skip
    assert started.get("running"), started
    websockets = [WebSocket() for _number in range(WEBSOCKETS)]
    for one in websockets:
        one.start()
    done = lab.play(SETTINGS, "--tags", "cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    pods = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in blues_pods(cluster)}
    return Clients(websockets, pods)


def test_without_leave_they_are_named_with_their_age_and_nothing_is_cut(cluster: Cluster, clients: Clients) -> None:
    done = lab.play(SETTINGS, "--tags", "soak")
    text = said(done)
    assert done.returncode != 0 and f"After {DEADLINE} s (mesh_soak, deadline) blue is not idle" in text
    # By HAProxy, which knows, and by the pods' counters, which give lower bounds.
    known = re.findall(r"public_https/blue-node-\d of HAProxy \S+: (\d+) open connections?, (\d+) of them older than", text)
    assert known and sum(int(old) for _all, old in known) >= WEBSOCKETS, text[-3000:]
    bound = re.findall(r"public-ingressgateway-\S+: (\d+) open connections?, at least (\d+) of them older than", text)
    assert bound and sum(int(old) for _all, old in bound) >= WEBSOCKETS, text[-3000:]
    assert re.search(r"passthrough-ingressgateway-\S+: \d+ open connections?, at least \d+ of them older than", text)
    assert "-e mesh_cut_connections=true" in text
    # They live for minutes: so long have cutover and soak taken, but on a machine that is very fast.
    lab.until(lambda: (old := lasting()).get("public_https", 0) >= WEBSOCKETS and old.get("passthrough_https", 0) >= 1)
    assert {pod["metadata"]["uid"] for pod in blues_pods(cluster)} == clients.pods.keys()
    assert [one.ended for one in clients.websockets] == [None] * WEBSOCKETS
    assert {one["route"] for one in records(STAYING) if "error" in one} == set()


def test_what_soak_may_do_is_enough_to_drain(cluster: Cluster, clients: Clients, tmp_path: pathlib.Path) -> None:
    """As a user who may do what docs/rbac/soak.yml says: in check mode, which asks the API server as well."""
    services = ["istio-system/public-ingressgateway", "istio-system/passthrough-ingressgateway"]
    wish = {"services": services, "context": "operator", "_ansible_check_mode": True}
    role = yaml.safe_load((lab.ROOT / "docs/rbac/soak.yml").read_text(encoding="utf-8"))
    name, group = role["metadata"]["name"], "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": role["apiVersion"], "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "operator"}],
    }  # fmt: skip
    refused = lab.run("gateway_drain", tmp_path, **wish)
    assert refused["failure"]["status"] == 403 and "docs/permissions.md" in refused["msg"]
    made = [path_of(role["apiVersion"], plural) for plural in ("clusterroles", "clusterrolebindings")]
    try:
        for path, body in zip(made, (role, binding)):
            cluster.create(path, body)
        result = lab.run("gateway_drain", tmp_path, **wish)
    finally:
        for path in made:
            cluster.delete(f"{path}/{name}")
    assert result["changed"] and sum(pod["open_connections"] for pod in result["pods"]) >= WEBSOCKETS, result
    assert {pod["metadata"]["uid"] for pod in blues_pods(cluster)} == clients.pods.keys()


@pytest.fixture(scope="module")
def drained(cluster: Cluster, clients: Clients) -> tuple[t.Any, dict[str, int], float]:
    """The run with leave, the sessions that blue had before it, and when it ended."""
    before = sessions()
    # As an operator writes it: a string.
    done = lab.play(SETTINGS, "--tags", "soak", "-e", "mesh_cut_connections=true")
    return done, before, time.time()


def test_with_leave_blue_is_drained_and_soak_ends(
    cluster: Cluster, clients: Clients, drained: tuple[t.Any, dict[str, int], float]
) -> None:
    done, before, _ended = drained
    assert done.returncode == 0, done.stdout[-4000:]
    assert before["public_https"] >= WEBSOCKETS + 2 and before["passthrough_https"] >= 1
    assert sum(sessions().values()) == 0
    data = cluster.get(path_of("v1", "configmaps", "mesh-drain", "drain"))["data"]
    assert json.loads(data["phases"])["soak"]["state"] == "done"


def test_blue_is_as_large_as_before(
    cluster: Cluster, clients: Clients, drained: tuple[t.Any, dict[str, int], float]
) -> None:
    """It is the way back."""
    pods = blues_pods(cluster)
    assert len(pods) == len(clients.pods) and all(ready(pod) for pod in pods)
    kept = {pod["metadata"]["uid"] for pod in pods} & clients.pods.keys()
    assert len(kept) < len(clients.pods), "none was replaced"


def test_what_was_cut_is_what_the_clients_saw(
    cluster: Cluster, clients: Clients, drained: tuple[t.Any, dict[str, int], float]
) -> None:
    done, before, ended = drained
    for one in clients.websockets:
        one.join(5)
    assert all(one.ended and one.ended < ended for one in clients.websockets)
    data = cluster.get(path_of("v1", "configmaps", "mesh-drain", "drain"))["data"]
    facts = json.loads(data["facts"])["soak_drained"]
    told = [re.search(r": (\d+) open connections when evicted, (\d+) when last seen, ([\d.]+) s later", one) for one in facts]
    assert told and all(told), facts
    assert all(float(one[3]) >= 1 for one in told), f"their end was not watched: {facts}"
    cut = sum(int(one[2]) for one in told)
    # Clients of HTTP are asked to go; what can't be asked stays to the end. An idle connection may, too.
    assert WEBSOCKETS + before["passthrough_https"] <= cut <= sum(before.values()), facts
    assert f"By your leave, {cut} connections were cut" in said(done)


def test_requests_of_those_who_were_asked_to_go_were_not_lost(
    cluster: Cluster, drained: tuple[t.Any, dict[str, int], float]
) -> None:
    _done, before, ended = drained
    failed = [one for one in records(STAYING) if "error" in one]
    assert [one for one in failed if one["route"] != "vault"] == []
    # A request that is on its way when its TLS is cut can't be known to be lost or done, so no client may repeat it.
    assert len(failed) <= before["passthrough_https"], failed
    green = {pod["status"]["podIP"] for pod in cluster.list(path_of("v1", "pods", "istio-gateway"))}
    until = time.monotonic() + 30
    while not (late := [one for one in records(STAYING) if one["t"] > ended]) and time.monotonic() < until:
        time.sleep(0.2)
    assert late and {one["via"] for one in late} <= green


def test_nobody_else_noticed(drained: tuple[t.Any, dict[str, int], float]) -> None:
    seen = _traffic.summarise(records(TRAFFIC))
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] > 3000 and time.time() - seen["total"]["last"] < 10


def test_running_it_again_cuts_nothing(cluster: Cluster, drained: tuple[t.Any, dict[str, int], float], tmp_path: pathlib.Path) -> None:
    services = ["istio-system/public-ingressgateway", "istio-system/passthrough-ingressgateway"]
    result = lab.run("gateway_drain", tmp_path, services=services)
    assert result["changed"] is False and result["pods"] == [] and len(result["left"]) == len(blues_pods(cluster))


def test_all_of_it_is_undone(drained: tuple[t.Any, dict[str, int], float], tmp_path: pathlib.Path) -> None:
    lab.run("traffic_probe", tmp_path, cluster=False, state="stopped", dir=STAYING)
    done = lab.play({**OURS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-4000:]
    assert {weight for name, weight in lab.weights().items() if "/green-" in name} == {0}
