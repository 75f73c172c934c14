# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every trap that preflight knows: one file each, with a stable CODE and one function, check(inventory).

To add one: a file here, its name in both lists below, a test in tests/unit/findings, a page in
docs/findings, and a row in docs/findings.md.
The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import typing as t

from .._inventory import Finding, Inventory
from . import (
    alb_ends_tls,
    alb_without_sni,
    alert_on_blue,
    app_owned_gateway,
    argocd_diff,
    backend_policy_principal,
    blue_no_deployment,
    certificate_copy_stale,
    certificate_expiring,
    certificate_files,
    certificate_names,
    circuit_breaker,
    dashboard_on_blue,
    delegate_gateways,
    destination_missing,
    destination_rule_scope,
    east_west_gateway,
    envoy_filter_gateway,
    envoy_filter_port,
    export_to_hides,
    external_dns,
    external_traffic_local,
    field_owner,
    gateway_api_route,
    gateway_duplicate_host,
    gateway_host_scope,
    gateway_left_behind,
    gateway_missing,
    green_annotations,
    green_hpa,
    green_pdb,
    green_replicas,
    green_resources,
    h2_connection_reuse,
    handshake_surge,
    host_without_server,
    hpa_on_blue,
    ingress_class_istio,
    load_balancer_annotations,
    local_rate_limit,
    malformed_reference,
    monitor_on_blue,
    network_policy_backend,
    network_policy_green,
    network_policy_open,
    node_port_range,
    node_port_taken,
    policy_bound_to_blue,
    port_protocol_clash,
    route_host_clash,
    route_port_match,
    same_workload,
    secret_missing,
    service_differs,
    service_name_user,
    source_namespace_match,
    target_port_unreached,
    tls_mode_mix,
    unreadable,
    wildcard_shadowed,
)

TRAPS = (
    alb_ends_tls,
    alb_without_sni,
    alert_on_blue,
    app_owned_gateway,
    argocd_diff,
    backend_policy_principal,
    blue_no_deployment,
    certificate_copy_stale,
    certificate_expiring,
    certificate_files,
    certificate_names,
    circuit_breaker,
    dashboard_on_blue,
    delegate_gateways,
    destination_missing,
    destination_rule_scope,
    east_west_gateway,
    envoy_filter_gateway,
    envoy_filter_port,
    export_to_hides,
    external_dns,
    external_traffic_local,
    field_owner,
    gateway_api_route,
    gateway_duplicate_host,
    gateway_host_scope,
    gateway_left_behind,
    gateway_missing,
    green_annotations,
    green_hpa,
    green_pdb,
    green_replicas,
    green_resources,
    h2_connection_reuse,
    handshake_surge,
    host_without_server,
    hpa_on_blue,
    ingress_class_istio,
    load_balancer_annotations,
    local_rate_limit,
    malformed_reference,
    monitor_on_blue,
    network_policy_backend,
    network_policy_green,
    network_policy_open,
    node_port_range,
    node_port_taken,
    policy_bound_to_blue,
    port_protocol_clash,
    route_host_clash,
    route_port_match,
    same_workload,
    secret_missing,
    service_differs,
    service_name_user,
    source_namespace_match,
    target_port_unreached,
    tls_mode_mix,
    unreadable,
    wildcard_shadowed,
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
