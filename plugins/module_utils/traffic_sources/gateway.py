# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway pods' own counters, through the API server: what real clients were answered, and how fast.

Counters are since a pod's start, so a window is two readings. A pod that came in between began at nothing; one whose
proxy was restarted counts from there; what one that is gone had counted is lost.
"""

from __future__ import annotations

import typing as t

from .. import _envoy_stats, _pod_metrics
from .._client import path_of
from .._module import Refusal
from ._source import COLOURS, Measured, Tally, Tools, Window, percentile_of

NAME = "gateway"
REAL = True
COUNTS_PROBES = True
UNSEEN = ("connections that never became a request: refused, or failed handshakes", "TLS passthrough and plain TCP")
OPTIONS = {colour: {"type": "list", "elements": "str", "required": True} for colour in COLOURS}
Counts = dict[str, dict[str, t.Any]]  # pod's uid -> {name, requests, failed, buckets: {le as text: count}}


def begin(options: dict[str, t.Any], tools: Tools) -> dict[str, t.Any]:
    return {colour: _read(tools.cluster(), options[colour]) for colour in COLOURS}


def measure(options: dict[str, t.Any], begun: dict[str, t.Any], _window: Window, tools: Tools) -> Measured:
    now = begin(options, tools)
    notes = [
        f"{pod['name']} ({colour}) has no statistic of its answers; if it does not only pass TLS through, include http"
        " by the annotation sidecar.istio.io/statsInclusionPrefixes"
        for colour in COLOURS
        for pod in now[colour].values()
        if not pod["source"]
    ]
    timed = any(pod["buckets"] for colour in COLOURS for pod in now[colour].values())
    return Measured(*(difference(begun[colour], now[colour]) for colour in COLOURS), notes=tuple(notes), latency=timed)


def difference(before: Counts, now: Counts) -> Tally:
    """One colour's traffic between two readings of its pods."""
    requests = failed = 0
    buckets: dict[float, float] = {}
    for uid, pod in now.items():
        old = before.get(uid) or {}
        if old and pod["requests"] < old["requests"]:
            old = {}
        requests += pod["requests"] - old.get("requests", 0)
        failed += max(0, pod["failed"] - old.get("failed", 0))
        for bound, count in pod["buckets"].items():
            since = (old.get("buckets") or {}).get(bound, 0)
            buckets[float(bound)] = buckets.get(float(bound), 0) + max(0, count - since)
    return Tally(requests, failed, percentile_of(buckets))


def _read(cluster: t.Any, services: t.Sequence[str]) -> Counts:
    found: Counts = {}
    for title in services:
        namespace, _sep, name = title.partition("/")
        selector = _pod_metrics.selector_of(cluster, namespace, name)
        listed = cluster.list(path_of("v1", "pods", namespace), {"labelSelector": selector})
        pods = [pod for pod in listed if _pod_metrics.running(pod)]
        for pod, page in zip(pods, cluster.parallel(lambda pod: _pod_metrics.page_of(cluster, pod), pods)):
            if isinstance(page, Exception):
                raise Refusal(
                    "unreadable",
                    f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: its metrics can't be read: {page}. Allow"
                    " get on pods/proxy there, let the API server's addresses through its NetworkPolicies, or take the"
                    " source gateway out of mesh_traffic",
                )
            found[pod["metadata"]["uid"]] = {"name": pod["metadata"]["name"], **_envoy_stats.answers(page)}
    return found
