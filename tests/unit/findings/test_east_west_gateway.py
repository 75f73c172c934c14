# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import east_west_gateway as trap
from fake_mesh import both, deployment, gateway, mesh, only, service


def test_a_router_mode():
    finding = only(trap, mesh(*both({"env": {"ISTIO_META_ROUTER_MODE": "sni-dnat"}})))
    assert finding.severity == "error" and finding.field == "env ISTIO_META_ROUTER_MODE"
    assert trap.check(mesh(*both({"env": {"ISTIO_META_ROUTER_MODE": "standard", "OTHER": "x"}}))) == []


def test_a_network():
    labels = {"app": "old", "topology.istio.io/network": "west"}
    pods = ("deployments", deployment("edge/old-deploy", labels))
    assert only(trap, mesh(pods)).found.startswith("west")
    at_service = service("edge/old", {"app": "old"})
    at_service["metadata"]["labels"] = {"topology.istio.io/network": "west"}
    assert only(trap, mesh(("services", at_service))).object == "Service edge/old"


def test_a_gateway_that_passes_on_by_sni():
    crossing = ("gateways", gateway("edge/cross", hosts=["*.local"], mode="AUTO_PASSTHROUGH"))
    assert only(trap, mesh(crossing)).object == "Gateway edge/cross"
    elsewhere = ("gateways", gateway("edge/cross", {"app": "else"}, mode="AUTO_PASSTHROUGH"))
    assert trap.check(mesh(elsewhere)) == []
