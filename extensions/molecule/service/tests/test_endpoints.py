# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shift behind blue's NodePorts under live traffic, with a balancer that nobody touches: there, and back by hand.

Green is a copy of blue's pods in another namespace here. It has blue's labels, so that blue's Gateways configure it
too. The tests build on each other, in their order.
"""

from __future__ import annotations

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
from ansible_collections.bluegreen.mesh.plugins.module_utils import runbook  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of  # noqa: E402

GREEN = "gateways-copied"
RBAC = "rbac.authorization.k8s.io/v1"
WORKLOADS = [
    {"blue": {"namespace": live.BLUE, "service": name}, "green": {"namespace": GREEN, "release": name}}
    for name in live.SERVICES
]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(os.environ["KUBECONFIG"], "lab")


@pytest.fixture(scope="module")
def begun() -> float:
    return time.time()


@pytest.fixture(scope="module")
def before(cluster: Cluster, begun: float) -> dict[str, t.Any]:
    found = live.look(cluster)
    assert "bluegreen" not in str([found["services"], found["endpointslices"], found["leases"]])
    return found


@pytest.fixture(scope="module")
def known(cluster: Cluster, before: dict[str, t.Any]) -> t.Iterator[dict[str, list[str]]]:
    """Green; the addresses of both sides."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GREEN}}
    cluster.create(path_of("v1", "namespaces"), body)
    copy(cluster, "v1", "secrets", "public-cert")
    for name in live.SERVICES:
        for group, plural in (("v1", "serviceaccounts"), (RBAC, "roles"), (RBAC, "rolebindings"), ("v1", "services")):
            copy(cluster, group, plural, name)
        copy(cluster, "apps/v1", "deployments", name)
    lab.until(lambda: len(live.green_ready(cluster, GREEN)) == 3, what="green")
    lab.until(lambda: all(run_plain(cluster, name) for name in live.SERVICES), what="all of green")
    yield {"blue": live.pods(cluster, live.BLUE), "green": live.pods(cluster, GREEN)}
    cluster.delete(path_of("v1", "namespaces", name=GREEN))
    lab.until(lambda: cluster.find(path_of("v1", "namespaces", name=GREEN)) is None, what="green to go")


def run_plain(cluster: Cluster, name: str) -> bool:
    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
    return len(live.ready(cluster.list(path_of(live.DISCOVERY, "endpointslices", GREEN), query))) == 3


def copy(cluster: Cluster, group: str, plural: str, name: str) -> None:
    """From blue's namespace; where blue names it otherwise, all of that kind that has the name in it."""
    for body in cluster.list(path_of(group, plural, live.BLUE)):
        if not body["metadata"]["name"].startswith(name):
            continue
        meta = {"name": body["metadata"]["name"], "namespace": GREEN, "labels": body["metadata"].get("labels") or {}}
        body = {**body, "metadata": meta}
        body.pop("status", None)
        for subject in body.get("subjects") or ():
            subject.pop("namespace", None)
        if plural == "services":
            fields = ("name", "port", "targetPort", "protocol")
            ports = [{k: port[k] for k in fields} for port in body["spec"]["ports"]]
            body["spec"] = {"selector": body["spec"]["selector"], "ports": ports}
        cluster.create(path_of(group, plural, GREEN), body)


@pytest.fixture(scope="module")
def keeper(known: t.Any) -> t.Iterator[subprocess.Popen[str]]:
    yield from live.keeper({"mesh_workloads": WORKLOADS})


def shift(tmp_path: pathlib.Path, percent: float, **params: t.Any) -> dict[str, t.Any]:
    return lab.run("service_endpoints", tmp_path, workloads=WORKLOADS, green_percent=percent, **params)


def test_nobody_follows_greens_pods(cluster: Cluster, known: t.Any, tmp_path: pathlib.Path) -> None:
    refused = shift(tmp_path, 25)
    assert refused["failure"]["code"] == "not_kept_in_step" and len(refused["failure"]["unkept"]) == 2, refused
    assert live.sizes(cluster) == [(3, 0), (3, 0)]


