# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DestinationRules that blue's pods use because of the namespace they are in, and green's copies of them.

For a destination, istiod asks the namespace of the gateway's pods, then that of the destination's Service, then the
mesh's root namespace. What blue has in its own namespace, green does not.
"""

from __future__ import annotations

import typing as t

from ._inventory import Inventory, Object, Workload, full_host, host_covers, named, ref_of, service_of
from ._objects import picks


class Lost(t.NamedTuple):
    """hosts: for which green has no such rule; shadowed: for which it has another one first, with that one's name."""

    rule: Object
    hosts: list[str]
    shadowed: list[str]


def lost(
    inventory: Inventory, blue: str, green: str, known: t.Sequence[Object] | None = None,
    blue_labels: t.Sequence[dict[str, str]] | None = None,
) -> list[Lost]:  # fmt: skip
    """What pods in namespace `green` lack of what those in namespace `blue` use. known: the rules that count; a rule in
    green's namespace decides for its hosts. blue_labels: those of blue's pods, for rules with a workloadSelector."""
    rules = [(rule, pattern(rule)) for rule in (inventory["destination_rules"] if known is None else known)]
    found = []
    for rule, hosts in rules if blue != green else ():
        selector = (rule.get("spec") or {}).get("workloadSelector")
        if ref_of(rule)[0] != blue:
            continue
        if selector and blue_labels is not None and not any(picks(selector, labels) for labels in blue_labels):
            continue
        gone, shadowed = [], []
        for host, sides in sorted(inventory.routed_hosts.items()):
            home = (service_of(host) or ("", ""))[0]
            if (blue, green) not in sides or not host_covers(hosts, host) or home in (blue, green):
                continue
            if any(ref_of(r)[0] == green and host_covers(p, host) for r, p in rules):
                continue
            others = [named(r) for r, p in rules if ref_of(r)[0] == home and host_covers(p, host)]
            if blue != inventory.root_namespace:
                gone.append(host)
            elif others:
                shadowed.append(f"{host} ({', '.join(others)})")
        if gone or shadowed:
            found.append(Lost(rule, gone, shadowed))
    return found


def lacking(inventory: Inventory, workload: Workload, known: t.Sequence[Object]) -> list[Object]:
    labels = inventory.blue_labels(workload)
    return [one.rule for one in lost(inventory, workload.blue[0], workload.green[0], known, labels)]


def pattern(rule: Object) -> str:
    return full_host((rule.get("spec") or {}).get("host", ""), ref_of(rule)[0])


def rewrite(workload: Workload, source: Object, spec: Object) -> None:
    """As it reads in green's namespace, and for that alone: a rule there may be used by others, too."""
    spec["host"] = pattern(source)
    spec["exportTo"] = ["."]
    if spec.get("workloadSelector"):
        spec["workloadSelector"] = {"matchLabels": dict(workload.green_labels)}
