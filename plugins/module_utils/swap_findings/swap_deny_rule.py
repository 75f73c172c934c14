# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DENY or CUSTOM policy: Linkerd's policies only allow, so what is denied within what is allowed can't be said."""

from __future__ import annotations

from .._inventory import ERROR, WARNING, Finding, named
from .._mesh_swap import Mesh
from .._objects import ref_of

CODE = "swap_deny_rule"


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for policy in mesh["authorizationpolicies"]:
        spec = policy.get("spec") or {}
        whole = ref_of(policy)[0] == mesh.root and not spec.get("selector") and not spec.get("targetRefs")
        action = spec.get("action") or "ALLOW"
        if (ref_of(policy)[0] in mesh.namespaces or whole) and action != "ALLOW":
            found.append(
                Finding(
                    CODE, WARNING if action == "AUDIT" else ERROR, named(policy), "spec.action", f"it is {action}",
                    "Linkerd has rules that allow, and none that deny or ask others. Say by ALLOW who may, or let the"
                    " application refuse, before this is given up.",
                )
            )  # fmt: skip
    return found
