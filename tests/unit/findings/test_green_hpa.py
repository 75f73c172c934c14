# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_hpa as trap
from fake_mesh import both, mesh, only, thing


def hpa(ref, name, high=5):
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": 2, "maxReplicas": high}
    return ("hpas", thing("HorizontalPodAutoscaler", ref, spec))


BLUE = hpa("edge/h", "old-deploy")


def test_blue_grows_and_green_does_not():
    finding = only(trap, mesh(*both(), BLUE))
    assert finding.severity == "warning" and "may scale Deployment edge/old-deploy to 5" in finding.found


def test_greens_goes_less_far():
    finding = only(trap, mesh(*both(), BLUE, hpa("gw/h", "new", high=4)))
    assert finding.field == "spec.maxReplicas"
    assert "HorizontalPodAutoscaler gw/h scales Deployment gw/new to 4 at most" in finding.found


def test_greens_own_and_pods_enough_are_fine():
    assert trap.check(mesh(*both(), BLUE, hpa("gw/h", "new"))) == []
    assert trap.check(mesh(*both({}, {"replicas": 5}), BLUE)) == []
    assert trap.check(mesh(*both(), hpa("edge/h", "else"))) == []
    assert trap.check(mesh(both()[1], BLUE)) == []
