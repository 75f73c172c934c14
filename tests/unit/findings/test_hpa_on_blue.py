# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import hpa_on_blue as trap
from fake_mesh import mesh, only, pod, thing

OWNED = pod(
    "edge/old-1",
    {"app": "old", "pod-template-hash": "abc12"},
    ownerReferences=[{"kind": "ReplicaSet", "name": "old-deploy-abc12"}],
)
KEDA = {"ownerReferences": [{"kind": "ScaledObject", "name": "old", "controller": True}]}
OPERATOR = {"labels": {"install.operator.istio.io/owning-resource": "istiocontrolplane"}}


def hpa(name="old-deploy", low=1, high=5, namespace="edge", owner=None):
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": low, "maxReplicas": high}
    status = {"currentReplicas": 3}
    owner = KEDA if owner is None else owner
    return ("hpas", thing("HorizontalPodAutoscaler", f"{namespace}/h", spec, status=status, **owner))


@pytest.mark.parametrize(
    ("owner", "says"), [(KEDA, "ScaledObject edge/old"), (OPERATOR, "IstioOperator /istiocontrolplane")]
)
def test_an_autoscaler_whose_owner_puts_its_minimum_back(owner, says):
    finding = only(trap, mesh(("pods", OWNED), hpa(owner=owner)))
    assert finding.severity == "warning" and "1 of at most 5" in finding.found and says in finding.found
    assert "minReplicas 3" in finding.fix


def test_one_that_stays_as_deploying_pins_it():
    assert trap.check(mesh(("pods", OWNED), hpa(owner={}))) == []
    helm = {"annotations": {"meta.helm.sh/release-name": "old"}}
    assert trap.check(mesh(("pods", OWNED), hpa(owner=helm))) == []


def test_the_default_minimum_is_one():
    item = thing(
        "HorizontalPodAutoscaler",
        "edge/h",
        {"scaleTargetRef": {"kind": "Deployment", "name": "old-deploy"}, "maxReplicas": 2},
        **KEDA,
    )
    assert only(trap, mesh(("pods", OWNED), ("hpas", item))).found.startswith("1 of at most 2")


def test_pinned_and_unrelated_ones_are_fine():
    assert trap.check(mesh(("pods", OWNED), hpa(low=5))) == []
    assert trap.check(mesh(("pods", OWNED), hpa("other"))) == []
    assert trap.check(mesh(("pods", OWNED), hpa(namespace="gw"))) == []
