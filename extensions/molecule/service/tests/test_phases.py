# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases by blue's own Service: cutover, handed over in soak, and back. One of the two gateways, with few routes.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import lab  # noqa: E402
import live  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of  # noqa: E402

GREEN = "istio-gateway"
SERVICE = ("passthrough-ingressgateway",)
PLACE = {"address": "172.30.0.21", "host": "vault.pass"}
SETTINGS = {
    "mesh_migration": "by-service",
    "mesh_journal_namespace": "mesh-service",
    "mesh_balancer": {"type": "service"},
    "mesh_gateways": [
        {"blue": "istio-system/passthrough", "green": f"{GREEN}/{SERVICE[0]}", "workload": "passthrough"},
    ],
    "mesh_workloads": [
        {
            "name": "passthrough",
            "blue": {"namespace": "istio-system", "service": SERVICE[0]},
            "green": {
                "namespace": GREEN,
                "release": SERVICE[0],
                "labels": {"app": "passthrough-gateway", "istio": "passthrough-gateway"},
                "node_ports": {"status-port": 32022, "http2": 32081, "https": 32444},
            },
        },
    ],
    "mesh_traffic": {"probe": {"dir": live.TRAFFIC}},
    "mesh_findings_waived": ["gateway_left_behind"],  # the other one, on purpose
    "mesh_parity": "none",
    **lab.QUICK,
}
HANDED_OVER = {
    **SETTINGS,
    "mesh_balancer": {"type": "service", "handed_over": True},
    "mesh_soak": {"window": 5, "deadline": 60},
}


def steps(*percents: int) -> dict[str, t.Any]:
    return {**SETTINGS, "mesh_cutover_steps": list(percents)}


def play(settings: dict[str, t.Any], *argv: str) -> str:
    done = lab.play(settings, *argv)
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def refused(settings: dict[str, t.Any], says: str, *argv: str) -> None:
    done = lab.play(settings, *argv)
    assert done.returncode != 0 and says in done.stdout, done.stdout[-5000:]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(os.environ["KUBECONFIG"], "lab")


@pytest.fixture(scope="module")
def begun() -> float:
    return time.time()


@pytest.fixture(scope="module")
def before(cluster: Cluster, begun: float) -> dict[str, t.Any]:
    return live.look(cluster)


@pytest.fixture(scope="module")
def known(cluster: Cluster, before: dict[str, t.Any]) -> dict[str, list[str]]:
    """Green; the addresses of both sides."""
    play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify")
    return {"blue": live.pods(cluster, live.BLUE), "green": live.pods(cluster, GREEN)}


@pytest.fixture(scope="module")
def keeper(known: t.Any) -> t.Iterator[subprocess.Popen[str]]:
    yield from live.keeper(SETTINGS)


def point_at(tmp_path: pathlib.Path, percent: int) -> None:
    """What those who run the balancer do."""
    options = {"blue_servers": "^blue-", "green_servers": "^green-", "runtime_apis": ["tcp:172.30.0.20:9999"]}
    backends = ["passthrough_http", "passthrough_https"]
    done = lab.run("haproxy_weights", tmp_path, cluster=False, backends=backends, green_percent=percent, **options)
    assert done["green_percent"] == percent, done


def test_a_step_that_pods_cannot_take_is_refused_before_the_first(cluster: Cluster, known: t.Any) -> None:
    refused(steps(25, 75, 100), "What can be had: 25, 40, 50, 100 %", "--tags", "cutover")
    assert live.sizes(cluster, SERVICE) == [(3, 0)]


def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "mesh-service", "by-service"))["data"]
    return {name: json.loads(data[name]) for name in ("facts", "run")}


def test_a_step_whose_run_was_killed_is_taken_back(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]]) -> None:
    """By the watchdog, while the keeper follows green's pods."""
    lab.until(lambda: live.kept(cluster, SERVICE), what="the keeper")
    # Samples that never come: the run is in the gate until it is killed.
    gate = {**SETTINGS["mesh_gate"], "min_samples": 10**9, "deadline": 600}
    watched = {**steps(50), "mesh_watchdog": {"deadline": 60}, "mesh_gate": gate}
    lab.kill_when(lambda: live.sizes(cluster, SERVICE) == [(3, 3)], watched, "--tags", "cutover")
    asked = journal(cluster)["facts"]["share"]
    assert (asked["asked"], asked["settled"], asked["judged"]) == (50, 0, False)
    lab.until(lambda: live.sizes(cluster, SERVICE) == [(3, 0)], 300, "blue alone")
    lab.until(lambda: journal(cluster)["run"]["state"] == "closed", what="the watchdog's end")
    assert journal(cluster)["run"]["operator"] == "watchdog"
    assert journal(cluster)["facts"]["share"]["judged"] is True
    live.await_share(known, 0, 0, **PLACE)


def test_cutover(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]]) -> None:
    lab.until(lambda: live.kept(cluster, SERVICE), what="the keeper")
    play(steps(25, 50, 100), "--tags", "cutover")
    assert live.sizes(cluster, SERVICE) == [(0, 3)]
    live.await_share(known, 100, 100, **PLACE)
    assert "changed=0 " in play(steps(25, 50, 100), "--tags", "cutover")


def test_soak_wants_it_handed_over(cluster: Cluster, before: dict[str, t.Any], keeper: t.Any) -> None:
    refused(SETTINGS, "Point it at green's NodePorts", "--tags", "soak")
    assert lab.weights() == before["weights"]  # nobody has touched the balancer so far


def test_handed_over(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]], tmp_path: pathlib.Path) -> None:
    point_at(tmp_path, 100)
    play(HANDED_OVER, "--tags", "soak")
    assert live.sizes(cluster, SERVICE) == [(3, 0)]
    live.await_share(known, 100, 100, **PLACE)


def test_no_way_back_is_pretended_then(keeper: t.Any) -> None:
    refused({**HANDED_OVER, "mesh_rollback_to": "cutover"}, "Point it back at blue's NodePorts", "--tags", "rollback")


def test_back(
    cluster: Cluster, before: dict[str, t.Any], keeper: t.Any, known: dict[str, list[str]], tmp_path: pathlib.Path
) -> None:
    point_at(tmp_path, 0)
    play({**SETTINGS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    live.nothing_left(cluster, before, keeper)
    live.await_share(known, 0, 0, **PLACE)


def test_no_request_was_lost(begun: float, known: t.Any) -> None:
    seen = live.seen_since(begun)
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] > 3000
