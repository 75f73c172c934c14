# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import network_policy_open as trap
from fake_mesh import mesh, only, thing


def policy(ref, labels, **spec):
    return ("network_policies", thing("NetworkPolicy", ref, {"podSelector": {"matchLabels": labels}, **spec}))


def test_blues_guard_that_green_lacks():
    finding = only(trap, mesh(policy("edge/guard", {"app": "old"}, ingress=[{}])))
    assert finding.severity == "warning" and finding.object == "NetworkPolicy edge/guard"


def test_each_direction_counts_by_itself():
    blue = policy("edge/guard", {"app": "old"}, policyTypes=["Ingress", "Egress"])
    assert only(trap, mesh(blue, policy("gw/guard", {"app": "new"}))).field == "spec.egress"


def test_any_guard_of_greens_and_guards_of_others_are_fine():
    assert trap.check(mesh(policy("edge/guard", {"app": "old"}), policy("gw/guard", {"app": "new"}))) == []
    assert trap.check(mesh(policy("edge/guard", {"app": "else"}), policy("shop/guard", {"app": "old"}))) == []
