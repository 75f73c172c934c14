# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's sidecars check tokens (RequestAuthentication) and policies go by their claims. Linkerd looks at no tokens."""

from __future__ import annotations

from .._inventory import ERROR, Finding, named
from .._mesh_swap import Mesh
from .._objects import ref_of

CODE = "swap_jwt_lost"


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for item in mesh["requestauthentications"]:
        whole = ref_of(item)[0] == mesh.root and not ((item.get("spec") or {}).get("selector"))
        if (ref_of(item)[0] in mesh.namespaces or whole) and (item.get("spec") or {}).get("jwtRules"):
            issuers = ", ".join(rule.get("issuer", "?") for rule in item["spec"]["jwtRules"])
            found.append(_finding(named(item), "spec.jwtRules", f"tokens of {issuers} are checked by the sidecar"))
    for policy in mesh.within("authorizationpolicies"):
        for number, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            if claims(rule or {}):
                found.append(_finding(named(policy), f"spec.rules[{number}]", "it goes by a token's claims"))
    return found


def claims(rule: dict) -> bool:
    sources = [(entry or {}).get("source") or {} for entry in rule.get("from") or ()]
    return any(s.get("requestPrincipals") or s.get("notRequestPrincipals") for s in sources) or any(
        str((c or {}).get("key", "")).startswith("request.auth.") for c in rule.get("when") or ()
    )


def _finding(item: str, field: str, what: str) -> Finding:
    return Finding(
        CODE, ERROR, item, field, what,
        "Linkerd checks no tokens. Let the application, or the Ingress controller, check them before this is given up.",
    )  # fmt: skip
