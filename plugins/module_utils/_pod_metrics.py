# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway pod's page of metrics, through the API server's pod proxy: no kubelet, exec or port-forward is needed."""

from __future__ import annotations

import typing as t

from . import _objects
from ._client import ClusterError, path_of
from ._module import Refusal

PORTS = (15020, 15090)  # Istio's merged metrics; Envoy's own, where the former is switched off


def running(pod: dict[str, t.Any]) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"


def ready(pod: dict[str, t.Any]) -> bool:
    return _objects.holds(pod, "Ready")


def selector_of(cluster: t.Any, namespace: str, service: str) -> str:
    """By which labels a Service selects its pods. Raises Refusal(no_such_service, no_selector)."""
    where = f"Service {namespace}/{service}"
    found = cluster.find(path_of("v1", "services", namespace, service))
    if found is None:
        raise Refusal("no_such_service", f"{where} does not exist.")
    labels = _objects.selector_of(found)
    if not labels:
        raise Refusal("no_selector", f"{where} has no selector: its pods can't be told. Use the option selector.")
    return _objects.label_query(labels)


def page_of(cluster: t.Any, pod: dict[str, t.Any]) -> str:
    """Raises ClusterError with what each port answered where none has the page."""
    meta = pod["metadata"]
    failures = []
    for port in PORTS:
        path = path_of("v1", "pods", meta["namespace"], f"{meta['name']}:{port}", "proxy/stats/prometheus")
        try:
            # A pod that can't be reached is an answer, so no retries: they would only hold up the other pods' reading.
            status, _headers, body = cluster.raw("GET", path, retry=False)
        except ClusterError as exc:
            failures.append(f"{port}: {exc}")
            continue
        if status == 200:
            return body.decode("utf-8", "replace")
        hint = " (get on pods/proxy is not allowed)" if status == 403 else ""
        failures.append(f"port {port} answered {status}{hint}")
    raise ClusterError("; ".join(failures))
