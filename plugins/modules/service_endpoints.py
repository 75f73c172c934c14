#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_endpoints
short_description: Share of new connections that blue's own Service gives to green's pods
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Shifts traffic behind blue's NodePorts, so that whatever sends there need not be touched. Adds an EndpointSlice with
    addresses of green's pods to blue's Service; kube-proxy gives new connections evenly to all ready endpoints.
  - Beside blue's n ready pods any k of green's can be added, and green then has k in n+k. V(100) takes blue's out, by a
    label C(bluegreen.mesh/carries) in the Service's selector that no pod has. A share that can't be had within half a
    percentage point is refused with those that can; going down, the next lower one is taken.
  - Beside blue's Service a second one (C(NAME-bluegreen)) goes on selecting blue's pods for as long as green has a
    share, for istiod, which learns from Services on which ports a gateway listens.
  - All Services move together. If one can't, the others are put back, and the error says so. Blue has endpoints before
    green loses any, and the other way round.
options:
  workloads:
    description: The Services of blue and green, as in the role's C(mesh_workloads). They belong together.
    type: list
    elements: dict
    required: true
  state:
    description:
      - V(present) reads, and sets O(green_percent) if that is given.
      - V(refreshed) brings green's addresses in step with its pods, at the share that is there.
      - V(released) gives blue's Service back to blue's pods once the balancer outside sends to green's NodePorts. It
        needs O(handed_over).
    type: str
    choices: [present, refreshed, released]
    default: present
  green_percent:
    description: Share of new connections for green, in percent. Without it the module only reads.
    type: float
  exact:
    description: Whether a share that can't be had is refused. If not, the next lower one is taken, as it is going down.
    type: bool
    default: true
  expect_green_percent:
    description:
      - The share that is there if nobody else changed it, or the one that was asked for last. If it is another, the
        module fails with V(foreign_change) and changes nothing. V(0) and V(100) are taken exactly.
      - A Service that is as wanted already is accepted, so that a run that was killed can be repeated.
    type: float
  steps:
    description: Shares that will be asked for later. If one can't be had now, the module fails.
    type: list
    elements: float
    default: []
  handed_over:
    description:
      - The balancer outside sends to green's NodePorts by now. What is behind blue's moves no traffic any more, so that
        only O(state=released) may change it; RV(green_percent) is V(100) once it has.
    type: bool
    default: false
  require_ready:
    description: Whether green's pods have to be there. Not so while a plan is made.
    type: bool
    default: true
  require_keeper:
    description: Whether green is given more only while someone runs O(state=refreshed).
    type: bool
    default: true
  timeout:
    description: Seconds to wait for the cluster's own controller to fill or empty blue's endpoints.
    type: float
    default: 30.0
  for_seconds:
    description: How long to go on refreshing. V(0) does it once.
    type: float
    default: 0.0
  interval:
    description:
      - Seconds between two looks, or between two runs of O(state=refreshed). Three times that, and 15 at least, someone
        counts as there.
    type: float
    default: 2.0
attributes:
  diff_mode:
    support: partial
    details: V(state=refreshed) tells how often it wrote. Which pods they are is in the EndpointSlices.
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - With C(sessionAffinity) ClientIP the share is one of client addresses.
  - With a traffic policy C(Local) only nodes on which blue is count, and green's pods on other nodes get nothing below
    V(100).
  - Nothing tells when every node has taken a change over. The order holds on each of them all the same.
seealso:
  - module: bluegreen.mesh.haproxy_weights
"""

EXAMPLES = r"""
- name: Give green a quarter, with three pods of each
  bluegreen.mesh.service_endpoints:
    kubeconfig: ~/.kube/config
    context: production
    workloads:
      - blue: {namespace: istio-system, service: public-ingressgateway}
        green: {namespace: istio-gateway, release: public-ingressgateway}
    green_percent: 25
    expect_green_percent: 0
