# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy that goes by the callers' identity. While some callers have Istio's and some Linkerd's, either side refuses
those of the other mesh."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh

CODE = "swap_principals"
BY_IDENTITY = ("principals", "namespaces", "serviceAccounts")


def check(mesh: Mesh) -> list[Finding]:
    """Fine once each rule admits the pods' networks too, as mesh_mtls makes it for as long as the swap lasts."""
    found = []
    for policy in mesh.within("authorizationpolicies"):
        if ((policy.get("spec") or {}).get("action") or "ALLOW") != "ALLOW":
            continue
        for number, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            if by_identity(rule or {}) and not opened(rule or {}):
                found.append(
                    Finding(
                        CODE, ERROR, named(policy), f"spec.rules[{number}].from", "it goes by identities of Istio's",
                        "A caller in Linkerd's mesh has none of these. Let mesh_mtls admit the pods' networks for as"
                        " long as the swap lasts (pod_networks), which trusts the network instead; or swap callers and"
                        " called in one maintenance window, and waive.",
                    )
                )  # fmt: skip
    return found


def by_identity(rule: dict) -> bool:
    return any((entry or {}).get("source", {}).get(key) for entry in rule.get("from") or () for key in BY_IDENTITY)


def opened(rule: dict) -> bool:
    """Whether an entry goes by addresses alone."""
    return any(set((entry or {}).get("source") or {}) == {"ipBlocks"} for entry in rule.get("from") or ())


def tied(mesh: Mesh) -> list[set[str]]:
    """Namespaces that policies tie to each other, callers and called."""
    found = []
    for policy in mesh.within("authorizationpolicies"):
        own = {policy["metadata"]["namespace"]}
        for rule in (policy.get("spec") or {}).get("rules") or ():
            for entry in (rule or {}).get("from") or ():
                source = (entry or {}).get("source") or {}
                own |= set(source.get("namespaces") or ())
                own |= {p.partition("/ns/")[2].partition("/")[0] for p in source.get("principals") or () if "/ns/" in p}
        if len(own & set(mesh.namespaces)) > 1:
            found.append(own & set(mesh.namespaces))
    return found
