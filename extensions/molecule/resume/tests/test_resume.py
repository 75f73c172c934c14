# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed in the middle of a phase: the next one goes on, nothing is done twice, and all of it is undone.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
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
    **lab.QUICK,
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
    names = ("phases", "steps", "run", "facts")
    return {name: json.loads(body["data"][name]) for name in names} if body else {"steps": []}


def kill_in_the_gate(percent: int, **more: t.Any) -> None:
    """Makes a step to this share under a gate whose samples never come, and kills the run in it."""
    gate = {**SETTINGS["mesh_gate"], "min_samples": 10**9, "deadline": 600}
    settings = {**SETTINGS, **more, "mesh_gate": gate}
    shared = {percent, 100 - percent}
    lab.kill_when(lambda: set(lab.weights().values()) == shared, settings, "--tags", "cutover", seconds=300)


def share(cluster: Cluster) -> tuple[float, float, bool]:
    """Green's share by the journal: asked for, judged good last, and whether the former was judged."""
    found = journal(cluster)["facts"]["share"]
    return found["asked"], found["settled"], found["judged"]


def forward(*tags: str, **more: t.Any) -> None:
    done = lab.play({**SETTINGS, **more}, "--tags", ",".join(tags))
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_first_phases(before: dict[str, t.Any]) -> None:
    forward("preflight")


@pytest.mark.parametrize(("phase", "then"), [("keep", "bind"), ("deploy", "verify"), ("cutover", None)])
def test_a_phase_that_was_killed_is_finished_by_the_next_run(cluster: Cluster, phase: str, then: str | None) -> None:
    lab.kill_in(lambda: journal(cluster), SETTINGS, phase)
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
    kill_in_the_gate(75, mesh_cutover_steps=[75], mesh_watchdog={"deadline": 60})
    assert share(cluster) == (75, 50, False)
    lab.until(lambda: set(lab.weights().values()) == {50}, 300)
    lab.until(lambda: journal(cluster)["run"]["state"] == "closed", 300)
    assert journal(cluster)["run"]["operator"] == "watchdog"
    assert share(cluster) == (50, 50, True)


def test_a_share_that_nobody_has_judged_is_no_good_one(cluster: Cluster) -> None:
    """The last step, killed before it was judged, and between two listeners: it is completed, and judged."""
    last = {"mesh_cutover_steps": [50, 100], "mesh_watchdog": {"deadline": 0}}
    kill_in_the_gate(100, **last)
    for server in ("blue-node-1", "blue-node-2", "green-node-1", "green-node-2"):
        lab.ask(f"set server passthrough_http/{server} weight 50")
    assert share(cluster) == (100, 50, False) and journal(cluster)["phases"]["cutover"]["state"] == "started"
    done = lab.play({**SETTINGS, **last, "mesh_takeover": True}, "--tags", "cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Green was to have 100 %, and that was never judged: it is set where it is not" in done.stdout
    assert "Judge the live traffic since the step" in done.stdout
    assert {weight for server, weight in lab.weights().items() if "/green-" in server} == {100}
    assert {weight for server, weight in lab.weights().items() if "/blue-" in server} == {0}
    assert share(cluster) == (100, 100, True) and journal(cluster)["phases"]["cutover"]["state"] == "done"


def test_what_somebody_else_has_set_is_no_share_to_go_on_from(cluster: Cluster) -> None:
    lab.ask("set server passthrough_http/blue-node-1 weight 30")
    refused = lab.play({**SETTINGS, "mesh_cutover_steps": [100]}, "--tags", "cutover")
    assert refused.returncode != 0 and "By the journal 100 % was judged good last." in refused.stdout, refused.stdout[-3000:]
    assert "-t cutover -e mesh_cutover_to=green:PERCENT goes on from what is there" in refused.stdout
    assert lab.weights()["passthrough_http/blue-node-1"] == 30 and share(cluster) == (100, 100, True)
    lab.ask("set server passthrough_http/blue-node-1 weight 0")


def at_blue(column: int) -> list[str]:
    """One column of what HAProxy has of each of blue's servers."""
    rows = [line.split(",") for line in lab.ask("show stat").splitlines()]
    return [row[column] for row in rows if row[1:2] and row[1].startswith("blue-node-")]


def test_no_traffic_goes_back_to_a_blue_without_pods(cluster: Cluster) -> None:
    """Soak does not begin on it either."""
    blue = path_of("apps/v1", "deployments", "istio-system", "public-ingressgateway")
    lab.until(lambda: set(at_blue(4)) == {"0"}, 120)  # open sessions
    replicas = cluster.get(blue)["spec"]["replicas"]
    cluster.patch(blue, {"spec": {"replicas": 0}})
    try:
        lab.until(lambda: not cluster.get(blue)["status"].get("readyReplicas"), 60)
        missing = "Service istio-system/public-ingressgateway: 0 of its pods are ready, 1 are to be"
        for tag, words in (
            ("rollback", f"Blue is not good to go back to: {missing}"),
            ("soak", f"Blue is not ready to take all traffic back: {missing}"),
        ):
            refused = lab.play({**SETTINGS, "mesh_rollback_to": "keep"}, "--tags", tag)
            assert refused.returncode != 0 and words in refused.stdout, refused.stdout[-3000:]
        assert {weight for server, weight in lab.weights().items() if "/green-" in server} == {100}
        assert share(cluster) == (100, 100, True)
    finally:
        cluster.patch(blue, {"spec": {"replicas": replicas}})
        lab.until(lambda: cluster.get(blue)["status"].get("readyReplicas") == replicas, 60)
        lab.until(lambda: all(status.startswith("UP") for status in at_blue(17)), 60)


def test_all_of_it_is_undone(cluster: Cluster, before: dict[str, t.Any]) -> None:
    forward("rollback", mesh_rollback_to="keep")
    assert content(cluster) == before
    assert {name.partition("/")[2][:5]: weight for name, weight in lab.weights().items()} == {"blue-": 100, "green": 0}


def test_no_request_was_lost() -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 1000, str(seen["errors"])
