# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a step is watched: mesh_cutover_pause, as the role hands it on and as Ansible plays it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import role_tasks
from ansible.template import trust_as_template
from ansible_collections.bluegreen.mesh.plugins.modules import traffic_gate_info
from fake_cluster import run_module
from fake_haproxy import Counting, pair

ROOT = Path(__file__).resolve().parents[2]
STEPS = [10, 50, 100]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"cutover_percent": 10, "cutover_steps": STEPS}, 600),
        ({"cutover_percent": 50, "cutover_steps": STEPS}, 600),
        ({"cutover_percent": 100, "cutover_steps": STEPS}, 0),  # soak watches it
        ({"cutover_percent": 50, "cutover_steps": [50]}, 0),  # a single one, such as mesh_cutover_to asks for
        # What is no step of a cutover says so itself.
        ({"cutover_side": "same", "cutover_observe": 30}, 30),
        ({"cutover_side": "same", "cutover_observe": 0}, 0),
        ({"cutover_percent": 10, "cutover_steps": STEPS, "cutover_observe": 0}, 0),
    ],
)
def test_each_step_but_the_last_is_watched_for_the_pause(given: dict[str, t.Any], seconds: int) -> None:
    asked = role_tasks.task("cutover/tasks/gate_judge.yml", "Judge")["bluegreen.mesh.traffic_gate_info"]
    assert role_tasks.evaluate(asked["observe"], mesh_cutover_pause=600, **given) == seconds


@pytest.mark.parametrize(("settings", "deadline"), [({}, 1500), ({"deadline": 60}, 660)])
def test_the_watchdog_waits_for_the_pause_too(settings: dict[str, t.Any], deadline: int) -> None:
    variables = {**role_tasks.load("cutover/vars/main.yml"), "mesh_watchdog": settings, "mesh_cutover_pause": 600}
    assert role_tasks.evaluate(trust_as_template("{{ cutover_watchdog_deadline }}"), **variables) == deadline


@pytest.fixture
def haproxy(tmp_path: Path) -> t.Iterator[Counting]:
    server = Counting(str(tmp_path / "api.sock"), pair(["https"], 1, 1))
    server.counts = {"node-1-blue": (1000, 0), "node-1-green": (0, 0)}
    yield server
    server.shutdown()
    server.server_close()


def test_the_pause_is_waited_for_though_there_is_enough_to_judge(tmp_path: Path, haproxy: Counting) -> None:
    """The role's own task, for two steps: only the first of them is paused after."""
    servers = {
        "runtime_apis": [haproxy.address_text], "backends": ["https"],
        "blue_servers": "-blue$", "green_servers": "-green$",
    }  # fmt: skip
    begun = run_module(traffic_gate_info, {"sources": {"haproxy": servers}, "state": "begun"})
    haproxy.counts = {"node-1-blue": (2000, 0), "node-1-green": (100, 0)}
    given = {
        "mesh_balancer": {"type": "haproxy", **servers}, "mesh_traffic": {"haproxy": {}},
        "mesh_gate": {"min_samples": 100, "min_green_samples": 10}, "mesh_cutover_pause": 4,
        "cutover_begun": {"snapshot": begun["snapshot"], "before": begun["before"]}, "cutover_steps": [50, 100],
        "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    role = {"name": "bluegreen.mesh.cutover", "tasks_from": "gate_judge.yml", "rolespec_validate": False}

    def step(percent: int) -> list[dict[str, t.Any]]:
        kept = {"content": "{{ cutover_gate | to_json }}", "dest": str(tmp_path / f"{percent}.json")}
        judged = {"ansible.builtin.include_role": role, "vars": {**given, "cutover_percent": percent}}
        return [judged, {"ansible.builtin.copy": kept, "vars": {"ansible_python_interpreter": sys.executable}}]

    play = {"hosts": "here", "gather_facts": False, "tasks": [*step(50), *step(100)]}
    (tmp_path / "run.yml").write_text(json.dumps([play]))
    env = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "here,", "-c", "local", "run.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, last = (json.loads((tmp_path / f"{percent}.json").read_text()) for percent in (50, 100))
    assert first["passed"] and first["waited"] >= 4
    assert last["passed"] and last["waited"] < 4
