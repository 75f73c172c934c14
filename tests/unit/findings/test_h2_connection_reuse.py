# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import h2_connection_reuse as trap
from fake_mesh import PAIR, gateway, mesh, only, tls_secret

SHARED = ("secrets", tls_secret("edge/cert", "*.test"))
PAIRS = [PAIR, {"blue": "apps/b", "green": "gw/b", "workload": "main"}]


def public(*hosts):
    return ("gateways", gateway(hosts=hosts, mode="SIMPLE", credentialName="cert"))


def test_a_wildcard_certificate_on_one_of_two_gateways():
    other = ("gateways", gateway("apps/b", hosts=["b.test"], mode="SIMPLE", credentialName="other"))
    finding = only(trap, mesh(SHARED, public("a.test"), other, pairs=PAIRS))
    assert finding.severity == "warning" and finding.object == "Gateway edge/public"
    assert "names b.test, which Gateway apps/b" in finding.found


def test_what_is_passed_through_may_be_asked_for_too():
    through = ("gateways", gateway("apps/b", hosts=["b.test"], mode="PASSTHROUGH"))
    assert "b.test" in only(trap, mesh(SHARED, public("a.test"), through, pairs=PAIRS)).found


def test_certificates_apart_ports_apart_and_one_server_are_fine():
    other = ("gateways", gateway("apps/b", hosts=["b.else"], mode="SIMPLE", credentialName="other"))
    assert trap.check(mesh(SHARED, public("a.test"), other, pairs=PAIRS)) == []
    assert trap.check(mesh(SHARED, public("a.test", "b.test"))) == []
    far = gateway("apps/b", hosts=["b.test"], mode="SIMPLE", credentialName="other")
    far["spec"]["servers"][0]["port"]["number"] = 9443
    assert trap.check(mesh(SHARED, public("a.test"), ("gateways", far), pairs=PAIRS)) == []
