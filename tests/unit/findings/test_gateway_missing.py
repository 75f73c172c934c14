# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_missing as trap
from fake_mesh import gateway, mesh, only


def test_a_gateway_that_is_not_there_is_found_with_its_likes():
    finding = only(trap, mesh(("gateways", gateway("edge/publik")), drop=["gateways"]))
    assert finding.severity == "error" and finding.object == "Gateway edge/public" and "edge/publik" in finding.fix


def test_a_gateway_that_is_there_is_fine():
    assert trap.check(mesh()) == []


def test_blue_may_be_gone_when_green_has_taken_its_place():
    assert trap.check(mesh(("gateways", gateway("gw/public")), drop=["gateways"])) == []
