# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ServiceMonitors and PodMonitors that collect from blue, and green's copies of them.

Rules of the Prometheus operator that are encoded here (its API reference, monitoring.coreos.com/v1):

- A monitor looks in its own namespace, unless namespaceSelector names others, or all (any).
- Prometheus chooses monitors by their labels and namespace. So a copy has its source's labels, and stays beside it
  unless that is in blue's namespace.
- Secrets that an endpoint names are read in the monitor's namespace.
"""

from __future__ import annotations

import re
import typing as t

from ._inventory import Inventory, Object, Workload, labels_of, ref_of
from ._objects import picks
from ._servers import service_on_green

# Labels that say whose an object is; a copy with one of these would be taken for its source's owner's.
OWNERS = re.compile(
    r"^(app\.kubernetes\.io/(managed-by|instance|version)|helm\.sh/.*|argocd\.argoproj\.io/.*"
    r"|(kustomize|helm)\.toolkit\.fluxcd\.io/.*|heritage|chart)$"
)
SECRETS = ("basicAuth", "authorization", "bearerTokenSecret", "oauth2", "tlsConfig")
VERSIONED = ("helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by")
Refuse = t.Callable[[Object, str, str], t.NoReturn]


def takes(monitor: Object, namespace: str, labels: dict[str, str] | None) -> bool:
    """labels None: those of a Service that is still to be made; then its namespace decides."""
    spec = monitor.get("spec") or {}
    where = spec.get("namespaceSelector") or {}
    there = where.get("any") or namespace in (where.get("matchNames") or [ref_of(monitor)[0]])
    return bool(there) and (labels is None or picks(spec.get("selector") or {}, labels))


def lacking(inventory: Inventory, workload: Workload, kind: str, known: t.Sequence[Object]) -> list[Object]:
    """Those that take from blue, where none of the kind takes from green. known: those that count for green."""
    service, green = inventory.find("services", workload.blue), inventory.find("services", workload.green)
    if kind == "ServiceMonitor":
        blues: list[dict[str, str]] = [labels_of(service)] if service else []
        greens = labels_of(green) if green else None
    else:
        blues, greens = inventory.blue_labels(workload), workload.green_labels
    if any(takes(monitor, workload.green[0], greens) for monitor in known):
        return []
    return [monitor for monitor in known if any(takes(monitor, workload.blue[0], labels) for labels in blues)]


def target_namespace(workload: Workload, source: Object) -> str:
    own = ref_of(source)[0]
    return workload.green[0] if own == workload.blue[0] else own


def kept_labels(source: Object) -> dict[str, str]:
    return {key: value for key, value in labels_of(source).items() if not OWNERS.match(key)}


def rewrite(inventory: Inventory, workload: Workload, source: Object, spec: Object, refuse: Refuse) -> None:
    namespace = target_namespace(workload, source)
    field = "endpoints" if source["kind"] == "ServiceMonitor" else "podMetricsEndpoints"
    service = service_on_green(inventory, workload) or {}
    ports = {port.get("name") for port in (service.get("spec") or {}).get("ports") or ()}
    for i, endpoint in enumerate(spec.get(field) or ()):
        secret = next((key for key in SECRETS if endpoint.get(key)), "")
        if secret and namespace != ref_of(source)[0]:
            refuse(source, f"spec.{field}[{i}].{secret}", f"what it names is not in {namespace}; write green's own.")
        if field == "endpoints" and endpoint.get("port") and endpoint["port"] not in ports:
            refuse(source, f"spec.{field}[{i}].port", f"green's Service has no port {endpoint['port']}; write green's own.")
    spec["selector"] = {"matchLabels": _selected(inventory, workload, source["kind"])}
    spec["namespaceSelector"] = {"matchNames": [workload.green[0]]}


def _selected(inventory: Inventory, workload: Workload, kind: str) -> dict[str, str]:
    """Labels of green's Service, where the pods' are not among them; without those that change with each version."""
    green = inventory.find("services", workload.green)
    found = labels_of(green) if green and kind == "ServiceMonitor" else workload.green_labels
    if workload.green_labels.items() <= found.items():
        return dict(workload.green_labels)
    return {key: value for key, value in found.items() if key not in VERSIONED}
