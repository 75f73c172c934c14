# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import alb_without_sni as trap
from fake_mesh import gateway, mesh, only

WIDE = ("gateways", gateway(hosts=["*"], mode="SIMPLE"))
NARROW = ("gateways", gateway("gw/public", {"app": "new"}, hosts=["*.test"], mode="SIMPLE"))


def test_green_has_lost_the_server_for_every_host():
    finding = only(trap, mesh(WIDE, NARROW, balancer="aws_alb"))
    assert finding.object == "Gateway gw/public" and "is *.test and no TLS server" in finding.found


def test_green_as_blue_or_still_to_be_written_is_fine():
    wide = ("gateways", gateway("gw/public", {"app": "new"}, hosts=["*"], mode="SIMPLE"))
    assert trap.check(mesh(WIDE, wide, balancer="aws_alb")) == []
    assert trap.check(mesh(WIDE, balancer="aws_alb")) == []


def test_a_balancer_that_speaks_plain_http_or_sends_sni_is_fine():
    assert trap.check(mesh(NARROW, balancer="aws_alb")) == []
    assert trap.check(mesh(WIDE, NARROW, balancer="aws_nlb")) == []
