# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_replicas as trap
from fake_mesh import both, mesh, only, thing


def test_fewer_than_blue():
    finding = only(trap, mesh(*both({"replicas": 3}, {"replicas": 2})))
    assert finding.severity == "error" and finding.object == "Deployment gw/new" and "has 3" in finding.found


def test_an_autoscalers_minimum_counts():
    target = {"kind": "Deployment", "name": "new"}
    low, high = ({"scaleTargetRef": target, "minReplicas": n, "maxReplicas": 9} for n in (1, 3))
    sides = both({"replicas": 3}, {"replicas": 3})
    assert "at least 1" in only(trap, mesh(*sides, ("hpas", thing("HPA", "gw/h", low)))).found
    assert trap.check(mesh(*sides, ("hpas", thing("HPA", "gw/h", high)))) == []
    assert trap.check(mesh(*sides, ("hpas", thing("HPA", "shop/h", low)))) == []


def test_as_many_and_before_the_deployment_are_fine():
    assert trap.check(mesh(*both())) == []
    assert trap.check(mesh(*both()[1:2])) == []