"""

RETURN = r"""
green_percent:
  description:
    - Green's share of new connections, by the endpoints that are ready now (in check mode, would be). With
      O(handed_over), V(100) once nothing of green's is left behind blue's Service.
    - Where pods that came or went have moved Services apart, the share that was asked for last.
    - V(null) where Services differ otherwise, or one has no endpoint; see RV(shares).
  returned: success
  type: float
  sample: 25.0
shares:
  description: Each Service, as it is now.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Blue's Service.
      type: str
    green_percent:
      description: Green's share by its ready endpoints; V(null) where it has none, or address families differ.
      type: float
    wanted_percent:
      description: What was asked for last.
      type: float
    blue:
      description: Ready pods of blue's.
      type: int
    green:
      description: Ready pods of green's.
      type: int
    possible:
      description: Shares that can be had.
      type: list
      elements: float
backends:
  description: Every pod of both sides, as it is now.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: Blue's Service.
      type: str
    server:
      description: The pod.
      type: str
    colour:
      description: V(blue) or V(green).
      type: str
    weight:
      description: V(1) if it gets new connections.
      type: int
    admin:
      description: Always V(ready).
      type: str
    health:
      description: V(UP) if it is ready, else V(DOWN).
      type: str
    node:
      description: Its node.
      type: str
    scur:
      description: Always V(null). A Service counts no connections; ask the pods.
      type: int
refreshes:
  description: How often something had to be written.
  returned: with O(state=refreshed)
  type: int
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _endpoints, _module, _node_ports
from ansible_collections.bluegreen.mesh.plugins.module_utils import _service_endpoints as services
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

SPEC = {
    "workloads": {"type": "list", "elements": "dict", "required": True},
    "state": {"type": "str", "choices": ["present", "refreshed", "released"], "default": "present"},
    "green_percent": {"type": "float"},
    "exact": {"type": "bool", "default": True},
    "expect_green_percent": {"type": "float"},
    "steps": {"type": "list", "elements": "float", "default": []},
    "handed_over": {"type": "bool", "default": False},
    "require_ready": {"type": "bool", "default": True},
    "require_keeper": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30.0},
    "for_seconds": {"type": "float", "default": 0.0},
    "interval": {"type": "float", "default": 2.0},
}


def check_options(params):
    for name in ("green_percent", "expect_green_percent"):
        if params[name] is not None and not 0 <= params[name] <= 100:
            raise _module.Refusal("bad_option", f"{name}: {params[name]} is not between 0 and 100.")
    if params["interval"] <= 0 or params["for_seconds"] < 0 or params["timeout"] < 0:
        raise _module.Refusal("bad_option", "interval must be more than 0; for_seconds and timeout not less than 0.")
    if params["state"] == "released" and not params["handed_over"]:
        raise _module.Refusal(
            "not_handed_over",
            "The balancer outside still sends to blue's NodePorts, behind which green is, as far as is known"
            " (mesh_balancer.handed_over is false). Point it at green's NodePorts, then say mesh_balancer.handed_over:"
            " true.",
        )
    if params["state"] == "present" and params["handed_over"] and params["green_percent"] is not None:
        raise _module.Refusal(
            "handed_over",
            "mesh_balancer.handed_over is true: the balancer outside sends to green's NodePorts, and nothing behind"
            " blue's moves that. Point it back at blue's NodePorts, which lead to blue again; then set handed_over to"
            " false.",
        )


def plans_of(params, pairs):
    """What is wanted, by Service; None where nothing is."""
    percent = 0.0 if params["state"] == "released" else params["green_percent"]
    if percent is None:
        return None
    if not params["require_ready"] and any(not _endpoints.ready(pair.target) for pair in pairs):
        return {pair.blue: _endpoints.Plan(percent, percent == 100, (), percent) for pair in pairs}
    if all(_endpoints.stays(pair, percent) for pair in pairs):
        return {pair.blue: _endpoints.refreshed(pair) for pair in pairs}
    if params["exact"] and any(percent > pair.noted for pair in pairs):
        return {pair.blue: _endpoints.plan(pair, percent) for pair in pairs}
    return _endpoints.lowered(pairs, percent)


