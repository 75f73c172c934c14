# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Gateway whose certificate is a file in the pod: green's pods have it only if they mount it."""

from __future__ import annotations

from .._inventory import ERROR, Finding, Inventory, named

CODE = "certificate_files"
FIELDS = ("serverCertificate", "privateKey", "caCertificates", "caCrl")


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for pair in inventory.pairs:
        gateway = inventory.find("gateways", pair.blue)
        for number, server in enumerate(((gateway or {}).get("spec") or {}).get("servers") or ()):
            tls = server.get("tls") or {}
            given = [(f"tls.{f}", tls[f]) for f in FIELDS if tls.get(f)]
            given += [
                (f"tls.tlsCertificates[{i}].{f}", entry[f])
                for i, entry in enumerate(tls.get("tlsCertificates") or ()) for f in FIELDS if entry.get(f)
            ]  # fmt: skip
            if gateway and given and not tls.get("credentialName"):
                found.append(
                    Finding(
                        CODE, ERROR, named(gateway), f"spec.servers[{number}].{given[0][0]}",
                        f"{', '.join(path for _field, path in given)} are files in blue's pods",
                        "Use credentialName, or mount the same files into green's pods and waive this.",
                    )
                )  # fmt: skip
    return found
