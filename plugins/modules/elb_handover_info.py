#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: elb_handover_info
short_description: What infrastructure code must know of AWS' load balancers after a migration
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads which of green's target groups M(bluegreen.mesh.elb_target_group_twin) has made, which their tag
    C(bluegreen.mesh/twin-of) says, what is attached to them, and the weights that are in force at listeners and rules.
  - Temporary rules of M(bluegreen.mesh.elb_host_rule) are left out, since they go at clean-up.
  - An attachment to a target group that was there before is not found.
options:
  balancer:
    description: Whether this is a Network Load Balancer, or an Application Load Balancer.
    type: str
    choices: [network, application]
    required: true
  listeners:
    description: The listeners, each as its ARN or as C(LOAD BALANCER'S NAME:PORT).
    type: list
    elements: str
    required: true
  target_groups:
    description: Blue's target groups, each with the one of green that takes its place.
    type: list
    elements: dict
    required: true
    suboptions:
      blue:
        description: Name or ARN of blue's.
        type: str
        required: true
      green:
        description: Name or ARN of green's. It need not exist yet.
        type: str
        required: true
  opened:
    description:
      - Also look for rules of the nodes' security groups that M(bluegreen.mesh.elb_target_group_twin) has opened, which
        their description says.
    type: bool
    default: false
extends_documentation_fragment:
  - bluegreen.mesh.aws
  - bluegreen.mesh.cluster.info
seealso:
  - module: bluegreen.mesh.infrastructure_files
  - module: bluegreen.mesh.elb_target_group_twin
"""

EXAMPLES = r"""
- name: What does Terraform not know?
  bluegreen.mesh.elb_handover_info:
    region: eu-central-1
    balancer: network
    listeners: ["public:443"]
    target_groups: [{blue: public-https, green: public-https-green}]
  register: made
"""

RETURN = r"""
resources:
  description: What was made, as O(bluegreen.mesh.infrastructure_files#module:resources) takes it.
  returned: success
  type: list
  elements: dict
  sample:
    - type: aws_lb_target_group
      name: public_https_green
      id: arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/public-https-green/0123456789abcdef
weights:
  description: The weights in force, as O(bluegreen.mesh.infrastructure_files#module:weights) takes them.
  returned: success
  type: list
  elements: dict
requests:
  description: Requests sent to AWS, by operation.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _aws,
    _elb_acts,
    _elb_balancer,
    _elb_handover,
    _elb_rules,
    _elb_twin,
    _module,
)


def operation(module, _cluster):
    if _aws.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.IMPORT_ERROR)
    params = module.params
    client = _aws.Client.of(params)
    balancer = _elb_balancer.Balancer(client, params["balancer"], params["listeners"], params["target_groups"])
    view = balancer.read()
    greens = [pair.green for pair in balancer.pairs if pair.green]
    tags = _elb_acts.tags_of(client, greens + [forward.arn for forward in view.every if forward.is_rule])
    mine = [arn for arn in greens if _elb_twin.TAG in tags.get(arn, {})]
    autoscaling = client.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups") if mine else []
    asked = greens if params["opened"] else mine
    targets = {arn: balancer.target_health(arn).states for arn in asked}
    made = _elb_handover.resources(balancer.pairs, tags, autoscaling, targets)
    nodes = sorted({target for states in targets.values() for target in states}) if params["opened"] else []
    return {
        "changed": False,
        "resources": made + opened(client, balancer, nodes),
        "weights": _elb_handover.weights(_elb_handover.lasting(view.every, tags, _elb_rules.TAG)),
        "requests": client.requests,
    }


def opened(client, balancer, nodes):
    """Rules of the nodes' security groups that were opened here."""
    ids = sorted({group["GroupId"] for node in balancer.instances(nodes) for group in node["SecurityGroups"]})
    if not ids:
        return []
    groups = client.pages("ec2", "describe_security_groups", "SecurityGroups", GroupIds=ids)
    asked = [{"Name": "group-id", "Values": ids}]
    rules = client.pages("ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=asked)
    return _elb_handover.opened(groups, rules)


def main():
    name = {"type": "str", "required": True}
    _module.run(
        operation,
        {
            **_aws.ARGS,
            "balancer": {"type": "str", "choices": ["network", "application"], "required": True},
            "listeners": {"type": "list", "elements": "str", "required": True},
            "target_groups": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"blue": name, "green": name},
            },
            "opened": {"type": "bool", "default": False},
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
