# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DestinationRule in the namespace of blue's pods no longer applies, or no longer first.

For a destination, istiod asks the namespace of the gateway's pods, then that of the destination's Service, then the
mesh's root namespace. What blue has in its own namespace, green does not.
"""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, full_host, host_covers, named, ref_of, service_of

CODE = "destination_rule_scope"


def check(inventory: Inventory) -> list[Finding]:
    rules = [
        (rule, full_host((rule.get("spec") or {}).get("host", ""), ref_of(rule)[0]))
        for rule in inventory["destination_rules"]
    ]
    found = []
    for rule, pattern in rules:
        namespace = ref_of(rule)[0]
        lost, shadowed = [], []
        for host, sides in sorted(inventory.routed_hosts.items()):
            home = (service_of(host) or ("", ""))[0]
            if not host_covers(pattern, host) or home == namespace or not any(b == namespace != g for b, g in sides):
                continue
            others = [named(r) for r, p in rules if ref_of(r)[0] == home and host_covers(p, host)]
            if namespace != inventory.root_namespace:
                lost.append(host)
            elif others:
                shadowed.append(f"{host} ({', '.join(others)})")
        if lost:
            found.append(
                Finding(
                    CODE, WARNING, named(rule), "metadata.namespace",
                    f"it is in the namespace of blue's pods, and green will not use it for {', '.join(lost)}",
                    "Move it to the namespace of the destination's Service, or copy it into that of green's pods.",
                )
            )  # fmt: skip
        if shadowed:
            found.append(
                Finding(
                    CODE, WARNING, named(rule), "spec.host",
                    f"blue uses it before the rule beside the Service, green after: {', '.join(shadowed)}",
                    "Make the rules agree, or copy this one into the namespace of green's pods.",
                )
            )  # fmt: skip
    return found
