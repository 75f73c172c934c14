# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_api_route as trap
from fake_mesh import mesh, only, thing


def attached(address, parent=None):
    spec = {"gatewayClassName": "istio", "addresses": [{"type": "Hostname", "value": address}]}
    route = thing("HTTPRoute", "shop/r", {"parentRefs": [parent or {"name": "k8s", "namespace": "edge"}]})
    return mesh(("k8s_gateways", thing("Gateway", "edge/k8s", spec)), ("http_routes", route))


@pytest.mark.parametrize("address", ["old.edge.svc.cluster.local", "old.edge.svc", "old.edge", "old"])
def test_a_route_that_comes_in_by_blues_service(address):
    finding = only(trap, attached(address))
    assert finding.object == "HTTPRoute shop/r" and finding.field == "spec.parentRefs[0]"


@pytest.mark.parametrize(
    ("address", "parent"),
    [
        ("new.gw.svc.cluster.local", None),
        ("old.edge.svc", {"name": "k8s"}),
        ("old.edge.svc", {"name": "k8s", "namespace": "edge", "kind": "Service"}),
        ("older.edge.svc", None),
    ],
)
def test_other_routes_are_fine(address, parent):
    assert trap.check(attached(address, parent)) == []
