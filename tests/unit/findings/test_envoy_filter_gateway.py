# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import envoy_filter_gateway as trap
from fake_mesh import mesh, only, thing


def named(*gateways):
    patches = [{"match": {"routeConfiguration": {"gateway": gateway}}} for gateway in gateways]
    return ("envoy_filters", thing("EnvoyFilter", "edge/f", {"configPatches": patches}))


def test_blues_gateway_by_name():
    finding = only(trap, mesh(named("edge/public")))
    assert finding.severity == "error" and finding.field == "spec.configPatches[0].match.routeConfiguration.gateway"
    assert "gw/public" in finding.found


def test_greens_beside_it_and_others_are_fine():
    assert trap.check(mesh(named("edge/public", "gw/public"))) == []
    assert trap.check(mesh(named("edge/else"), ("envoy_filters", thing("EnvoyFilter", "edge/g", {})))) == []
