# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import alb_ends_tls as trap
from fake_mesh import gateway, mesh, only

THROUGH = ("gateways", gateway(mode="PASSTHROUGH"))


def test_what_is_passed_through_does_not_come_by_this_balancer():
    finding = only(trap, mesh(THROUGH, balancer="aws_alb"))
    assert finding.object == "Gateway edge/public" and finding.found.startswith("PASSTHROUGH on port 8443 of main")


def test_tls_that_is_ended_and_other_balancers_are_fine():
    assert trap.check(mesh(balancer="aws_alb")) == []
    assert trap.check(mesh(THROUGH, balancer="aws_nlb")) == [] == trap.check(mesh(THROUGH))
