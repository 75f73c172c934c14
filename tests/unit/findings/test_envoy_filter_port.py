# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import envoy_filter_port as trap
from fake_mesh import PAIR, mesh, only, service, thing


def envoy_filter(**match):
    return ("envoy_filters", thing("EnvoyFilter", "edge/f", {"configPatches": [{"match": {}}, {"match": match}]}))


GREEN = ("services", service("gw/new", {"app": "new"}, ports=[{"name": "https", "port": 443}]))


@pytest.mark.parametrize(
    ("match", "field"),
    [
        ({"listener": {"portNumber": 8443}}, "listener.portNumber"),
        ({"listener": {"name": "0.0.0.0_8443"}}, "listener.name"),
        ({"routeConfiguration": {"portNumber": 8443}}, "routeConfiguration.portNumber"),
        ({"routeConfiguration": {"name": "http.8443"}}, "routeConfiguration.name"),
        ({"routeConfiguration": {"name": "https.8443.https.public.edge"}}, "routeConfiguration.name"),
    ],
)
def test_a_port_that_green_does_not_have(match, field):
    finding = only(trap, mesh(GREEN, envoy_filter(**match)))
    assert finding.field == f"spec.configPatches[1].match.{field}" and "green has 443" in finding.found
    by_pair = mesh(envoy_filter(**match), pairs=[{**PAIR, "ports": {"8443": 443}}])
    assert "green has 443" in only(trap, by_pair).found


@pytest.mark.parametrize(
    "match",
    [
        {"listener": {"portNumber": 9000}},
        {"listener": {"name": "virtualInbound"}},
        {"routeConfiguration": {"name": "http.9000"}},
        {},
    ],
)
def test_other_ports_are_fine(match):
    assert trap.check(mesh(GREEN, envoy_filter(**match))) == []


def test_the_same_ports_on_green_are_fine():
    assert trap.check(mesh(envoy_filter(listener={"portNumber": 8443}))) == []
    same = ("services", service("gw/new", {"app": "new"}))
    assert (
        trap.check(mesh(same, envoy_filter(listener={"portNumber": 8443}), pairs=[{**PAIR, "ports": {"8443": 8443}}]))
        == []
    )


def everywhere(name, *patches):
    return ("envoy_filters", thing("EnvoyFilter", f"istio-system/{name}", {"configPatches": list(patches)}))


def patch(value="x", **match):
    return {"applyTo": "HTTP_FILTER", "match": {"context": "GATEWAY", **match}, "patch": {"value": value}}


@pytest.mark.parametrize(
    ("blues", "greens"),
    [
        ({"listener": {"portNumber": 8443}}, {"listener": {"portNumber": 443}}),
        ({"listener": {"name": "0.0.0.0_8443"}}, {"listener": {"name": "0.0.0.0_443"}}),
        ({"routeConfiguration": {"name": "http.8443"}}, {"routeConfiguration": {"name": "http.443"}}),
        (
            {"routeConfiguration": {"name": "https.8443.https.public.edge"}},
            {"routeConfiguration": {"name": "https.443.https.public.gw"}},
        ),
        (
            {"routeConfiguration": {"portNumber": 8443, "gateway": "edge/public"}},
            {"routeConfiguration": {"portNumber": 443, "gateway": "gw/public"}},
        ),
        (
            {"routeConfiguration": {"portNumber": 8443, "vhost": {"name": "web.test:8443"}}},
            {"routeConfiguration": {"portNumber": 443, "vhost": {"name": "web.test:443"}}},
        ),
    ],
)
def test_a_patch_for_greens_port_mends_it_in_whatever_filter(blues, greens):
    assert trap.check(mesh(GREEN, everywhere("f", patch(**blues)))) != []
    assert trap.check(mesh(GREEN, everywhere("f", patch(**blues), patch(**greens)))) == []
    assert trap.check(mesh(GREEN, everywhere("f", patch(**blues)), everywhere("g", patch(**greens)))) == []


def test_a_patch_that_says_something_else_or_is_not_for_green_does_not():
    blues, greens = ({"listener": {"portNumber": port}} for port in (8443, 443))
    for other in (
        everywhere("g", patch("y", **greens)),
        everywhere("g", patch(listener={"portNumber": 444})),
        everywhere("g", patch(listener={"portNumber": 443, "name": "other"})),
        ("envoy_filters", thing("EnvoyFilter", "edge/g", {"configPatches": [patch(**greens)]})),
    ):
        assert only(trap, mesh(GREEN, everywhere("f", patch(**blues)), other)).object == "EnvoyFilter istio-system/f"
