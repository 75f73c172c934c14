# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import certificate_copy_stale as trap
from fake_mesh import mesh, only, thing, tls_secret

ISSUED = ("certificates", thing("Certificate", "edge/site", {"secretName": "cert"}))
SOURCE = ("secrets", tls_secret("edge/cert", "*.test"))


def copy(*names, of="edge/cert"):
    return ("secrets", tls_secret("gw/cert", *names, annotations={"bluegreen.mesh/copy-of": of}))


def test_a_copy_that_is_to_come():
    finding = only(trap, mesh(SOURCE, ISSUED))
    assert finding.severity == "warning" and finding.object == "Secret edge/cert"
    assert "Certificate edge/site renews it" in finding.found and "mesh_certificates: require" in finding.fix
    assert trap.check(mesh(SOURCE, ISSUED, certificates="require")) == []
    assert trap.check(mesh(SOURCE, ISSUED, certificates="certificate")) == []


def test_a_copy_that_has_gone_stale_is_an_error():
    assert only(trap, mesh(SOURCE, ISSUED, copy("*.test"))).severity == "warning"
    stale = only(trap, mesh(SOURCE, ISSUED, copy("old.test")))
    assert stale.severity == "error" and "earlier certificate" in stale.found


def test_others_that_renew():
    owner = {"kind": "ExternalSecret", "name": "site", "controller": True}
    owned = ("secrets", tls_secret("edge/cert", "*.test", ownerReferences=[owner]))
    assert "ExternalSecret edge/site" in only(trap, mesh(owned)).found
    assert only(trap, mesh(owned, certificates="certificate")), "is copied all the same"
    noted = ("secrets", tls_secret("edge/cert", "*.test", annotations={"cert-manager.io/certificate-name": "site"}))
    assert "Certificate edge/site" in only(trap, mesh(noted)).found


def test_a_certificate_of_greens_own_and_what_nothing_renews_are_fine():
    assert trap.check(mesh(SOURCE)) == []
    own = ("certificates", thing("Certificate", "gw/site", {"secretName": "cert"}))
    assert trap.check(mesh(SOURCE, ISSUED, own)) == []
    assert trap.check(mesh(SOURCE, ISSUED, ("secrets", tls_secret("gw/cert", "*.test")))) == []
