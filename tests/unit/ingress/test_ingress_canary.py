# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from fake_ingresses import answer, codes, convert, ingress, routes, status

HOST = "shop.example.com"


def shares(notes, headers=None, main_notes=None):
    """Service -> percent that a request with these headers can reach."""
    result = convert(
        ingress("main", [("/", "Prefix", "v1")], notes=main_notes),
        ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", **notes}),
    )
    found = answer(result, HOST, "/x", "http", headers)["route"]
    return {one["destination"]["host"].split(".")[0]: one.get("weight", 100) for one in found}


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"canary-weight": "5"}, {"v1": 95, "v2": 5}), ({"canary-weight": "0"}, {"v1": 100}),
        ({"canary-weight": "100"}, {"v2": 100}),
        ({"canary-weight": "300"}, {"v2": 100}),
        ({"canary-weight": "50", "canary-weight-total": "1000"}, {"v1": 95, "v2": 5}),
        ({"canary-weight": "1", "canary-weight-total": "3"}, {"v1": 99, "v2": 1}), ({}, {"v1": 100}),
    ],
)  # fmt: skip
def test_weights_are_100_in_all(notes, expected):
    assert shares(notes) == expected and sum(expected.values()) == 100


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"v1": 90, "v2": 10}), ({"X-Try": "always"}, {"v2": 100}), ({"X-Try": "never"}, {"v1": 100}),
        ({"X-Try": "maybe"}, {"v1": 90, "v2": 10}),
        ({"Cookie": "a=1; try=always"}, {"v2": 100}), ({"Cookie": "try=never; b=2"}, {"v1": 100}),
        ({"Cookie": "retry=always"}, {"v1": 90, "v2": 10}),
        ({"Cookie": "try=alwaysx"}, {"v1": 90, "v2": 10}), ({"X-Try": "never", "Cookie": "try=always"}, {"v1": 100}),
        ({"X-Try": "always", "Cookie": "try=never"}, {"v2": 100}),
    ],
)  # fmt: skip
def test_a_header_counts_before_a_cookie_and_that_before_the_weight(headers, expected):
    assert shares({"canary-by-header": "X-Try", "canary-by-cookie": "try", "canary-weight": "10"}, headers) == expected


def test_a_value_or_a_pattern_takes_the_place_of_always():
    value = {"canary-by-header": "X-Try", "canary-by-header-value": "yes"}
    assert [shares(value, {"X-Try": v}) for v in ("yes", "always")] == [{"v2": 100}, {"v1": 100}]
    pattern = {"canary-by-header": "X-Try", "canary-by-header-pattern": "^(de|at)$"}
    assert [shares(pattern, {"X-Try": v}) for v in ("at", "cat")] == [{"v2": 100}, {"v1": 100}]
    loose = {"canary-by-header": "X-Try", "canary-by-header-pattern": "beta"}
    assert shares(loose, {"X-Try": "my-beta-1"}) == {"v2": 100} and re.search("beta", "my-beta-1")
    assert shares({**pattern, "canary-by-header-value": "yes"}, {"X-Try": "at"}) == {"v1": 100}


def test_settings_are_the_main_ones():
    result = convert(
        ingress("main", [("/", "Prefix", "v1")], notes={"proxy-read-timeout": "9"}),
        ingress(
            "next", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "5", "proxy-read-timeout": "99"}
        ),
    )
    assert [route["timeout"] for route in routes(result)] == ["9s"]
    said = {e["ingress"]: e["status"] for e in result.report if e["annotation"].endswith("read-timeout")}
    assert said == {"team/main": "translated", "team/next": "not_needed"} and status(result, "canary") == "translated"


def test_it_counts_for_every_path_to_its_service_and_says_so():
    result = convert(
        ingress("main", [("/", "Prefix", "v1"), ("/other", "Prefix", "v1")]),
        ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "100"}),
    )
    assert answer(result, HOST, "/other/x", "http")["route"][0]["destination"]["host"].startswith("v2.")
    assert "canary_leak" in codes(result)


def test_one_without_a_main_ingress_gets_no_request_and_says_so():
    result = convert(ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "5"}))
    assert "canary_alone" in codes(result) and status(result, "canary-weight") == "not_needed"
    assert answer(result, HOST, "/", "http") is None


def test_a_second_one_does_not_count():
    result = convert(
        ingress("main", [("/", "Prefix", "v1")], age=9),
        ingress("n1", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "5"}, age=2),
        ingress("n2", [("/", "Prefix", "v3")], notes={"canary": "true", "canary-weight": "50"}),
    )  # fmt: skip
    assert {one["destination"]["host"][:2] for one in routes(result)[0]["route"]} == {
        "v1",
        "v2",
    } and "canary_second" in codes(result)


def test_annotations_of_a_canary_that_is_none():
    assert status(convert(ingress(notes={"canary-weight": "5"})), "canary-weight") == "not_needed"


@pytest.mark.parametrize(
    "notes", [{"canary-by-header": "no header"}, {"canary-by-header": "X-Try", "canary-by-header-pattern": "(?=x)"}]
)
def test_a_header_that_can_not_be_matched_is_an_error(notes):
    result = convert(
        ingress("main", [("/", "Prefix", "v1")]),
        ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", "canary-weight": "5", **notes}),
    )
    assert status(result, "canary-by-header") == "not_translated" and "annotation_canary" in codes(result, "error")
    assert [len(route["route"]) for route in routes(result)] == [2]
