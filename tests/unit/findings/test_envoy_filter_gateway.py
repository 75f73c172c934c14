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


def routes(*names):
    patches = [{"match": {"routeConfiguration": {"name": name}}} for name in names]
    return ("envoy_filters", thing("EnvoyFilter", "istio-system/f", {"configPatches": patches}))


def test_blues_gateway_in_a_routes_name():
    finding = only(trap, mesh(routes("https.8443.https.public.edge")))
    assert finding.severity == "error" and finding.field == "spec.configPatches[0].match.routeConfiguration.name"
    assert "edge/public is blue's Gateway" in finding.found


def test_greens_name_beside_it_and_names_of_others_are_fine():
    assert trap.check(mesh(routes("https.8443.https.public.edge", "https.443.https.public.gw"))) == []
    assert trap.check(mesh(routes("https.8443.https.public.edge"), named("gw/public"))) == []
    assert trap.check(mesh(routes("https.8443.https.other.edge", "http.8080", "https.8443"))) == []
