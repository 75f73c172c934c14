# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import destination_missing as trap
from fake_mesh import mesh, only, service, thing, virtual_service


def to(host, *more, key="route", **settings):
    one = {"destination": {"host": host}}
    added = {key: {"host": host} if key == "mirror" else [one]}
    http = [{"route": [{"destination": {"host": "web"}}], **added}]
    return mesh(("virtual_services", virtual_service(http=http)), *more, **settings)


@pytest.mark.parametrize("key", ["route", "mirror", "mirrors"])
def test_what_is_not_there(key):
    found = only(trap, to("gone", key=key))
    assert found.severity == "warning" and found.object == "VirtualService shop/web"
    assert "no Service shop/gone" in found.found and f".{key}" in found.field


@pytest.mark.parametrize("host", ["web", "web.shop.svc.cluster.local", "web.shop.svc.other.domain"])
def test_services_by_all_their_names(host):
    assert trap.check(to(host)) == []
    assert only(trap, to(host.replace("web", "wbe"))).found == "there is no Service shop/wbe in this cluster"


def test_a_short_name_is_of_the_virtual_services_own_namespace():
    other = ("services", service("pay/till", ports=[{"port": 80}]))
    assert trap.check(to("till.pay.svc.cluster.local", other)) == []
    assert "shop/till" in only(trap, to("till", other)).found


@pytest.mark.parametrize(
    ("host", "entry", "fine"),
    [
        ("api.example.com", "api.example.com", True), ("api.example.com", "*.example.com", True),
        ("api.example.org", "*.example.com", False), ("pay.shop.svc.cluster.local", "pay.shop.svc.cluster.local", True),
    ],
)  # fmt: skip
def test_hosts_of_service_entries(host, entry, fine):
    entries = ("service_entries", thing("ServiceEntry", "shop/api", {"hosts": [entry]}))
    assert (trap.check(to(host, entries)) == []) is fine
    assert trap.check(to(host)) != []


@pytest.mark.parametrize("kind", ["services", "service_entries"])
def test_what_may_not_be_listed_is_not_called_missing(kind):
    assert trap.check(to("gone", unread=[kind])) == []


def test_routes_of_tls_and_tcp():
    gone = [{"route": [{"destination": {"host": "gone"}}]}]
    for kind in ("tls", "tcp"):
        found = only(trap, mesh(("virtual_services", virtual_service(**{"http": [], kind: gone}))))
        assert found.field == f"spec.{kind}[0].route[0].destination.host"
