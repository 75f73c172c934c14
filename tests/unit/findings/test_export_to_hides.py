# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import export_to_hides as trap
from fake_mesh import mesh, only, service, thing, virtual_service


def entry(**spec):
    return ("service_entries", thing("ServiceEntry", "edge/out", {"hosts": ["api.out.test"], **spec}))


TO_IT = ("virtual_services", virtual_service("shop/out", http=[{"route": [{"destination": {"host": "api.out.test"}}]}]))


@pytest.mark.parametrize(
    ("export_to", "hides"),
    [
        (["edge"], True),
        (["."], True),
        (["edge", "shop"], True),
        (["*"], False),
        ([], False),
        (None, False),
        (["edge", "gw"], False),
    ],
)
def test_a_virtual_service_in_blues_namespace(export_to, hides):
    found = trap.check(mesh(("virtual_services", virtual_service("edge/web", exportTo=export_to))))
    assert bool(found) == hides
    if hides:
        assert found[0].severity == "error" and found[0].object == "VirtualService edge/web" and "gw" in found[0].fix
        assert str(export_to) in found[0].found


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("VirtualService", ("virtual_services", virtual_service("edge/web"))),
        ("DestinationRule", ("destination_rules", thing("DestinationRule", "edge/web", {"host": "web.shop.svc.cluster.local"}))),
        ("Service", ("services", service("shop/web"))),
        ("ServiceEntry", entry()),
    ],
)
def test_what_the_mesh_takes_where_an_object_says_nothing(kind, item):
    scope = ["edge"] if kind == "Service" else ["."]
    setting = f"default{kind.replace('Entry', '')}ExportTo: {scope}"
    config = {**thing("ConfigMap", "istio-system/istio"), "data": {"mesh": setting}}
    added = [item, *([TO_IT] if kind == "ServiceEntry" else [])]
    assert trap.check(mesh(*added)) == []
    assert only(trap, mesh(*added, ("mesh_configs", config))).object.startswith(f"{kind} ")


def test_what_blue_does_not_see_either_is_not_about_us():
    assert trap.check(mesh(("virtual_services", virtual_service(exportTo=["shop"])))) == []
    assert (
        trap.check(mesh(("virtual_services", virtual_service("edge/other", ["else/where"], exportTo=["edge"])))) == []
    )


def test_a_service_that_a_route_leads_to():
    hidden = service("shop/web", annotations={"networking.istio.io/exportTo": "edge, shop"})
    assert only(trap, mesh(("services", hidden))).object == "Service shop/web"
    assert (
        trap.check(mesh(("services", service("shop/web", annotations={"networking.istio.io/exportTo": "edge,gw"}))))
        == []
    )
    unrelated = service("shop/other", annotations={"networking.istio.io/exportTo": "edge"})
    assert trap.check(mesh(("services", unrelated))) == []


@pytest.mark.parametrize(("export_to", "hides"), [(["."], True), (["edge"], True), (["gw", "edge"], False), (None, False)])
def test_a_service_entry_that_a_route_leads_to(export_to, hides):
    found = trap.check(mesh(TO_IT, entry(exportTo=export_to)))
    assert [(f.severity, f.object) for f in found] == ([("error", "ServiceEntry edge/out")] if hides else [])
    assert trap.check(mesh(entry(exportTo=export_to))) == [], "no route leads there"


@pytest.mark.parametrize("host", ["web", "web.shop.svc.cluster.local", "*.shop.svc.cluster.local"])
def test_a_destination_rule_for_a_route(host):
    rule = thing("DestinationRule", "shop/web", {"host": host, "exportTo": ["edge"]})
    assert only(trap, mesh(("destination_rules", rule))).severity == "warning"


def test_a_destination_rule_for_something_else_is_fine():
    rule = thing("DestinationRule", "shop/web", {"host": "other", "exportTo": ["edge"]})
    assert trap.check(mesh(("destination_rules", rule))) == []


def test_a_delegates_destinations_count():
    root = virtual_service(http=[{"delegate": {"name": "leaf", "namespace": "shop"}}])
    leaf = thing(
        "VirtualService", "shop/leaf", {"exportTo": ["edge"], "http": [{"route": [{"destination": {"host": "deep"}}]}]}
    )
    hidden = service("shop/deep", annotations={"networking.istio.io/exportTo": "edge"})
    inventory = mesh(("virtual_services", root), ("virtual_services", leaf), ("services", hidden))
    assert only(trap, inventory).object == "Service shop/deep"


def test_a_destination_rule_with_a_copy_of_ours_is_not_missed():
    hidden = thing("DestinationRule", "edge/web", {"host": "web.shop.svc.cluster.local", "exportTo": ["."]})
    assert only(trap, mesh(("destination_rules", hidden))).object == "DestinationRule edge/web"
    ours = {"annotations": {"bluegreen.mesh/policy-of": "DestinationRule edge/web"},
            "labels": {"app.kubernetes.io/managed-by": "bluegreen.mesh"}}  # fmt: skip
    copied = thing("DestinationRule", "gw/web-new", {"host": "web.shop.svc.cluster.local", "exportTo": ["."]}, **ours)
    assert trap.check(mesh(("destination_rules", hidden), ("destination_rules", copied))) == []
