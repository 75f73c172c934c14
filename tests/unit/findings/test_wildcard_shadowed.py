# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import wildcard_shadowed as trap
from fake_mesh import PAIR, gateway, mesh, only

NARROW = ("gateways", gateway("apps/own", hosts=["shop/a.test"], mode="SIMPLE", credentialName="own"))


def test_a_host_of_its_own_on_blue_that_green_serves_by_the_wildcard():
    finding = only(trap, mesh(NARROW))
    assert finding.severity == "error" and finding.object == "Gateway apps/own"
    assert "on blue of main it takes a.test from Gateway edge/public" in finding.found


def test_a_host_of_its_own_on_green_that_blue_serves_by_the_wildcard():
    there = ("gateways", gateway("gw/there", {"app": "new"}, hosts=["a.test"], mode="SIMPLE", credentialName="own"))
    assert "on green of main it takes a.test from Gateway gw/public" in only(trap, mesh(there)).found


def test_both_sides_alike_are_fine():
    pairs = [PAIR, {"blue": "apps/own", "green": "gw/own", "workload": "main"}]
    assert trap.check(mesh(NARROW, pairs=pairs)) == []
    twin = ("gateways", gateway("gw/own", {"app": "new"}, hosts=["shop/a.test"], mode="SIMPLE", credentialName="own"))
    assert trap.check(mesh(NARROW, twin, pairs=pairs)) == []
    assert trap.check(mesh(("gateways", gateway("apps/own", hosts=["a.else"], mode="SIMPLE")))) == []
