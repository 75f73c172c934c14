# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes made of Ingresses: each reaches the path that it is for, on the Ingress' side and on Istio's."""

from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingress_probes, _routes, _verify
from fake_ingresses import answer, convert, ingress
from hypothesis import given
from test_ingress_order import ingresses

SHAPE = {
    "id", "gateway", "virtual_service", "route", "host", "port", "node_port", "scheme", "protocol", "sni", "authority",
    "method", "path",
    "headers", "query", "expect",
}  # fmt: skip


def planned(*items, label="", **more):
    result = convert(*items, **more)
    return result, _ingress_probes.plan(result, label)


def test_they_have_the_shape_that_route_verify_takes():
    _result, found = planned(ingress(paths=[("/app", "Prefix", "app")], tls="cert"))
    assert {frozenset(route) for route in found.routes} == {frozenset(SHAPE)}
    assert len({route["id"] for route in found.routes}) == len(found.routes)
    for route in found.routes:
        assert route["path"] in str(_verify.request_of(route))


def test_each_path_is_asked_for_on_both_ports():
    _result, found = planned(ingress(paths=[("/app", "Prefix", "app"), ("/x", "Exact", "x")], tls="cert"))
    asked = {
        (r["scheme"], r["protocol"], r["path"], r["expect"]) for r in found.routes if r["host"] == "shop.example.com"
    }
    for path in ("/app", f"/app/{_routes.FILLER}", "/x"):
        assert {
            ("http", "http1", path, "redirect"),
            ("https", "h2", path, "answer"),
            ("https", "http1", path, "answer"),
        } <= asked
    assert [r["expect"] for r in found.routes if r["host"] == _routes.UNKNOWN_HOST] == [
        "refused"
    ] and not found.unprobed


@given(ingresses())
def test_every_probe_reaches_its_own_path_on_istio(items):
    result, found = planned(*items)
    said = {(row["ingress"], row["field"]) for row in result.routes}
    for route in found.routes:
        if route["virtual_service"] is None:
            continue
        action = answer(result, route["host"], route["path"], route["scheme"], route["headers"])
        assert action and action["name"] == f"{route['virtual_service']} {route['route']}"
    probed = {(r["virtual_service"], r["route"]) for r in found.routes} | {
        (u["virtual_service"], u["route"]) for u in found.unprobed
    }
    assert said <= probed


def test_a_canary_is_asked_for_by_its_header_and_its_cookie():
    result, found = planned(
        ingress("main", [("/", "Prefix", "v1")]),
        ingress(
            "next",
            [("/", "Prefix", "v2")],
            notes={"canary": "true", "canary-by-header": "X-Try", "canary-by-cookie": "try", "canary-weight": "10"},
        ),
    )
    asked = [r["headers"] for r in found.routes if r["virtual_service"]]
    assert (
        asked == [{"x-try": "always"}, {"x-try": "never"}, {"cookie": "try=always"}, {"cookie": "try=never"}]
        and not found.unprobed
    )
    to = [
        answer(result, "shop.example.com", "/", "http", headers)["route"][0]["destination"]["host"][:2]
        for headers in asked
    ]
    assert to == ["v2", "v1", "v2", "v1"]


def test_what_is_left_to_chance_is_not_called_verified():
    _result, found = planned(
        ingress("main", [("/", "Prefix", "v1")]),
        ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "10"}),
    )
    assert [u["reason"] for u in found.unprobed] == ["no_request"] and found.unprobed[0]["reachable"]


def test_wildcards_need_a_name():
    items = ingress("wild", host="*.a.test"), ingress("any", host=None)
    assert {u["reason"] for u in planned(*items)[1].unprobed} == {"wildcard_host"}
    assert {r["host"] for r in planned(*items, label="probe")[1].routes} == {"probe.a.test", "probe.invalid"}


def test_grpc_is_asked_for_its_health_where_that_leads_there():
    _result, found = planned(ingress(notes={"backend-protocol": "GRPC"}, tls="cert"))
    assert [(r["path"], r["method"]) for r in found.routes if r["protocol"] == "grpc"] == [
        ("/grpc.health.v1.Health/Check", "POST")
    ]


def test_passthrough_and_regular_expressions():
    _result, found = planned(
        ingress("p", host="p.test", notes={"ssl-passthrough": "true"}),
        ingress(paths=[("/v[0-9]+x", "ImplementationSpecific", "v")], notes={"use-regex": "true"}),
    )
    assert [r["protocol"] for r in found.routes if r["host"] == "p.test"] == ["tls_passthrough"]
    assert [(u["reason"], u["reachable"]) for u in found.unprobed] == [("regex_path", True)]
