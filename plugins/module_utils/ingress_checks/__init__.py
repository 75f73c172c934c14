# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would go wrong with a conversion although each annotation was understood: one file each, with a stable CODE and
check(world, tables, objects).

To add one: a file here, its name in both lists, a test, and a row in docs/journeys/ingress_to_istio.md.
The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import typing as t

from .._inventory import Finding
from . import (
    certificate_elsewhere,
    certificate_owned,
    connection_reuse,
    deny_reaches_tcp,
    host_taken,
    http01_solver,
    passthrough_beside,
    port_protocol,
    reference_unresolved,
    regex_host_wide,
    secret_elsewhere,
    service_missing,
    tls_secret_conflict,
    wildcard_wider,
    workload_missing,
    workload_port,
)

CHECKS = (
    certificate_elsewhere,
    certificate_owned,
    connection_reuse,
    deny_reaches_tcp,
    host_taken,
    http01_solver,
    passthrough_beside,
    port_protocol,
    reference_unresolved,
    regex_host_wide,
    secret_elsewhere,
    service_missing,
    tls_secret_conflict,
    wildcard_wider,
    workload_missing,
    workload_port,
)


def examine(world: t.Any, tables: t.Sequence[t.Any], objects: t.Sequence[dict[str, t.Any]]) -> list[Finding]:
    return [finding for check in CHECKS for finding in check.check(world, tables, objects)]
