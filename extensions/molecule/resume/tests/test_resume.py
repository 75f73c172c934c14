# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed in the middle of a phase: the next one goes on, nothing is done twice, and all of it is undone.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

ISTIO = "networking.istio.io/v1"
TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-resume"
SETTINGS = {
    "mesh_migration": "resume",
    "mesh_journal_namespace": "mesh-resume",
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [25, 50],
    "mesh_verify": {"ca_file": f"{os.environ['LAB_STATE']}/apps/certs/ca.crt", "passes": 1},
    "mesh_gate": {"min_samples": 100, "min_green_samples": 10, "p99_floor_ms": 5000},
}


def content(cluster: Cluster) -> dict[str, t.Any]:
    """Gateways and VirtualServices, without what every write moves."""
    found = {}
    for plural in ("gateways", "virtualservices"):
        for body in cluster.list(path_of(ISTIO, plural)):
            meta = body["metadata"]
            for moved in ("resourceVersion", "generation", "managedFields"):
                meta.pop(moved, None)
            found[f"{plural} {meta['namespace']}/{meta['name']}"] = body
    return found


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, t.Any]:
    return content(cluster)


def journal(cluster: Cluster) -> dict[str, t.Any]:
    body = cluster.find(path_of("v1", "configmaps", "mesh-resume", "resume"))
    return {name: json.loads(body["data"][name]) for name in ("phases", "steps", "run")} if body else {"steps": []}


def kill_in(cluster: Cluster, phase: str) -> None:
    """Starts the phase, and kills it as soon as the journal has a step of it: what follows is done by nobody."""
    command, options = lab.playing(SETTINGS, "--tags", phase)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    deadline = time.monotonic() + 120
    while not [step for step in journal(cluster)["steps"] if step["phase"] == phase]:
        assert process.poll() is None and time.monotonic() < deadline, "it has ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    found = journal(cluster)
    assert found["phases"][phase]["state"] == "started" and found["run"]["state"] == "active"


def until(condition: t.Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def forward(*tags: str, **more: t.Any) -> None:
    done = lab.play({**SETTINGS, **more}, "--tags", ",".join(tags))
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_first_phases(before: dict[str, t.Any]) -> None:
    forward("preflight")


@pytest.mark.parametrize(("phase", "then"), [("keep", "bind"), ("deploy", "verify"), ("cutover", None)])
def test_a_phase_that_was_killed_is_finished_by_the_next_run(cluster: Cluster, phase: str, then: str | None) -> None:
    kill_in(cluster, phase)
    refused = lab.play(SETTINGS, "--tags", phase)
    assert refused.returncode != 0 and "-e mesh_takeover=true" in refused.stdout, refused.stdout[-3000:]
    forward(phase, mesh_takeover=True)
    found = journal(cluster)
    force = [step for step in found["steps"] if step["state"] != "undone"]
    assert {step["state"] for step in force} == {"done"} and found["run"]["state"] == "closed"
    keys = [(step["phase"], step["op"], step["key"]) for step in force]
    assert len(keys) == len(set(keys))
    if then:
        forward(then)


def test_the_share_is_the_one_that_was_asked_for() -> None:
    assert set(lab.weights().values()) == {50}


def test_a_step_whose_run_was_killed_is_taken_back(cluster: Cluster) -> None:
    """By what the run has started beside itself. Nobody runs anything."""
    watched = {**SETTINGS, "mesh_cutover_steps": [75], "mesh_watchdog": {"deadline": 30}}
    # Samples that never come: the run is in the gate until it is killed.
    watched["mesh_gate"] = {**SETTINGS["mesh_gate"], "min_samples": 10**9, "deadline": 600}
    command, options = lab.playing(watched, "--tags", "cutover")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    until(lambda: set(lab.weights().values()) == {75, 25} or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    until(lambda: set(lab.weights().values()) == {50})
    until(lambda: journal(cluster)["run"]["state"] == "closed")
    assert journal(cluster)["run"]["operator"] == "watchdog"


def test_all_of_it_is_undone(cluster: Cluster, before: dict[str, t.Any]) -> None:
    forward("rollback", mesh_rollback_to="keep")
    assert content(cluster) == before
    assert {name.partition("/")[2][:5]: weight for name, weight in lab.weights().items()} == {"blue-": 100, "green": 0}


def test_no_request_was_lost() -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 1000, str(seen["errors"])
