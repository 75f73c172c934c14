# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import node_port_taken as trap
from fake_mesh import WORKLOAD, mesh, only, service

HOLDER = service("other/app", ports=[{"name": "x", "port": 1, "nodePort": 30444}])


def test_the_holder_is_named():
    finding = only(trap, mesh(("services", HOLDER)))
    assert finding.object == "Service gw/new" and "30444 is held by Service other/app (port x)" in finding.found


def test_greens_own_and_free_ports_are_fine():
    assert trap.check(mesh()) == []
    assert (
        trap.check(mesh(("services", service("gw/new", ports=[{"name": "https", "port": 443, "nodePort": 30444}]))))
        == []
    )


def test_a_health_check_port_holds_a_number_too():
    holder = service("other/app", ports=[], healthCheckNodePort=30444)
    assert "other/app (port healthCheckNodePort)" in only(trap, mesh(("services", holder))).found


def test_one_number_for_two_ports_is_found():
    green = {**WORKLOAD["green"], "node_ports": {"http2": 30081, "https": 30081}}
    assert (
        "wanted twice: main (http2), main (https)" in only(trap, mesh(workloads=[{**WORKLOAD, "green": green}])).found
    )