def test_a_share_that_pods_cannot_give(cluster: Cluster, keeper: t.Any, tmp_path: pathlib.Path) -> None:
    lab.until(lambda: live.kept(cluster), what="the keeper")
    refused = shift(tmp_path, 10)
    assert "What can be had: 25, 40, 50, 100 %" in refused["msg"], refused
    assert live.sizes(cluster) == [(3, 0), (3, 0)]


def test_a_quarter(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]], tmp_path: pathlib.Path) -> None:
    done = shift(tmp_path, 25, expect_green_percent=0)
    assert done.get("green_percent") == 25, done
    assert live.sizes(cluster) == [(3, 1), (3, 1)]
    live.await_share(known, 15, 35)
    assert shift(tmp_path, 25, expect_green_percent=25)["changed"] is False


def test_a_pod_that_goes_is_replaced(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]]) -> None:
    _blue, (address,) = live.behind(cluster)
    listed = cluster.list(path_of("v1", "pods", GREEN))
    (pod,) = [p["metadata"]["name"] for p in listed if p["status"].get("podIP") == address]
    cluster.delete(path_of("v1", "pods", GREEN, pod))
    lab.until(lambda: live.behind(cluster)[1] not in ([], [address]), what="another in its place")
    assert live.sizes(cluster) == [(3, 1), (3, 1)]
    lab.until(lambda: len(live.green_ready(cluster, GREEN)) == 3, what="green as large as blue")
    known["green"] = sorted({*known["green"], *live.pods(cluster, GREEN)})


def test_half(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]], tmp_path: pathlib.Path) -> None:
    assert shift(tmp_path, 50, expect_green_percent=25)["green_percent"] == 50
    assert live.sizes(cluster) == [(3, 3), (3, 3)]
    live.await_share(known, 40, 60)


def test_everything(cluster: Cluster, keeper: t.Any, known: dict[str, list[str]], tmp_path: pathlib.Path) -> None:
    done = shift(tmp_path, 100, expect_green_percent=50)
    assert done.get("green_percent") == 100, done
    assert live.sizes(cluster) == [(0, 3), (0, 3)]
    live.await_share(known, 100, 100)


def test_and_back_to_a_quarter(cluster: Cluster, keeper: t.Any, known: t.Any, tmp_path: pathlib.Path) -> None:
    assert shift(tmp_path, 25, expect_green_percent=100)["green_percent"] == 25
    assert live.sizes(cluster) == [(3, 1), (3, 1)]
    live.await_share(known, 15, 35)


def test_nothing_is_left_of_it(
    cluster: Cluster, before: dict[str, t.Any], keeper: subprocess.Popen[str], tmp_path: pathlib.Path
) -> None:
    assert shift(tmp_path, 0, expect_green_percent=25)["green_percent"] == 0
    live.nothing_left(cluster, before, keeper)


def test_the_runbook_does_it_too(
    cluster: Cluster, before: dict[str, t.Any], known: t.Any, tmp_path: pathlib.Path
) -> None:
    servers = shift(tmp_path, 100, require_keeper=False)["backends"]
    assert live.sizes(cluster) == [(0, 3), (0, 3)]
    text = [runbook.preamble(os.environ["KUBECONFIG"], "lab")]
    text += [command.run for command in runbook.BALANCERS["service"].all_to_blue(servers)]
    done = subprocess.run(["sh", "-ec", "\n".join(text)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{live.pods(cluster, live.BLUE)[0]} true endpointslice-controller.k8s.io" in done.stdout
    assert live.sizes(cluster) == [(3, 0), (3, 0)]
    live.await_share(known, 0, 0)
    lab.until(lambda: live.look(cluster)["endpointslices"] == before["endpointslices"], what="what went with the helpers")


def test_no_request_was_lost(begun: float, known: t.Any) -> None:
    seen = live.seen_since(begun)
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] > 1000
