# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_pdb as trap
from fake_mesh import both, mesh, only, thing


def pdb(ref, labels):
    return ("pdbs", thing("PodDisruptionBudget", ref, {"selector": {"matchLabels": labels}, "minAvailable": 1}))


BLUE = pdb("edge/old", {"app": "old"})


def test_blues_that_green_has_none_like():
    finding = only(trap, mesh(*both(), BLUE))
    assert finding.severity == "warning" and finding.object == "PodDisruptionBudget edge/old"


def test_greens_own_others_and_before_the_deployment_are_fine():
    assert trap.check(mesh(*both(), BLUE, pdb("gw/new", {"app": "new"}))) == []
    assert trap.check(mesh(*both(), pdb("edge/x", {"app": "x"}))) == []
    assert trap.check(mesh(BLUE)) == []
    assert trap.check(mesh(*both(), BLUE, pdb("gw/x", {"app": "x"}))) != []
