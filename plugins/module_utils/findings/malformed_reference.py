# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VirtualService names a gateway in a way that means none: binding can't find it by its gateway."""

from __future__ import annotations

from .. import _virtual_services
from .._gateways import near
from .._inventory import ERROR, WARNING, Finding, Inventory, named, ref_of
from .._twin import title

CODE = "malformed_reference"


def check(inventory: Inventory) -> list[Finding]:
    """Green's names may be there before green is: naming a Gateway that does not exist yet is harmless (tried)."""
    known = {title(ref_of(g)) for g in inventory["gateways"]} | {title(p.green) for p in inventory.pairs}
    found = []
    for vs in inventory["virtual_services"]:
        for pointer, names in _virtual_services.lists_of(vs).items():
            for number, name in enumerate(names):
                meant = _virtual_services.resolve(name, vs["metadata"]["namespace"])
                field = f"{_virtual_services.dotted(pointer)}[{number}]"
                if meant is None:
                    found.append(
                        Finding(
                            CODE, ERROR, named(vs), field, f"{name!r} is not a reference to a Gateway",
                            "Write NAMESPACE/NAME.",
                        )
                    )  # fmt: skip
                elif meant not in known and meant != _virtual_services.MESH and "gateways" not in inventory.unread:
                    alike = near(meant, known)
                    found.append(
                        Finding(
                            CODE, WARNING, named(vs), field, f"{name!r} means {meant}, which does not exist",
                            f"Correct or remove it.{f' Did you mean {alike[0]}?' if alike else ''}",
                        )
                    )  # fmt: skip
    return found
