# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway pod's page of statistics: what clients did, without what the proxy's own listeners count."""

from __future__ import annotations

import re
import typing as t

OWN_PORTS = frozenset(("15000", "15004", "15020", "15021", "15053", "15090"))
OWN_MANAGERS = frozenset(("admin", "agent", "stats"))
_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_WANTED = (
    "istio_requests_total", "istio_tcp_connections_opened_total", "envoy_http_downstream_rq_total",
    "envoy_tcp_downstream_cx_total", "envoy_listener_downstream_cx_total", "envoy_listener_downstream_cx_active",
    "envoy_listener_downstream_pre_cx_active", "envoy_http_downstream_cx_active", "envoy_server_total_connections",
    "envoy_server_uptime",
)  # fmt: skip


def samples(text: str, wanted: tuple[str, ...] = _WANTED) -> t.Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of every statistic that is wanted, from Prometheus' text format."""
    for line in text.splitlines():
        if not line.startswith(wanted):
            continue
        match = _SAMPLE.match(line)
        if not match or match[1] not in wanted:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        yield match[1], dict(_LABEL.findall(match[2] or "")), value


def sums(text: str) -> dict[str, int]:
    """Each statistic's sum over what clients do; a name that the text has no sample of is not in the result.

    A gateway that no route is bound to may have no listener for clients, and so nothing of theirs to count. Where its own
    listeners are among the statistics, such a one would be too: then it is 0, and not unknown.
    """
    result: dict[str, int] = {}
    for name, labels, value in samples(text):
        if _of_clients(name, labels):
            result[name] = result.get(name, 0) + int(value)
        elif "listener_address" in labels:
            result.setdefault(name, 0)
    return result


def _of_clients(name: str, labels: dict[str, str]) -> bool:
    """Whether it counts what clients did, as this gateway saw it: not the proxy's own listeners."""
    if name.startswith("istio_") and labels.get("reporter", "source") != "source":
        return False
    manager = labels.get("http_conn_manager_prefix") or labels.get("envoy_http_conn_manager_prefix") or ""
    if manager.rstrip(";") in OWN_MANAGERS:
        return False
    return labels.get("listener_address", "").rpartition("_")[2] not in OWN_PORTS


# Answers by their code, and how long they took; the first of these families that a pod has is used.
# Upstream Envoy has the class as a digit; Istio's proxy is told to write it as 2xx, and names the statistic so.
_ENVOY_ANSWERS = ("envoy_http_downstream_rq", "envoy_http_downstream_rq_xx")
_ANSWERS = (*_ENVOY_ANSWERS, "istio_requests_total")
_CODES = ("response_code_class", "envoy_response_code_class", "response_code")
_DURATIONS = {
    "envoy": "envoy_http_downstream_rq_time_bucket", "istio": "istio_request_duration_milliseconds_bucket",
}  # fmt: skip


def answers(text: str) -> dict[str, t.Any]:
    """What clients were answered since the pod started: {requests, failed, buckets, source}.

    failed: those of 5xx. buckets: cumulative counts by upper bound in milliseconds, as text; {} without a histogram.
    source: envoy, istio, or "" where the page tells nothing of answers (Istio's own statistic comes with the first).
    """
    counts: dict[str, list[int]] = {}
    buckets: dict[str, dict[str, int]] = {"envoy": {}, "istio": {}}
    for name, labels, value in samples(text, (*_ANSWERS, *_DURATIONS.values())):
        if not _of_clients(name, labels):
            continue
        family = name.partition("_")[0]
        if name in _ANSWERS:
            code = next((labels[k] for k in _CODES if k in labels), "")
            tally = counts.setdefault(family, [0, 0])
            tally[0] += int(value)
            tally[1] += int(value) if code.startswith("5") else 0
        elif "le" in labels:
            bound = "inf" if labels["le"] == "+Inf" else labels["le"]
            buckets[family][bound] = buckets[family].get(bound, 0) + int(value)
    source = next((family for family in ("envoy", "istio") if family in counts), "")
    requests, failed = counts.get(source, (0, 0))
    return {"requests": requests, "failed": failed, "buckets": buckets.get(source, {}), "source": source}
