# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, or is lost, when workloads leave Istio's mesh for Linkerd's: one file each, with a stable CODE and
one function, check(mesh).

Errors stop a wave until they are mended or waived, as CODE or as CODE:NAMESPACE/NAME. To add one: a file here, its name
in both lists below, a test in tests/unit/test_swap_findings.py, and a row in docs/mesh_swap.md. The imports are written
out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

from .._inventory import Finding
from .._mesh_swap import Mesh
from . import (
    swap_ambient, swap_baked_sidecar, swap_deny_rule, swap_downtime, swap_egress_allow_list, swap_istio_extension,
    swap_istio_mutual, swap_jwt_lost, swap_mesh_config, swap_mesh_route, swap_on_delete, swap_opaque_port, swap_policy_not_said,
    swap_principals, swap_put_back, swap_stays_out, swap_strict_mtls,
)  # fmt: skip

CHECKS = (
    swap_ambient, swap_baked_sidecar, swap_deny_rule, swap_downtime, swap_egress_allow_list, swap_istio_extension,
    swap_istio_mutual, swap_jwt_lost, swap_mesh_config, swap_mesh_route, swap_on_delete, swap_opaque_port, swap_policy_not_said,
    swap_principals, swap_put_back, swap_stays_out, swap_strict_mtls,
)  # fmt: skip
CODES = tuple(check.CODE for check in CHECKS)


def examine(mesh: Mesh) -> list[Finding]:
    """Everything, each once."""
    return list(dict.fromkeys(finding for check in CHECKS for finding in check.check(mesh)))
