# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copied certificate that something renews at its source, and that nothing renews where green reads it.

cert-manager, External Secrets and the like write the Secret in blue's namespace. A copy of it in green's is right until
the next renewal; then blue serves the new certificate and green the old one, until that expires.
"""

from __future__ import annotations

from .._inventory import ERROR, WARNING, Finding, Inventory, Object, annotations_of, namespaces_of, ref_of
from .._served import pem_of
from .._twin import COPY_OF, Ref, credentials, title

CODE = "certificate_copy_stale"


def check(inventory: Inventory) -> list[Finding]:
    """A warning as long as nothing has gone stale. Certificates of green's own namespace are what to have."""
    found = []
    for pair in inventory.pairs:
        blue_namespace, green_namespace = namespaces_of(pair)
        gateway = inventory.find("gateways", pair.blue) or inventory.find("gateways", pair.green)
        for credential in credentials((gateway or {}).get("spec") or {}) if blue_namespace != green_namespace else ():
            source = inventory.find("secrets", (blue_namespace, credential.name))
            copy = inventory.find("secrets", (green_namespace, credential.name))
            renewer = _renewer(inventory, source) if source else ""
            ours = bool(copy) and annotations_of(copy).get(COPY_OF) == f"{blue_namespace}/{credential.name}"
            to_come = not copy and inventory.certificates in _to_be_copied(inventory, source)
            if not source or not renewer or not (ours or to_come):
                continue
            if _issued(inventory, (green_namespace, credential.name)):
                continue
            stale = ours and pem_of(copy) != pem_of(source)
            words = "is of an earlier certificate" if stale else "will stay as it is" if ours else "would not follow"
            found.append(
                Finding(
                    CODE, ERROR if stale else WARNING, f"Secret {title(ref_of(source))}", "data[tls.crt]",
                    f"{renewer} renews it; its copy in {green_namespace} {words}",
                    f"Give namespace {green_namespace} a Certificate of its own for {credential.name}: set"
                    " mesh_certificates: certificate, which makes one from blue's, or make it yourself and set"
                    " mesh_certificates: require. Cutover and soak copy again after a renewal; between these, run deploy"
                    " again.",
                )
            )  # fmt: skip
    return found


def _to_be_copied(inventory: Inventory, source: Object | None) -> tuple[str, ...]:
    """The settings of certificates with which this Secret will be copied."""
    return ("copy",) if source and _issued(inventory, ref_of(source)) else ("copy", "certificate")


def _renewer(inventory: Inventory, secret: Object) -> str:
    namespace, name = ref_of(secret)
    issued = _issued(inventory, (namespace, name))
    if issued:
        return f"Certificate {title(ref_of(issued))}"
    noted = annotations_of(secret).get("cert-manager.io/certificate-name")
    if noted:
        return f"Certificate {namespace}/{noted}"
    owners = secret["metadata"].get("ownerReferences") or ()
    return next((f"{o['kind']} {namespace}/{o['name']}" for o in owners if o.get("controller")), "")


def _issued(inventory: Inventory, secret: Ref) -> Object | None:
    """cert-manager's Certificate that writes this Secret."""
    namespace, name = secret
    return next(
        (
            c for c in inventory["certificates"]
            if ref_of(c)[0] == namespace and (c.get("spec") or {}).get("secretName") == name
        ),
        None,
    )  # fmt: skip
