# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_host_scope as trap
from fake_mesh import gateway, mesh, only


@pytest.mark.parametrize(
    ("blue", "green", "found"),
    [
        (["./a.test"], ["./a.test"], True),  # edge/a.test and gw/a.test
        (["shop/a.test"], ["./a.test"], True),
        (["a.test"], ["./a.test"], True),
        (["./a.test"], ["edge/a.test"], False),
        (["./a.test"], ["*/a.test"], False),
        (["./a.test"], ["a.test"], False),
        (["shop/a.test"], ["shop/a.test"], False),
        (["a.test"], ["*/a.test"], False),
    ],
)
def test_scopes_mean_the_same_on_both_sides(blue, green, found):
    inventory = mesh(("gateways", gateway(hosts=blue)), ("gateways", gateway("gw/public", {"app": "new"}, hosts=green)))
    assert bool(trap.check(inventory)) == found
    if found:
        assert only(trap, inventory).object == "Gateway gw/public"


def test_without_green_there_is_nothing_to_compare():
    assert trap.check(mesh(("gateways", gateway(hosts=["./a.test"])))) == []
