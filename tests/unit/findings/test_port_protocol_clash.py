# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import port_protocol_clash as trap
from fake_mesh import PAIR, gateway, mesh, only


def plain(ref="apps/second", selector=None, protocol="HTTP"):
    item = gateway(ref, selector, hosts=["other.example"])
    item["spec"]["servers"][0]["port"]["protocol"] = protocol
    return ("gateways", item)


def test_http_where_tls_is():
    finding = only(trap, mesh(plain()))
    assert finding.severity == "error" and finding.object == "Gateway edge/public"
    assert "TLS on port 8443 of main, where Gateway apps/second spec.servers[0] has HTTP" in finding.found


def test_two_gateways_for_tcp_are_one_too_many():
    own = gateway(hosts=["*"])
    own["spec"]["servers"][0]["port"]["protocol"] = "TCP"
    assert "TCP" in only(trap, mesh(("gateways", own), plain(protocol="TCP"))).found


def test_a_clash_that_only_green_has():
    finding = only(trap, mesh(plain("gw/there", {"app": "new"})))
    assert finding.object == "Gateway gw/public" and "Gateway gw/there" in finding.found


def test_like_protocols_and_other_ports_are_fine():
    assert trap.check(mesh(("gateways", gateway("apps/second", hosts=["b.test"], mode="PASSTHROUGH")))) == []
    assert trap.check(mesh(("gateways", gateway()), plain())) != []
    own = gateway()
    own["spec"]["servers"][0]["port"]["protocol"] = "HTTP2"
    assert trap.check(mesh(("gateways", own), plain())) == []
    moved = {**PAIR, "ports": {"8443": 443}}
    assert trap.check(mesh(plain("gw/there", {"app": "new"}), pairs=[moved])) != []  # 443 leads to 8443 as well
