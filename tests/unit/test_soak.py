# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What soak does while it waits: the role's own tasks, as Ansible plays them, at a HAProxy that reloads meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_haproxy import FakeHaproxy, pair

ROOT = Path(__file__).resolve().parents[2]
GREEN = {"http/node-1-blue": 0, "http/node-1-green": 100}


@pytest.fixture
def haproxy(tmp_path: Path):
    """Green has everything. Blue's servers have three sessions, which never end."""
    fake = FakeHaproxy(str(tmp_path / "api.sock"), pair(["http"], 1, 1))
    fake.set_all(GREEN)
    yield fake
    fake.shutdown()
    fake.server_close()


def soak(tmp_path: Path, haproxy: FakeHaproxy, deadline: int) -> subprocess.CompletedProcess[str]:
    """quiet.yml of the role, in slices of ten seconds."""
    servers = {"runtime_apis": [haproxy.address_text], "backends": ["http"]}
    share = {"asked": 100, "settled": 100, "judged": True, "at": time.time() - 500}
    given = {
        "mesh_balancer": {"type": "haproxy", **servers, "blue_servers": "-blue$", "green_servers": "-green$"},
        "_mesh_idle_blue": {"haproxy": {**servers, "servers": "-blue$"}}, "mesh_soak": {"window": 1, "deadline": deadline},
        "_mesh_journal": {"facts": {"share": share}}, "cutover_unfenced": True, "soak_who": "blue",
        "soak_advice": "No advice.", "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    role = {"name": "bluegreen.mesh.soak", "tasks_from": "quiet.yml", "rolespec_validate": False}
    play = {
        "hosts": "here", "gather_facts": False, "vars_files": [str(ROOT / "roles" / "mesh" / "vars" / "main.yml")],
        "tasks": [{"ansible.builtin.include_role": role, "vars": given}],
    }  # fmt: skip
    (tmp_path / "run.yml").write_text(json.dumps([play]))
    env = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "here,", "-c", "local", "run.yml"]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)


def reload(haproxy: FakeHaproxy, uptime: int) -> None:
    haproxy.uptime = uptime
    haproxy.set_all({f"http/{server.name}": server.configured for server in haproxy.servers})


def test_weights_that_a_reload_took_are_set_again_while_it_waits(tmp_path: Path, haproxy: FakeHaproxy) -> None:
    threading.Timer(6, reload, (haproxy, 1)).start()
    done = soak(tmp_path, haproxy, deadline=15)
    assert "lost the weights by a reload. Green has its 100 % again" in done.stdout, done.stdout
    assert haproxy.weights() == GREEN
    assert done.returncode != 0 and "After 15 s (mesh_soak, deadline) blue is not idle" in done.stdout, done.stdout


def test_soak_does_not_wait_for_what_somebody_else_has_set(tmp_path: Path, haproxy: FakeHaproxy) -> None:
    haproxy.set_all({"http/node-1-blue": 30, "http/node-1-green": 70})
    begin = time.monotonic()
    done = soak(tmp_path, haproxy, deadline=60)
    assert done.returncode != 0 and "Somebody else changed the weights" in done.stdout, done.stdout
    assert time.monotonic() - begin < 50 and haproxy.weights()["http/node-1-green"] == 70
