# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import certificate_names as trap
from fake_mesh import gateway, mesh, only, tls_secret, virtual_service


def test_a_route_that_the_wildcard_does_not_reach():
    deep = ("virtual_services", virtual_service(hosts=["a.b.test"]))
    finding = only(trap, mesh(("secrets", tls_secret("edge/cert", "*.test")), deep))
    assert finding.severity == "warning" and finding.object == "Secret edge/cert"
    assert finding.found == "it names *.test, and not a.b.test"


def test_hosts_of_the_gateway_itself():
    own = ("gateways", gateway(hosts=["shop/a.test", "*"], mode="SIMPLE", credentialName="cert"))
    assert "not a.test" in only(trap, mesh(own, ("secrets", tls_secret("edge/cert", "b.test", "web.test")))).found


def test_a_name_that_only_greens_certificate_lacks_is_an_error():
    both = [("secrets", tls_secret("edge/cert", "*.test", "a.b.test")), ("secrets", tls_secret("gw/cert", "*.test"))]
    deep = ("virtual_services", virtual_service(hosts=["a.b.test"]))
    finding = only(trap, mesh(*both, deep))
    assert finding.severity == "error" and finding.object == "Secret gw/cert"


def test_one_of_several_certificates_is_enough():
    several = gateway(mode="SIMPLE", credentialNames=["cert", "second"])
    first, second = tls_secret("edge/cert", "*.test"), tls_secret("edge/second", "a.b.test")
    deep = ("virtual_services", virtual_service(hosts=["a.b.test"]))
    assert trap.check(mesh(("gateways", several), ("secrets", first), ("secrets", second), deep)) == []


def test_names_that_fit_and_hosts_of_other_gateways_are_fine():
    secret = ("secrets", tls_secret("edge/cert", "*.test"))
    assert trap.check(mesh(secret)) == []
    assert trap.check(mesh(secret, ("virtual_services", virtual_service(hosts=["a.else"])))) == []
    assert trap.check(mesh()) == []
