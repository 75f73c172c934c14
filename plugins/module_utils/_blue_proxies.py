# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether blue's proxies still hear istiod, and by which root certificate: what keeping is for.

An Envoy that has lost istiod serves on from what it knows, until a certificate expires or an endpoint moves. A new root
(istio-ca-secret made anew by an istiod that was reinstalled) breaks mutual TLS to every workload that has not restarted.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ._client import ApiError, Cluster, path_of
from ._gateways import istio_list, list_pods, pods_of
from ._objects import ref_of

PORT = 15020  # pilot-agent's, with Envoy's own statistics merged in
ROOT = "istio-ca-root-cert"  # ConfigMap that istiod keeps in every namespace
# Envoy's word for an open stream to its control plane; where the inclusion list leaves that out, as Istio's does, the
# stream itself, which the agent ends when it loses istiod. (Its connection goes to the agent, and says nothing.)
_CONNECTED = (
    re.compile(r"^envoy_control_plane_connected_state(?:\{[^}]*\})? (\S+)", re.MULTILINE),
    re.compile(r'^envoy_cluster_upstream_rq_active\{[^}]*cluster_name="xds-grpc"[^}]*\} (\S+)', re.MULTILINE),
)


def connected(statistics: str) -> bool | None:
    """From Prometheus' text. None where the statistics do not say."""
    for pattern in _CONNECTED:
        found = pattern.search(statistics)
        if found:
            return float(found[1]) > 0
    return None


def look(cluster: Cluster, gateways: t.Sequence[tuple[str, str]]) -> dict[str, t.Any]:
    """`proxies`, each pod of the Gateways with what it says; `roots`, by namespace, a digest of the root certificate."""
    wanted = [g for g in istio_list(cluster, "gateways") if ref_of(g) in set(gateways)]
    listed = list_pods(cluster, wanted)
    keys = sorted({ref_of(pod) for gateway in wanted for pod in pods_of(gateway, listed)})
    statistics = cluster.parallel(lambda key: _statistics(cluster, *key), keys)
    namespaces = sorted({namespace for namespace, _name in keys} | {namespace for namespace, _name in gateways})
    roots = cluster.parallel(lambda namespace: cluster.find(path_of("v1", "configmaps", namespace, ROOT)), namespaces)
    for answer in roots:
        if isinstance(answer, Exception):
            raise answer
    return {
        "proxies": [
            {
                "namespace": namespace, "name": name,
                "connected": None if isinstance(text, Exception) else connected(text),
                "problem": str(text) if isinstance(text, Exception) else None,
            }
            for (namespace, name), text in zip(keys, statistics)
        ],
        "roots": {
            namespace: hashlib.sha256("".join(sorted((body.get("data") or {}).values())).encode()).hexdigest()
            for namespace, body in zip(namespaces, roots) if body
        },
    }  # fmt: skip


def _statistics(cluster: Cluster, namespace: str, name: str) -> str:
    """Raises ApiError for an answer that is none."""
    path = path_of("v1", "pods", namespace, f"{name}:{PORT}", "proxy/stats/prometheus")
    status, _headers, data = cluster.raw("GET", path, retry=False)
    if status >= 400:
        raise ApiError(status, "GET", path, {}, data[:300].decode("utf-8", "replace"))
    return data.decode("utf-8", "replace")
