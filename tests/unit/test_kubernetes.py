# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The official client without its models reads credentials as the whole of it does. Each in a Python of its own, since an
import is for good."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

COLLECTIONS = pathlib.Path(__file__).parents[2] / "playbooks" / "collections"
LOOK = """
import json, sys
{before}
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster
cluster = Cluster(sys.argv[1], "lab")
headers = {{}}
cluster._api.update_params_for_auth(headers, [], ["BearerToken"])
print(json.dumps({{
    "models": sum(name.startswith("kubernetes.client.models.") for name in sys.modules),
    "credentials": [cluster._host, headers, cluster._http.connection_pool_kw.get("cert_file") is not None],
}}))
"""
AS_USUAL = "import kubernetes.client, kubernetes.config"
# What a client would be whose api_client needs more of its package than we know of.
LAID_OUT_ANEW = """
import importlib.util
from ansible_collections.bluegreen.mesh.plugins.module_utils import _kubernetes
_kubernetes.WITHOUT_INIT += ("kubernetes.elsewhere",)
"""


def look(kubeconfig: pathlib.Path, before: str) -> dict:
    command = [sys.executable, "-c", LOOK.format(before=before), str(kubeconfig)]
    env = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    return json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(params=["token", "exec", "certificate"])
def kubeconfig(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-plugin"},
    }  # fmt: skip
    plugin = {
        "apiVersion": answer["apiVersion"], "command": "echo", "args": [json.dumps(answer)], "interactiveMode": "Never",
    }  # fmt: skip
    for name in ("cert", "key"):
        (tmp_path / name).write_text("not read before the first connection", encoding="utf-8")
    users = {
        "token": {"token": "s3cret"},
        "exec": {"exec": plugin},
        "certificate": {"client-certificate": str(tmp_path / "cert"), "client-key": str(tmp_path / "key")},
    }
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
            "users": [{"name": "u", "user": users[request.param]}],
            "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
        }),
        encoding="utf-8",
    )  # fmt: skip
    return path


def test_credentials_are_the_same_without_the_models(kubeconfig: pathlib.Path) -> None:
    parts, whole = look(kubeconfig, ""), look(kubeconfig, AS_USUAL)
    assert parts["credentials"] == whole["credentials"]
    assert parts["credentials"][1] or parts["credentials"][2]
    assert parts["models"] == 0 and whole["models"] > 500


def test_a_client_that_is_laid_out_in_another_way_is_imported_as_usual(kubeconfig: pathlib.Path) -> None:
    other = look(kubeconfig, LAID_OUT_ANEW)
    assert other["models"] > 500 and other["credentials"] == look(kubeconfig, "")["credentials"]
