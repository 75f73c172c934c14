# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import hpa_on_blue as trap
from fake_mesh import mesh, only, pod, thing

OWNED = pod(
    "edge/old-1",
    {"app": "old", "pod-template-hash": "abc12"},
    ownerReferences=[{"kind": "ReplicaSet", "name": "old-deploy-abc12"}],
)


def hpa(name="old-deploy", low=1, high=5, namespace="edge"):
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": low, "maxReplicas": high}
    return ("hpas", thing("HorizontalPodAutoscaler", f"{namespace}/h", spec, status={"currentReplicas": 3}))


def test_an_autoscaler_that_may_scale_blue_in():
    finding = only(trap, mesh(("pods", OWNED), hpa()))
    assert finding.severity == "warning" and "1 of at most 5" in finding.found and "(3)" in finding.fix


def test_the_default_minimum_is_one():
    item = thing(
        "HorizontalPodAutoscaler",
        "edge/h",
        {"scaleTargetRef": {"kind": "Deployment", "name": "old-deploy"}, "maxReplicas": 2},
    )
    assert only(trap, mesh(("pods", OWNED), ("hpas", item))).found.startswith("1 of at most 2")


def test_pinned_and_unrelated_ones_are_fine():
    assert trap.check(mesh(("pods", OWNED), hpa(low=5))) == []
    assert trap.check(mesh(("pods", OWNED), hpa("other"))) == []
    assert trap.check(mesh(("pods", OWNED), hpa(namespace="gw"))) == []
