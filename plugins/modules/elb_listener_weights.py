#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: elb_listener_weights
short_description: Share of traffic that AWS' load balancers forward to blue's and to green's target groups
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads and sets the weights of target groups in the actions of a Network or Application Load Balancer's listeners.
  - At a Network Load Balancer that is the default action of each of O(listeners), by which it shares new connections.
    At an Application Load Balancer it is every rule that forwards to one of blue's target groups, the default one too,
    or the rules of O(hosts) alone. It shares requests.
  - All of them move together. If AWS refuses one, the others are put back, and the error says so. What was set is read
    back.
  - An action's other parts (authentication, order) stay as they are.
  - Weight 0 ends no connection; open ones stay with their target.
options:
  balancer:
    description: Whether this is a Network Load Balancer, or an Application Load Balancer.
    type: str
    choices: [network, application]
    required: true
  listeners:
    description:
      - The listeners that belong together, such as those of ports 80 and 443, each as its ARN or as
        C(LOAD BALANCER'S NAME:PORT).
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
        description: Name or ARN of green's. It need not exist while nothing is set.
        type: str
        required: true
  hosts:
    description:
      - The hosts to move, at an Application Load Balancer. Only rules that ask for these hosts and no others are looked
        at. Each has to have one, at each of the listeners, that asks for nothing but hosts, before green gets traffic.
      - Without it all rules that forward to blue move, and the default action.
    type: list
    elements: str
  except_hosts:
    description:
      - Hosts that have moved before, instead of O(hosts). Their rules are not looked at; all others move, and the default
        action.
    type: list
    elements: str
  green_percent:
    description:
      - Share for green, in percent, in tenths.
      - Without it, and without O(weights), the module only reads.
    type: float
  weights:
    description:
      - Weights to set, instead of O(green_percent); a dictionary by ARN of the listener or rule, of dictionaries by ARN
        of the target group. A target group that is left out is detached. What no longer exists is passed over.
    type: dict
  attach:
    description:
      - With V(0) as O(green_percent), attaches green's target groups with weight 0, so that AWS checks them.
      - With O(weights), what is attached of green's stays so, with weight 0 where they leave it out, so that its
        connections can end before it is detached.
    type: bool
    default: false
  expect_green_percent:
    description:
      - The share that is there if nobody else changed it. If another one is found, by more than half a percentage
        point, the module fails with V(foreign_change) and changes nothing. V(0) and V(100) are taken exactly.
      - An action that is at the wanted weights already is accepted, so that a run that was killed can be repeated.
    type: float
  require_health:
    description:
      - Refuses to raise green's share while a target group of green has no healthy target, or none in a zone in which
        blue has one.
      - Refuses to give traffic to blue while it has no healthy target.
    type: bool
    default: true
  health_timeout:
    description: Seconds to wait for green's health.
    type: float
    default: 0
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
  - Reading sends one request for the target groups, one for the load balancers (if listeners are given by name), one
    for the listeners of each (one for all that are given by ARN), one for the rules of each listener of an Application
    Load Balancer, and one for the health of each target group. Setting adds one for each action that changes, and reads
    listeners and rules again; with O(require_health), one more for the health of each target group and one for the
    zones of the instances. Long lists come in pages. RV(requests) has the numbers.
  - Weighted target groups at Network Load Balancers exist since November 2025.
  - Check mode foresees everything but a refusal of AWS itself.
seealso:
  - module: bluegreen.mesh.elb_target_group_twin
  - module: bluegreen.mesh.haproxy_weights
"""

EXAMPLES = r"""
- name: Give green a tenth, if it has the hundredth that was set before
  bluegreen.mesh.elb_listener_weights:
    region: eu-central-1
    balancer: network
    listeners: ["public:80", "public:443"]
    target_groups:
      - {blue: public-http, green: public-http-green}
      - {blue: public-https, green: public-https-green}
    green_percent: 10
    expect_green_percent: 1

- name: How are two hosts shared?
  bluegreen.mesh.elb_listener_weights:
    region: eu-central-1
    balancer: application
    listeners: ["public:443"]
    target_groups: [{blue: public-https, green: public-https-green}]
    hosts: [shop.example.com, www.example.com]
  register: shared
"""

RETURN = r"""
green_percent:
  description:
    - Green's share in percent, by the weights that are in force (in check mode, would be).
    - V(null) where listeners or rules differ; see RV(shares).
  returned: success
  type: float
  sample: 10.0
shares:
  description: The share at every listener and rule.
  returned: success
  type: list
  elements: dict
  contains:
    forward:
      description: The listener, and the rule's priority and hosts.
      type: str
    green_percent:
      description: Of what it forwards.
      type: float
backends:
  description: Every target group at every listener and rule.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: The listener, and the rule's priority and hosts.
      type: str
    server:
      description: Name of the target group.
      type: str
    colour:
      description: V(blue) or V(green).
      type: str
    weight:
      description: Weight in force; in check mode, that would be.
      type: int
    admin:
      description: Always V(ready). AWS knows nothing else.
      type: str
    health:
      description: V(UP) if a target is healthy, V(DOWN), or V(UNCHECKED) if AWS does not check them.
      type: str
    scur:
      description: Always V(null). AWS does not say how many connections are open.
      type: int
    targets:
      description: The state of every target, by its id.
      type: dict
    arn:
      description: Of the listener, or of the rule.
      type: str
    target_group:
      description: ARN of the target group.
      type: str
forwards_set:
  description: Number of actions changed; in check mode, that would be.
  returned: success
  type: int
requests:
  description: Requests sent to AWS, by operation.
  returned: success
  type: dict
  sample: {describe_target_groups: 1, describe_load_balancers: 1, describe_listeners: 2, modify_listener: 2}
"""

import hashlib

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import _aws, _elb, _elb_balancer, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def record(journal, params, view, plans):
    """One step for all that move together. Its key says which these are: another choice of hosts is another step."""
    inverse = {name: params[name] for name in ("balancer", *_aws.CONNECTION)}
    inverse["listeners"] = sorted(view.listeners)
    inverse["target_groups"] = [
        {"blue": pair.blue, "green": pair.green} for pair in sorted({f.pair for f in view.every}, key=lambda p: p.blue)
    ]
    inverse["weights"] = {forward.arn: forward.weights for forward in view.every if forward.arn in plans}
    digest = hashlib.sha256(" ".join(sorted(plans)).encode()).hexdigest()[:8]
    key = f"{','.join(sorted(view.listeners.values()))} {digest}"
    return journal.record("weights", key, {"module": "elb_listener_weights", "params": inverse})


def check_options(params):
    for name in ("green_percent", "expect_green_percent"):
        if params[name] is not None and not 0 <= params[name] <= 100:
            raise _module.Refusal("bad_option", f"{name}: {params[name]} is not between 0 and 100.")
    if params["attach"] and params["green_percent"] is None and params["weights"] is None:
        raise _module.Refusal("bad_option", "attach: needs green_percent or weights.")


def check_expected(params, view, plans):
    checked = [_elb.check_expected(f, params["expect_green_percent"], plans.get(f.arn)) for f in view.forwards]
    wrong = [text for text in checked if text]
    if wrong:
        raise _module.Refusal(
            "foreign_change",
            f"Somebody else changed the weights: {'; '.join(wrong)}. Nothing was changed. Find out who (infrastructure"
            " code that was applied, or a controller), then go on from the share that is there, or set the expected one"
            " first.",
            shares=shares(view, {}),
        )


def shares(view, plans):
    return [{"forward": f.title, "green_percent": _elb.share(f, plans.get(f.arn))} for f in view.shared]


def operation(module, _cluster):
    params = module.params
    check_options(params)
    if _aws.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.IMPORT_ERROR)
    client = _aws.Client.of(params)
    balancer = _elb_balancer.Balancer(
        client, params["balancer"], params["listeners"], params["target_groups"], params["hosts"], params["except_hosts"]
    )
    view = balancer.read()
    plans = balancer.plan(view, params["green_percent"], params["weights"], params["attach"], dry=module.check_mode)
    if params["expect_green_percent"] is not None:
        check_expected(params, view, plans)
    changes = _elb.ordered(view.every, plans)
    before, after = _elb.named(view.forwards, {}), _elb.named(view.forwards, plans)
    if changes and params["require_health"]:
        timeout = 0 if module.check_mode else params["health_timeout"]
        health = balancer.await_health(view, plans, timeout, dry=module.check_mode)
    else:
        health = balancer.health()
    if changes and not module.check_mode:
        journal = Journal.of(module)
        if journal:
            journal.check()
            step = record(journal, params, view, plans)
        view = balancer.apply(view, plans)
        if journal:
            journal.done(step)
    return {
        "changed": bool(changes),
        "green_percent": _elb.common_share(view.shared, plans),
        "shares": shares(view, plans),
        "backends": _elb.servers(view.shared, health, plans),
        "forwards_set": len(changes),
        "requests": client.requests,
        "diff": {"before": before, "after": after},
    }


def main():
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
                "options": {"blue": {"type": "str", "required": True}, "green": {"type": "str", "required": True}},
            },
            "hosts": {"type": "list", "elements": "str"},
            "except_hosts": {"type": "list", "elements": "str"},
            "green_percent": {"type": "float"},
            "weights": {"type": "dict"},
            "attach": {"type": "bool", "default": False},
            "expect_green_percent": {"type": "float"},
            "require_health": {"type": "bool", "default": True},
            "health_timeout": {"type": "float", "default": 0},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        mutually_exclusive=[("green_percent", "weights"), ("hosts", "except_hosts")],
        required_by={"journal": ["kubeconfig", "context"]},
    )


if __name__ == "__main__":
    main()
