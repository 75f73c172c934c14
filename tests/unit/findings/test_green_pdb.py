# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_pdb as trap
from fake_mesh import both, mesh, only, thing


def pdb(ref, labels, **held):
    spec = {"selector": {"matchLabels": labels}, **(held or {"minAvailable": 1})}
    return ("pdbs", thing("PodDisruptionBudget", ref, spec))


BLUE = pdb("edge/old", {"app": "old"})


def test_blues_that_green_has_none_like():
    finding = only(trap, mesh(*both(), BLUE))
    assert finding.severity == "warning" and finding.object == "PodDisruptionBudget edge/old"


def test_greens_own_others_and_before_the_deployment_are_fine():
    assert trap.check(mesh(*both(), BLUE, pdb("gw/new", {"app": "new"}))) == []
    assert trap.check(mesh(*both(), pdb("edge/x", {"app": "x"}))) == []
    assert trap.check(mesh(BLUE)) == []
    assert trap.check(mesh(*both(), BLUE, pdb("gw/x", {"app": "x"}))) != []


@pytest.mark.parametrize(
    ("blues", "greens", "said"),
    [
        ({"minAvailable": 2}, {"minAvailable": 1}, "holds 2 of 4 pods"),
        ({"minAvailable": "50%"}, {"minAvailable": 1}, "holds 2 of 4 pods"),
        ({"maxUnavailable": 1}, {"maxUnavailable": "50%"}, "holds 3 of 4 pods"),
        ({"minAvailable": 1}, {"maxUnavailable": "100%"}, "holds 1 of 4 pods"),
        ({"minAvailable": 1}, {"minAvailable": 0}, "holds 1 of 4 pods"),
        ({"minAvailable": 2}, {"minAvailable": "30%"}, None),
        ({"maxUnavailable": "30%"}, {"minAvailable": 2}, None),
        ({"minAvailable": 5}, {"minAvailable": 4}, None),
    ],
)
def test_one_that_lets_more_of_them_go(blues, greens, said):
    four = both({"replicas": 4}, {"replicas": 4})
    given = mesh(*four, pdb("edge/old", {"app": "old"}, **blues), pdb("gw/new", {"app": "new"}, **greens))
    if said is None:
        assert trap.check(given) == []
    else:
        finding = only(trap, given)
        assert said in finding.found and "PodDisruptionBudget gw/new" in finding.fix
    assert trap.check(mesh(*four, pdb("edge/old", {"app": "old"}, **blues), pdb("gw/new", {"app": "new"}, **blues))) == []


def test_the_one_that_holds_the_most_counts():
    more = pdb("gw/more", {"app": "new"}, minAvailable=2)
    blues = pdb("edge/old", {"app": "old"}, minAvailable=2)
    assert only(trap, mesh(*both(), blues, pdb("gw/new", {"app": "new"}))).field == "spec"
    assert trap.check(mesh(*both(), blues, pdb("gw/new", {"app": "new"}), more)) == []
