# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watchdog of one step of a cutover, as a Job: playbooks/watchdog.yml in an execution environment. Pure."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ._job import Work

PLACE = "/run/bluegreen-mesh"  # where the pod finds its files
VARIABLES, KUBECONFIG = "variables.json", "kubeconfig"
CONTEXT = "watchdog"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # where a kubelet puts a pod's token
TRIES = 3  # pods: a node may go
TTL = 86400  # seconds for which its log can be read


def name_of(migration: str, step: str) -> str:
    """The Job's name: the same for the same step, and short enough for a label."""
    return f"bluegreen-mesh-watchdog-{hashlib.sha256(f'{migration} {step}'.encode()).hexdigest()[:16]}"


def says(step: str) -> str:
    """What playbooks/watchdog.yml writes to its log once it has read the journal, and watches."""
    return f"watches step {step}"


def work(python: str, env_secret: str | None) -> Work:
    command = (
        python, "-m", "ansible", "playbook", "--inventory=localhost,", "--connection=local",
        "--extra-vars=ansible_python_interpreter={{ ansible_playbook_python }}", f"--extra-vars=@{PLACE}/{VARIABLES}",
        "bluegreen.mesh.watchdog",
    )  # fmt: skip
    # Ansible takes home folders from the user database, and the only folder to write to is /tmp.
    places = {"ANSIBLE_HOME": "/tmp/ansible", "ANSIBLE_REMOTE_TMP": "/tmp/ansible/tmp", "USER": "watchdog"}
    env = (*places.items(), ("ANSIBLE_NOCOLOR", "1"))
    return Work("watchdog", command, PLACE, token=True, env_secret=env_secret, tries=TRIES, ttl=TTL, env=env)


def files_of(variables: str, server: str) -> dict[str, bytes]:
    """What the pod finds: the playbook's variables, and a kubeconfig that names its service account's token.

    variables: JSON of a dictionary. Raises ValueError for anything else, without a word of what is in it.
    """
    try:
        given = json.loads(variables)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ValueError("variables is not JSON of a dictionary; pass one through to_json.")
    connection = {"mesh_kubeconfig": f"{PLACE}/{KUBECONFIG}", "mesh_context": CONTEXT}
    return {
        VARIABLES: json.dumps({**given, **connection}).encode(),
        KUBECONFIG: json.dumps(kubeconfig(server)).encode(),
    }


def kubeconfig(server: str) -> dict[str, t.Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "this", "cluster": {"server": server, "certificate-authority": f"{ACCOUNT}/ca.crt"}}],
        "users": [{"name": "account", "user": {"tokenFile": f"{ACCOUNT}/token"}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "this", "user": "account"}}],
    }
