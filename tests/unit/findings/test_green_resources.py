# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import green_resources as trap
from fake_mesh import both, mesh, only


@pytest.mark.parametrize(
    ("blue", "green", "less"),
    [
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "500m"}}, True),
        ({"requests": {"cpu": "1"}}, {}, True),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}}, True),
        ({"limits": {"memory": "1Gi"}}, {}, False),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}}, False),
        ({"requests": {"memory": "128Mi"}}, {"requests": {"memory": "1Gi"}}, False),
        ({}, {}, False),
    ],
)
def test_less_than_blue(blue, green, less):
    inventory = mesh(*both({"resources": blue}, {"resources": green}))
    if less:
        assert only(trap, inventory).severity == "warning" and only(trap, inventory).object == "Deployment gw/new"
    else:
        assert trap.check(inventory) == []


def test_before_the_deployment_nothing_is_said():
    assert trap.check(mesh(both({"resources": {"requests": {"cpu": "1"}}})[1])) == []
