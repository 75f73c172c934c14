# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy that applies to blue's pods and not to green's.

Nothing says so: without its AuthorizationPolicy a gateway lets everything in. Which policy applies to whom is in
_policies.
"""

from __future__ import annotations

from .._inventory import ERROR, WARNING, Finding, Inventory, Object, named
from .._policies import lacking

CODE = "policy_bound_to_blue"
# kind -> (severity, what is lost)
POLICIES = {
    "AuthorizationPolicy": (ERROR, "without it everything is allowed"),
    "RequestAuthentication": (ERROR, "without it tokens are not checked"),
    "EnvoyFilter": (ERROR, "without it the proxy's configuration is another one"),
    "WasmPlugin": (ERROR, "without it the plugin does not run"),
    "Telemetry": (WARNING, "without it metrics, logs and traces differ"),
    "ProxyConfig": (WARNING, "without it the proxy's settings differ"),
}


def check(inventory: Inventory) -> list[Finding]:
    return [
        Finding(
            CODE, severity, named(policy), _field(policy),
            f"it applies to blue's pods of {workload.name} and not to green's; {lost}",
            inventory.not_copied.get(named(policy))
            or f"Create the same for pods labelled {workload.green_labels} in namespace {workload.green[0]}.",
        )
        for kind, (severity, lost) in POLICIES.items()
        for workload in inventory.workloads
        for policy in lacking(inventory, workload, kind)
    ]  # fmt: skip


def _field(policy: Object) -> str:
    spec = policy.get("spec") or {}
    for field in ("targetRefs", "targetRef", "selector", "workloadSelector"):
        if spec.get(field):
            return f"spec.{field}"
    return "metadata.namespace"
