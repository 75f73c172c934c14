# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS Secret that a Gateway names is not where the gateway's pods read it.

The listener is there all the same, and every handshake fails. Istio reads the Secret from the namespace of the pods.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, named, namespaces_of
from .._twin import Ref, credentials, missing_ca, title

CODE = "secret_missing"


def check(inventory: Inventory) -> list[Finding]:
    """Blue's now; green's once its Gateway is there, or beforehand if certificates are not to be copied."""
    if "secrets" in inventory.unread:
        return []  # says the finding `unreadable`
    found = []
    for pair in inventory.pairs:
        blue, green = inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)
        blue_namespace, green_namespace = namespaces_of(pair)
        if blue:
            found += _missing(inventory, blue, blue_namespace)
        if green:
            found += _missing(inventory, green, green_namespace)
        elif blue and inventory.certificates == "require":
            found += _missing(inventory, blue, green_namespace)
    return found


def _missing(inventory: Inventory, gateway: dict[str, t.Any], namespace: str) -> t.Iterator[Finding]:
    spec = gateway.get("spec") or {}
    for credential in credentials(spec):
        ref: Ref = (namespace, credential.name)
        if not credential.optional and not inventory.find("secrets", ref):
            yield Finding(
                CODE, ERROR, f"Secret {title(ref)}", "metadata.name",
                f"{named(gateway)} names it, and it does not exist",
                f"Create it in namespace {namespace}, where the gateway's pods are, or correct credentialName.",
            )  # fmt: skip
    for name in missing_ca(spec, lambda name: inventory.find("secrets", (namespace, name))):
        if inventory.find("secrets", (namespace, name)):
            yield Finding(
                CODE, ERROR, f"Secret {namespace}/{name}-cacert", "data[ca.crt]",
                f"{named(gateway)} asks for client certificates, and neither this nor {name} holds a CA",
                f"Add ca.crt to {name}, or create {name}-cacert.",
            )  # fmt: skip
