#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_idle_info
short_description: Whether a gateway is still in use, by several sources
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads every source of O(sources). docs/idleness.md says what each can tell, and what it can't. All of them must
    agree. One that does not know makes the verdict V(unknown), and so does it if none tells open connections.
  - With O(previous), says whether there was no traffic since. It is idle if everything that counts is the same process
    as before, has not moved, and has no open connection, and that for O(window) seconds. What can't be known is never
    idle.
  - With O(wait), looks again and again until that is so. Without it, looks once. Call it again with the RV(snapshot)
    of the call before.
  - Says how old open connections are, as far as that is known. HAProxy knows; counters give lower bounds, and better
    ones the longer it is looked at.
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
options:
  sources:
    description: Where to look. At least one must tell open connections.
    type: dict
    required: true
    suboptions:
      gateway:
        description:
          - The statistics of every running pod, ready or not, through the API server. The gateway's own readiness
            checks and metrics readers are not counted.
          - A gateway shows few of Envoy's statistics by default. All is known if its pods include the C(listener) and
            C(http) statistics, such as by the pod annotation C(sidecar.istio.io/statsInclusionPrefixes).
        type: dict
        suboptions:
          services:
            description: The gateway's Services, as C(NAMESPACE/NAME). Their selectors are used.
            type: list
            elements: str
            default: []
          selectors:
            description: Label selectors of its pods, as C(NAMESPACE/SELECTOR), such as C(istio-system/app=ingress).
            type: list
            elements: str
            default: []
          counts:
            description:
              - What its pods must tell, and must stand still. What is not asked for is returned if it is known.
              - V(requests) are of HTTP. V(connections) are needed for TLS passthrough and plain TCP.
              - Without V(connections) it is taken to serve HTTP alone.
              - Health checks that send a request to its HTTP port are requests. Let them use the status port 15021.
            type: list
            elements: str
            choices: [requests, connections, open_connections]
            default: [connections, open_connections]
      haproxy:
        description: HAProxy's own counters of one side's servers. Its health checks are not counted.
        type: dict
        suboptions:
          runtime_apis:
            description: As O(bluegreen.mesh.haproxy_weights#module:runtime_apis).
            type: list
            elements: str
            required: true
          backends:
            description: As O(bluegreen.mesh.haproxy_weights#module:backends).
            type: list
            elements: str
            required: true
          servers:
            description: Regular expression of this side's servers. It must match one in each backend.
            type: str
            required: true
          timeout:
            description: Seconds to wait for an answer.
            type: float
            default: 5.0
      access_log:
        description:
          - What is added to logs. The probes of M(bluegreen.mesh.route_verify) are left out. It tells no open
            connections, so another source has to.
        type: dict
        suboptions:
          files:
            description: The logs, on the host that the module runs on. They must be of this side, or see O(sources.access_log.only).
            type: list
            elements: path
            required: true
          format:
            description: As O(bluegreen.mesh.access_log_routes_info#module:format).
            type: str
            choices: [auto, envoy, istio_json, haproxy]
            default: auto
          only:
            description: Regular expression of the lines that are of this side, such as C( https/blue-) of HAProxy's.
            type: str
          ignore:
            description: Regular expressions of lines that are no client's. They are searched for in the whole line.
            type: list
            elements: str
            default: ['"kube-probe/', 'ELB-HealthChecker/', 'GoogleHC/']
      prometheus:
        description:
          - Queries to an API like Prometheus' C(/api/v1/query). Each must return one number. None, or C(NaN), is unknown.
          - It sees what was scraped. Let O(window) be some scrapes long.
        type: dict
        suboptions:
          open_connections:
            description: Query for how many connections are open.
            type: str
          requests:
            description: Query for a sum of counters of requests that must stand still. No rate, and no increase.
            type: str
          connections:
            description: The same, of connections.
            type: str
          colour:
            description: What C($colour) in the queries is replaced by.
            type: str
          url:
            description: Where the API is, up to C(/api).
            type: str
            required: true
          token_file:
            description: File with a bearer token.
            type: path
          ca_file:
            description: Authority of its certificate, if not one that this host trusts.
            type: path
          timeout:
            description: Seconds to wait for an answer.
            type: float
            default: 10.0
  previous:
    description: The RV(snapshot) of an earlier call.
    type: dict
  window:
    description: Seconds without traffic that are needed.
    type: int
    default: 0
  wait:
    description:
      - Seconds to wait at most until it is idle. It takes O(window) seconds at least.
    type: int
    default: 0
  give_up:
    description:
      - Whether to wait no longer where it is RV(hopeless).
    type: bool
    default: false
  gone_is_idle:
    description:
      - Whether a gateway whose Services do not exist, or that has no running pod, is idle at once. It can't serve
        anybody, but who asks must know that it is gone, and not called otherwise.
    type: bool
    default: false
  kubeconfig:
    description: Path of the kubeconfig file; used for O(sources.gateway) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(sources.gateway) only, and required with it.
    type: str
requirements:
  - kubernetes >= 31 (Python), with O(sources.gateway) only
notes:
  - O(sources.gateway) needs C(list) on C(pods) and C(get) on C(pods/proxy). Without the latter, or if a NetworkPolicy
    keeps the API server from the pods, the answer is unknown.
seealso:
  - module: bluegreen.mesh.gateway_drain
    description: Ends what stays open.
"""

EXAMPLES = r"""
- name: Wait until the old gateway has been idle for ten minutes
  bluegreen.mesh.traffic_idle_info:
    kubeconfig: ~/.kube/config
    context: production
    sources:
      gateway:
        services: [istio-system/public-ingressgateway]
      haproxy:
        runtime_apis: ["tcp:192.0.2.10:9999"]
        backends: [public_https]
        servers: ^blue-
    window: 600
    wait: 7200
  register: seen
  failed_when: not seen.idle

- name: Where the pods do not show Envoy's listener statistics, let the balancer tell open connections
  bluegreen.mesh.traffic_idle_info:
    kubeconfig: ~/.kube/config
    context: production
    sources:
      gateway:
        services: [istio-system/public-ingressgateway]
        counts: [requests]
      prometheus:
        url: https://prometheus.example.com
        open_connections: sum(haproxy_server_current_sessions{server=~"blue-.*"})
    window: 600
    wait: 7200
"""

RETURN = r"""
verdict:
  description: V(idle), V(busy) or V(unknown).
  returned: success
  type: str
idle:
  description: Whether RV(verdict) is V(idle).
  returned: success
  type: bool
reasons:
  description: Why it is not idle.
  returned: success
  type: list
  elements: str
  sample: ["public-ingressgateway-6c9f: 12 open connections, at least 3 of them older than 10 min"]
quiet_for:
  description: Seconds since the last sign of traffic that was seen.
  returned: success
  type: float
snapshot:
  description:
    - To be given as O(previous) to the next call. It has the start of the quiet time, and so a new one after traffic.
  returned: success
  type: dict
sources:
  description:
    - What each source told, as sums of its meters, V(null) where one of them is unknown. C(requests) and
      C(connections) are since the meters started, C(open_connections) now; C(unseen) is what it can't tell.
    - C(meters) has these for each pod, server, log or set of queries, and with C(name), C(sources) (what each value
      is from), C(older) and C(exact). C(older) is how many (C(connections)) of the open ones are older than
      C(seconds), for several; if not C(exact), that many at least.
  returned: success
  type: dict
unknown:
  description: What is unknown, and why.
  returned: success
  type: list
  elements: str
blind:
  description:
    - What will not be known however long one waits, such as a count that a pod's statistics do not include. Other pods
      or other sources mend it.
  returned: success
  type: list
  elements: str
hopeless:
  description: Whether RV(blind) has something, and nothing is in use as far as the others tell. It never comes to be idle.
  returned: success
  type: bool
"""

import functools
import time

from ansible.module_utils.basic import env_fallback

from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _idle, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils.idle_sources import SOURCES, Tools

LOOK_SECONDS = 2.0  # between looks while waiting
PASSING = ("unreadable", "unreachable", "unexpected_answer")  # refusals that the next look may not meet


class Sources:
    """Those that are named. cluster: gives the connection."""

    def __init__(self, chosen, cluster, gone_is_idle, looked):
        self.chosen, self.cluster, self.gone_is_idle = chosen, cluster, gone_is_idle
        self.looked = looked  # by this call, or one before it

    def look(self, previous):
        states = (previous or {}).get("state", {})
        looks = {name: self.one(name, options, states.get(name, {})) for name, options in self.chosen.items()}
        self.looked = True
        return looks

    def one(self, name, options, state):
        try:
            return SOURCES[name].look(options, Tools(self.cluster, state, self.gone_is_idle))
        except _module.Refusal as exc:
            if exc.code not in PASSING:
                raise
            reason = exc
        except _client.ClusterError as exc:
            if not self.looked:  # a wrong name, or a permission that is missing: waiting does not mend it
                raise
            reason = exc
        return _idle.Look(unknown=[f"{name}: {str(reason).rstrip('.')}"], state=state)

    def tell_ages(self, looks):
        for name, options in self.chosen.items():
            if hasattr(SOURCES[name], "tell_ages"):
                SOURCES[name].tell_ages(options, looks[name])


def chosen_of(params):
    chosen = {name: options for name, options in params["sources"].items() if options is not None}
    if not chosen:
        raise _module.Refusal("bad_option", f"sources: names none; there are {', '.join(SOURCES)}.")
    if "gateway" in chosen and not (params["kubeconfig"] and params["context"]):
        raise _module.Refusal("bad_option", "sources.gateway: kubeconfig and context are needed with it.")
    for name, options in chosen.items():
        SOURCES[name].check(options)
    if params["previous"] is not None and not _idle.is_snapshot(params["previous"]):
        raise _module.Refusal("bad_option", "previous: expected the snapshot of an earlier call of this module.")
    return chosen


def operation(module, _cluster):
    params = module.params
    deadline, previous = time.monotonic() + params["wait"], params["previous"]
    cluster = functools.cache(lambda: _module.connect(module))
    sources = Sources(chosen_of(params), cluster, params["gone_is_idle"], previous is not None)
    while True:
        looks, at = sources.look(previous), time.time()
        verdict = _idle.judge(looks, previous, at, params["window"])
        if verdict.word == "idle" or (params["give_up"] and verdict.hopeless) or time.monotonic() >= deadline:
            break
        previous = verdict.snapshot
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
    if verdict.word == "busy":
        sources.tell_ages(looks)
        verdict = _idle.judge(looks, previous, at, params["window"])
    return {
        "changed": False,
        "verdict": verdict.word,
        "idle": verdict.word == "idle",
        "reasons": verdict.reasons,
        "quiet_for": round(verdict.quiet_for, 1),
        "snapshot": verdict.snapshot,
        "sources": {name: told(name, look, verdict) for name, look in looks.items()},
        "unknown": [text for look in looks.values() for text in look.doubts],
        "blind": verdict.blind,
        "hopeless": verdict.hopeless,
    }


def told(name, look, verdict):
    meters = [
        {
            **{field: getattr(meter, field) for field in ("name", *_idle.TOLD, "sources")},
            **meter.detail,
            "older": verdict.older.get(f"{name} {meter.id}", []),
            "exact": meter.ages is not None,
        }
        for meter in look.meters
    ]
    return {**{field: look.total(field) for field in _idle.TOLD}, "unseen": list(SOURCES[name].UNSEEN), "meters": meters}


def main():
    sources = {name: {"type": "dict", "options": source.OPTIONS} for name, source in SOURCES.items()}
    _module.run(
        operation,
        {
            "sources": {"type": "dict", "required": True, "options": sources},
            "previous": {"type": "dict"},
            "window": {"type": "int", "default": 0},
            "wait": {"type": "int", "default": 0},
            "give_up": {"type": "bool", "default": False},
            "gone_is_idle": {"type": "bool", "default": False},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
