# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A green Gateway that is there already serves other namespaces' routes than blue: `./HOST` means its own namespace.

A twin that gateway_twin writes keeps the meaning; this looks at Gateways that others wrote.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, named, ref_of

CODE = "gateway_host_scope"


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for pair in inventory.pairs:
        blue, green = inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)
        if not blue or not green:
            continue
        served = _scopes(green)
        for scope, host in sorted(_scopes(blue)):
            if (scope, host) not in served and ("*", host) not in served and any(host == h for _s, h in served):
                given = sorted(f"{s}/{h}" for s, h in served if h == host)
                found.append(
                    Finding(
                        CODE, ERROR, named(green), "spec.servers[].hosts",
                        f"blue serves {host} for routes of {_words(scope)}, and this serves {', '.join(given)} alone",
                        f"Write {scope}/{host} here.",
                    )
                )  # fmt: skip
    return found


def _scopes(gateway: dict[str, t.Any]) -> set[tuple[str, str]]:
    """(namespace or *, host) of every server's hosts, as istiod resolves them."""
    result = set()
    for server in (gateway.get("spec") or {}).get("servers") or ():
        for entry in server.get("hosts") or ():
            scope, slash, host = entry.rpartition("/")
            result.add(((ref_of(gateway)[0] if scope == "." else scope) if slash else "*", host))
    return result


def _words(scope: str) -> str:
    return "every namespace" if scope == "*" else f"namespace {scope}"
