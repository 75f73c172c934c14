# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is served with a certificate that does not name it: clients refuse the connection.

A wildcard in a certificate covers one label, whereas `*.example.com` in a Gateway takes a.b.example.com in as well.
"""

from __future__ import annotations

from .._inventory import ERROR, WARNING, Finding, GatewayPair, Inventory, Object, namespaces_of
from .._served import certificates, covers, hosts_at
from .._twin import Ref, credentials, title

CODE = "certificate_names"


def check(inventory: Inventory) -> list[Finding]:
    """What blue's does not cover either is a warning; what only green's does not is an error."""
    served = certificates(inventory)
    found: dict[Ref, tuple[str, set[str], Object]] = {}
    for pair in inventory.pairs:
        blue, green = inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)
        namespaces = namespaces_of(pair)
        lacking = _lacking(inventory, pair, blue, namespaces[0], served)
        known = {host for hosts in lacking.values() for host in hosts}
        for ref, hosts in lacking.items():
            found.setdefault(ref, (WARNING, set(), served[ref]))[1].update(hosts)
        for ref, hosts in _lacking(inventory, pair, green or blue, namespaces[1], served).items():
            if hosts - known:
                found.setdefault(ref, (ERROR, set(), served[ref]))[1].update(hosts - known)
    return [
        Finding(
            CODE, severity, f"Secret {title(ref)}", "data[tls.crt]",
            f"it names {', '.join(certificate['sans']) or 'no host'}, and not {', '.join(sorted(hosts))}",
            "Add the names to the certificate. One for *.example.com does not cover a.b.example.com.",
        )
        for ref, (severity, hosts, certificate) in found.items()
    ]  # fmt: skip


def _lacking(
    inventory: Inventory, pair: GatewayPair, gateway: Object | None, namespace: str, served: dict[Ref, Object]
) -> dict[Ref, set[str]]:
    """Secret -> the hosts that a server with it serves and that none of the server's certificates names."""
    result: dict[Ref, set[str]] = {}
    for server in ((gateway or {}).get("spec") or {}).get("servers") or ():
        refs = [(namespace, c.name) for c in credentials({"servers": [server]}) if (namespace, c.name) in served]
        names = [name for ref in refs for name in served[ref]["sans"]]
        hosts = {h for h in hosts_at(inventory, pair, server) if not any(covers(name, h) for name in names)}
        if refs and hosts:
            result.setdefault(refs[0], set()).update(hosts)
    return result
