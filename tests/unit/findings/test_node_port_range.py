# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import node_port_range as trap
from fake_mesh import WORKLOAD, mesh, only, service


def wanted(number):
    return [{**WORKLOAD, "green": {**WORKLOAD["green"], "node_ports": {"http2": 30081, "https": number}}}]


@pytest.mark.parametrize("number", [29999, 32768, 443])
def test_a_number_out_of_the_default_range(number):
    finding = only(trap, mesh(workloads=wanted(number)))
    assert finding.severity == "error" and finding.object == "Service gw/new"
    assert finding.field == "spec.ports[https].nodePort" and finding.found.startswith(f"{number}; API servers have 30000-32767")


@pytest.mark.parametrize("number", [30000, 32767])
def test_numbers_in_it_are_fine(number):
    assert trap.check(mesh(workloads=wanted(number))) == []


def test_an_api_server_with_another_range_shows_it_by_its_services():
    other = service("other/app", ports=[{"name": "x", "port": 1, "nodePort": 20080}])
    assert trap.check(mesh(("services", other), workloads=wanted(20443))) == []
