# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy that applies to blue's pods and not to green's.

Nothing says so: without its AuthorizationPolicy a gateway lets everything in. A policy applies to the pods that its
selector matches in its own namespace, and in every namespace if it is in the mesh's root namespace; Telemetry and
ProxyConfig with a selector apply in their own namespace only. targetRefs reach their own namespace only.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding, Inventory, Workload, named, ref_of

CODE = "policy_bound_to_blue"
# kind -> (severity, whether a selector in the root namespace reaches every namespace, what is lost)
POLICIES = {
    "authorization_policies": (ERROR, True, "without it everything is allowed"),
    "request_authentications": (ERROR, True, "without it tokens are not checked"),
    "envoy_filters": (ERROR, True, "without it the proxy's configuration is another one"),
    "wasm_plugins": (ERROR, True, "without it the plugin does not run"),
    "telemetries": (WARNING, False, "without it metrics, logs and traces differ"),
    "proxy_configs": (WARNING, False, "without it the proxy's settings differ"),
}


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for kind, (severity, reaches, lost) in POLICIES.items():
        for policy in inventory[kind]:
            for workload in inventory.workloads:
                at_blue = [
                    _applies(policy, workload.blue[0], ls, inventory, reaches) for ls in inventory.blue_labels(workload)
                ]
                if not any(at_blue) or _on_green(policy, workload, inventory, reaches):
                    continue
                if any(
                    _same_rules(policy, other) and _on_green(other, workload, inventory, reaches)
                    for other in inventory[kind]
                ):
                    continue
                found.append(
                    Finding(
                        CODE, severity, named(policy), _field(policy),
                        f"it applies to blue's pods of {workload.name} and not to green's; {lost}",
                        f"Create the same for pods labelled {workload.green_labels} in namespace {workload.green[0]}.",
                    )
                )  # fmt: skip
    return found


def _on_green(policy: dict[str, t.Any], workload: Workload, inventory: Inventory, reaches: bool) -> bool:
    return _applies(policy, workload.green[0], workload.green_labels, inventory, reaches)


def _applies(
    policy: dict[str, t.Any], namespace: str, labels: dict[str, str], inventory: Inventory, reaches: bool
) -> bool:
    spec = policy.get("spec") or {}
    own = ref_of(policy)[0]
    targets = [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if spec.get("targetRef") else [])]
    if targets:
        return own == namespace and any(
            ref.get("kind") == "Gateway" and labels.get("gateway.networking.k8s.io/gateway-name") == ref.get("name")
            for ref in targets
        )
    selector = _selector(spec)
    if own != namespace and (own != inventory.root_namespace or selector and not reaches):
        return False
    return selector.items() <= labels.items()


def _selector(spec: dict[str, t.Any]) -> dict[str, str]:
    return (spec.get("selector") or {}).get("matchLabels") or (spec.get("workloadSelector") or {}).get("labels") or {}


def _field(policy: dict[str, t.Any]) -> str:
    spec = policy.get("spec") or {}
    for field in ("targetRefs", "targetRef", "selector", "workloadSelector"):
        if spec.get(field):
            return f"spec.{field}"
    return "metadata.namespace"


def _same_rules(one: dict[str, t.Any], other: dict[str, t.Any]) -> bool:
    """Whether two policies say the same, whoever they are for."""
    where = ("selector", "workloadSelector", "targetRef", "targetRefs")
    specs = [{k: v for k, v in (p.get("spec") or {}).items() if k not in where} for p in (one, other)]
    return specs[0] == specs[1]
