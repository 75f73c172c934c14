# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import route_port_match as trap
from fake_mesh import PAIR, gateway, mesh, only, virtual_service

MOVED = [{**PAIR, "ports": {"8443": 443}}]


def matching(port, kind="http"):
    return ("virtual_services", virtual_service(**{kind: [{"match": [{"uri": {"prefix": "/"}}, {"port": port}]}]}))


def test_a_port_that_is_another_on_green():
    finding = only(trap, mesh(matching(8443), pairs=MOVED))
    assert finding.severity == "error" and finding.field == "spec.http[0].match[1].port"
    assert "gw/public has 443" in finding.found
    assert only(trap, mesh(matching(8443, "tls"), pairs=MOVED)).field == "spec.tls[0].match[1].port"


def test_greens_gateway_decides_once_it_is_there():
    green = gateway("gw/public", {"app": "new"})
    assert trap.check(mesh(matching(8443), ("gateways", green), pairs=MOVED)) == []
    green["spec"]["servers"][0]["port"]["number"] = 9443
    assert "has 9443" in only(trap, mesh(matching(8443), ("gateways", green))).found


def test_the_same_port_and_ports_of_neither_are_fine():
    assert trap.check(mesh(matching(8443))) == []
    assert trap.check(mesh(matching(15443), pairs=MOVED)) == []


def test_a_second_entry_for_greens_port_mends_it():
    def written(*matches):
        return mesh(("virtual_services", virtual_service(tls=[{"match": list(matches)}])), pairs=MOVED)

    blues, greens = ({"port": port, "sniHosts": ["vault.test"]} for port in (8443, 443))
    assert trap.check(written(blues)) != []
    assert trap.check(written(blues, greens)) == [] and trap.check(written(greens, blues)) == []
    assert trap.check(written(blues, {"sniHosts": ["vault.test"]})) == []
    for other in ({**greens, "sniHosts": ["other.test"]}, {**greens, "port": 444}, {"port": 443}):
        assert only(trap, written(blues, other)).field == "spec.tls[0].match[0].port"
