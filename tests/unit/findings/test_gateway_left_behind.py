# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_left_behind as trap
from fake_mesh import both, deployment, gateway, mesh, only

HELM = {"annotations": {"meta.helm.sh/release-name": "istio", "meta.helm.sh/release-namespace": "edge"}}
OPERATOR = {"labels": {"install.operator.istio.io/owning-resource": "main"}}


def egress(owner, **more):
    return (
        "deployments",
        deployment("edge/egress", {"istio": "egress"}, **{"args": ["proxy", "router"], **owner, **more}),
    )


def test_an_egress_gateway_of_the_same_owner():
    served = ("gateways", gateway("edge/out", {"istio": "egress"}))
    for owner, words in ((HELM, "Helm release edge/istio"), (OPERATOR, "IstioOperator ?/main")):
        finding = only(trap, mesh(*both(owner), egress(owner), served))
        assert finding.severity == "error" and finding.object == "Deployment edge/egress"
        assert words in finding.found and "Gateway edge/out is served by it" in finding.found


def test_pods_that_the_injector_makes_a_gateway():
    injected = egress(HELM, args=[], pods={"inject.istio.io/templates": "gateway"})
    assert only(trap, mesh(*both(HELM), injected)).object == "Deployment edge/egress"


def test_other_owners_other_pods_and_other_workloads_are_fine():
    assert trap.check(mesh(*both(HELM), egress(OPERATOR))) == []
    assert trap.check(mesh(*both(HELM), egress(HELM, args=[]))) == []
    assert trap.check(mesh(*both(), egress(HELM))) == []
    assert trap.check(mesh(*both({**HELM, "args": ["proxy", "router"]}, {**HELM, "args": ["proxy", "router"]}))) == []
