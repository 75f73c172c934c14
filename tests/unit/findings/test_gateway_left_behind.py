# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_left_behind as trap
from fake_cluster import FakeCluster
from fake_mesh import PAIR, WORKLOAD, base, both, deployment, gateway, mesh, only

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


@pytest.mark.parametrize("router", [True, False])
@pytest.mark.parametrize(
    ("ref", "owner", "found"),
    [
        ("out/egress", "main", True),
        ("edge/egress", "main", True),
        ("out/egress", "other", False),
        ("out/egress", "", False),
        ("edge/old-deploy", "main", False),  # blue itself
    ],
)
def test_gateways_of_the_operator_are_found_in_any_namespace(ref, owner, found, router):
    fake = FakeCluster()
    labels = {"labels": {_inventory.OPERATOR: owner}} if owner else {}
    args = ["proxy", "router"] if router else ["discovery"]
    others = deployment(ref, {"app": "old"} if ref == "edge/old-deploy" else {"istio": "egress"}, args=args, **labels)
    served = {**gateway("apps/out", {"istio": "egress"}), "apiVersion": "networking.istio.io/v1"}
    fake.add({**base()["services"][0], "apiVersion": "v1"}, served)
    fake.add(
        *({**d, "apiVersion": "apps/v1"} for d in (deployment("edge/old-deploy", {"app": "old"}, **OPERATOR), others))
    )
    inventory = _inventory.read(fake, _inventory.Inventory(*_inventory.parse([PAIR], [WORKLOAD])))
    findings = trap.check(inventory)
    assert [f.object for f in findings] == [f"Deployment {ref}"] * (found and router)
    assert all("IstioOperator ?/main" in f.found and "Gateway apps/out is served by it" in f.found for f in findings)
