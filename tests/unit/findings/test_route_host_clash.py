# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import PREVIEW_OF
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import route_host_clash as trap
from fake_mesh import PAIR, mesh, only, virtual_service

SECOND = {"blue": "apps/second", "green": "gw/second", "workload": "main"}


def beside(*gateways, ref="new/web", pairs=(PAIR,), **spec):
    """Beside VirtualService shop/web, which is on blue alone with host web.test."""
    return mesh(("virtual_services", virtual_service(ref, gateways, **spec)), pairs=list(pairs))


def test_a_host_of_blues_that_another_one_has_on_green():
    finding = only(trap, beside("gw/public"))
    assert (finding.severity, finding.object, finding.field) == ("error", "VirtualService new/web", "spec.hosts")
    assert "web.test is also that of VirtualService shop/web, on edge/public alone" in finding.found


@pytest.mark.parametrize("wide", ["*.test", "*"])
def test_a_host_within_a_wildcard_of_blues_takes_its_requests(wide):
    blue = ("virtual_services", virtual_service("shop/any", hosts=[wide]))
    green = ("virtual_services", virtual_service("new/one", ["gw/public"], hosts=["One.test"]))
    assert f"one.test is {wide}'s of VirtualService shop/any" in only(trap, mesh(blue, green)).found


def test_a_match_on_green_counts_as_well():
    http = [{"match": [{"gateways": ["gw/public"]}], "route": [{"destination": {"host": "web"}}]}]
    assert only(trap, beside("mesh", http=http)).object == "VirtualService new/web"


def test_what_is_on_both_sides_or_on_one_side_only_or_elsewhere_is_fine():
    for gateways in (("edge/public",), ("edge/public", "gw/public"), ("mesh",), ("apps/other",)):
        assert trap.check(beside(*gateways)) == []
    assert trap.check(beside("gw/public", hosts=["other.test", "*.web.test"])) == []
    # What is wider takes nothing from a host that is named.
    assert trap.check(beside("gw/public", hosts=["*.test"])) == []
    # Blue of another pair is other pods' business.
    assert trap.check(beside("gw/second", pairs=[PAIR, SECOND])) == []


def test_what_leads_testers_to_green_is_blues_alone_on_purpose():
    body = virtual_service("edge/preview")
    body["metadata"]["annotations"] = {PREVIEW_OF: "edge/public"}
    both = virtual_service(gateways=["edge/public", "gw/public"])
    green = virtual_service("new/web", ["gw/public"])
    found = mesh(("virtual_services", body), ("virtual_services", green))
    found.replace("virtual_services", [body, both, green])
    assert trap.check(found) == []
