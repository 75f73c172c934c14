# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second version of a service comes under live traffic, is taken back, comes again and stays: no request is lost.

The tests build on each other, in their order.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _probe, _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-canary"
CA = f"{STATE}/apps/certs/ca.crt"
NAMESPACE, ISTIO = "mesh-canary", "networking.istio.io/v1"
URL, ADDRESS = "https://version.lab.test/", "172.30.0.20:443"
SETTINGS = {
    "mesh_migration": "web-canary",
    "mesh_journal_namespace": NAMESPACE,
    "mesh_cutover_steps": [5, 50, 100],
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_traffic_probe_only": True,
    "mesh_gate": {"min_samples": 200, "min_green_samples": 10, "p99_floor_ms": 5000, "deadline": 60},
    "mesh_canary": {
        "service": f"{NAMESPACE}/web",
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}],
        "match": [
            {"subset": "v2", "header": {"name": "x-canary", "exact": "always"}},
            {"subset": "v2", "cookie": {"name": "tester", "exact": "yes"}},
        ],
        "settle": {"urls": [URL], "connect_to": [ADDRESS], "ca_file": CA},
        "ready_timeout": 60,
    },
}
# The pause in which connections of before are used up; the clients make a new one every 50 requests.
WAIT = 60.0


def canary(*argv: str, **more: t.Any) -> subprocess.CompletedProcess[str]:
    command, options = lab.playing({**SETTINGS, **more}, *argv)
    command[command.index("playbooks/migrate.yml")] = "playbooks/canary.yml"
    return subprocess.run(command, capture_output=True, timeout=400, check=False, **options)


def play(*argv: str, **more: t.Any) -> str:
    done = canary(*argv, **more)
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def refused(says: str, *argv: str, **more: t.Any) -> None:
    done = canary(*argv, **more)
    assert done.returncode != 0 and says in " ".join(done.stdout.split()), done.stdout[-5000:]


def versions(count: int = 300, **headers: str) -> dict[str, int]:
    """How many of so many requests, each on a connection of its own, were answered by which version."""
    found: dict[str, int] = {}

    def arrived(_request: _probe.Request, answer: _probe.Answer) -> None:
        assert answer.status == 200, answer
        (by,) = [
            line.partition("=")[2] for line in answer.body.decode().splitlines() if line.startswith("ServiceVersion=")
        ]
        found[by] = found.get(by, 0) + 1

    sent = tuple({"Connection": "close", **headers}.items())
    _probe.ask(
        [_probe.Request(n, URL, ADDRESS, headers=sent) for n in range(count)], arrived, concurrency=8, ca_file=CA
    )
    assert sum(found.values()) == count
    return found


def share(**headers: str) -> float:
    """Version 2's percentage. Of 50, 300 miss more than 12 points once in thirty thousand times."""
    return versions(**headers).get("v2", 0) / 3


def seen(since: float) -> dict[str, t.Any]:
    """By route of the clients, which versions have answered requests since."""
    found: dict[str, t.Any] = {}
    for record in _traffic.read_records(_traffic.records_path(TRAFFIC), since=since):
        by = found.setdefault(record["route"], {})
        by[record["via"]] = by.get(record["via"], 0) + 1
    return found


def spec(cluster: Cluster, plural: str) -> dict[str, t.Any]:
    body = cluster.get(path_of(ISTIO, plural, NAMESPACE, "web"))
    return {
        "spec": body["spec"],
        "annotations": {k: v for k, v in (body["metadata"].get("annotations") or {}).items() if "bluegreen" in k},
    }


def look(cluster: Cluster) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {plural: spec(cluster, plural) for plural in ("virtualservices", "destinationrules")}
    found["names"] = {
        plural: sorted(item["metadata"]["name"] for item in cluster.list(path_of(ISTIO, plural, NAMESPACE)))
        for plural in ("virtualservices", "destinationrules")
    }
    return found


