#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: elb_target_group_twin
short_description: Target groups for green that are as blue's are, before they get traffic
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Compares each target group of green's with blue's. Protocol, protocol version, kind of addresses and all attributes
    (deregistration delay, stickiness, cross-zone, proxy protocol, client addresses and the others) have to be the same,
    the health check has to ask green's status NodePort for C(/healthz/ready), and no other load balancer may use it.
  - Green's have to be attached to the Auto Scaling groups that blue's are attached to, so that nodes that come are
    registered in both, and to have those targets that are in none.
  - The nodes' security groups have to let everybody reach green's NodePorts who reaches blue's.
  - What is missing is refused, all of it in one message, or made with O(missing=make). What exists and is wrong is
    refused always.
  - A load balancer that a controller in a cluster makes is refused, as the controller would put weights back. So is one
    that seems to be made by infrastructure code, unless O(ignore_changes) says that it does not. Both are known by
    their tags.
options:
  state:
    description:
      - V(absent) undoes what O(undo) says. The journal uses it.
      - V(released) sees to it that blue can go. An Auto Scaling group whose C(HealthCheckType) is C(ELB) replaces every
        node once blue's NodePorts have gone, as long as blue's target group is attached to it. With O(missing=make)
        that is detached from it, else it is refused.
    type: str
    choices: [present, absent, released]
    default: present
  balancer:
    description: Whether this is a Network Load Balancer, or an Application Load Balancer. Required if O(state=present).
    type: str
    choices: [network, application]
  listeners:
    description:
      - The listeners that belong together, such as those of ports 80 and 443, each as its ARN or as
        C(LOAD BALANCER'S NAME:PORT). Required if O(state=present).
    type: list
    elements: str
  target_groups:
    description: Blue's target groups, each with the one of green that takes its place. Required but for O(state=absent).
    type: list
    elements: dict
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
        description: Green's NodePort of the gateway's status port.
        type: int
        required: true
  missing:
    description: Whether target groups, attachments and targets of green that are missing are refused, or made.
    type: str
    choices: [refuse, make]
    default: refuse
  security_groups:
    description:
      - Whether green's NodePorts that are closed are refused, or opened, or not looked at (other firewalls decide).
    type: str
    choices: [refuse, open, ignore]
    default: refuse
  ignore_changes:
    description:
      - The infrastructure code that makes the load balancer, its listeners or rules ignores their weights, as Terraform
        does by C(ignore_changes) of C(default_action) and C(action).
    type: bool
    default: false
  undo:
    description: What to undo, as the journal has it. Required if O(state=absent).
    type: list
    elements: dict
  kubeconfig:
    description: Path of the kubeconfig file; used for O(journal) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(journal) only, and required with it.
    type: str
requirements:
  - kubernetes >= 31 (Python), with O(journal) only
extends_documentation_fragment:
  - bluegreen.mesh.aws
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - A target group that was made here has the tag C(bluegreen.mesh/twin-of). Only one that has it is deleted.
  - AWS checks the health of a target group once it is attached to a listener, which
    M(bluegreen.mesh.elb_listener_weights) does with weight 0, and waits for.
  - The idle timeout belongs to the load balancer or the listener, which both sides share.
  - Check mode foresees everything but a refusal of AWS itself.
seealso:
  - module: bluegreen.mesh.elb_listener_weights
"""

EXAMPLES = r"""
- name: Target groups for green, with all they need
  bluegreen.mesh.elb_target_group_twin:
    region: eu-central-1
    balancer: network
    listeners: ["public:443"]
    target_groups:
      - {blue: public-https, green: public-https-green, node_port: 30444, status_port: 30022}
    missing: make
    security_groups: open
"""

RETURN = r"""
acts:
  description: What was missing and has been made; in check mode, would be.
  returned: success
  type: list
  elements: str
requests:
  description: Requests sent to AWS, by operation.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _aws,
    _elb,
    _elb_acts,
    _elb_balancer,
    _elb_twin,
    _module,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def journal_of(module):
    journal = Journal.of(module)
    if journal and not module.check_mode:
        journal.check()
    return journal


def pairs_of(params):
    return [{"blue": entry["blue"], "green": entry["green"]} for entry in params["target_groups"] or []]


def result_of(client, before, after, said):
    return {
        "changed": bool(said),
        "acts": said,
        "requests": client.requests,
        "diff": {"before": before, "after": after},
    }


def absent(module, client):
    actor, journal = _elb_acts.Actor(client), journal_of(module)
    said = {}
    for act in module.params["undo"] or []:
        try:
            name = actor.needed(act)
        except KeyError as exc:
            raise _module.Refusal("bad_option", f"undo: {act} has no {exc}; expected what the journal has.") from exc
        if name is None:
            continue
        said[name] = {"exists": True}
        if not module.check_mode:
            if journal:
                journal.check()
            actor.undo(act)
    return result_of(client, said, {}, list(said))


def present(module, client):
    params = module.params
    balancer = _elb_balancer.Balancer(client, params["balancer"], params["listeners"], pairs_of(params))
    view = balancer.read()
    twin = _elb_acts.Twin(balancer, params["target_groups"] or [])
    problems, acts = twin.examine(view, params["security_groups"] != "ignore", params["ignore_changes"])
    allowed = ["open"] if params["security_groups"] == "open" else []
    allowed += ["create", "attributes", "attach", "register"] if params["missing"] == "make" else []
    refused = [
        _elb_twin.describe(act)
        for act in acts
        if act["do"] not in allowed and not (act["do"] == "attributes" and not act["found"])
    ]
    if problems or refused:
        more = " What is missing can be made: missing: make, security_groups: open." if refused else ""
        raise _module.Refusal(
            "green_not_as_blue",
            f"Green can't take blue's traffic: {'; '.join(problems + refused)}. Correct that first.{more}",
            problems=problems + refused,
        )
    after = dict(map(_elb_twin.change, acts))
    if acts and not module.check_mode:
        carry_out(module, client, acts)
    return result_of(client, {}, after, [_elb_twin.describe(act) for act in acts])


def released(module, client):
    pairs = _elb.pairs_of(pairs_of(module.params), client.pages("elbv2", "describe_target_groups", "TargetGroups"))
    autoscaling = client.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
    acts = [act for pair in pairs for act in _elb_twin.release_acts(pair, autoscaling)]
    said = [_elb_twin.describe(act) for act in acts]
    if acts and module.params["missing"] != "make":
        raise _module.Refusal(
            "replaces_nodes",
            f"Blue's NodePorts can't go: {'; '.join(said)}. Set HealthCheckType to EC2, or have blue's target groups"
            " detached (missing: make), which a rollback takes back. Detached by hand, they have to be attached again"
            " before one.",
            problems=said,
        )
    after = dict(map(_elb_twin.change, acts))
    if acts and not module.check_mode:
        carry_out(module, client, acts)
    return result_of(client, {name: {"attached": True} for name in after}, after, said)


def carry_out(module, client, acts):
    """Everything is written down before the first thing is done: a run that was killed is undone as a whole."""
    actor, journal = _elb_acts.Actor(client), journal_of(module)
    steps = []
    if journal:
        connection = {name: module.params[name] for name in _aws.CONNECTION}
        for act in acts:
            undo = _elb_twin.undoing(act)
            if undo:
                inverse = {
                    "module": "elb_target_group_twin",
                    "params": {**connection, "state": "absent", "undo": [undo]},
                }
                steps.append((f"{act['do']}", _elb_twin.key_of(act), inverse, False, None))
        ids = journal.record_all(steps)
    for act in acts:
        actor.perform(act)
    if journal:
        journal.done(*ids)


def operation(module, _cluster):
    if _aws.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.IMPORT_ERROR)
    client = _aws.Client.of(module.params)
    return {"present": present, "absent": absent, "released": released}[module.params["state"]](module, client)


def main():
    port = {"type": "int", "required": True}
    name = {"type": "str", "required": True}
    _module.run(
        operation,
        {
            **_aws.ARGS,
            "state": {"type": "str", "choices": ["present", "absent", "released"], "default": "present"},
            "balancer": {"type": "str", "choices": ["network", "application"]},
            "listeners": {"type": "list", "elements": "str"},
            "target_groups": {
                "type": "list",
                "elements": "dict",
                "options": {"blue": name, "green": name, "node_port": port, "status_port": port},
            },
            "missing": {"type": "str", "choices": ["refuse", "make"], "default": "refuse"},
            "security_groups": {"type": "str", "choices": ["refuse", "open", "ignore"], "default": "refuse"},
            "ignore_changes": {"type": "bool", "default": False},
            "undo": {"type": "list", "elements": "dict"},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        required_if=[
            ("state", "present", ("balancer", "listeners", "target_groups")),
            ("state", "absent", ("undo",)),
            ("state", "released", ("target_groups",)),
        ],
        required_by={"journal": ["kubeconfig", "context"]},
    )


if __name__ == "__main__":
    main()
