# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import secret_missing as trap
from fake_mesh import PAIR, gateway, mesh, only, secret


def test_blues_missing_secret_is_found_in_the_pods_namespace():
    finding = only(trap, mesh(drop=["secrets"]))
    assert finding.object == "Secret edge/cert" and "Gateway edge/public names it" in finding.found


def test_the_namespace_is_that_of_the_pods_and_not_of_the_gateway():
    pair = {**PAIR, "blue": "apps/own"}
    own = gateway("apps/own", mode="SIMPLE", credentialName="cert")
    assert trap.check(mesh(("gateways", own), pairs=[pair])) == []
    assert (
        only(trap, mesh(("gateways", own), ("secrets", secret("apps/cert")), pairs=[pair], drop=["secrets"])).object
        == "Secret edge/cert"
    )


def test_greens_is_asked_for_once_green_is_there():
    green = ("gateways", gateway("gw/public", {"app": "new"}, mode="SIMPLE", credentialName="cert"))
    assert trap.check(mesh()) == []
    assert only(trap, mesh(green)).object == "Secret gw/cert"
    assert trap.check(mesh(green, ("secrets", secret("gw/cert")))) == []


def test_greens_is_asked_for_beforehand_if_nothing_is_copied():
    assert only(trap, mesh(certificates="require")).object == "Secret gw/cert"
    assert trap.check(mesh(("secrets", secret("gw/cert")), certificates="require")) == []


def test_mutual_tls_needs_a_ca():
    mutual = ("gateways", gateway(mode="MUTUAL", credentialName="cert"))
    assert only(trap, mesh(mutual)).object == "Secret edge/cert-cacert"
    assert trap.check(mesh(mutual, ("secrets", secret("edge/cert", "tls.crt", "tls.key", "ca.crt")))) == []
    assert trap.check(mesh(mutual, ("secrets", secret("edge/cert-cacert", "cacert")))) == []


def test_nothing_is_claimed_when_secrets_can_not_be_listed():
    assert trap.check(mesh(drop=["secrets"], unread={"secrets"})) == []
