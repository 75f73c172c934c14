#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_traffic_info
short_description: Requests and open connections of an Istio gateway, and whether it is idle
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the metrics of every running pod of a gateway workload, through the API server, and adds up what clients did.
    The gateway's own readiness checks and metrics readers are not counted.
  - With O(previous), says whether the gateway was idle. It is if every pod is the same process as before, its counters
    have not moved, it has no open connection, and that for O(window) seconds. What can't be known is never idle.
  - With O(wait), looks again and again until the gateway has been idle for O(window) seconds. Without it, looks once;
    call it again with the RV(snapshot) of the call before.
  - A gateway shows few of Envoy's statistics by default. Requests and connections are known if its pods include the
    C(listener) and C(http) statistics, such as by the pod annotation C(sidecar.istio.io/statsInclusionPrefixes).
options:
  namespace:
    description: Namespace of the gateway's pods.
    type: str
    required: true
  selector:
    description:
      - Label selector of the gateway's pods, such as C(app=public-ingressgateway).
      - Exactly one of O(selector) and O(service) is needed.
    type: str
  service:
    description: Name of the gateway's Service, whose selector is used.
    type: str
  protocols:
    description:
      - What the gateway serves. V(http) asks for requests; V(tcp), for TLS passthrough and plain TCP, for connections.
      - A counter that is not asked for is returned if it is known, and does not count for RV(verdict).
      - Health checks that send a request to the gateway's HTTP port are requests. Let them use the status port 15021.
    type: list
    elements: str
    choices: [http, tcp]
    default: [http]
  previous:
    description: The RV(snapshot) of an earlier call.
    type: dict
  window:
    description: Seconds that the gateway must have been quiet to be idle.
    type: int
    default: 0
  wait:
    description: Seconds to wait at most until the gateway is idle. It takes O(window) seconds at least.
    type: int
    default: 0
  gone_is_idle:
    description:
      - Whether a gateway whose Service does not exist, or that has no running pod, is idle at once. It can't serve
        anybody, but who asks must know that it is gone, and not called otherwise.
    type: bool
    default: false
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) on C(pods) and C(get) on C(pods/proxy) in O(namespace). Without the latter, or if a NetworkPolicy
    keeps the API server from the pods, the answer is unknown.
seealso:
  - module: bluegreen.mesh.haproxy_weights
    description: Its C(scur) and C(stot) are another source.
"""

EXAMPLES = r"""
- name: Wait until the old gateway has been idle for ten minutes
  bluegreen.mesh.gateway_traffic_info:
    kubeconfig: ~/.kube/config
    context: production
    namespace: istio-system
    service: public-ingressgateway
    window: 600
    wait: 7200
  register: seen
  failed_when: not seen.idle
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
  sample: ["public-ingressgateway-6c9f: 3 requests since the earlier snapshot"]
quiet_for:
  description: Seconds since the last sign of traffic that was seen.
  returned: success
  type: float
snapshot:
  description:
    - To be given as O(previous) to the next call. It is the start of the quiet time, and so a new one after traffic.
  returned: success
  type: dict
requests:
  description: HTTP requests since the pods started. V(null) if it is unknown for one of them.
  returned: success
  type: int
connections:
  description: Connections since the pods started. V(null) if it is unknown for one of them.
  returned: success
  type: int
open_connections:
  description: Client connections open now. V(null) if it is unknown for one pod.
  returned: success
  type: int
unknown:
  description: What is unknown, and why.
  returned: success
  type: list
  elements: str
pods:
  description: The same for every running pod, ready or not.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The pod.
      type: str
    ready:
      description: Whether it is ready.
      type: bool
    requests:
      description: HTTP requests since it started, or V(null).
      type: int
    connections:
      description: Connections since it started, or V(null).
      type: int
    open_connections:
      description: Client connections open now, or V(null).
      type: int
    sources:
      description: The statistic that each value is from.
      type: dict
    unknown:
      description: What is unknown, and why.
      type: list
      elements: str
"""

import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _envoy_stats, _module, _pod_metrics
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ClusterError, path_of

LOOK_SECONDS = 2.0  # between looks while waiting


def read(cluster, pod, protocols):
    meta = pod["metadata"]
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    try:
        page = _pod_metrics.page_of(cluster, pod)
    except ClusterError as exc:
        unknown = [f"{meta['name']}: its metrics can't be read: {exc}"]
        return _envoy_stats.PodTraffic(meta["name"], meta["uid"], ready, unknown=unknown)
    return _envoy_stats.read_pod(meta["name"], meta["uid"], ready, page, protocols)


def check_previous(previous):
    if previous is not None and not (isinstance(previous.get("pods"), dict) and "since" in previous):
        raise _module.Refusal("bad_option", "previous: expected the snapshot of an earlier call of this module.")


def look(cluster, params, previous):
    selector = params["selector"]
    if selector is None:
        try:
            selector = _pod_metrics.selector_of(cluster, params["namespace"], params["service"])
        except _module.Refusal as exc:
            if exc.code != "no_such_service" or not params["gone_is_idle"]:
                raise
            return gone(previous)
    listed = cluster.list(path_of("v1", "pods", params["namespace"]), {"labelSelector": selector})
    if params["gone_is_idle"] and not any(_pod_metrics.running(pod) for pod in listed):
        return gone(previous)
    found = cluster.parallel(
        lambda pod: read(cluster, pod, params["protocols"]), [pod for pod in listed if _pod_metrics.running(pod)]
    )
    unknown = [text for pod in found for text in pod.unknown]
    if not found:
        unknown.append(f"no running pod in namespace {params['namespace']} has the labels {selector}")
    verdict = _envoy_stats.judge(found, unknown, previous, time.time(), params["window"], params["protocols"])
    return found, unknown, verdict


def gone(previous):
    at = time.time()
    quiet = at - previous["since"] if previous else 0.0
    return [], [], _envoy_stats.Verdict("idle", [], quiet, _envoy_stats.snapshot([], at))


def operation(module, cluster):
    params = module.params
    check_previous(params["previous"])
    if not params["protocols"]:
        raise _module.Refusal("bad_option", "protocols: expected http, tcp, or both; found none.")
    deadline = time.monotonic() + params["wait"]
    found, unknown, verdict = look(cluster, params, params["previous"])
    while verdict.word != "idle" and time.monotonic() < deadline:
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        found, unknown, verdict = look(cluster, params, verdict.snapshot)
    return {
        "changed": False,
        "verdict": verdict.word,
        "idle": verdict.word == "idle",
        "reasons": verdict.reasons,
        "quiet_for": round(verdict.quiet_for, 1),
        "snapshot": verdict.snapshot,
        **{name: _envoy_stats.total(found, name) for name in ("requests", "connections", "open_connections")},
        "unknown": unknown,
        "pods": [
            {
                name: getattr(pod, name)
                for name in ("name", "ready", "requests", "connections", "open_connections", "sources", "unknown")
            }
            for pod in found
        ],
    }


def main():
    _module.run(
        operation,
        {
            "namespace": {"type": "str", "required": True},
            "selector": {"type": "str"},
            "service": {"type": "str"},
            "protocols": {"type": "list", "elements": "str", "choices": ["http", "tcp"], "default": ["http"]},
            "previous": {"type": "dict"},
            "window": {"type": "int", "default": 0},
            "wait": {"type": "int", "default": 0},
            "gone_is_idle": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("selector", "service")],
        required_one_of=[("selector", "service")],
    )


if __name__ == "__main__":
    main()
