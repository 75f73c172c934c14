# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import source_namespace_match as trap
from fake_mesh import mesh, only, thing, virtual_service


def matching(**match):
    return ("virtual_services", virtual_service(http=[{"match": [{"uri": {"prefix": "/"}}, match], "route": []}]))


def test_source_namespace_of_blue():
    finding = only(trap, mesh(matching(sourceNamespace="edge")))
    assert finding.field == "spec.http[0].match[1].sourceNamespace"
    assert trap.check(mesh(matching(sourceNamespace="gw"))) == []
    assert trap.check(mesh(matching(sourceNamespace="shop"))) == []


def test_source_labels_of_blue():
    assert only(trap, mesh(matching(sourceLabels={"app": "old"}))).field.endswith("sourceLabels")
    assert trap.check(mesh(matching(sourceLabels={"app": "other"}))) == []
    assert trap.check(mesh(matching(sourceLabels={"app": "old", "more": "x"}))) == []
    assert trap.check(mesh(matching())) == []


def test_tcp_and_tls_matches_and_delegates_count():
    tls = ("virtual_services", virtual_service(tls=[{"match": [{"sniHosts": ["a"], "sourceNamespace": "edge"}]}]))
    assert only(trap, mesh(tls)).field == "spec.tls[0].match[0].sourceNamespace"
    root = ("virtual_services", virtual_service(http=[{"delegate": {"name": "leaf"}}]))
    leaf = (
        "virtual_services",
        thing("VirtualService", "shop/leaf", {"http": [{"match": [{"sourceNamespace": "edge"}]}]}),
    )
    assert only(trap, mesh(root, leaf)).object == "VirtualService shop/leaf"


def test_routes_that_blue_does_not_serve_are_fine():
    other = virtual_service(gateways=["mesh"], http=[{"match": [{"sourceNamespace": "edge"}]}])
    assert trap.check(mesh(("virtual_services", other))) == []
