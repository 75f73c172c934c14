# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every trap that preflight knows: one file each, with a stable CODE and one function, check(inventory).

To add one: a file here, its name in both lists below, a test in tests/unit/findings, and a row in docs/findings.md.
The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import typing as t

from .._inventory import Finding, Inventory
from . import (
    app_owned_gateway,
    backend_policy_principal,
    certificate_files,
    delegate_gateways,
    destination_rule_scope,
    envoy_filter_port,
    export_to_hides,
    external_traffic_local,
    field_owner,
    gateway_api_route,
    gateway_host_scope,
    gateway_missing,
    hpa_on_blue,
    ingress_class_istio,
    malformed_reference,
    node_port_taken,
    policy_bound_to_blue,
    same_workload,
    secret_missing,
    source_namespace_match,
    unreadable,
)

TRAPS = (
    app_owned_gateway,
    backend_policy_principal,
    certificate_files,
    delegate_gateways,
    destination_rule_scope,
    envoy_filter_port,
    export_to_hides,
    external_traffic_local,
    field_owner,
    gateway_api_route,
    gateway_host_scope,
    gateway_missing,
    hpa_on_blue,
    ingress_class_istio,
    malformed_reference,
    node_port_taken,
    policy_bound_to_blue,
    same_workload,
    secret_missing,
    source_namespace_match,
    unreadable,
)
CODES = tuple(trap.CODE for trap in TRAPS)


def examine(inventory: Inventory, waive: t.Collection[str] = ()) -> tuple[list[Finding], list[Finding], list[str]]:
    """(findings that stand, findings that are waived, waivers that waived nothing); errors first, then by code."""
    everything = [finding for trap in TRAPS for finding in trap.check(inventory)]
    unique = sorted(set(everything), key=lambda f: (f.severity, f.code, f.object, f.field, f.found))
    standing = [f for f in unique if not f.waived_by(waive)]
    waived = [f for f in unique if f.waived_by(waive)]
    used = {f.waived_by([w]) for f in waived for w in waive}
    return standing, waived, sorted(set(waive) - used)
