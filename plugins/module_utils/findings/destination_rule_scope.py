# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DestinationRule in the namespace of blue's pods no longer applies, or no longer first (_destination_rules)."""

from __future__ import annotations

from .._destination_rules import lost
from .._inventory import WARNING, Finding, Inventory, named, namespaces_of

CODE = "destination_rule_scope"


def check(inventory: Inventory) -> list[Finding]:
    found = {}
    for blue, green in sorted({namespaces_of(pair) for pair in inventory.pairs}):
        for rule, hosts, shadowed in lost(inventory, blue, green):
            at = f"copy it into that of green's pods, {green} (mesh_policies: copy does)"
            if hosts:
                found[named(rule), "namespace", green] = Finding(
                    CODE, WARNING, named(rule), "metadata.namespace",
                    f"it is in the namespace of blue's pods, and green will not use it for {', '.join(hosts)}",
                    f"Move it to the namespace of the destination's Service, or {at}.",
                )  # fmt: skip
            if shadowed:
                found[named(rule), "host", green] = Finding(
                    CODE, WARNING, named(rule), "spec.host",
                    f"blue uses it before the rule beside the Service, green after: {', '.join(shadowed)}",
                    f"Make the rules agree, or {at}.",
                )  # fmt: skip
    return list(found.values())
