# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway's pods say about their traffic, and whether that amounts to "idle".

The rule is that unknown is an answer and never means idle. Envoy's statistics, as an Istio gateway shows them:

- `istio_requests_total` and `istio_tcp_connections_opened_total` come from Istio's own proxy only, and appear with the
  first request or connection; reporter="source" is the gateway's own view.
- `envoy_http_downstream_*` and `envoy_listener_downstream_*` are there only if the pod includes them
  (proxyStatsMatcher, or the annotation sidecar.istio.io/statsInclusionPrefixes). They also count the proxy's own
  listeners: readiness (15021), metrics (15090) and administration (15000), by listener address or as HTTP connection
  manager agent, stats or admin.
- `envoy_server_total_connections` is always there, is brought up to date every 5 s, and counts all listeners, those of
  the proxy itself too. So 0 is an answer, and any other value is none.
- A health check that only connects is no request, and no connection to a listener that awaits a TLS hello.
"""

from __future__ import annotations

import dataclasses
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
# the first of these that a pod has is used; what answers for connections is asked of protocol tcp only
REQUEST_SOURCES = ("envoy_http_downstream_rq_total", "istio_requests_total")
CONNECTION_SOURCES = (
    "istio_tcp_connections_opened_total", "envoy_tcp_downstream_cx_total", "envoy_listener_downstream_cx_total",
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
    """Each statistic's sum over what clients do; a name that the text has no sample of is not in the result."""
    result: dict[str, int] = {}
    for name, labels, value in samples(text):
        if _of_clients(name, labels):
            result[name] = result.get(name, 0) + int(value)
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


@dataclasses.dataclass
class PodTraffic:
    """One pod. requests, connections: counted since it started; open_connections: now; None is unknown.

    sources: which statistic each of them is from; unknown: why, for each that is None.
    """

    name: str
    uid: str
    ready: bool
    requests: int | None = None
    connections: int | None = None
    open_connections: int | None = None
    uptime: int | None = None
    sources: dict[str, str] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)


def read_pod(name: str, uid: str, ready: bool, text: str, protocols: t.Collection[str]) -> PodTraffic:
    """A pod's traffic from its metrics page. protocols: http, tcp, or both: what its Gateways serve."""
    found = sums(text)
    pod = PodTraffic(name, uid, ready, uptime=found.get("envoy_server_uptime"))
    for field, names, protocol in (
        ("requests", REQUEST_SOURCES, "http"), ("connections", CONNECTION_SOURCES, "tcp"),
    ):  # fmt: skip
        source = next((n for n in names if n in found), None)
        if source:
            setattr(pod, field, found[source])
            pod.sources[field] = source
        elif protocol in protocols:
            pod.unknown.append(f"{name}: {field}: none of {', '.join(names)} is among its statistics")
    if "envoy_listener_downstream_cx_active" in found:
        pod.open_connections = found["envoy_listener_downstream_cx_active"] + found.get(
            "envoy_listener_downstream_pre_cx_active", 0
        )
        pod.sources["open_connections"] = "envoy_listener_downstream_cx_active"
    elif "envoy_http_downstream_cx_active" in found and "tcp" not in protocols:
        pod.open_connections = found["envoy_http_downstream_cx_active"]
        pod.sources["open_connections"] = "envoy_http_downstream_cx_active"
    elif found.get("envoy_server_total_connections") == 0:
        pod.open_connections = 0
        pod.sources["open_connections"] = "envoy_server_total_connections"
    elif "envoy_server_total_connections" in found:
        pod.unknown.append(
            f"{name}: open_connections: envoy_server_total_connections is {found['envoy_server_total_connections']},"
            " but counts readiness checks and metrics readers too, and listener statistics are not included"
        )
    else:
        pod.unknown.append(f"{name}: open_connections: no statistic tells them")
    return pod


def total(pods: t.Sequence[PodTraffic], field: str) -> int | None:
    """The sum over all pods; None when it is unknown for one of them, or there is none."""
    values = [getattr(pod, field) for pod in pods]
    return None if not values or None in values else sum(values)


def snapshot(pods: t.Sequence[PodTraffic], at: float) -> dict[str, t.Any]:
    """What a later call compares with. at: seconds since the epoch."""
    return {
        "since": at,
        "pods": {
            pod.uid: {"name": pod.name, "uptime": pod.uptime, "sources": pod.sources,
                      "requests": pod.requests, "connections": pod.connections}
            for pod in pods
        },
    }  # fmt: skip


@dataclasses.dataclass
class Verdict:
    """word: idle, busy or unknown. reasons: why not idle. quiet_for: seconds without traffic. snapshot: for the next
    call."""

    word: str
    reasons: list[str]
    quiet_for: float
    snapshot: dict[str, t.Any]


def judge(
    pods: t.Sequence[PodTraffic], unknown: t.Sequence[str], previous: dict[str, t.Any] | None, at: float, window: float,
    protocols: t.Collection[str],
) -> Verdict:  # fmt: skip
    """Idle only if every pod is known, is the same process as at the start of the window, and had no traffic since.

    The snapshot that is returned is the start of the quiet time: the previous one while all is quiet, else a new one.
    """
    fresh = snapshot(pods, at)
    busy = [f"{pod.name}: {pod.open_connections} open connection(s)" for pod in pods if pod.open_connections]
    doubts = list(unknown) or [text for pod in pods for text in pod.unknown]
    if not pods and not doubts:
        doubts.append("no running pod")
    if previous is None:
        doubts.append("there is no earlier snapshot to compare with")
    else:
        more_busy, more_doubts = _compare(pods, previous, protocols)
        busy += more_busy
        doubts += more_doubts
    if busy:
        return Verdict("busy", busy, 0.0, fresh)
    if doubts or previous is None:
        return Verdict("unknown", doubts, 0.0, fresh)
    quiet = at - float(previous["since"])
    if quiet < 0:
        return Verdict("unknown", ["the clock went backwards since the earlier snapshot"], 0.0, fresh)
    if quiet < window:
        return Verdict("unknown", [f"quiet for {quiet:.0f} of {window:g} s"], quiet, previous)
    return Verdict("idle", [], quiet, previous)


def _compare(
    pods: t.Sequence[PodTraffic], previous: dict[str, t.Any], protocols: t.Collection[str]
) -> tuple[list[str], list[str]]:
    busy, doubts = [], []
    before = previous["pods"]
    for uid, old in before.items():
        if uid not in {pod.uid for pod in pods}:
            doubts.append(f"{old['name']}: is gone since the earlier snapshot, and what it served last with it")
    for pod in pods:
        old = before.get(pod.uid)
        if old is None:
            doubts.append(f"{pod.name}: is new since the earlier snapshot")
            continue
        if pod.uptime is not None and old["uptime"] is not None and pod.uptime < old["uptime"]:
            doubts.append(f"{pod.name}: was restarted since the earlier snapshot")
        for field, protocol in (("requests", "http"), ("connections", "tcp")):
            now, then = getattr(pod, field), old[field]
            if protocol not in protocols or now is None:
                continue
            if then is None or old["sources"].get(field) != pod.sources.get(field):
                doubts.append(f"{pod.name}: {field} were not known from the same statistic before")
            elif now < then:
                doubts.append(f"{pod.name}: {field} went back from {then} to {now}: its proxy was restarted")
            elif now > then:
                busy.append(f"{pod.name}: {now - then} {field} since the earlier snapshot")
    return busy, doubts
