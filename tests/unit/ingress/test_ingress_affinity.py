# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import codes, convert, ingress, made, only, status


def hashed(result):
    (port,) = only(result, "DestinationRule")["spec"]["trafficPolicy"]["portLevelSettings"]
    return port["loadBalancer"]["consistentHash"]


def test_a_cookie_with_blues_name_and_path():
    assert hashed(convert(ingress(notes={"affinity": "cookie"}))) == {
        "httpCookie": {"name": "INGRESSCOOKIE", "path": "/", "ttl": "0s"}
    }
    notes = {
        "affinity": "cookie",
        "session-cookie-name": "route",
        "session-cookie-path": "/x",
        "session-cookie-expires": "9",
        "session-cookie-max-age": "60",
    }
    result = convert(ingress(notes=notes))
    assert hashed(result) == {"httpCookie": {"name": "route", "path": "/x", "ttl": "60s"}}
    assert {status(result, name) for name in notes} == {"translated"}


def test_what_istios_cookie_has_not_is_named():
    notes = {
        "affinity": "cookie",
        "affinity-mode": "persistent",
        "session-cookie-samesite": "Lax",
        "session-cookie-secure": "true",
    }
    result = convert(ingress(notes=notes))
    assert {status(result, name) for name in list(notes)[1:]} == {"not_translated"} and "annotation_affinity" in codes(
        result, "warning"
    )
    assert status(convert(ingress(notes={"session-cookie-name": "x"})), "session-cookie-name") == "not_needed"


@pytest.mark.parametrize(
    ("by", "policy"),
    [
        ("$remote_addr", {"useSourceIp": True}),
        ("$http_x_user", {"httpHeaderName": "x-user"}),
        ("$arg_id", {"httpQueryParameterName": "id"}),
    ],
)
def test_hashing_by_something_else(by, policy):
    assert hashed(convert(ingress(notes={"upstream-hash-by": by}))) == policy


def test_what_can_not_be_hashed_by():
    result = convert(ingress(notes={"upstream-hash-by": "$request_uri", "load-balance": "ewma"}))
    assert status(result, "upstream-hash-by") == status(result, "load-balance") == "not_translated" and not made(
        result, "DestinationRule"
    )


def test_two_wishes_for_one_service():
    result = convert(
        ingress("a", notes={"affinity": "cookie", "session-cookie-name": "one"}, host="a.test"),
        ingress("b", notes={"affinity": "cookie", "session-cookie-name": "two"}, host="b.test"),
    )
    assert "destination_rule_conflict" in codes(result) and len(made(result, "DestinationRule")) == 1


def test_a_rule_of_others_is_never_written_over():
    theirs = {"metadata": {"namespace": "team", "name": "mine"}, "spec": {"host": "web"}}
    result = convert(ingress(notes={"affinity": "cookie"}), destination_rules=[theirs])
    assert not made(result, "DestinationRule") and "destination_rule_foreign" in codes(result, "error")
