#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terraform_plan_info
short_description: What a plan of Terraform would do to a migration
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads plans of Terraform, OpenTofu or Terragrunt as JSON, on the host that the task runs on, and lists every change
    that a migration does not explain. Terraform itself is not run.
  - Expected are imports of O(resources), attachments of these that are made again, which changes nothing, or imported,
    NodePorts that go from blue's to green's as O(inputs) has them, and no-ops.
  - RV(errors) are changes that would move traffic or take it away; V(reverts_weights) of a listener, a rule or a
    weighted record; V(destroys_target_group) and V(detaches_target_group) of one that gets traffic;
    V(closes_node_ports) of green's in a security group; V(replaces_load_balancer).
  - What no plan imports of O(resources), and none has already, is listed as well.
  - Where a listener is not among O(weights), what the plan says is there now has to stay. Without any, a target group
    counts as used unless its port is one of blue's.
  - Does not fail because of what it finds, only where a plan can't be read.
options:
  plans:
    description:
      - Files, each with what C(terraform show -json PLANFILE) prints, of format 1.x. Of a folder, every C(tfplan.json)
        below it, as C(terragrunt run --all plan --json-out-dir) writes them.
    type: list
    elements: path
    required: true
  inputs:
    description: The NodePorts, as RV(bluegreen.mesh.infrastructure_files#module:inputs).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the value, and of the variable.
        type: str
        required: true
      blue:
        description: What it was, if known.
        type: raw
      green:
        description: What it has to be.
        type: raw
        required: true
extends_documentation_fragment:
  - bluegreen.mesh.infrastructure
  - bluegreen.mesh.cluster.info
seealso:
  - module: bluegreen.mesh.infrastructure_files
"""

EXAMPLES = r"""
- name: Read what Terraform would do
  bluegreen.mesh.terraform_plan_info:
    plans:
      - production/tfplan.json
    inputs:
      - name: public_ingress_gateway_https_port
        blue: 30443
        green: 30444
    resources:
      - type: aws_lb_target_group
        name: public_https
        id: arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/public-https-green/0123456789abcdef
  register: planned

- name: Stop if it would take the migration back
  ansible.builtin.assert:
    that: planned.errors == []
    fail_msg: "{{ planned.errors | map(attribute='text') | join('\n') }}"
"""

RETURN = r"""
errors:
  description: Changes that would move traffic or take it away.
  returned: success
  type: list
  elements: dict
  contains: &change
    verdict:
      description: V(error), V(unexpected) or V(expected).
      type: str
    code:
      description: What it is, such as V(reverts_weights), V(import), V(update), V(not_imported) or V(old_value).
      type: str
    address:
      description: Address of the resource.
      type: str
    actions:
      description: The plan's own words for it.
      type: list
      elements: str
    plan:
      description: The file. Not there where it concerns all of them.
      type: str
    text:
      description: All of it in one line. What the plan calls sensitive is left out.
      type: str
unexpected:
  description: Other changes that the migration does not explain.
  returned: success
  type: list
  elements: dict
  contains: *change
expected:
  description: Changes that it explains.
  returned: success
  type: list
  elements: dict
  contains: *change
plans:
  description: The files that were read.
  returned: success
  type: list
  elements: str
"""

import dataclasses
from pathlib import Path

from ansible_collections.bluegreen.mesh.plugins.module_utils import _infrastructure, _module, _terraform_plan


def files_of(given):
    found = []
    for name in given:
        path = Path(name)
        own = sorted(path.rglob("tfplan.json")) if path.is_dir() else [path]
        if not own or not own[0].is_file():
            raise _module.Refusal(
                "not_found", f"plans: {name}: found no plan, expected a file, or a folder with tfplan.json."
            )
        found += own
    return found


def read(path):
    try:
        return _terraform_plan.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeError) as exc:
        raise _module.Refusal("unreadable", f"{path} can't be read: {exc}.") from exc


def operation(module, _cluster):
    params = module.params
    made = _terraform_plan.made_of(params["inputs"], params["resources"], params["weights"])
    plans = {path: read(path) for path in files_of(params["plans"])}
    changes = [
        {**dataclasses.asdict(change), "plan": str(path)}
        for path, plan in plans.items()
        for change in _terraform_plan.judge(plan, made)
    ]
    changes += [dataclasses.asdict(change) for change in _terraform_plan.not_imported(list(plans.values()), made)]
    by = {verdict: [c for c in changes if c["verdict"] == verdict] for verdict in ("error", "unexpected", "expected")}
    return {
        "changed": False, "errors": by["error"], "unexpected": by["unexpected"], "expected": by["expected"],
        "plans": [str(path) for path in plans],
    }  # fmt: skip


def main():
    words = {"type": "str", "required": True}
    value = {"name": words, "blue": {"type": "raw"}, "green": {"type": "raw", "required": True}}
    _module.run(
        operation,
        {
            "plans": {"type": "list", "elements": "path", "required": True},
            "inputs": {"type": "list", "elements": "dict", "default": [], "options": value},
            **_infrastructure.ARGS,
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
