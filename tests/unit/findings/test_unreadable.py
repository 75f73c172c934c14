# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import unreadable as trap
from fake_mesh import mesh


def test_every_list_that_failed_is_an_error():
    inventory = mesh(unreadable={"secrets in edge (core)": "not allowed (403)", "nodes (core)": "not allowed (403)"})
    found = trap.check(inventory)
    assert [f.object for f in found] == ["List nodes", "List secrets in edge"]
    assert {f.severity for f in found} == {"error"} and "403" in found[0].found


def test_nothing_unread_is_fine():
    assert trap.check(mesh()) == []
