# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: our modules and migrate.yml as processes of their own, and the balancer itself."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t

ROOT = pathlib.Path(__file__).parents[2]
MIGRATE = "playbooks/migrate.yml"
COLLECTIONS = str(ROOT / "playbooks" / "collections")
MODULES = "ansible_collections.bluegreen.mesh.plugins.modules"
BALANCER = ("172.30.0.20", 9999)
CONNECTION = {"kubeconfig": os.environ.get("KUBECONFIG", ""), "context": "lab"}
# Settings of a migration whose subject is another than how routes are compared and steps are judged: few probes, and
# steps that are judged by errors alone, since a machine that is busy makes both sides slow by turns.
QUICK = {
    "mesh_verify": {"ca_file": f"{os.environ.get('LAB_STATE', '')}/apps/certs/ca.crt", "passes": 1},
    "mesh_gate": {"min_samples": 100, "min_green_samples": 10, "p99_floor_ms": 5000},
}
# Where the bound of an abort is not the subject: a machine that is busy takes more than its five minutes.
UNHURRIED = {"mesh_abort_timeout": 800}
if COLLECTIONS not in sys.path:
    sys.path.insert(0, COLLECTIONS)


def start(module: str, tmp_path: pathlib.Path, *, cluster: bool = True, **params: t.Any) -> subprocess.Popen[str]:
    """One of our modules. cluster: it takes kubeconfig and context."""
    arguments = tmp_path / f"{module}.json"
    options = {**(CONNECTION if cluster else {}), **params}
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
    command = [sys.executable, "-m", f"{MODULES}.{module}", str(arguments)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": COLLECTIONS}, stdout=subprocess.PIPE, text=True)


def run(module: str, tmp_path: pathlib.Path, *, cluster: bool = True, **params: t.Any) -> dict[str, t.Any]:
    """Its result."""
    return json.loads(start(module, tmp_path, cluster=cluster, **params).communicate(timeout=120)[0])


def uid(cluster: t.Any, path: str) -> str | None:
    """UID of an object that is there and stays; None for one that is gone or going."""
    body = cluster.find(path)
    return body["metadata"]["uid"] if body and not body["metadata"].get("deletionTimestamp") else None


def gateway_pods(cluster: t.Any, namespace: str) -> set[str]:
    """Addresses of the gateways' pods there, which answers name as their caller."""
    found = cluster.list(f"/api/v1/namespaces/{namespace}/pods")
    return {pod["status"]["podIP"] for pod in found if "gateway" in pod["metadata"]["name"]}


def playing(
    settings: dict[str, t.Any], *argv: str, playbook: str = MIGRATE
) -> tuple[list[str], dict[str, t.Any]]:
    """Command and options for migrate.yml, as an operator runs it."""
    command = ["ansible-playbook", "--inventory", "inventories/lab/hosts.yml", playbook, *argv]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    return [*command, "--extra-vars", json.dumps(settings)], {"cwd": ROOT, "env": env, "text": True}


def play(
    settings: dict[str, t.Any], *argv: str, timeout: float = 1800, playbook: str = MIGRATE
) -> subprocess.CompletedProcess[str]:
    command, options = playing(settings, *argv, playbook=playbook)
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False, **options)


def part(
    settings: dict[str, t.Any], role: str, *tasks: str, argv: t.Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Task files of a role, with the journal taken, and nothing else of its phase."""
    parts = {"part_role": role, "part_tasks": tasks}
    return play({**settings, **parts}, *argv, playbook="extensions/molecule/part.yml")


def kill_in(
    journal: t.Callable[[], dict[str, t.Any]], settings: dict[str, t.Any], phase: str, steps: int = 1
) -> None:  # fmt: skip
    """Starts the phase, and kills it once the journal has so many steps of it: what follows is done by nobody. journal:
    reads its phases, steps and run."""

    def there() -> bool:
        found = journal()
        begun = found["phases"].get(phase, {}).get("state") == "started"
        return begun and len([step for step in found["steps"] if step["phase"] == phase]) >= steps

    kill_when(there, settings, "--tags", phase, every=0.05)
    found = journal()
    assert found["phases"][phase]["state"] == "started" and found["run"]["state"] == "active"


def until(condition: t.Callable[[], t.Any], seconds: float = 60, what: str = "it") -> t.Any:
    """What it answers, once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)
    return found


@contextlib.contextmanager
def meanwhile(act: t.Callable[[], t.Any], every: float = 1.0) -> t.Iterator[None]:
    """Does it beside what follows, every so many seconds, until that is over, or until it answers that this is all."""
    over = threading.Event()

    def go_on() -> None:
        while not act() and not over.wait(every):
            pass

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        beside = pool.submit(go_on)
        try:
            yield
        finally:
            over.set()
        beside.result()  # what went wrong there


def kill_when(
    there: t.Callable[[], bool], settings: dict[str, t.Any], *argv: str, seconds: float = 600, every: float = 0.2
) -> None:  # fmt: skip
    """Starts migrate.yml, and kills it as soon as `there`, asked every so many seconds."""
    command, options = playing(settings, *argv)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    deadline = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, "it has ended before it could be killed"
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(every)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def ask(command: str, at: tuple[str, int] = BALANCER) -> str:
    """A balancer's answer, past our own code."""
    with socket.create_connection(at, 5) as connection:
        connection.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@contextlib.contextmanager
def refused_at_one_node() -> t.Iterator[None]:
    """HAProxy's connections to green at one node are refused. Its health checks, at another port, are not; and clients
    are served all the same, since it goes to another server then."""
    where = "public_https/green-node-1 addr 172.30.0.11 port"
    ask(f"set server {where} 30999")
    try:
        yield
    finally:
        ask(f"set server {where} 30444")


def weights(at: tuple[str, int] = BALANCER) -> dict[str, int]:
    """Weight in force, by backend/server."""
    rows = [line.split() for line in ask("show servers state", at).splitlines() if "-node-" in line]
    return {f"{row[1]}/{row[3]}": int(row[7]) for row in rows}
