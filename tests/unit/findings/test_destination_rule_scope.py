# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import destination_rule_scope as trap
from fake_mesh import mesh, only, thing

RULE = thing("DestinationRule", "edge/web", {"host": "web.shop.svc.cluster.local"})
BESIDE = thing("DestinationRule", "shop/web", {"host": "web"})


def test_a_rule_in_blues_namespace_is_not_greens():
    finding = only(trap, mesh(("destination_rules", RULE)))
    assert (
        finding.object == "DestinationRule edge/web"
        and "will not use it for web.shop.svc.cluster.local" in finding.found
    )


def test_in_the_root_namespace_it_comes_after_the_one_beside_the_service():
    inventory = mesh(("destination_rules", RULE), ("destination_rules", BESIDE), root_namespace="edge")
    assert "DestinationRule shop/web" in only(trap, inventory).found
    assert trap.check(mesh(("destination_rules", RULE), root_namespace="edge")) == []


def test_a_rule_in_greens_namespace_decides_there():
    own = thing("DestinationRule", "gw/web", {"host": "*.shop.svc.cluster.local"})
    assert trap.check(mesh(("destination_rules", RULE), ("destination_rules", own))) == []


def test_rules_beside_the_service_are_fine():
    assert trap.check(mesh(("destination_rules", BESIDE))) == []
    unrelated = thing("DestinationRule", "edge/x", {"host": "x.shop.svc.cluster.local"})
    assert trap.check(mesh(("destination_rules", unrelated))) == []
