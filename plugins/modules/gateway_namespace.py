#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_namespace
short_description: Make green's namespaces, and remove them once they are empty
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes namespaces for green. One that is there is left as it is, and is not removed later.
  - A namespace that this module made is only removed when nothing is in it but what Kubernetes and Istio put into
    every one. For that every kind that the API server serves is listed there. A kind that may not be listed is not
    taken for absent, and keeps the namespace.
options:
  state:
    description:
      - V(present) makes the namespaces that are not there.
      - V(absent) removes those that this module made and that are empty. The journal uses it.
    type: str
    choices: [present, absent]
    default: present
  names:
    description: Names of the namespaces.
    type: list
    elements: str
    required: true
  timeout:
    description:
      - With O(state=absent), seconds to wait until the namespaces are gone. What takes longer is warned about.
    type: int
    default: 60
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) and C(create) on C(namespaces). To remove them it needs C(delete), and C(list) on everything in them.
    Without the latter they are kept, and that is returned.
seealso:
  - module: bluegreen.mesh.gateway_twin
"""

EXAMPLES = r"""
- name: Make green's namespace
  bluegreen.mesh.gateway_namespace:
    kubeconfig: ~/.kube/config
    context: production
    names: [istio-gateway]
"""

RETURN = r"""
namespaces:
  description: What became of each namespace.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    state:
      description:
        - V(created), V(unchanged), V(removed), V(absent), V(foreign) if it is not of this module's making, or V(kept)
          if something else is in it.
      type: str
    inside:
      description: What keeps it, as text.
      type: list
      elements: str
"""

import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _namespaces
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def write(cluster, steps, journal, recorded, dry_run):
    """Carries out the steps; returns the namespace that has changed since it was read, if one has."""
    acting = [step for step in steps if step.acts]
    # One of ours that an earlier rollback had to keep is this migration's again.
    made = [step for step in steps if step.state in ("created", "unchanged")]
    if journal and (acting or made) and not dry_run:
        journal.check()
        if made:
            recorded += journal.record_all(
                [("namespace", s.name, _namespaces.inverse(s), False, None) for s in made]
            )
    for step in acting:
        try:
            _namespaces.apply(cluster, step, dry_run)
        except ApiError as exc:
            if exc.status == 409:
                return step.object
            if exc.status == 403 and step.state == "removed":  # that it stays does no harm
                step.state, step.inside = "kept", ["it may not be deleted by this user"]
            elif not (exc.status == 404 and step.state == "removed"):
                raise
    return None


def await_gone(cluster, names, timeout):
    """Waits until the API server has emptied and removed them; returns those that are still there."""
    deadline = time.monotonic() + timeout
    pause = 0.2
    while left := [name for name, found in zip(names, _namespaces.read(cluster, names)) if found]:
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)
    return left


def operation(module, cluster):
    params, check = module.params, module.check_mode
    names = list(dict.fromkeys(params["names"]))
    plan = _namespaces.plan_present if params["state"] == "present" else _namespaces.plan_absent
    journal = Journal.load(cluster, params["journal"])
    done = _module.settled(
        lambda: plan(cluster, names),
        lambda steps, recorded: write(cluster, steps, journal, recorded, check),
        journal,
    )
    acting = [step for step in done if step.acts]
    removed = [step.name for step in acting if step.state == "removed"]
    # Neither keeps the rest from being undone.
    for name in await_gone(cluster, removed, params["timeout"]) if removed and not check else ():
        module.warn(
            f"Namespace {name} was deleted {params['timeout']} s ago and is still going. If it stays, its status says what"
            " keeps it: a finalizer, or an API service that does not answer."
        )
    for step in (step for step in done if step.state == "kept"):
        module.warn(f"{step.object} stays, since others' things are in it: {', '.join(step.inside)}.")
    exists = {"exists": True}
    return {
        "changed": bool(acting),
        "namespaces": [{"name": s.name, "state": s.state, "inside": s.inside} for s in done],
        "diff": {
            "before": {s.object: exists for s in acting if s.state == "removed"},
            "after": {s.object: exists for s in acting if s.state == "created"},
        },
    }


def main():
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "names": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
