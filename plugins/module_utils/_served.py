# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that gateways serve, and the hosts that they serve with them."""

from __future__ import annotations

from ._gateways import describe_certificate
from ._inventory import CERTIFICATE_KEYS, GatewayPair, Inventory, Object, namespaces_of, ref_of
from ._servers import narrower
from ._twin import Ref, credentials


def pem_of(secret: Object) -> str:
    """The certificate, in base64, of a Secret that a Gateway names; '' where there is none."""
    data = secret.get("data") or {}
    return next((data[key] for key in CERTIFICATE_KEYS if data.get(key)), "")


def certificates(inventory: Inventory) -> dict[Ref, Object]:
    """What is in each Secret that a Gateway of a pair names, on either side; those that can't be read are left out."""
    found: dict[Ref, Object] = {}
    for pair in inventory.pairs:
        for gateway in filter(None, (inventory.find("gateways", ref) for ref in (pair.blue, pair.green))):
            for credential in credentials(gateway.get("spec") or {}):
                for namespace in namespaces_of(pair):
                    secret = inventory.find("secrets", (namespace, credential.name))
                    if secret and pem_of(secret) and ref_of(secret) not in found:
                        described = describe_certificate(namespace, credential.name, secret)
                        if not described["error"]:
                            found[ref_of(secret)] = described
    return found


def covers(name: str, host: str) -> bool:
    """Whether a certificate's name is one for `host`, which may be a wildcard itself (RFC 6125: one label)."""
    if name == host:
        return True
    return name.startswith("*.") and not host.startswith("*") and host.partition(".")[2] == name[2:]


def hosts_at(inventory: Inventory, pair: GatewayPair, server: Object) -> set[str]:
    """What clients may ask this server of the pair's Gateway for: its own hosts that are no bare wildcard, and those of
    the VirtualServices on it."""
    own = [entry.rpartition("/")[2] for entry in server.get("hosts") or ()]
    routed = {
        host
        for vs, pairs in inventory.routed if pair in pairs
        for host in (vs.get("spec") or {}).get("hosts") or ()
        if any(host == wide or narrower(host, wide) for wide in own)
    }  # fmt: skip
    return {host for host in {*own, *routed} if host != "*"}
