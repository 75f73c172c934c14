# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import codes, convert, ingress, made, only, status

NOTES = {"whitelist-source-range": "10.0.0.0/8, 192.0.2.1"}
RANGES = ["10.0.0.0/8", "192.0.2.1"]


def operation(result):
    spec = only(result, "AuthorizationPolicy")["spec"]
    assert spec["action"] == "DENY" and spec["selector"] == {"matchLabels": {"istio": "public"}}
    (rule,) = spec["rules"]
    assert rule["from"] == [{"source": {"notRemoteIpBlocks": RANGES}}]
    return rule["to"][0]["operation"]


def test_a_host_is_guarded_as_a_whole():
    result = convert(ingress(notes=NOTES))
    assert operation(result) == {"hosts": ["shop.example.com", "shop.example.com:*"]}
    assert only(result, "AuthorizationPolicy")["metadata"]["namespace"] == "edge"
    assert status(result, "whitelist-source-range") == "translated" and "client_address" in codes(result)


def test_some_of_its_paths_and_not_the_longer_ones_of_others():
    result = convert(
        ingress("guarded", [("/admin", "Prefix", "admin")], notes=NOTES),
        ingress("open", [("/", "Prefix", "web"), ("/admin/help", "Prefix", "help"), ("/admin/ok", "Exact", "ok")]),
    )
    found = operation(result)
    assert found["paths"] == ["/admin", "/admin/*"]
    assert found["notPaths"] == ["/admin/help", "/admin/help/*", "/admin/ok"]


def test_some_paths_of_a_host_of_regular_expressions_are_an_error_and_not_open():
    result = convert(
        ingress("guarded", [("/a.*", "ImplementationSpecific", "a")], notes={**NOTES, "use-regex": "true"}),
        ingress("open", [("/", "Prefix", "web")]),
    )
    assert not made(result, "AuthorizationPolicy") and status(result, "whitelist-source-range") == "not_translated"
    assert "annotation_source_range" in codes(result, "error")


def test_two_lists_for_one_host():
    result = convert(
        ingress("a", [("/a", "Prefix", "a")], notes=NOTES),
        ingress("b", [("/a/b", "Prefix", "b")], notes={"allowlist-source-range": "::1/128"}),
    )
    rules = {
        tuple(p["spec"]["rules"][0]["from"][0]["source"]["notRemoteIpBlocks"]): p["spec"]["rules"][0]["to"][0][
            "operation"
        ]
        for p in made(result, "AuthorizationPolicy")
    }
    assert rules[tuple(RANGES)]["notPaths"] == ["/a/b", "/a/b/*"] and rules[("::1/128",)]["paths"] == ["/a/b", "/a/b/*"]


@pytest.mark.parametrize("notes", [{"whitelist-source-range": "office"}, {"denylist-source-range": "10.0.0.0/8"}])
def test_what_is_not_understood_is_an_error(notes):
    result = convert(ingress(notes=notes))
    assert {status(result, name) for name in notes} == {"not_translated"} and "annotation_source_range" in codes(
        result, "error"
    )


def test_a_wildcard_is_guarded_by_the_names_that_are_not_meant():
    result = convert(
        ingress("wild", host="*.a.test", notes=NOTES), ingress("name", host="b.a.test"), ingress("other", host="c.test")
    )
    assert operation(result) == {"notHosts": ["b.a.test", "b.a.test:*", "c.test", "c.test:*"]}
    both = convert(ingress("wild", host="*.a.test", notes=NOTES), ingress("any", host=None))
    assert not made(both, "AuthorizationPolicy") and "annotation_source_range" in codes(both, "error")


def test_a_rule_without_host_is_not_for_the_hosts_that_have_rules():
    assert operation(convert(ingress("any", host=None, notes=NOTES), ingress("b", host="b.test"))) == {
        "notHosts": ["b.test", "b.test:*"]
    }
