# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway pods' own statistics, through the API server. What an Istio gateway shows of them:

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

import typing as t

from .. import _envoy_stats, _pod_metrics
from .._client import ClusterError, path_of
from .._idle import TOLD, Look, Meter
from .._module import Refusal
from ._source import Tools

NAME = "gateway"
TELLS = TOLD
UNSEEN = ("what comes to a pod that is gone",)
OPTIONS: dict[str, t.Any] = {
    "services": {"type": "list", "elements": "str", "default": []},
    "selectors": {"type": "list", "elements": "str", "default": []},
    "counts": {"type": "list", "elements": "str", "choices": list(TOLD), "default": ["connections", "open_connections"]},
}
# The first of these that a pod has is used.
REQUESTS = ("envoy_http_downstream_rq_total", "istio_requests_total")
CONNECTIONS = (
    "istio_tcp_connections_opened_total", "envoy_tcp_downstream_cx_total", "envoy_listener_downstream_cx_total",
)  # fmt: skip
OPENED, STANDING, BEGINNING = (
    "envoy_listener_downstream_cx_total", "envoy_listener_downstream_cx_active", "envoy_listener_downstream_pre_cx_active",
)  # fmt: skip
HTTP_STANDING, ALL_STANDING = "envoy_http_downstream_cx_active", "envoy_server_total_connections"


def check(options: dict[str, t.Any]) -> None:
    if not options["services"] and not options["selectors"]:
        raise Refusal("bad_option", "sources.gateway: expected services or selectors; found neither.")
    if not options["counts"]:
        raise Refusal("bad_option", f"sources.gateway.counts: expected one of {', '.join(TOLD)}; found none.")
    for name in ("services", "selectors"):
        for title in options[name]:
            namespace, _sep, rest = title.partition("/")
            if not namespace or not rest:
                raise Refusal(
                    "bad_option", f"sources.gateway.{name}: {title!r} is not NAMESPACE/{name[:-1].upper()}."
                )


def look(options: dict[str, t.Any], tools: Tools) -> Look:
    cluster = tools.cluster()
    found, empty = [], []
    for namespace, selector in _places(cluster, options, tools.gone_is_idle):
        listed = cluster.list(path_of("v1", "pods", namespace), {"labelSelector": selector})
        pods = [pod for pod in listed if _pod_metrics.running(pod)]
        if not pods:
            empty.append(f"no running pod in namespace {namespace} has the labels {selector}")
        found += cluster.parallel(lambda pod: _meter(cluster, pod, options["counts"]), pods)
    if tools.gone_is_idle:
        return Look(found, gone=not found)
    return Look(found, empty)


def _places(cluster: t.Any, options: dict[str, t.Any], gone_is_idle: bool) -> list[tuple[str, str]]:
    places = [tuple(title.split("/", 1)) for title in options["selectors"]]
    for title in options["services"]:
        namespace, name = title.split("/", 1)
        try:
            places.append((namespace, _pod_metrics.selector_of(cluster, namespace, name)))
        except Refusal as exc:
            if exc.code != "no_such_service" or not gone_is_idle:
                raise
    return places


def _meter(cluster: t.Any, pod: dict[str, t.Any], counts: t.Sequence[str]) -> Meter:
    meta = pod["metadata"]
    try:
        page = _pod_metrics.page_of(cluster, pod)
    except ClusterError as exc:
        meter = Meter(meta["name"], meta["uid"], tuple(counts))
        meter.unknown.append(f"{meta['name']}: its metrics can't be read: {exc}")
    else:
        meter = meter_of(meta["name"], meta["uid"], page, counts)
    meter.detail["ready"] = _pod_metrics.ready(pod)
    if not meter.detail["ready"]:
        meter.blind = []  # a proxy that has no configuration yet has none of its statistics either
    return meter


def meter_of(name: str, uid: str, text: str, counts: t.Sequence[str]) -> Meter:
    """A pod's traffic from its metrics page. What is not asked of it is told if it is known."""
    found = _envoy_stats.sums(text)
    meter = Meter(name, uid, tuple(counts), uptime=found.get("envoy_server_uptime"))
    for field, names in (("requests", REQUESTS), ("connections", CONNECTIONS)):
        source = next((n for n in names if n in found), None)
        if source:
            setattr(meter, field, found[source])
            meter.sources[field] = source
        elif field in counts:
            meter.unknown.append(f"{name}: {field}: none of {', '.join(names)} is among its statistics")
            if ALL_STANDING in found:  # this is the whole page of an Envoy
                meter.blind.append(meter.unknown[-1])
    if STANDING in found:
        _opens(meter, STANDING, found[STANDING] + found.get(BEGINNING, 0))
        if OPENED in found:
            meter.turnover = (found[OPENED], found[STANDING])
    elif HTTP_STANDING in found and "connections" not in counts:  # it serves HTTP alone
        _opens(meter, HTTP_STANDING, found[HTTP_STANDING])
    elif found.get(ALL_STANDING) == 0:
        _opens(meter, ALL_STANDING, 0)
    elif "open_connections" not in counts:
        pass
    elif ALL_STANDING in found:
        meter.unknown.append(
            f"{name}: open_connections: {ALL_STANDING} is {found[ALL_STANDING]}, but counts readiness checks and metrics"
            " readers too, and listener statistics are not included"
        )
    else:
        meter.unknown.append(f"{name}: open_connections: no statistic tells them")
    return meter


def _opens(meter: Meter, source: str, number: int) -> None:
    meter.open_connections = number
    meter.sources["open_connections"] = source
