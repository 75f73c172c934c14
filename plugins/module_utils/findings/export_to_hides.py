# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What blue's pods see, green's do not: exportTo goes by the namespace of the gateway's pods.

Tried: a VirtualService with exportTo [blue's namespace] answers 200 on blue and 404 on green.
"""

from __future__ import annotations

import typing as t

from .._inventory import (
    ERROR, WARNING, Finding, Inventory, full_host, host_covers, named, namespaces_of, ref_of, service_of, visible,
)  # fmt: skip
from .._policies import POLICY_OF
from .._twin import is_ours

CODE = "export_to_hides"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for vs, pairs in inventory.routed:
        if (vs.get("spec") or {}).get("hosts"):  # a delegate is looked up by its root, whoever asks
            found += _hidden(
                vs, inventory.exported((vs.get("spec") or {}).get("exportTo"), "VirtualService"),
                {namespaces_of(p) for p in pairs}, "spec.exportTo", ERROR,
            )  # fmt: skip
    for rule in inventory["destination_rules"]:
        spec = rule.get("spec") or {}
        pattern = full_host(spec.get("host", ""), ref_of(rule)[0])
        sides = {s for host, reached in inventory.routed_hosts.items() if host_covers(pattern, host) for s in reached}
        copied = {ref_of(r)[0] for r in inventory["destination_rules"] if is_ours(r, POLICY_OF) == named(rule)}
        exported = inventory.exported(spec.get("exportTo"), "DestinationRule")
        found += _hidden(rule, exported, {s for s in sides if s[1] not in copied}, "spec.exportTo", WARNING)
    for entry in inventory["service_entries"]:
        spec = entry.get("spec") or {}
        sides = {s for h, reached in inventory.routed_hosts.items() if h in (spec.get("hosts") or ()) for s in reached}
        exported = inventory.exported(spec.get("exportTo"), "Service")  # ServiceEntries go by the default of Services
        found += _hidden(entry, exported, sides, "spec.exportTo", ERROR)
    for host, sides in inventory.routed_hosts.items():
        ref = service_of(host)
        service = inventory.find("services", ref) if ref else None
        if service:
            given = (service["metadata"].get("annotations") or {}).get("networking.istio.io/exportTo", "")
            scopes = inventory.exported([part.strip() for part in given.split(",") if part.strip()], "Service")
            found += _hidden(service, scopes, sides, "metadata.annotations[networking.istio.io/exportTo]", ERROR)
    return found


def _hidden(
    item: dict[str, t.Any],
    export_to: t.Sequence[str] | None,
    sides: t.Iterable[tuple[str, str]],
    field: str,
    severity: str,
) -> list[Finding]:
    own = ref_of(item)[0]
    dark = sorted({g for b, g in sides if visible(export_to, own, b) and not visible(export_to, own, g)})
    if not dark:
        return []
    return [
        Finding(
            CODE, severity, named(item), field, f"{list(export_to or ())} hides it from namespace {', '.join(dark)}",
            f"Add {', '.join(dark)} to exportTo, at the source of this object.",
        )
    ]  # fmt: skip
