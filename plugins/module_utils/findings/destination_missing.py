# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A route leads to a host that is no Service and in no ServiceEntry: the gateway answers 503.

`istioctl analyze` calls it IST0101. A warning, as it is so on blue too, and as a Service may be another cluster's; but
verifying then compares two 503, and who looks for a fault after the cutover will find this one first.
"""

from __future__ import annotations

from .._inventory import WARNING, Finding, Inventory, full_host, host_covers, named, ref_of, service_of

CODE = "destination_missing"


def check(inventory: Inventory) -> list[Finding]:
    if inventory.unread & {"services", "service_entries"}:
        return []  # says the finding `unreadable`
    external = {
        full_host(host, ref_of(entry)[0])
        for entry in inventory["service_entries"]
        for host in (entry.get("spec") or {}).get("hosts") or ()
    }
    found = []
    for vs, _pairs in inventory.routed:
        for field, host in inventory.destinations(vs):
            full = full_host(host, ref_of(vs)[0])
            ref = service_of(full)
            if ref and inventory.find("services", ref) or any(host_covers(wide, full) for wide in external):
                continue
            what = f"Service {ref[0]}/{ref[1]}" if ref else f"host {full} in a ServiceEntry"
            found.append(
                Finding(
                    CODE, WARNING, named(vs), field, f"there is no {what} in this cluster",
                    "Correct the host, or take the route out. With Services of other clusters, accept it.",
                )
            )  # fmt: skip
    return found
