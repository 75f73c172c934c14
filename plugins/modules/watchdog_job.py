#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: watchdog_job
short_description: Have a Job in the cluster take a step of a cutover back when its run dies
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Starts a Job that runs the playbook C(bluegreen.mesh.watchdog), and returns once that has read the journal and
    watches. A Job that does not get as far is an error, and is deleted.
  - The role P(bluegreen.mesh.cutover#role) does this before each step that gives green more, where
    C(mesh_watchdog.job) asks for it.
options:
  state:
    description: V(present) starts it, or waits for one that was started for the same step. V(absent) deletes it.
    type: str
    choices: [present, absent]
    default: present
  migration:
    description: Name of the migration.
    type: str
    required: true
  step:
    description: Which step is watched, as the journal's fact C(watchdog) has it.
    type: str
    required: true
  variables:
    description:
      - Variables for the playbook, as JSON. They go into a Secret that is deleted with the Job. C(mesh_kubeconfig)
        and C(mesh_context) are set there to those of the service account.
    type: json
    default: '{}'
  env_secret:
    description:
      - Name of a Secret of the namespace with environment variables, such as credentials for the balancer.
    type: str
  server:
    description: URL of the API server as pods reach it.
    type: str
    default: https://kubernetes.default.svc
  job:
    description: The Job.
    type: dict
    required: true
    suboptions:
      image:
        description:
          - The image to run, an execution environment with this collection. docs/gates.md says how one is made.
        type: str
        required: true
      namespace:
        description: Namespace to run it in. One that enforces the Pod Security Standard C(restricted) admits it.
        type: str
        required: true
      service_account:
        description: Service account to run it as, with the permissions that docs/permissions.md lists for the watchdog.
        type: str
        default: default
      image_pull_secrets:
        description: Names of Secrets of the namespace with which the image is pulled.
        type: list
        elements: str
        default: []
      node_selector:
        description: Labels of the nodes that it may run on.
        type: dict
        default: {}
      tolerations:
        description: Its tolerations, as in a pod's C(spec).
        type: list
        elements: dict
        default: []
      run_as_user:
        description: Number of the user to run it as, for an image that does not say so. It must not be V(0).
        type: int
      resources:
        description: What it asks for and may use, as in a container's C(resources).
        type: dict
        default:
          requests: {cpu: 100m, memory: 256Mi}
          limits: {cpu: "1", memory: 512Mi}
      python:
        description: The image's Python.
        type: str
        default: python3
      start_timeout:
        description: Seconds within which it must run.
        type: int
        default: 120
      deadline:
        description: Seconds that it may run.
        type: int
        default: 900
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get), C(create) and C(delete) on C(jobs), C(get) and C(create) on C(secrets), C(list) on C(pods) and
    C(events), and C(get) on C(pods/log) in the Job's namespace.
seealso:
  - module: bluegreen.mesh.migration_journal
"""

EXAMPLES = r"""
- name: Watch the step to 50 %
  bluegreen.mesh.watchdog_job:
    kubeconfig: ~/.kube/config
    context: production
    migration: ingress-2026
    step: "{{ journal.epoch }}-50"
    variables: "{{ watchdog_variables | to_json }}"
    job:
      image: registry.example.com/execution-environment:1
      namespace: bluegreen-mesh
      service_account: mesh-watchdog
"""

RETURN = r"""
name:
  description: Name of the Job.
  returned: always
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _job, _module, _watchdog

SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "migration": {"type": "str", "required": True},
    "step": {"type": "str", "required": True},
    "variables": {"type": "json", "default": "{}", "no_log": True},
    "env_secret": {"type": "str", "no_log": False},  # the name of a Secret
    "server": {"type": "str", "default": "https://kubernetes.default.svc"},
    "job": {"type": "dict", "required": True, "options": _job.OPTIONS},
}


def operate(module: AnsibleModule, cluster: _client.Cluster) -> dict[str, t.Any]:
    params = module.params
    name = _watchdog.name_of(params["migration"], params["step"])
    run = _job.Run(cluster, params["job"], _watchdog.work(params["job"]["python"], params["env_secret"]), name)
    if params["state"] == "absent":
        there = run.exists() if module.check_mode else run.remove()
        return result(name, there, before=there)
    there = run.exists()
    try:
        files = _watchdog.files_of(params["variables"], params["server"])
    except ValueError as exc:
        raise _module.Refusal("bad_input", str(exc)) from exc
    if module.check_mode:
        if not there:
            run.rehearse(files)
        return result(name, not there, before=there)
    run.start(files)
    try:
        run.follow(lambda now: _watches(run, now, params["step"]), within=params["job"]["start_timeout"])
    except (_client.ClusterError, _module.Refusal):
        run.remove()
        raise
    return result(name, not there, before=there)


def _watches(run: _job.Run, now: _job.Seen, step: str) -> bool | None:
    """True once it does. Raises Refusal for one that has ended without."""
    if now.phase == "waiting":
        return None
    if now.why:  # Kubernetes would try again, and the step would not be watched meanwhile
        raise run.refusal("job_failed", f"does not watch: {now.why}", now)
    if _watchdog.says(step) in run.log(now.pod):
        return True
    if now.phase == "succeeded":
        raise run.refusal("job_failed", f"ended without saying that it {_watchdog.says(step)}", now)
    return None


def result(name: str, changed: bool, before: bool) -> dict[str, t.Any]:
    after = before != changed
    return {"changed": changed, "name": name, "diff": {"before": {"exists": before}, "after": {"exists": after}}}


def main() -> None:
    _module.run(operate, SPEC)


if __name__ == "__main__":
    main()
