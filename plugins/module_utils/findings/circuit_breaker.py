# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DestinationRule's connection pool limits what one proxy may do. With twice as many gateway pods, a destination gets
twice as much before any of them says no; with fewer, clients are refused earlier."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding, Inventory, Object, full_host, host_covers, named, visible
from .._objects import ref_of
from .._sizes import count

CODE = "circuit_breaker"
LIMITS = {
    "tcp": ("maxConnections",),
    "http": ("http1MaxPendingRequests", "http2MaxRequests", "maxRetries"),
}


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for rule in inventory["destination_rules"]:
        spec = rule.get("spec") or {}
        limits = list(_limits(spec))
        if not limits:
            continue
        pattern = full_host(spec.get("host", ""), ref_of(rule)[0])
        exported = inventory.exported(spec.get("exportTo"), "DestinationRule")
        namespaces = {
            blue
            for host, sides in inventory.routed_hosts.items()
            if host_covers(pattern, host)
            for blue, green in sides
            if any(visible(exported, ref_of(rule)[0], side) for side in (blue, green))
        }
        for workload in inventory.workloads:
            if workload.blue[0] in namespaces:
                found.append(
                    Finding(
                        CODE, WARNING, named(rule), limits[0][0],
                        f"{', '.join(text for _field, text in limits)}, for each proxy by itself:"
                        f" {count(inventory, workload).in_all()} (workload {workload.name})",
                        "See that the destination can take as much while both sides serve, or lower it until the cleanup."
                        " Raise it if green has fewer pods.",
                    )
                )  # fmt: skip
    return found


def _limits(spec: Object) -> t.Iterator[tuple[str, str]]:
    """(field, words) of every limit in a rule, its ports and its subsets."""
    policies = [("spec.trafficPolicy", spec.get("trafficPolicy") or {})]
    for number, subset in enumerate(spec.get("subsets") or ()):
        policies.append((f"spec.subsets[{number}].trafficPolicy", (subset or {}).get("trafficPolicy") or {}))
    for field, policy in list(policies):
        for number, port in enumerate(policy.get("portLevelSettings") or ()):
            policies.append((f"{field}.portLevelSettings[{number}]", port or {}))
    for field, policy in policies:
        pool = policy.get("connectionPool") or {}
        for kind, names in LIMITS.items():
            for name in names:
                if (pool.get(kind) or {}).get(name):
                    yield f"{field}.connectionPool.{kind}.{name}", f"{name} {pool[kind][name]}"
