# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_ingresses import convert, ingress, only, status


def test_tls_reaches_the_backend_as_it_is():
    result = convert(ingress(notes={"ssl-passthrough": "true"}))
    (server,) = only(result, "Gateway")["spec"]["servers"]
    assert server == {
        "port": {"number": 443, "name": "tls-passthrough", "protocol": "TLS"},
        "hosts": ["shop.example.com"],
        "tls": {"mode": "PASSTHROUGH"},
    }
    (route,) = only(result, "VirtualService")["spec"]["tls"]
    assert route["match"] == [{"port": 443, "sniHosts": ["shop.example.com"]}]
    assert route["route"] == [{"destination": {"host": "web.team.svc.cluster.local", "port": {"number": 80}}}]
    assert status(result, "ssl-passthrough") == "translated" and result.routes[0]["ingress"] == "team/shop"


def test_without_a_host_or_the_root_there_is_nothing_to_pass():
    assert status(convert(ingress(host=None, notes={"ssl-passthrough": "true"})), "ssl-passthrough") == "not_translated"
    assert status(convert(ingress(notes={"ssl-passthrough": "false"})), "ssl-passthrough") == "not_needed"
