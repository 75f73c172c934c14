# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: the cluster, and our modules, each run as a process of its own."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

COLLECTIONS = str(pathlib.Path(__file__).parents[2] / "playbooks" / "collections")
sys.path.insert(0, COLLECTIONS)

from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster  # noqa: E402


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster(os.environ["KUBECONFIG"], "lab")


@pytest.fixture(scope="session")
def uid(cluster: Cluster) -> t.Callable[[str], str | None]:
    """UID of an object that is there and stays; None for one that is gone or going."""

    def of(path: str) -> str | None:
        body = cluster.find(path)
        return body["metadata"]["uid"] if body and not body["metadata"].get("deletionTimestamp") else None

    return of


@pytest.fixture
def run_module(tmp_path: pathlib.Path) -> t.Callable[..., dict[str, t.Any]]:
    def run(module: str, **params: t.Any) -> dict[str, t.Any]:
        connection = {"kubeconfig": os.environ["KUBECONFIG"], "context": "lab"}
        arguments = tmp_path / f"{module}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**connection, **params}}), encoding="utf-8")
        command = [sys.executable, "-m", f"ansible_collections.bluegreen.mesh.plugins.modules.{module}", str(arguments)]
        env = {**os.environ, "PYTHONPATH": COLLECTIONS}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
        return json.loads(done.stdout)

    return run