def deployed(cluster: Cluster, name: str, replicas: int) -> None:
    """So many of its pods are ready, and there are no others."""
    path = path_of("apps/v1", "deployments", NAMESPACE, name)
    if cluster.find(path) is None:
        body = copy.deepcopy(cluster.get(path_of("apps/v1", "deployments", NAMESPACE, "web-v1")))
        text = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "spec": body["spec"]}).replace('v1"', 'v2"')
        made = json.loads(text.replace('"apps/v2"', '"apps/v1"'))
        made["metadata"] = {"name": name, "namespace": NAMESPACE}
        made["spec"]["replicas"] = replicas
        cluster.create(path_of("apps/v1", "deployments", NAMESPACE), made)
    else:
        cluster.patch(path, {"spec": {"replicas": replicas}})
    version = name.rpartition("-")[2]
    deadline = time.monotonic() + WAIT
    while True:
        pods = cluster.list(path_of("v1", "pods", NAMESPACE), {"labelSelector": f"app=web,version={version}"})
        ready = [
            pod for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ())
        ]  # fmt: skip
        if len(ready) == len(pods) == replicas:
            return
        assert time.monotonic() < deadline, f"{name}: {len(ready)} of {len(pods)} pods are ready, expected {replicas}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def begun() -> float:
    return time.time()


@pytest.fixture(scope="module")
def before(cluster: Cluster, begun: float) -> dict[str, t.Any]:
    return look(cluster)


def test_nothing_is_shared_that_is_not_pinned(before: dict[str, t.Any]) -> None:
    refused("Run -t pin first", "--tags", "shift")


def test_all_of_it_goes_to_v1_before_there_is_a_v2(cluster: Cluster, before: dict[str, t.Any]) -> None:
    play("--tags", "pin")
    rule = spec(cluster, "destinationrules")["spec"]
    assert [one["name"] for one in rule["subsets"]] == ["v1", "v2"]
    assert rule["trafficPolicy"] == before["destinationrules"]["spec"]["trafficPolicy"]
    assert "changed=0 " in play("--tags", "pin")
    refused("No pod of v2 was ready", "--tags", "shift", mesh_canary={**SETTINGS["mesh_canary"], "ready_timeout": 4})


def test_v2_gets_nothing_when_it_becomes_ready(cluster: Cluster, before: dict[str, t.Any]) -> None:
    since = time.time()
    deployed(cluster, "web-v2", 2)
    assert versions() == {"v1": 300}
    assert {version for by in seen(since).values() for version in by} == {"v1"}


def test_testers_reach_v2_while_the_weights_say_v1(cluster: Cluster, before: dict[str, t.Any]) -> None:
    play("--tags", "shift", mesh_cutover_to="green:0")
    assert versions() == {"v1": 300}
    assert versions(**{"x-canary": "always"}) == {"v2": 300}
    assert versions(cookie="a=b; tester=yes") == {"v2": 300}
    assert versions(**{"x-canary": "never"}, cookie="tester=yesterday") == {"v1": 300}


@pytest.mark.parametrize(("percent", "low", "high"), [(5, 1, 12), (50, 38, 62), (100, 100, 100)])
def test_a_step(before: dict[str, t.Any], percent: int, low: float, high: float) -> None:
    play("--tags", "shift", mesh_cutover_to=f"green:{percent}")
    assert low <= share() <= high


def test_and_back_to_v1(before: dict[str, t.Any]) -> None:
    play("--tags", "shift", mesh_cutover_to="blue:100")
    assert share() == 0 and share(**{"x-canary": "always"}) == 100


def test_the_routes_stay_while_two_versions_would_mix(cluster: Cluster, before: dict[str, t.Any]) -> None:
    refused("are ready: without the canary's routes", "--tags", "remove")
    refused("are ready: without the canary's routes", "--tags", "rollback")
    assert versions(**{"x-canary": "always"}) == {"v1": 300}  # the matches are undone already, the pin is not


def test_rolled_back_it_is_to_the_letter_what_it_was(cluster: Cluster, before: dict[str, t.Any]) -> None:
    deployed(cluster, "web-v2", 0)
    play("--tags", "rollback")
    assert look(cluster) == before
    assert versions() == {"v1": 300}


def test_all_steps_in_one_run_and_a_second_one_changes_nothing(cluster: Cluster, before: dict[str, t.Any]) -> None:
    play("--tags", "pin")
    deployed(cluster, "web-v2", 2)
    play("--tags", "shift")
    assert share() == 100
    assert "changed=0 " in play("--tags", "shift")


def test_v2_stays_and_the_canary_goes(cluster: Cluster, before: dict[str, t.Any]) -> None:
    deployed(cluster, "web-v1", 0)
    play("--tags", "remove")
    assert look(cluster) == before
    assert versions() == {"v2": 300}
    assert "changed=0 " in play("--tags", "remove")


def test_no_request_was_lost(begun: float, before: dict[str, t.Any]) -> None:
    found = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC), since=begun))
    assert time.time() - found["total"]["last"] < 10
    assert found["total"]["failed"] == 0, str(found["errors"])
    assert found["total"]["requests"] > 5000
