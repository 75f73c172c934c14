# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import host_without_server as trap
from fake_mesh import gateway, mesh, only, virtual_service


def on(hosts, gateways=("edge/public",), blue=("*.test",), green=None, **settings):
    return mesh(
        ("virtual_services", virtual_service(hosts=list(hosts), gateways=list(gateways))),
        ("gateways", gateway(hosts=blue)), *([("gateways", gateway("gw/public", hosts=green))] if green else []),
        **settings,
    )  # fmt: skip


def test_a_host_that_no_server_has():
    found = only(trap, on(["web.test", "web.example.com"]))
    assert found.severity == "warning" and found.object == "VirtualService shop/web"
    assert "web.example.com" in found.found


@pytest.mark.parametrize(
    ("host", "served", "fine"),
    [
        ("web.test", ("*.test",), True), ("*.test", ("web.test",), True), ("web.test", ("*",), True),
        ("Web.Test", ("web.test",), True), ("web.test", ("shop/web.test",), True), ("web.test", ("*/*.test",), True),
        ("web.test", ("./web.test",), False), ("web.test", ("other/web.test",), False), ("test", ("*.test",), False),
        ("web.test.org", ("*.test",), False), ("*", ("web.test",), True),
    ],
)  # fmt: skip
def test_as_istiod_matches_them(host, served, fine):
    assert (trap.check(on([host], blue=served)) == []) is fine


def test_one_of_its_gateways_is_enough():
    other = ("gateways", gateway("shop/inner", {"app": "inner"}, hosts=["inner.example.com"]))
    inventory = on(["web.test", "inner.example.com"], ["edge/public", "inner"])
    assert only(trap, inventory).found.endswith("inner.example.com")
    inventory.replace("gateways", [*inventory["gateways"], other[1]])
    assert trap.check(inventory) == []


def test_what_blue_has_and_green_has_not_is_an_error():
    found = only(trap, on(["web.test"], ["edge/public", "gw/public"], green=("other.test",)))
    assert found.severity == "error" and "Gateway gw/public has none" in found.found
    assert trap.check(on(["web.test"], ["edge/public", "gw/public"], green=("*.test",))) == []


def test_gateways_that_may_not_be_listed_and_delegates_are_no_findings():
    assert trap.check(on(["web.example.com"], unread=["gateways"])) == []
    root = virtual_service("shop/root", http=[{"delegate": {"name": "part"}}])
    part = virtual_service("shop/part", gateways=[])
    del part["spec"]["hosts"]
    assert trap.check(mesh(("virtual_services", root), ("virtual_services", part))) == []
