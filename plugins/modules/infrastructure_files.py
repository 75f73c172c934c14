#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: infrastructure_files
short_description: Write what the infrastructure code must say after a migration
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads green's NodePorts, and writes into a folder, on the host that the task runs on, what Terraform, Terragrunt and
    the balancers' configuration must say from now on, so that their next run does not take the migration back.
  - C(env.hcl) has the values of C(locals.cluster_inputs); C(imports.tf) an import block for each of O(resources) that
    can be imported; the folder C(snippets) the others, and what keeps O(weights).
  - With O(repo), the values are put into the C(env.hcl) that is there, as C(env.hcl.diff), which C(git apply) takes.
    Only values of C(NAME = VALUE) in C(locals.cluster_inputs) are replaced, and those that are missing are added before
    its closing brace; every other byte stays. A name that is set twice and a value that is an expression are refused.
  - Nothing is written to O(repo) unless O(apply), and nothing is committed or pushed.
options:
  dest:
    description: The folder. It is made where it is missing.
    type: path
    required: true
  names:
    description:
      - Which value has which NodePort, as C(NAME) to C(WORKLOAD/PORT). A port is V(http), V(https), V(status), or the
        name or number of a port of the Service.
      - C(WORKLOAD/PORT/target_group) is the name (or ARN) of the target group that leads there, by O(target_groups).
      - If not given, C(WORKLOAD_ingress_gateway_PORT_port) for V(http), V(https) and V(status) of each workload, by its
        name with underscores.
    type: dict
    default: {}
  target_groups:
    description: Blue's target groups with green's, and green's NodePort of each, as the balancer's settings have them.
    type: list
    elements: dict
    default: []
    suboptions:
      blue:
        description: Name or ARN of blue's.
        type: str
        required: true
      green:
        description: Name or ARN of green's.
        type: str
        required: true
      node_port:
        description: Green's NodePort of this traffic.
        type: int
        required: true
      status_port:
        description: Not used here.
        type: int
  literals:
    description: More values, numbers or strings, by their names, such as that of a target group.
    type: dict
    default: {}
  repo:
    description: A working copy of the infrastructure code.
    type: path
  env_file:
    description:
      - Path of the C(env.hcl) in O(repo). If not given, it is looked for, and there must be one that has
        C(cluster_inputs).
    type: str
  apply:
    description: Whether that file is edited. Otherwise only C(env.hcl.diff) is written.
    type: bool
    default: false
extends_documentation_fragment:
  - bluegreen.mesh.infrastructure
  - bluegreen.mesh.sides
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on C(services) in the namespaces of O(workloads).
seealso:
  - module: bluegreen.mesh.terraform_plan_info
"""

EXAMPLES = r"""
- name: Write what the infrastructure code must say
  bluegreen.mesh.infrastructure_files:
    kubeconfig: ~/.kube/config
    context: production
    dest: handing-back/production
    workloads:
      - name: public
        blue:
          namespace: istio-system
          service: public-ingressgateway
        green:
          namespace: istio-gateway
          release: public-ingressgateway
    resources:
      - type: aws_lb_target_group
        name: public_https
        id: arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/public-https-green/0123456789abcdef
    repo: ~/src/infrastructure
    env_file: production/env.hcl
"""

RETURN = r"""
files:
  description: Paths in O(dest) of what belongs there.
  returned: success
  type: list
  elements: str
inputs:
  description: The values, each with blue's, which is V(null) where its Service is gone, and green's.
  returned: success
  type: list
  elements: dict
  sample:
    - name: public_ingress_gateway_https_port
      blue: 30443
      green: 30444
lacking:
  description: NodePorts that green's Services do not have, and so no value was written of, in words.
  returned: success
  type: list
  elements: str
env_file:
  description: The file in O(repo), or V(null).
  returned: success
  type: str
edits:
  description: What its values become, each with C(name), C(line), C(before) (V(null) if it was not there) and C(after).
  returned: success
  type: list
  elements: dict
pending:
  description: Whether that file does not have these values yet.
  returned: success
  type: bool
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _infrastructure, _inventory, _module


TARGET_GROUP = {
    "blue": {"type": "str", "required": True},
    "green": {"type": "str", "required": True},
    "node_port": {"type": "int", "required": True},
    "status_port": {"type": "int"},
}


def operation(module, cluster):
    params = module.params
    workloads = _infrastructure.workloads_of(params["workloads"])
    refs = {workload[side] for workload in workloads for side in ("blue", "green")}
    services = {ref: cluster.find(_client.path_of("v1", "services", *ref)) for ref in sorted(refs)}
    literals = plain(params["literals"])
    values, lacking = _infrastructure.values_of(
        workloads, services, params["names"], literals, params["target_groups"]
    )
    files = _infrastructure.files_of(values, params["resources"], params["weights"])
    wanted = {value["name"]: value["green"] for value in values}
    done = _infrastructure.hand_over(
        files, params["dest"], params["repo"], params["env_file"], wanted, params["apply"], module.check_mode
    )
    return {**done, "inputs": values, "lacking": lacking}


def plain(given):
    wrong = {n: value for n, value in given.items() if isinstance(value, bool) or not isinstance(value, (int, str))}
    if wrong:
        raise _module.Refusal("bad_option", f"literals: found {wrong}, expected numbers and strings.")
    return given


def main():
    _module.run(
        operation,
        {
            "dest": {"type": "path", "required": True},
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": _inventory.WORKLOAD},
            "names": {"type": "dict", "default": {}},
            "literals": {"type": "dict", "default": {}},
            "target_groups": {"type": "list", "elements": "dict", "default": [], "options": TARGET_GROUP},
            **_infrastructure.ARGS,
            "repo": {"type": "path"},
            "env_file": {"type": "str"},
            "apply": {"type": "bool", "default": False},
        },
        required_by={"env_file": "repo"},
        required_if=[("apply", True, ["repo"])],
    )


if __name__ == "__main__":
    main()
