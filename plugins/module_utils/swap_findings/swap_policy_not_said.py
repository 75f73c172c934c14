# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An AuthorizationPolicy that allows, and that Linkerd's policies can't say with the same meaning."""

from __future__ import annotations

from .. import _linkerd_policy
from .._inventory import ERROR, Finding
from .._mesh_swap import Mesh

CODE = "swap_policy_not_said"


def check(mesh: Mesh) -> list[Finding]:
    """DENY and the like, and tokens, have findings of their own."""
    return [
        Finding(CODE, ERROR, item.policy, item.field, item.found, item.fix)
        for item in _linkerd_policy.convert(mesh).listed
        if not item.elsewhere
    ]
