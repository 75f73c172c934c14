# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import tls_mode_mix as trap
from fake_mesh import gateway, mesh, only


def test_a_wildcard_that_ends_tls_beside_a_host_that_is_passed_through():
    through = gateway("apps/through", hosts=["vault.test"], mode="PASSTHROUGH")
    finding = only(trap, mesh(("gateways", through)))
    assert finding.severity == "warning" and "vault.test belongs to both" in finding.found


def test_the_other_way_round_and_on_green_alone():
    wide = gateway("gw/wide", {"app": "new"}, hosts=["*"], mode="PASSTHROUGH")
    assert "*.test belongs to both" in only(trap, mesh(("gateways", wide))).found


def test_hosts_apart_and_one_mode_are_fine():
    assert trap.check(mesh(("gateways", gateway("apps/a", hosts=["vault.else"], mode="PASSTHROUGH")))) == []
    assert trap.check(mesh(("gateways", gateway("apps/a", hosts=["vault.test"], mode="MUTUAL")))) == []
