# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import codes, convert, ingress, made, only, service, status


def policy(result):
    (port,) = only(result, "DestinationRule")["spec"]["trafficPolicy"]["portLevelSettings"]
    return {key: value for key, value in port.items() if key != "port"}


def test_https_is_tls_without_a_look_at_the_certificate_as_on_blue():
    notes = {
        "backend-protocol": "https",
        "proxy-ssl-name": "inner.test",
        "proxy-ssl-server-name": "on",
        "proxy-ssl-verify": "off",
    }
    result = convert(ingress(notes={**notes, "proxy-ssl-server-name": "true"}))
    assert policy(result) == {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True, "sni": "inner.test"}}
    assert {status(result, name) for name in notes} == {"translated", "not_needed"}


def test_grpc_is_http2_by_the_ports_own_word_or_by_a_rule():
    declared = convert(ingress(notes={"backend-protocol": "GRPC"}), services=[service("web", appProtocol="grpc")])
    assert not made(declared, "DestinationRule") and status(declared, "backend-protocol") == "translated"
    plain = convert(ingress(notes={"backend-protocol": "GRPC"}))
    assert policy(plain) == {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}} and "port_protocol" in codes(
        plain
    )
    assert set(policy(convert(ingress(notes={"backend-protocol": "GRPCS"})))) == {"tls", "connectionPool"}


@pytest.mark.parametrize(
    ("protocol", "said"),
    [("HTTP", "not_needed"), ("FCGI", "not_translated"), ("AUTO_HTTP", "not_translated"), ("SPDY", "not_needed")],
)
def test_others(protocol, said):
    assert status(convert(ingress(notes={"backend-protocol": protocol})), "backend-protocol") == said


def test_verifying_needs_a_ca_and_is_not_dropped():
    result = convert(
        ingress(
            notes={
                "backend-protocol": "HTTPS",
                "proxy-ssl-verify": "on",
                "proxy-ssl-secret": "team/ca",
                "proxy-ssl-ciphers": "x",
            }
        )
    )
    assert {status(result, f"proxy-ssl-{name}") for name in ("verify", "secret", "ciphers")} == {"not_translated"}
    assert status(convert(ingress(notes={"proxy-ssl-verify": "on"})), "proxy-ssl-verify") == "not_needed"
