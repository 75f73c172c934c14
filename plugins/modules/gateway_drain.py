#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_drain
short_description: End the connections that a gateway's pods still have, by replacing the pods one after another
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Evicts each pod of O(services) that has open connections, or may have, so that PodDisruptionBudgets hold. Waits each
    time until it is gone and as many pods are ready as before, so that the gateway goes on being able to serve.
  - The pod's proxy drains as it is set to. It asks clients of HTTP to go, which they do with nothing lost. TLS
    passthrough, WebSockets and plain TCP can't be asked. What is still open at its end is cut.
  - Counts what is open until a pod's end, and returns it.
  - It changes no desired state, and there is nothing to undo. Send new connections elsewhere first, else clients come
    back.
options:
  services:
    description: Services of the gateway, as C(NAMESPACE/NAME). The pods that they select are drained.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds until the replacement of a pod must be ready. If it is not, no more pods are evicted.
    type: int
    default: 300
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on C(services), C(list) on C(pods), C(create) on C(pods/eviction), and C(get) on C(pods/proxy). Without
    the last one it is not known what is open, so that every pod is evicted, and what is cut can't be told.
  - With O(journal) it only makes sure that no newer run has taken over. Nothing is recorded.
  - Check mode asks the API server whether each pod might be evicted now.
seealso:
  - module: bluegreen.mesh.traffic_idle_info
"""

EXAMPLES = r"""
- name: End what is still open at the old gateway
  bluegreen.mesh.gateway_drain:
    kubeconfig: ~/.kube/config
    context: production
    services: [istio-system/public-ingressgateway]
  register: drained
"""

RETURN = r"""
pods:
  description: The pods that were evicted, in this order. In check mode those that would be.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
    name:
      description: The pod.
      type: str
    open_connections:
      description: Client connections open when it was evicted. V(null) if unknown.
      type: int
    last_seen:
      description:
        - Those still open when its statistics could be read for the last time. They were cut, but for those that ended by
          themselves in the moment after. V(null) if unknown.
      type: int
    last_seen_after:
      description: How many seconds after the eviction that was.
      type: float
    seconds:
      description: Seconds until it was gone.
      type: float
    time_given:
      description:
        - C(termination_grace_period_seconds), and what the proxy is told to do with it, as far as the pod says so, else
          V(null). C(exit_on_zero_active_connections), C(minimum_drain_duration) and C(termination_drain_duration).
      type: dict
cut:
  description: Sum of C(last_seen). V(null) if one of them is unknown.
  returned: success
  type: int
summary:
  description: The same, a sentence for each pod.
  returned: success
  type: list
  elements: str
left:
  description: Pods that had no open connection, and were left alone, as C(NAMESPACE/NAME).
  returned: success
  type: list
  elements: str
"""

import dataclasses
import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _drain, _module, _pod_metrics
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, ClusterError, path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils.idle_sources import gateway

POLL_SECONDS = 0.5
MARGIN = 60  # seconds beyond its grace period that a pod may take to be gone


def open_at(cluster, pod):
    try:
        page = _pod_metrics.page_of(cluster, pod)
    except ClusterError:
        return None
    return gateway.meter_of("", "", page, ["connections", "open_connections"]).open_connections


def pods_of(cluster, place):
    namespace, selector = place
    listed = cluster.list(path_of("v1", "pods", namespace), {"labelSelector": selector})
    return [pod for pod in listed if _pod_metrics.running(pod)]


def evict(cluster, pod, dry_run):
    """Whether it was there to be evicted."""
    meta = pod["metadata"]
    path = path_of("v1", "pods", meta["namespace"], meta["name"], "eviction")
    try:
        cluster.create(path, _drain.eviction(pod, dry_run), dry_run=dry_run)
    except ApiError as exc:
        if exc.status in (404, 409):  # gone, or another one by now
            return False
        refusal = _drain.forbidden(pod, exc.body)
        if refusal:
            raise refusal from exc
        raise
    return True


def follow(cluster, place, pod, before, drained, timeout):
    """Until it is gone and replaced, counting what is open."""
    begin = time.monotonic()
    gone = False
    while True:
        try:
            now = pods_of(cluster, place)
        except ClusterError:
            now = None  # the time is limited below
        after = round(time.monotonic() - begin, 1)
        if now is not None and not gone:
            gone = not any(one["metadata"]["uid"] == pod["metadata"]["uid"] for one in now)
            drained.seconds = after
            number = None if gone else open_at(cluster, pod)
            if number is not None:
                drained.last_seen, drained.last_seen_after = number, after
        if gone and now is not None and _drain.replaced(before, now, _pod_metrics.ready):
            return
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if not gone and after > _drain.grace_of(pod) + MARGIN:
            raise _module.Refusal("not_gone", f"Pod {where} was evicted, and is still there after {after:g} s.")
        if gone and after > drained.seconds + timeout:
            raise _module.Refusal(
                "not_replaced",
                f"Pod {where} is gone, and not as many pods are ready as before after {timeout} s. Look at the events of"
                " its controller, and run it again once they are.",
            )
        time.sleep(POLL_SECONDS)


def drain(cluster, journal, work, left, timeout):
    done = []
    try:
        for place, pod, _number in work:
            if journal:
                journal.check()
            before, number = pods_of(cluster, place), open_at(cluster, pod)
            if number == 0:
                left.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
            elif evict(cluster, pod, dry_run=False):
                meta = pod["metadata"]
                done.append(
                    _drain.Drained(meta["namespace"], meta["name"], number, number, time_given=_drain.time_given(pod))
                )
                follow(cluster, place, pod, before, done[-1], timeout)
    except (_module.Refusal, ClusterError) as exc:
        if not done:
            raise
        said = "; ".join(map(_drain.words_of, done))
        code = exc.code if isinstance(exc, _module.Refusal) else "cluster"
        raise _module.Refusal(
            code, f"{exc} No more pods are evicted. Until then: {said}.", pods=[dataclasses.asdict(one) for one in done]
        ) from exc
    return done


def operation(module, cluster):
    params = module.params
    if not params["services"]:
        raise _module.Refusal("bad_option", "services: expected at least one, as NAMESPACE/NAME; found none.")
    gateway.check({"services": params["services"], "selectors": [], "counts": ["connections"]})
    journal = Journal.load(cluster, params["journal"])
    work, left = [], []
    for title in params["services"]:
        namespace, name = title.split("/", 1)
        place = namespace, _pod_metrics.selector_of(cluster, namespace, name)
        pods = [pod for pod in pods_of(cluster, place) if not _drain.going(pod)]
        for pod, number in zip(pods, cluster.parallel(lambda one: open_at(cluster, one), pods)):
            if number == 0:
                left.append(f"{namespace}/{pod['metadata']['name']}")
            else:
                work.append((place, pod, number))
    _drain.check_replaced(pod for _place, pod, _number in work)
    names = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for _place, pod, _number in work]
    if module.check_mode:
        done = [
            _drain.Drained(
                pod["metadata"]["namespace"], pod["metadata"]["name"], number, None, time_given=_drain.time_given(pod)
            )
            for _place, pod, number in work
            if evict(cluster, pod, dry_run=True)
        ]
    else:
        done = drain(cluster, journal, work, left, params["timeout"])
    return {
        "changed": bool(done),
        "pods": [dataclasses.asdict(one) for one in done],
        "cut": _drain.total_cut(done),
        "summary": [] if module.check_mode else [_drain.words_of(one) for one in done],
        "left": left,
        "diff": {"before": {"pods_with_connections": names}, "after": {"pods_with_connections": []}},
    }


def main():
    _module.run(
        operation,
        {
            "services": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
