# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules are told what a migration made outside of the cluster."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  resources:
    description: What the migration made, and infrastructure code does not know.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: Its type in Terraform, such as V(aws_lb_target_group).
        type: str
        required: true
      name:
        description: Its name in the configuration.
        type: str
        required: true
      id:
        description:
          - Its id, as C(terraform import) takes it for that type.
          - That of V(aws_autoscaling_attachment) and V(aws_lb_target_group_attachment) is the name of the Auto Scaling
            group, or the target's id, a comma, and the ARN of the target group. They are written as resources and not
            as imports. Older versions of the provider can't import the latter, and none the former; attaching again
            changes nothing.
        type: str
        required: true
      module:
        description: Address of the module that it is in, such as V(module.ingress).
        type: str
  weights:
    description: The weights that are in force.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: What keeps them.
        type: str
        required: true
        choices: [aws_lb_listener, aws_lb_listener_rule, haproxy, route53, dns]
      name:
        description: Name of the resource in the configuration, of the backend, or of the record.
        type: str
        required: true
      id:
        description: ARN of the listener or rule. Plans are matched by it, whatever the name in the configuration is.
        type: str
      targets:
        description: What the traffic is shared among.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description:
              - ARN of the target group, server, or value of the record. A record of Route 53 may have several, with
                blanks in between, or the name that it is an alias of.
            type: str
            required: true
            aliases: [server]
          weight:
            description: Its weight. A record of weight 0 is left out of a zone.
            type: int
            required: true
          colour:
            description: Whose it is; becomes the set identifier of a record.
            type: str
          set_identifier:
            description: That of a record in Route 53. If not given, O(weights[].targets[].colour).
            type: str
          health_check:
            description: Id of a record's health check in Route 53.
            type: str
          alias_zone:
            description: Id of the hosted zone that has the name which a record of Route 53 is an alias of.
            type: str
          alias_health:
            description: Whether Route 53 evaluates the health of what it is an alias of.
            type: bool
          address:
            description: Address of a server. If not given, the snippet leaves a place for it.
            type: str
      record_type:
        description: Type of a record, V(A) if not given.
        type: str
      ttl:
        description: Time to live of a record, V(300) if not given.
        type: int
      zone:
        description: Id of the zone of a record in Route 53.
        type: str
      simple:
        description: Whether a record in Route 53 has no weight. It then has one target.
        type: bool
"""
