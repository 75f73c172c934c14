#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Writes what a migration will do, and compares the cluster with it later
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Puts together what modules have said in check mode, phase by phase, and writes it as text for people and as JSON.
  - What is collected comes from files. With the environment variable E(BLUEGREEN_MESH_PLAN) set, every module of this
    collection that runs in check mode appends its changes to the file of that name.
  - The role P(bluegreen.mesh.plan#role) does all of this for C(migrate.yml).
options:
  state:
    description:
      - V(written) writes the plan.
      - V(approved) writes nothing, and fails where the cluster or the settings have moved away from O(approved), or
        where a phase would have refused when it was made.
      - V(noted) says a change that is about to be made by a module of another collection. Only in check mode, and only
        where a plan is being made, does it have any effect.
    type: str
    choices: [written, approved, noted]
    default: written
  migration:
    description: Name of the migration. Required unless O(state=noted).
    type: str
  phases:
    description: The phases in their order.
    type: list
    elements: dict
    default: []
    suboptions:
      phase:
        description: Name of the phase.
        type: str
        required: true
      file:
        description: File with what its modules have said. It may be missing, if none had anything to say.
        type: path
      unknown:
        description: Why it can't be known yet what the phase will do. Empty if it can.
        type: str
        default: ""
      refused:
        description: Why the phase would refuse now. Empty if it would not.
        type: str
        default: ""
  findings:
    description: Findings of M(bluegreen.mesh.mesh_findings_info) that stand.
    type: list
    elements: dict
    default: []
  waived:
    description: Its findings that are waived.
    type: list
    elements: dict
    default: []
  settings:
    description: The settings of the migration. Those that hold chart values appear as a digest.
    type: dict
    default: {}
  strategies:
    description: How it is done, in a line.
    type: str
    default: ""
  point_of_no_return:
    description: What can't be undone, and from where on.
    type: str
    default: ""
  made_by:
    description: Who makes the plan.
    type: str
    default: ""
  ticket:
    description: Change request that it belongs to.
    type: str
    default: ""
  dir:
    description: With O(state=written), folder to write to. It is made where it is missing.
    type: path
  name:
    description: With O(state=written), name of the files, without C(.txt) and C(.json).
    type: str
  approved:
    description: With O(state=approved), the JSON file that was approved.
    type: path
  begun:
    description: With O(state=approved), phases that the journal has as begun or done. What they did is no difference.
    type: list
    elements: str
    default: []
  object:
    description: With O(state=noted), kind and name of what is to be changed.
    type: str
  before:
    description: With O(state=noted), what is there, as C(field) to value. Empty if there is nothing.
    type: dict
    default: {}
  after:
    description: With O(state=noted), what will be there.
    type: dict
    default: {}
  shown:
    description:
      - With O(state=noted), the values in O(before) and O(after) that may be shown have a counterpart here at the same
        place; all others are shown as a digest.
    type: dict
    default: {}
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs the verb C(get) on Namespace C(kube-system).
seealso:
  - module: bluegreen.mesh.migration_journal
"""

EXAMPLES = r"""
- name: Ask what binding would do
  bluegreen.mesh.virtual_service_gateways:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
  check_mode: true
  environment:
    BLUEGREEN_MESH_PLAN: /tmp/bind.jsonl

- name: Write it down
  bluegreen.mesh.migration_plan:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    dir: plans
    name: production
    phases:
      - phase: bind
        file: /tmp/bind.jsonl
      - phase: unbind
        unknown: unknown until bind has run

- name: Refuse to go on if the cluster is not what was approved
  bluegreen.mesh.migration_plan:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    state: approved
    approved: plans/production.json
    phases:
      - phase: bind
        file: /tmp/bind-now.jsonl
"""

RETURN = r"""
plan:
  description:
    - The plan, as it is in the JSON file. Each of its C(phases) has C(changes), with C(object), C(field), C(before) and
      C(after).
  type: dict
  returned: O(state=written)
text:
  description: The plan as text, by lines.
  type: list
  elements: str
  returned: O(state=written)
files:
  description: What was written; in check mode, what would be.
  type: list
  elements: str
  returned: O(state=written)
digest:
  description: Digest of the plan; with O(state=approved), of the approved one.
  type: str
  returned: success, unless O(state=noted)
not_covered:
  description: Phases of which nobody can know yet what they will do, so that the plan does not cover them.
  type: list
  elements: str
  returned: O(state=approved)
failure:
  description: What went wrong, C(code) for machines. With C(plan_drift), C(drift) lists every difference.
  type: dict
  returned: failure
"""

import getpass
import json
import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _journal, _module, _plan


def operation(module: AnsibleModule, cluster: _client.Cluster) -> dict[str, t.Any]:
    params = module.params
    if params["state"] == "noted":
        before, after = (_plan.digest_unless(params[side], params["shown"]) for side in ("before", "after"))
        diff = {"before": {params["object"]: before}, "after": {params["object"]: after}}
        return {"changed": module.check_mode and before != after, "diff": diff}
    approved = read_plan(params["approved"]) if params["state"] == "approved" else None
    uid = cluster.uid()
    if approved:
        for field, found in (("cluster", uid), ("migration", params["migration"])):
            if approved[field] != found:
                raise _module.Refusal(
                    f"wrong_{field}",
                    f"mesh_plan: {params['approved']} is for {field} {approved[field]}, and this is {field} {found}."
                    " Give the plan of this one.",
                    found=found, expected=approved[field],
                )  # fmt: skip
    made = {
        "migration": params["migration"],
        "cluster": uid,
        "context": cluster.context,
        "made_at": _journal.now(),
        "made_by": params["made_by"] or getpass.getuser(),
        "ticket": params["ticket"],
        "strategies": params["strategies"],
        "point_of_no_return": params["point_of_no_return"],
    }
    phases = [{**phase, "changes": collected(phase["file"])} for phase in params["phases"]]
    plan = _plan.build(made, phases, params["findings"], params["waived"], params["settings"])
    if approved is None:
        return written(module, plan)
    drift = _plan.compare(approved, plan, params["begun"])
    if drift:
        raise _module.Refusal(
            "plan_drift",
            f"{params['approved']} was approved, and the cluster or the settings have moved away from it"
            f" ({len(drift)} differences): {_plan.explain(drift)}. Nothing was changed. Put it right, or make a new plan"
            " with -t plan and have it approved.",
            drift=drift,
        )
    blind = _plan.uncovered(approved, plan)
    if blind:
        module.warn(
            f"{params['approved']} does not cover {', '.join(blind)}: what is done there can't be known yet, and was"
            " approved by nobody."
        )
    return {"changed": False, "digest": approved["digest"], "not_covered": blind}


def read_plan(path: str) -> _plan.Plan:
    try:
        with open(path, encoding="utf-8") as file:
            return _plan.parse(file.read(), path)
    except (OSError, UnicodeDecodeError) as exc:
        raise _module.Refusal("plan_unreadable", f"mesh_plan: {path} can't be read: {exc}.") from exc


def collected(path: str | None) -> list[_plan.Change]:
    if not path or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def written(module: AnsibleModule, plan: _plan.Plan) -> dict[str, t.Any]:
    base = os.path.join(module.params["dir"], module.params["name"])
    files = [f"{base}.json", f"{base}.txt"]
    try:
        same = read_plan(files[0])["digest"] == plan["digest"] and os.path.exists(files[1])
    except _module.Refusal:
        same = False
    text = _plan.render(plan)
    diff = {"before_header": files[1], "before": _text_of(files[1]), "after_header": files[1], "after": text}
    if not same and not module.check_mode:
        os.makedirs(module.params["dir"], exist_ok=True)
        for path, content in zip(files, (json.dumps(plan, indent=1) + "\n", text)):
            with tempfile.NamedTemporaryFile("w", dir=module.params["dir"], delete=False, encoding="utf-8") as file:
                file.write(content)
            module.atomic_move(file.name, path)
    told = {"plan": plan, "text": text.splitlines(), "files": files, "digest": plan["digest"]}
    return {"changed": not same, **told, **({} if same else {"diff": diff})}


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def main() -> None:
    phase = {
        "phase": {"type": "str", "required": True},
        "file": {"type": "path"},
        "unknown": {"type": "str", "default": ""},
        "refused": {"type": "str", "default": ""},
    }
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["written", "approved", "noted"], "default": "written"},
            "migration": {"type": "str"},
            "phases": {"type": "list", "elements": "dict", "options": phase, "default": []},
            "findings": {"type": "list", "elements": "dict", "default": []},
            "waived": {"type": "list", "elements": "dict", "default": []},
            "settings": {"type": "dict", "default": {}},
            "strategies": {"type": "str", "default": ""},
            "point_of_no_return": {"type": "str", "default": ""},
            "made_by": {"type": "str", "default": ""},
            "ticket": {"type": "str", "default": ""},
            "dir": {"type": "path"},
            "name": {"type": "str"},
            "approved": {"type": "path"},
            "begun": {"type": "list", "elements": "str", "default": []},
            "object": {"type": "str"},
            "before": {"type": "dict", "default": {}},
            "after": {"type": "dict", "default": {}},
            "shown": {"type": "dict", "default": {}},
        },
        required_if=[
            ("state", "written", ("migration", "dir", "name")),
            ("state", "approved", ("migration", "approved")),
            ("state", "noted", ("object",)),
        ],
    )


if __name__ == "__main__":
    main()