def operation(module, cluster):
    params = module.params
    check_options(params)
    names = services.names_of(params["workloads"])
    if params["state"] == "refreshed":
        if module.check_mode:
            count = len(services.late(cluster, names))
        else:
            count = services.follow(cluster, names, params["for_seconds"], params["interval"])
        pairs = [services.read(cluster, pair) for pair in names]
        return {**told(params, pairs), "changed": bool(count), "refreshes": count}
    pairs = [services.read(cluster, pair) for pair in names]
    if params["require_ready"] or all(_endpoints.ready(pair.target) for pair in pairs):
        for step in params["steps"]:
            for pair in pairs:
                _endpoints.plan(pair, step)
    plans = plans_of(params, pairs)
    if params["expect_green_percent"] is not None:
        expected = params["expect_green_percent"]
        wrong = [text for p in pairs if (text := _endpoints.unexpected(p, expected, (plans or {}).get(p.blue)))]
        if wrong:
            raise _module.Refusal(
                "foreign_change",
                f"Somebody else changed blue's Service: {'; '.join(wrong)}. Nothing was changed. Find out who"
                " (its chart's upgrade, Flux, Argo CD?) and keep them from it, then run -t rollback -e"
                " mesh_rollback_to=cutover.",
                shares=[_endpoints.summary(pair) for pair in pairs],
            )
    if plans is None:
        return {**told(params, pairs), "changed": False}
    changing = [pair for pair in pairs if _endpoints.differs(pair, plans[pair.blue])]
    # Other slices for the same share are a refresh, and nothing that a plan or a journal has to tell.
    diff = {
        "before": {f"Service {p.blue}": _endpoints.shown(p) for p in changing},
        "after": {f"Service {p.blue}": _endpoints.shown(p, plans[p.blue]) for p in changing},
    }
    result = {"changed": bool(changing), "diff": diff}
    rising = [pair for pair in changing if plans[pair.blue].percent > pair.noted]
    if rising and params["require_keeper"]:
        services.refuse_unkept(cluster, pairs)
    if not changing:
        return {**told(params, pairs), **result}
    if module.check_mode:
        return {**told(params, pairs, [plans[pair.blue].share for pair in pairs]), **result}
    warn(module, changing, plans)
    journal = Journal.load(cluster, params["journal"])
    steps = []
    if journal:
        journal.check()
        # A release has no inverse: it is the balancer in front that has to be taken back first, to these endpoints.
        steps = journal.record_all(services.inverses(changing)) if params["state"] == "present" else []
    pairs = services.move(cluster, pairs, plans, bool(rising) and params["exact"], params["timeout"])
    if journal:
        journal.done(*steps)
    return {**told(params, pairs), **result}


def warn(module, changing, plans):
    for pair in changing:
        if plans[pair.blue].held and not pair.held:
            for owner in _node_ports.put_back_by(pair.service):
                module.warn(
                    f"Service {pair.blue} comes from {owner['by']} ({owner['kind']}"
                    f" {owner['namespace']}/{owner['name']}). If that is run before the migration ends, it may put the"
                    " selector back, and blue then gets its part again."
                )
        if pair.service["spec"].get("sessionAffinity") == "ClientIP" and plans[pair.blue].percent not in (0, 100):
            module.warn(f"Service {pair.blue} has sessionAffinity ClientIP: the share is one of client addresses.")


def told(params, pairs, shares=None):
    percent = _endpoints.share_of(pairs) if shares is None else _endpoints.common(shares)
    if params["handed_over"] and percent == 0:
        percent = 100.0
    return {
        "green_percent": percent,
        "shares": [_endpoints.summary(pair) for pair in pairs],
        "backends": [server for pair in pairs for server in _endpoints.servers(pair)],
    }


def main():
    _module.run(operation, SPEC, journal=True, mutually_exclusive=[("green_percent", "steps")])


if __name__ == "__main__":
    main()
