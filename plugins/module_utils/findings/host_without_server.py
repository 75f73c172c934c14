# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of a VirtualService that no server of its Gateway has: nobody reaches it there.

`istioctl analyze` calls it IST0132, for each Gateway by itself. Here a host is well if any Gateway has it that the
VirtualService names; and what blue has, green must have where it is there already.
"""

from __future__ import annotations

from .. import _virtual_services
from .._inventory import ERROR, WARNING, Finding, Inventory, Object, named, ref_of
from .._servers import narrower
from .._twin import title

CODE = "host_without_server"


def check(inventory: Inventory) -> list[Finding]:
    if "gateways" in inventory.unread:
        return []  # says the finding `unreadable`
    found = []
    gateways = {title(ref_of(gateway)): gateway for gateway in inventory["gateways"]}
    for vs, pairs in inventory.routed:
        space = ref_of(vs)[0]
        given = [name for names in _virtual_services.lists_of(vs).values() for name in names]
        own = [gateways.get(_virtual_services.resolve(name, space) or "") for name in given]
        both = [(inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)) for pair in pairs]
        for host in (vs.get("spec") or {}).get("hosts") or ():
            if not any(gateway and _serves(gateway, host, space) for gateway in own):
                found.append(
                    Finding(
                        CODE, WARNING, named(vs), "spec.hosts", f"no server of its Gateways has {host}",
                        "Add the host to a server, or take it out here; nobody reaches it now.",
                    )
                )  # fmt: skip
            for blue, green in both:
                if blue and green and _serves(blue, host, space) and not _serves(green, host, space):
                    found.append(
                        Finding(
                            CODE, ERROR, named(vs), "spec.hosts",
                            f"{named(blue)} has a server for {host}, and {named(green)} has none",
                            "Add the host to the green Gateway, where it is made.",
                        )
                    )  # fmt: skip
    return found


def _serves(gateway: Object, host: str, namespace: str) -> bool:
    """Whether a server takes any of what `host` stands for, from VirtualServices of this namespace."""
    for server in (gateway.get("spec") or {}).get("servers") or ():
        for entry in server.get("hosts") or ():
            scope, slash, name = entry.rpartition("/")
            scope = ref_of(gateway)[0] if scope == "." else scope
            if (not slash or scope in ("*", namespace)) and _meet(host.lower(), name.lower()):
                return True
    return False


def _meet(one: str, other: str) -> bool:
    return one == other or narrower(one, other) or narrower(other, one)
