# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import gateway_duplicate_host as trap
from fake_mesh import PAIR, gateway, mesh, only

SECOND = {**gateway("apps/second", mode="SIMPLE", credentialName="cert"), "kind": "Gateway"}
PAIRS = [PAIR, {"blue": "apps/second", "green": "gw/second", "workload": "main"}]


def aged(item, date):
    return {**item, "metadata": {**item["metadata"], "creationTimestamp": date}}


def test_the_younger_one_loses():
    first = ("gateways", aged(gateway(mode="SIMPLE", credentialName="cert"), "2026-02-01T00:00:00Z"))
    second = ("gateways", aged(SECOND, "2026-01-01T00:00:00Z"))
    finding = only(trap, mesh(first, second, pairs=PAIRS))
    assert finding.severity == "error" and finding.object == "Gateway edge/public"
    assert "*.test on port 8443 of main is that of Gateway apps/second spec.servers[0]" in finding.found


def test_what_is_on_green_already_wins_over_the_twin_that_is_to_come():
    taken = gateway("gw/other", {"app": "new"}, mode="SIMPLE", credentialName="cert")
    finding = only(trap, mesh(("gateways", aged(taken, "2026-01-01T00:00:00Z"))))
    assert finding.object == "Gateway gw/public" and "Gateway gw/other" in finding.found


def test_a_green_gateway_that_selects_blues_pods_as_well_is_left_out_there():
    """Unless it is the older one: then blue's is left out."""
    blue = aged(gateway(mode="SIMPLE", credentialName="cert"), "2026-02-01T00:00:00Z")
    green = {**gateway("gw/public", mode="SIMPLE", credentialName="cert"), "kind": "Gateway"}
    younger, older = aged(green, "2026-03-01T00:00:00Z"), aged(green, "2026-01-01T00:00:00Z")
    assert trap.check(mesh(("gateways", blue), ("gateways", younger))) == []
    finding = only(trap, mesh(("gateways", blue), ("gateways", older)))
    assert finding.object == "Gateway edge/public" and "Gateway gw/public" in finding.found


def test_a_redirect_counts_since_it_has_tls_settings():
    redirect = gateway("apps/second", httpsRedirect=True)
    own = gateway(httpsRedirect=True)
    assert only(trap, mesh(("gateways", own), ("gateways", redirect), pairs=PAIRS)).severity == "error"


def test_other_hosts_ports_addresses_and_plain_http_are_fine():
    for other in (
        gateway("apps/second", hosts=["*.else"], mode="SIMPLE"),
        gateway("apps/second"),
    ):
        assert trap.check(mesh(("gateways", other), pairs=PAIRS)) == []
    elsewhere = gateway("apps/second", {"app": "third"}, mode="SIMPLE")
    assert trap.check(mesh(("gateways", elsewhere))) == []
    bound = gateway("apps/second", mode="SIMPLE")
    bound["spec"]["servers"][0]["bind"] = "10.0.0.1"
    assert trap.check(mesh(("gateways", bound), pairs=PAIRS)) == []


def test_one_port_by_two_names_is_one_listener():
    by_service_port = gateway("apps/second", mode="SIMPLE", credentialName="cert")
    by_service_port["spec"]["servers"][0]["port"]["number"] = 443  # the Service leads from 443 to 8443
    assert "Gateway apps/second" in only(trap, mesh(("gateways", by_service_port), pairs=PAIRS)).found
