# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import convert, ingress, routes, status


@pytest.mark.parametrize(
    ("notes", "retries"),
    [
        ({}, None),
        ({"proxy-next-upstream": "off"}, {"attempts": 0}),
        ({"proxy-next-upstream-tries": "1"}, {"attempts": 0}),
        ({"proxy-next-upstream-tries": "4"}, {"attempts": 3, "retryOn": "connect-failure,refused-stream"}),
        (
            {"proxy-next-upstream": "error timeout", "proxy-next-upstream-tries": "0"},
            {"attempts": 2, "retryOn": "connect-failure,refused-stream"},
        ),
        (
            {"proxy-next-upstream": "error http_502 non_idempotent"},
            {"attempts": 2, "retryOn": "connect-failure,refused-stream,reset,502"},
        ),
    ],
)  # fmt: skip
def test_what_is_tried_again(notes, retries):
    result = convert(ingress(notes=notes))
    assert routes(result)[0].get("retries") == retries
    assert {status(result, name) for name in notes} <= {"translated"}


def test_a_post_is_not_repeated_on_green_that_was_not_on_blue():
    result = convert(ingress(notes={"proxy-next-upstream": "error http_503"}))
    assert routes(result)[0]["retries"]["retryOn"] == "connect-failure,refused-stream"
    assert status(result, "proxy-next-upstream") == "not_translated"


@pytest.mark.parametrize("protocol", ["GRPC", "grpcs", "HTTP"])
def test_an_answer_of_grpc_is_not_repeated_as_istio_would_by_default(protocol):
    (route,) = routes(convert(ingress(notes={"backend-protocol": protocol})))
    safe = {"attempts": 2, "retryOn": "connect-failure,refused-stream"}
    assert route.get("retries") == (None if protocol == "HTTP" else safe)
    (own,) = routes(convert(ingress(notes={"backend-protocol": protocol, "proxy-next-upstream": "off"})))
    assert own["retries"] == {"attempts": 0}


def test_a_limit_for_all_tries():
    assert (
        status(convert(ingress(notes={"proxy-next-upstream-timeout": "0"})), "proxy-next-upstream-timeout")
        == "not_needed"
    )
    assert (
        status(convert(ingress(notes={"proxy-next-upstream-timeout": "9"})), "proxy-next-upstream-timeout")
        == "not_translated"
    )
