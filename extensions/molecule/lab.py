# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: our modules and migrate.yml as processes of their own, and the balancer itself."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import typing as t

ROOT = pathlib.Path(__file__).parents[2]
COLLECTIONS = str(ROOT / "playbooks" / "collections")
MODULES = "ansible_collections.bluegreen.mesh.plugins.modules"
BALANCER = ("172.30.0.20", 9999)
CONNECTION = {"kubeconfig": os.environ.get("KUBECONFIG", ""), "context": "lab"}
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


def playing(settings: dict[str, t.Any], *argv: str) -> tuple[list[str], dict[str, t.Any]]:
    """Command and options for migrate.yml, as an operator runs it."""
    command = ["ansible-playbook", "--inventory", "inventories/lab/hosts.yml", "playbooks/migrate.yml", *argv]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    return [*command, "--extra-vars", json.dumps(settings)], {"cwd": ROOT, "env": env, "text": True}


def play(settings: dict[str, t.Any], *argv: str, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    command, options = playing(settings, *argv)
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False, **options)


def ask(command: str) -> str:
    """The balancer's answer, past our own code."""
    with socket.create_connection(BALANCER, 5) as connection:
        connection.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def weights() -> dict[str, int]:
    """Weight in force, by backend/server."""
    rows = [line.split() for line in ask("show servers state").splitlines() if "-node-" in line]
    return {f"{row[1]}/{row[3]}": int(row[7]) for row in rows}
