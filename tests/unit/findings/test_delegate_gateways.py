# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import delegate_gateways as trap
from fake_mesh import mesh, only, thing, virtual_service


def delegating(root_gateways, leaf_gateways, match=None):
    route = {"delegate": {"name": "leaf"}, **({"match": [match]} if match else {})}
    root = virtual_service(gateways=root_gateways, http=[route])
    leaf = thing("VirtualService", "shop/leaf", {"http": [{"match": [{"gateways": leaf_gateways}], "route": []}]})
    return mesh(("virtual_services", root), ("virtual_services", leaf))


def test_a_gateway_that_the_root_does_not_name():
    finding = only(trap, delegating(["edge/public"], ["edge/public", "gw/public"]))
    assert finding.object == "VirtualService shop/leaf" and finding.field == "spec.http[0].match[0].gateways"
    assert "gw/public: not among the gateways of VirtualService shop/web spec.http[0] (edge/public)" in finding.found


def test_the_roots_own_match_narrows_it():
    inventory = delegating(["edge/public", "gw/public"], ["gw/public"], {"gateways": ["edge/public"]})
    assert only(trap, inventory).severity == "warning"


def test_subsets_are_fine():
    assert trap.check(delegating(["edge/public", "gw/public"], ["gw/public"])) == []
    assert trap.check(delegating(["edge/public"], ["public.edge"])) == []
    assert trap.check(mesh()) == []


def test_a_delegate_that_is_not_there_is_not_this_finding():
    assert trap.check(mesh(("virtual_services", virtual_service(http=[{"delegate": {"name": "gone"}}])))) == []
