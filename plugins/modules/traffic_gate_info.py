#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_gate_info
short_description: Judge a step of a cutover by the live traffic since it was made
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads sources of live traffic before a step (O(state=begun)), and judges after it (O(state=judged)) what each of them
    has counted since, by the limits that it can be judged by. docs/gates.md says what each can see, and what it can't.
  - Waits until every source has enough to judge. Too few samples within O(deadline) are a breach, and so is a source
    that can't be read any more. No gate passes on no data.
  - Failures are seen as they come; a breach ends the wait at once.
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
options:
  state:
    description: V(begun) reads what a later call compares with. V(judged) needs O(since).
    type: str
    choices: [begun, judged]
    default: judged
  sources:
    description: Where live traffic is measured.
    type: dict
    required: true
    suboptions:
      probe:
        description: The requests of a running M(bluegreen.mesh.traffic_probe). These are not real clients.
        type: dict
        suboptions:
          dir:
            description: Its folder.
            type: path
            required: true
          gate: &gate
            description: Limits for this source, where they differ from those of the module.
            type: dict
            suboptions:
              min_samples:
                description: As O(min_samples).
                type: int
              min_green_samples:
                description: As O(min_green_samples).
                type: int
              max_error_rate:
                description: As O(max_error_rate).
                type: float
              p99_ratio:
                description: As O(p99_ratio).
                type: float
              p99_floor_ms:
                description: As O(p99_floor_ms).
                type: float
      haproxy:
        description: HAProxy's own counters of each server.
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
          blue_servers:
            description: As O(bluegreen.mesh.haproxy_weights#module:blue_servers).
            type: str
            required: true
          green_servers:
            description: As O(bluegreen.mesh.haproxy_weights#module:green_servers).
            type: str
            required: true
          timeout:
            description: Seconds to wait for an answer.
            type: float
            default: 5.0
          gate: *gate
      gateway:
        description:
          - The counters of the gateways' pods, through the API server. Their window begins with the call of O(state=judged)
            and not with the step, so that our own probes between the two are not taken for clients.
        type: dict
        suboptions:
          blue:
            description: Blue's Services, as C(NAMESPACE/NAME).
            type: list
            elements: str
            required: true
          green:
            description: Green's Services, as C(NAMESPACE/NAME).
            type: list
            elements: str
            required: true
          gate: *gate
      prometheus:
        description:
          - Queries to an API like Prometheus' C(/api/v1/query). In each, C($colour) is replaced by O(sources.prometheus.blue)
            or O(sources.prometheus.green), and C($window) by the seconds since the step, at least C(30s).
          - Each must return one number. None, or C(NaN), is no data.
        type: dict
        suboptions:
          url:
            description: Where the API is, up to C(/api).
            type: str
            required: true
          requests:
            description: Query for the number of requests in the window.
            type: str
            required: true
          failed:
            description: Query for how many of them failed.
            type: str
            required: true
          p99_ms:
            description: Query for their 99th percentile of latency in milliseconds.
            type: str
          blue:
            description: What C($colour) is for blue.
            type: str
            default: blue
          green:
            description: What C($colour) is for green.
            type: str
            default: green
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
          gate: *gate
  since:
    description:
      - RV(snapshot) of the call before the step.
      - With O(state=begun), of an earlier one, from which on blue is measured for RV(before).
    type: dict
  before:
    description: RV(before) of an earlier call, for when blue no longer answers enough.
    type: dict
    default: {}
  colours:
    description: For V(blue) and V(green), the C(via) values that tell the probe who answered, usually addresses of pods.
    type: dict
    default: {}
  min_samples:
    description: Requests needed since O(since).
    type: int
    default: 500
  min_green_samples:
    description: Requests needed that green is known to have answered.
    type: int
    default: 20
  max_error_rate:
    description:
      - Share of failed requests that is allowed, from V(0.0) to V(1.0). Of the probe's, of all and of green's.
      - Where real clients are counted, green may fail as often as blue does, and so much on top.
    type: float
    default: 0.0
  p99_ratio:
    description: How many times blue's 99th percentile green's may be.
    type: float
    default: 3.0
  p99_floor_ms:
    description: Latency in milliseconds up to which green is never too slow.
    type: float
    default: 100.0
  side:
    description:
      - Which colour is judged. V(blue) after all was given back to it, by what it was like in O(before).
      - V(same) is green, by what green itself was like in O(before). For what changes behind it, such as the mesh of its
        applications. Without O(before) this is the first look, which has its own latency for right.
    type: str
    choices: [green, blue, same]
    default: green
  observe:
    description: Seconds to go on judging at least, even if there is enough earlier.
    type: float
    default: 0.0
  deadline:
    description: Seconds to wait for enough samples.
    type: float
    default: 120.0
  kubeconfig:
    description: Path of the kubeconfig file; used for O(sources.gateway) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(sources.gateway) only, and required with it.
    type: str
requirements:
  - kubernetes >= 31 (Python), with O(sources.gateway) only
seealso:
  - module: bluegreen.mesh.traffic_probe
"""

EXAMPLES = r"""
- name: Read the sources before the step
  bluegreen.mesh.traffic_gate_info:
    state: begun
    sources: &sources
      probe:
        dir: /run/migration/traffic
      haproxy:
        runtime_apis: ["tcp:192.0.2.10:9999"]
        backends: [public_https]
        blue_servers: ^blue-
        green_servers: ^green-
      prometheus:
        url: https://prometheus.example.com
        requests: sum(increase(istio_requests_total{source_workload="$colour"}[$window]))
        failed: >-
          sum(increase(istio_requests_total{source_workload="$colour",response_code=~"5.."}[$window])) or vector(0)
        blue: public-ingressgateway
        green: public-gateway
        gate:
          max_error_rate: 0.001
  register: begun

- name: May the tenth stand?
  bluegreen.mesh.traffic_gate_info:
    sources: *sources
    since: "{{ begun.snapshot }}"
    before: "{{ begun.before }}"
    colours:
      blue: [10.0.1.4, 10.0.2.9]
      green: [10.0.1.17, 10.0.2.21]
    min_samples: 2000
"""

RETURN = r"""
passed:
  description: Whether the step may stand.
  type: bool
  returned: with O(state=judged)
breaches:
  description: Why it may not, one sentence each, with the source in front.
  type: list
  elements: str
  returned: with O(state=judged)
sources:
  description:
    - What each source told. C(blue), C(green) and C(other) have C(requests), C(failed) and C(p99_ms), each V(null) if
      unknown; C(real) is whether it counts real clients; C(unseen) is what it can't tell.
    - The probe has a C(summary) besides, with C(total), C(colours), C(routes), C(protocols) and C(errors), as
      M(bluegreen.mesh.traffic_probe) counts them.
  type: dict
  returned: with O(state=judged)
before:
  description: What blue was like, or with O(side=same) green, by source. To be given as O(before) to the next call.
  type: dict
  returned: success
snapshot:
  description: To be given as O(since) to a later call.
  type: dict
  returned: with O(state=begun)
waited:
  description: Seconds until there was enough.
  type: float
  returned: with O(state=judged)
"""

import dataclasses
import functools
import time

from ansible.module_utils.basic import env_fallback

from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _gate, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils.traffic_sources import SOURCES, Tally, Tools, Window

POLL_SECONDS = 0.5
UNREADABLE_SECONDS = 10.0  # for which a source may fail to answer before that is a breach
PASSING = ("unreadable", "unreachable", "unexpected_answer")  # refusals that the next poll may not meet
LIMITS = {
    "min_samples": {"type": "int"}, "min_green_samples": {"type": "int"}, "max_error_rate": {"type": "float"},
    "p99_ratio": {"type": "float"}, "p99_floor_ms": {"type": "float"},
}  # fmt: skip
DEFAULTS = dataclasses.asdict(_gate.Limits())


def limits_for(params, options):
    own = {name: value for name, value in (options["gate"] or {}).items() if value is not None}
    return _gate.Limits(**{**{name: params[name] for name in LIMITS}, **own})


def earlier_of(params, name):
    return Tally(**(params["before"].get(name) or {}))


def begun(params, chosen, tools):
    now, before = time.time(), {}
    for name, options in chosen.items():
        source, since = SOURCES[name], params["since"]
        tally = earlier_of(params, name)
        if since:
            window = Window(since["at"], now)
            measured = source.measure(options, since["sources"].get(name) or source.begin(options, tools), window, tools)
            tally = _gate.baseline(measured, limits_for(params, options), tally, params["side"])
        if hasattr(source, "earlier") and not tally.requests and params["side"] != "same":
            tally = source.earlier(options, now, tools)
        before[name] = dataclasses.asdict(tally)
    snapshot = {"at": now, "sources": {name: SOURCES[name].begin(options, tools) for name, options in chosen.items()}}
    return {"changed": False, "snapshot": snapshot, "before": before}


class Watch:
    """One source, judged again and again. breaches, lacking: as of the last look."""

    def __init__(self, name, params, options, tools):
        self.source, self.options, self.tools = SOURCES[name], options, tools
        self.name, self.limits, self.since = name, limits_for(params, options), params["since"]["at"]
        self.before = self.after = earlier_of(params, name)
        # What our own probes did since the snapshot must not be taken for clients.
        self.begun = None if self.source.COUNTS_PROBES else params["since"]["sources"].get(name)
        self.side, self.measured, self.silent_since = params["side"], None, None

    def look(self):
        self.breaches, self.lacking = [], []
        try:
            if self.begun is None:
                self.begun = self.source.begin(self.options, self.tools)
            self.measured = self.source.measure(self.options, self.begun, Window(self.since, time.time()), self.tools)
        except (_module.Refusal, _client.ClusterError) as exc:
            now = time.monotonic()
            self.silent_since = self.silent_since or now
            passing = isinstance(exc, _client.ClusterError) or exc.code in PASSING
            over = not passing or now - self.silent_since > UNREADABLE_SECONDS
            (self.breaches if over else self.lacking).append(f"{self.name}: {str(exc).rstrip('.')}")
            return
        self.silent_since = None
        self.after = _gate.baseline(self.measured, self.limits, self.before, self.side)
        before = self.after if self.side == "same" and not self.before.requests else self.before
        found = _gate.breaches(self.measured, self.limits, before, self.source.REAL, self.side)
        self.breaches = [f"{self.name}: {text}" for text in found]
        self.lacking = [f"{self.name}: {text}" for text in _gate.lacking(self.measured, self.limits, self.side)]

    def result(self):
        told = self.measured.result() if self.measured else {}
        return {"real": self.source.REAL, "unseen": list(self.source.UNSEEN), **told}


def judged(params, chosen, tools):
    begin = time.monotonic()
    watches = [Watch(name, params, options, tools) for name, options in chosen.items()]
    while True:
        for watch in watches:
            watch.look()
        reasons = [text for watch in watches for text in watch.breaches]
        lacking = [text for watch in watches for text in watch.lacking]
        waited = time.monotonic() - begin
        if reasons or (not lacking and waited >= params["observe"]):
            break
        if waited > max(params["deadline"], params["observe"]):
            reasons = [f"{text} within {params['deadline']:g} s" for text in lacking]
            break
        time.sleep(POLL_SECONDS)
    return {
        "changed": False, "passed": not reasons, "breaches": reasons, "waited": round(waited, 1),
        "sources": {watch.name: watch.result() for watch in watches},
        "before": {watch.name: dataclasses.asdict(watch.after) for watch in watches},
    }  # fmt: skip


def operation(module, _cluster):
    params = module.params
    chosen = {name: options for name, options in params["sources"].items() if options is not None}
    if not chosen:
        raise _module.Refusal("bad_option", f"sources: names none; there are {', '.join(SOURCES)}.")
    if "gateway" in chosen and not (params["kubeconfig"] and params["context"]):
        raise _module.Refusal("bad_option", "sources.gateway: kubeconfig and context are needed with it.")
    since = params["since"]
    if since is not None and not (isinstance(since.get("sources"), dict) and "at" in since):
        raise _module.Refusal("bad_option", "since: expected the snapshot of an earlier call of this module.")
    tools = Tools(functools.partial(_module.connect, module), params["colours"])
    return (begun if params["state"] == "begun" else judged)(params, chosen, tools)


def main():
    gate = {"gate": {"type": "dict", "options": LIMITS}}
    sources = {name: {"type": "dict", "options": {**source.OPTIONS, **gate}} for name, source in SOURCES.items()}
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["begun", "judged"], "default": "judged"},
            "sources": {"type": "dict", "required": True, "options": sources},
            "since": {"type": "dict"},
            "before": {"type": "dict", "default": {}},
            "colours": {"type": "dict", "default": {}},
            **{name: {**spec, "default": DEFAULTS[name]} for name, spec in LIMITS.items()},
            "side": {"type": "str", "choices": ["green", "blue", "same"], "default": "green"},
            "observe": {"type": "float", "default": 0.0},
            "deadline": {"type": "float", "default": 120.0},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        required_if=[("state", "judged", ["since"])],
    )


if __name__ == "__main__":
    main()
