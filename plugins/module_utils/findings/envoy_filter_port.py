# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An EnvoyFilter that names a listener or route of blue's by a port that green does not listen on: it stops matching.

The old ingress chart maps 80 to 8080; Istio's gateway chart has 80 for both, so listener 8080 and route http.8080 go.
"""

from __future__ import annotations

import re
import typing as t

from .._inventory import ERROR, Finding, Inventory, Workload, named
from .._policies import copy_of

CODE = "envoy_filter_port"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        gone = _gone(inventory, workload)
        for envoy_filter in inventory["envoy_filters"] if gone else ():
            if copy_of(inventory, workload, envoy_filter):
                continue  # green has it with its own ports
            for field, port in _ports(envoy_filter):
                if port in gone:
                    found.append(
                        Finding(
                            CODE, ERROR, named(envoy_filter), field,
                            f"port {port} is one of blue's ({workload.name}); green has {gone[port]}",
                            "Add a patch for green's port, or keep blue's ports on green.",
                        )
                    )  # fmt: skip
    return found


def _gone(inventory: Inventory, workload: Workload) -> dict[int, str]:
    """Blue's listener port -> what green has instead."""
    gone = {
        old: str(new)
        for pair in inventory.pairs
        if pair.workload == workload
        for old, new in pair.ports.items()
        if old != new
    }
    blue, green = (_targets(inventory, ref) for ref in (workload.blue, workload.green))
    if green:
        gone |= {port: ", ".join(map(str, sorted(green))) for port in blue - green}
    return gone


def _targets(inventory: Inventory, ref: tuple[str, str]) -> set[int]:
    service = inventory.find("services", ref) or {}
    ports = (service.get("spec") or {}).get("ports") or ()
    return {p.get("targetPort") or p["port"] for p in ports if isinstance(p.get("targetPort") or p["port"], int)}


def _ports(envoy_filter: dict[str, t.Any]) -> t.Iterator[tuple[str, int]]:
    for number, patch in enumerate((envoy_filter.get("spec") or {}).get("configPatches") or ()):
        match = (patch or {}).get("match") or {}
        for kind in ("listener", "routeConfiguration"):
            part = match.get(kind) or {}
            if part.get("portNumber"):
                yield f"spec.configPatches[{number}].match.{kind}.portNumber", int(part["portNumber"])
            named_port = re.search(r"(?:^http\.|_|^https\.)([0-9]+)(?:$|\.)", part.get("name") or "")
            if named_port:
                yield f"spec.configPatches[{number}].match.{kind}.name", int(named_port[1])
            host = re.search(r":([0-9]+)$", (part.get("vhost") or {}).get("name") or "")
            if host:
                yield f"spec.configPatches[{number}].match.{kind}.vhost.name", int(host[1])
