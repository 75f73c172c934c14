#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_weights
short_description: Share of new connections that HAProxy gives to blue and to green servers
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads and sets the weights of servers by HAProxy's runtime API, so that green gets a given share of new connections.
  - All O(backends) of all O(runtime_apis) move together. If one of them refuses, the others are put back, and the error
    says so. What was set is read back, because the runtime API gives no status.
  - Weights are absolute. Blue servers all get one weight, green servers all get another, so that the share is right
    when the colours have different numbers of servers. Weights are whole numbers up to 256; the share is exact when
    both colours have the same number of servers in rotation, else it may be off by rounding. A share that rounding
    would miss by more than half a percentage point is refused. RV(green_percent) is the share that results.
  - A server that an operator has put into MAINT or DRAIN stays there. It gets its colour's weight, and is not counted.
  - Weight 0 ends no connection. Sessions that are open stay; see RV(backends[].scur).
  - HAProxy forgets these weights when it reloads. Use O(expect_green_percent) to notice, and O(reloaded_since) to set
    them again.
options:
  runtime_apis:
    description:
      - The runtime API of each HAProxy process in front of the gateways, as C(unix:/PATH) or C(tcp:HOST:PORT).
      - Setting weights needs C(level admin) on the C(stats socket) line.
    type: list
    elements: str
    required: true
  backends:
    description: The backends that belong together, such as those of the HTTP and the HTTPS listener.
    type: list
    elements: str
    required: true
  blue_servers:
    description:
      - Regular expression that finds the names of blue servers. It must match at least one in every backend, and none
        that O(green_servers) matches.
    type: str
    required: true
  green_servers:
    description: Regular expression that finds the names of green servers.
    type: str
    required: true
  green_percent:
    description:
      - Share of new connections for green, in percent, such as the RV(green_percent) of an earlier call.
      - Without it, and without O(weights), the module only reads.
    type: float
  weights:
    description:
      - Weights to set, instead of O(green_percent); a dictionary by backend, of dictionaries by server. Servers that
        are not named keep theirs.
    type: dict
  expect_green_percent:
    description:
      - The share that is there if nobody else changed it. If another one is found, by more than half a percentage
        point, the module fails with V(foreign_change) and changes nothing. V(0) and V(100) are taken exactly.
      - A backend that is at the wanted weights already is accepted, so that a run that was killed can be repeated.
    type: float
  reloaded_since:
    description:
      - When the expected share was set, in seconds since 1970. A process that began after that, and whose servers all
        have their configuration's weights, has lost the share by a reload. It then counts as having it, so that it is
        set again. RV(reloaded) names it.
    type: float
  require_health:
    description:
      - Refuses to raise green's share while a green server in rotation is not UP, or has no health check.
      - Refuses to leave a backend without an UP server that has weight.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for an answer of the runtime API.
    type: float
    default: 5.0
  kubeconfig:
    description: Path of the kubeconfig file; used for O(journal) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(journal) only, and required with it.
    type: str
requirements:
  - kubernetes >= 31 (Python), with O(journal) only
extends_documentation_fragment:
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - The share is one of connections with C(balance roundrobin) and C(balance random). With C(leastconn) it tends to it.
    C(first) and C(static-rr) do not follow weights set at run time and are refused.
  - Check mode foresees everything but a refusal of HAProxy itself.
seealso:
  - module: bluegreen.mesh.traffic_idle_info
"""

EXAMPLES = r"""
- name: How is the traffic shared?
  bluegreen.mesh.haproxy_weights:
    runtime_apis: ["unix:/run/haproxy/admin.sock"]
    backends: [public-http, public-https]
    blue_servers: "-blue$"
    green_servers: "-green$"
  register: shared

- name: Give green a tenth, if it has the hundredth that was set before
  bluegreen.mesh.haproxy_weights:
    runtime_apis: ["tcp:192.0.2.10:9999", "tcp:192.0.2.11:9999"]
    backends: [public-http, public-https]
    blue_servers: "-blue$"
    green_servers: "-green$"
    green_percent: 10
    expect_green_percent: 1

- name: Have a tenth set again, should HAProxy have been reloaded since it was set
  bluegreen.mesh.haproxy_weights:
    runtime_apis: ["unix:/run/haproxy/admin.sock"]
    backends: [public-http, public-https]
    blue_servers: "-blue$"
    green_servers: "-green$"
    green_percent: 10
    expect_green_percent: 10
    reloaded_since: 1767225600
"""

RETURN = r"""
green_percent:
  description:
    - Green's share of new connections in percent, by the weights that are in force (in check mode, would be) and the
      servers in rotation.
    - V(null) if backends or instances differ by more than rounding; see RV(shares).
  returned: success
  type: float
  sample: 10.0
shares:
  description: The share at every backend of every instance.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The runtime API.
      type: str
    backend:
      description: The backend.
      type: str
    green_percent:
      description: By weight, over servers in rotation. V(null) if none has weight.
      type: float
    live_green_percent:
      description: The same, over servers that are not DOWN at this moment.
      type: float
