# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_annotations as trap
from fake_mesh import both, mesh, only

CONFIG = {"proxy.istio.io/config": "concurrency: 2"}


def test_one_that_green_lacks_or_has_otherwise():
    finding = only(trap, mesh(*both({"pods": CONFIG})))
    assert finding.severity == "warning" and "proxy.istio.io/config" in finding.found
    assert (
        only(trap, mesh(*both({"pods": CONFIG}, {"pods": {"proxy.istio.io/config": ""}}))).object == "Deployment gw/new"
    )


def test_the_same_and_those_of_others_are_fine():
    assert trap.check(mesh(*both({"pods": CONFIG}, {"pods": CONFIG}))) == []
    assert trap.check(mesh(*both({"pods": {"checksum/config": "1"}}))) == []
    assert trap.check(mesh(both({"pods": CONFIG})[1])) == []
