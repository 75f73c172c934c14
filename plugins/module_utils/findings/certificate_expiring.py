# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that a gateway serves has expired, or will within two weeks: in the middle of the migration."""

from __future__ import annotations

import datetime

from .._inventory import ERROR, WARNING, Finding, Inventory
from .._served import certificates
from .._twin import title

CODE = "certificate_expiring"
SOON = datetime.timedelta(days=14)


def check(inventory: Inventory) -> list[Finding]:
    now = datetime.datetime.now(datetime.timezone.utc)
    found = []
    for ref, certificate in certificates(inventory).items():
        end = datetime.datetime.fromisoformat(certificate["not_after"])
        if end < now + SOON:
            found.append(
                Finding(
                    CODE, ERROR if end < now else WARNING, f"Secret {title(ref)}", "data[tls.crt]",
                    f"the certificate {'expired' if end < now else 'expires'} on {end:%Y-%m-%d} (subject"
                    f" {certificate['subject'] or 'empty'}, names {', '.join(certificate['sans']) or 'none'})",
                    "Renew it before the migration.",
                )
            )  # fmt: skip
    return found