backends:
  description: Every server of every backend at every instance, as it is now.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The runtime API.
      type: str
    backend:
      description: The backend.
      type: str
    server:
      description: The server.
      type: str
    colour:
      description: V(blue), V(green), or empty.
      type: str
    weight:
      description: Weight in force.
      type: int
    configured_weight:
      description: Weight that a reload brings back.
      type: int
    health:
      description: V(UP), V(DOWN), or V(UNCHECKED) if HAProxy does not check it.
      type: str
    status:
      description: HAProxy's own word. E.g. C(UP 1/3) while checks begin to fail.
      type: str
    admin:
      description: V(ready), V(drain) or V(maint), as an operator has set it.
      type: str
    scur:
      description: Open sessions.
      type: int
    stot:
      description: Sessions since HAProxy started.
      type: int
    rate:
      description: New sessions in the last second.
      type: int
    econ:
      description: Connections to the server that failed.
      type: int
    eresp:
      description: Errors in the server's responses.
      type: int
    last_chk:
      description: What the last health check said.
      type: str
reloaded:
  description: The instances that had lost the expected share by a reload.
  returned: success
  type: list
  elements: str
weights_set:
  description: Number of weights set; in check mode, number that would be set.
  returned: success
  type: int
"""

import time

from ansible.module_utils.basic import env_fallback

from ansible_collections.bluegreen.mesh.plugins.module_utils import _haproxy, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def record(journal, params, groups, wanted):
    """One step for each instance: their weights before may differ, and each must come back to its own."""
    steps = []
    for address in params["runtime_apis"]:
        mine = {key: servers for key, servers in groups.items() if key[0] == address}
        if any(_haproxy.ordered(servers, wanted[key]) for key, servers in mine.items()):
            before = _haproxy.weights_of(mine)[address]
            kept = ("backends", "blue_servers", "green_servers", "timeout")
            inverse = {**{name: params[name] for name in kept}, "runtime_apis": [address], "weights": before}
            key = f"{address} {','.join(params['backends'])}"
            steps.append(("weights", key, {"module": "haproxy_weights", "params": inverse}, False, None))
    return journal.record_all(steps)


def check_expected(params, balancer, groups, wanted):
    """The instances that are where a reload has put them. Raises Refusal(foreign_change) for any that is elsewhere."""
    checked = {k: _haproxy.check_expected(s, params["expect_green_percent"], wanted.get(k)) for k, s in groups.items()}
    wrong = {key: text for key, text in checked.items() if text}
    reloaded = []
    if wrong and params["reloaded_since"] is not None:
        reloaded = balancer.reloaded(groups, params["reloaded_since"], time.time())
        reloaded = [address for address in reloaded if any(key[0] == address for key in wrong)]
    left = [text for key, text in wrong.items() if key[0] not in reloaded]
    if left:
        raise _module.Refusal(
            "foreign_change",
            f"Somebody else changed the weights, or HAProxy was reloaded: {'; '.join(left)}. Nothing was changed."
            " Find out who, then go on from the share that is there, or set the expected one first.",
            shares=_haproxy.shares(groups),
        )
    return reloaded


def operation(module, _cluster):
    params = module.params
    for name in ("green_percent", "expect_green_percent"):
        if params[name] is not None and not 0 <= params[name] <= 100:
            raise _module.Refusal("bad_option", f"{name}: {params[name]} is not between 0 and 100.")
    balancer = _haproxy.Balancer(
        params["runtime_apis"], params["backends"], params["blue_servers"], params["green_servers"], params["timeout"]
    )
    groups = balancer.read()
    wanted = balancer.plan(groups, params["green_percent"], params["weights"])
    reloaded = []
    if params["expect_green_percent"] is not None:
        reloaded = check_expected(params, balancer, groups, wanted)
    count = sum(len(_haproxy.ordered(groups[key], plan)) for key, plan in wanted.items())
    before = _haproxy.weights_of(groups)
    planned = _haproxy.weights_of(groups, wanted)
    if count:
        balancer.check(groups, wanted, params["require_health"])
        if module.check_mode:
            groups = _haproxy.with_weights(groups, wanted)
        else:
            journal = Journal.of(module)
            if journal:
                journal.check()
                steps = record(journal, params, groups, wanted)
            groups = balancer.apply(groups, wanted)
            if journal:
                journal.done(*steps)
    return {
        "changed": bool(count),
        "green_percent": _haproxy.common_share(groups),
        "shares": _haproxy.shares(groups),
        "backends": [server.result() for servers in groups.values() for server in servers],
        "reloaded": reloaded,
        "weights_set": count,
        "diff": {"before": before, "after": planned},
    }


def main():
    _module.run(
        operation,
        {
            "runtime_apis": {"type": "list", "elements": "str", "required": True},
            "backends": {"type": "list", "elements": "str", "required": True},
            "blue_servers": {"type": "str", "required": True},
            "green_servers": {"type": "str", "required": True},
            "green_percent": {"type": "float"},
            "weights": {"type": "dict"},
            "expect_green_percent": {"type": "float"},
            "reloaded_since": {"type": "float"},
            "require_health": {"type": "bool", "default": True},
            "timeout": {"type": "float", "default": 5.0},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        mutually_exclusive=[("green_percent", "weights")],
        required_by={"journal": ["kubeconfig", "context"]},
    )


if __name__ == "__main__":
    main()
