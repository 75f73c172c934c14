# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import source_namespace_match as trap
from fake_mesh import PAIR, WORKLOAD, mesh, only, thing, virtual_service


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


def written(*matches, **workload):
    inventory = ("virtual_services", virtual_service(http=[{"match": list(matches), "route": []}]))
    return mesh(inventory, **workload)


@pytest.mark.parametrize(
    ("blues", "greens"),
    [
        ({"sourceNamespace": "edge"}, {"sourceNamespace": "gw"}),
        ({"sourceNamespace": "edge", "name": "old"}, {"sourceNamespace": "gw", "name": "new"}),
        ({"sourceLabels": {"app": "old"}}, {"sourceLabels": {"app": "new"}}),
        ({"sourceNamespace": "edge", "port": 80}, {"port": 80}),
        ({"sourceNamespace": "edge", "sourceLabels": {"app": "old"}}, {"sourceLabels": {"app": "new"}}),
    ],
)
def test_a_match_for_greens_beside_it_mends_it(blues, greens):
    assert trap.check(written(blues)) != []
    assert trap.check(written(blues, greens)) == [] and trap.check(written(greens, blues)) == []


@pytest.mark.parametrize(
    "other",
    [
        {"sourceNamespace": "gw", "uri": {"prefix": "/other"}},
        {"sourceNamespace": "shop"},
        {"sourceNamespace": "gw", "sourceLabels": {"app": "else"}},
        {"sourceNamespace": "gw", "port": 80},
    ],
)
def test_another_match_does_not(other):
    assert only(trap, written({"sourceNamespace": "edge"}, other)).field == "spec.http[0].match[0].sourceNamespace"


def test_one_in_another_route_does_not():
    routes = [{"match": [{"sourceNamespace": namespace}], "route": []} for namespace in ("edge", "gw")]
    assert only(trap, mesh(("virtual_services", virtual_service(http=routes))))


def test_each_pair_needs_its_own():
    """Two Gateways go to two namespaces: a match for one of them leaves the other without."""
    workloads = [WORKLOAD, {**WORKLOAD, "name": "second", "green": {**WORKLOAD["green"], "namespace": "gw2"}}]
    pairs = [PAIR, {"blue": "edge/second", "green": "gw2/second", "workload": "second"}]
    places = [{"sourceNamespace": namespace} for namespace in ("edge", "gw", "gw2")]
    for matches, wrong in ((places[:2], True), (places, False)):
        vs = virtual_service(gateways=["edge/public", "edge/second"], http=[{"match": matches, "route": []}])
        assert bool(trap.check(mesh(("virtual_services", vs), pairs=pairs, workloads=workloads))) is wrong


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
