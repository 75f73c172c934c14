# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delegate's match names a gateway that its root's route does not: istiod drops that match of the delegate."""

from __future__ import annotations

from .. import _virtual_services
from .._inventory import WARNING, Finding, Inventory, named, ref_of
from .._twin import title

CODE = "delegate_gateways"


def check(inventory: Inventory) -> list[Finding]:
    by_key = {title(ref_of(vs)): vs for vs in inventory["virtual_services"]}
    found = []
    for root, _pairs in inventory.routed:
        if _virtual_services.is_delegate(root):
            continue
        own = root["metadata"]["namespace"]
        for i, route in enumerate((root.get("spec") or {}).get("http") or ()):
            given = (route or {}).get("delegate")
            delegate = by_key.get(f"{given.get('namespace') or own}/{given['name']}") if given else None
            if not delegate:
                continue
            matches = (route or {}).get("match") or [{}]
            allowed = {
                _virtual_services.resolve(name, own)
                for match in matches
                for name in (match or {}).get("gateways") or (root["spec"].get("gateways") or [_virtual_services.MESH])
            }
            for pointer, names in _virtual_services.lists_of(delegate).items():
                extra = [
                    n for n in names if _virtual_services.resolve(n, delegate["metadata"]["namespace"]) not in allowed
                ]
                if extra and pointer != _virtual_services.TOP:
                    found.append(
                        Finding(
                            CODE, WARNING, named(delegate), _virtual_services.dotted(pointer),
                            f"{', '.join(extra)}: not among the gateways of {named(root)} spec.http[{i}]"
                            f" ({', '.join(sorted(map(str, allowed)))})",
                            "Name them in the root too, or take them out here.",
                        )
                    )  # fmt: skip
    return found
