#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: elb_host_rule
short_description: Temporary rules by which hosts move by themselves at an Application Load Balancer
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - A host that has no rule of its own goes where a listener's default action leads, together with all the others. This
    module gives it a rule that does what the default action does, so that M(bluegreen.mesh.elb_listener_weights) can
    then move it alone.
  - The rule comes last, and so takes from no other rule. It has the tag C(bluegreen.mesh/temporary-for), and only such
    a rule is removed, once the default action does the same as it does.
options:
  state:
    description: V(present) makes the rules that are missing, V(absent) removes those that were made here.
    type: str
    choices: [present, absent]
    default: present
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
        description: Name or ARN of green's.
        type: str
        required: true
  hosts:
    description: The hosts. Required if O(state=present); without it V(absent) removes all rules that were made here.
    type: list
    elements: str
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
  - Check mode foresees everything but a refusal of AWS itself.
seealso:
  - module: bluegreen.mesh.elb_listener_weights
"""

EXAMPLES = r"""
- name: Two hosts are to move before the others
  bluegreen.mesh.elb_host_rule:
    region: eu-central-1
    listeners: ["public:443"]
    target_groups: [{blue: public-https, green: public-https-green}]
    hosts: [shop.example.com, www.example.com]
"""

RETURN = r"""
rules:
  description: The rules that were made or removed; in check mode, would be.
  returned: success
  type: list
  elements: str
  sample: ["public:443 rule 21 (shop.example.com)"]
requests:
  description: Requests sent to AWS, by operation.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _aws,
    _elb_acts,
    _elb_balancer,
    _elb_rules,
    _module,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def journal_of(module):
    journal = None if module.check_mode else Journal.of(module)
    if journal:
        journal.check()
    return journal


def record(journal, params, view, hosts, state):
    """state: what undoes it."""
    inverse = {name: params[name] for name in (*_aws.CONNECTION, "target_groups")}
    inverse |= {"state": state, "listeners": sorted(view.listeners), "hosts": sorted(set(hosts))}
    key = f"{','.join(sorted(view.listeners.values()))} {','.join(inverse['hosts'])}"
    return journal.record("host_rules", key, {"module": "elb_host_rule", "params": inverse})


def present(module, balancer, view, defaults):
    hosts = list(dict.fromkeys(host.lower() for host in module.params["hosts"]))
    made = []
    for arn, title in view.listeners.items():
        made += [(arn, *rule) for rule in _elb_rules.new_rules(title, view.rules[arn], defaults.get(arn), hosts)]
    if made:
        balancer.check_rule_quota(view, [arn for arn, _host, _priority in made])
    journal = journal_of(module) if made else None
    if journal:
        step = record(journal, module.params, view, [host for _arn, host, _priority in made], "absent")
    for arn, host, priority in made:
        if not module.check_mode:
            balancer.make_rule(defaults[arn], host, priority, {_elb_rules.TAG: host})
    if journal:
        journal.done(step)
    return [f"{view.listeners[arn]} rule {priority} ({host})" for arn, host, priority in made]


def absent(module, balancer, view, defaults):
    mine = [forward for forward in view.every if forward.is_rule]
    tags = _elb_acts.tags_of(balancer.client, [forward.arn for forward in mine])
    wanted = None if module.params["hosts"] is None else {host.lower() for host in module.params["hosts"]}
    mine = [f for f in mine if _elb_rules.TAG in tags.get(f.arn, {}) and (wanted is None or set(f.hosts) <= wanted)]
    for forward in mine:
        _elb_rules.check_removal(forward, defaults.get(forward.listener))
    journal = journal_of(module) if mine else None
    if journal:
        step = record(journal, module.params, view, [host for forward in mine for host in forward.hosts], "present")
    for forward in mine:
        if not module.check_mode:
            balancer.client.call("elbv2", "delete_rule", RuleArn=forward.arn)
    if journal:
        journal.done(step)
    return [forward.title for forward in mine]


def operation(module, _cluster):
    if _aws.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.IMPORT_ERROR)
    params = module.params
    client = _aws.Client.of(params)
    balancer = _elb_balancer.Balancer(client, "application", params["listeners"], params["target_groups"])
    view = balancer.read()
    defaults = {forward.listener: forward for forward in view.every if not forward.is_rule}
    rules = (present if params["state"] == "present" else absent)(module, balancer, view, defaults)
    there = {f"ELB {rule}": {"exists": True} for rule in rules}
    before, after = ({}, there) if params["state"] == "present" else (there, {})
    return {
        "changed": bool(rules),
        "rules": rules,
        "requests": client.requests,
        "diff": {"before": before, "after": after},
    }


def main():
    name = {"type": "str", "required": True}
    _module.run(
        operation,
        {
            **_aws.ARGS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "listeners": {"type": "list", "elements": "str", "required": True},
            "target_groups": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"blue": name, "green": name},
            },
            "hosts": {"type": "list", "elements": "str"},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        required_if=[("state", "present", ("hosts",))],
        required_by={"journal": ["kubeconfig", "context"]},
    )


if __name__ == "__main__":
    main()
