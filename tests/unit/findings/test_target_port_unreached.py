# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import target_port_unreached as trap
from fake_mesh import PAIR, WORKLOAD, mesh, only, service

NEW_CHART = [{"name": "http2", "port": 80, "targetPort": 80}, {"name": "https", "port": 443, "targetPort": 443}]


def test_the_new_charts_ports_do_not_lead_to_8443():
    finding = only(trap, mesh(("services", service("gw/new", {"app": "new"}, ports=NEW_CHART))))
    assert finding.severity == "error" and finding.object == "Gateway gw/public"
    assert "listen on 8443" in finding.found and "80 -> 80, 443 -> 443" in finding.found


def test_ports_that_the_charts_values_will_give():
    green = {**WORKLOAD["green"], "chart_values": {"service": {"ports": NEW_CHART}}}
    assert only(trap, mesh(workloads=[{**WORKLOAD, "green": green}])).object == "Gateway gw/public"


def test_a_mapped_port_and_blues_own_are_fine():
    there = ("services", service("gw/new", {"app": "new"}, ports=NEW_CHART))
    assert trap.check(mesh(there, pairs=[{**PAIR, "ports": {"8443": 443}}])) == []
    assert trap.check(mesh(("services", service("gw/new", {"app": "new"})))) == []
    assert trap.check(mesh()) == []


def test_what_blue_does_not_reach_either_is_not_about_green():
    assert trap.check(mesh(("services", service("edge/old", {"app": "old"}, ports=[{"port": 80}])))) == []
