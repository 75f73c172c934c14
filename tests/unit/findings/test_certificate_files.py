# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import certificate_files as trap
from fake_mesh import gateway, mesh, only


def test_a_certificate_in_the_pod_is_found():
    files = gateway(mode="SIMPLE", serverCertificate="/etc/certs/tls.crt", privateKey="/etc/certs/tls.key")
    finding = only(trap, mesh(("gateways", files)))
    assert (
        finding.field == "spec.servers[0].tls.serverCertificate"
        and "/etc/certs/tls.crt, /etc/certs/tls.key" in finding.found
    )


def test_several_certificates_are_found():
    files = gateway(mode="SIMPLE", tlsCertificates=[{"serverCertificate": "/a", "privateKey": "/b"}])
    assert only(trap, mesh(("gateways", files))).field == "spec.servers[0].tls.tlsCertificates[0].serverCertificate"


def test_credentials_and_passthrough_are_fine():
    assert trap.check(mesh()) == []
    assert trap.check(mesh(("gateways", gateway(mode="PASSTHROUGH")))) == []
