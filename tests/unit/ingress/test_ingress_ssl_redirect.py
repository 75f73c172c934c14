# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import answer, codes, convert, ingress, routes, status

HTTPS = {"scheme": "https", "redirectCode": 308}


def redirected(result, path="/"):
    return (answer(result, "shop.example.com", path, "http") or {}).get("redirect")


@pytest.mark.parametrize(
    ("notes", "tls", "expected"),
    [
        ({}, "cert", HTTPS), ({}, None, None), ({"ssl-redirect": "false"}, "cert", None),
        ({"ssl-redirect": "true"}, None, None),
        ({"force-ssl-redirect": "true"}, None, HTTPS),
        ({"force-ssl-redirect": "true", "ssl-redirect": "false"}, "cert", HTTPS),
        ({"ssl-redirect": "yes"}, "cert", HTTPS),
    ],
)  # fmt: skip
def test_plain_http_is_redirected_where_blue_does_so(notes, tls, expected):
    result = convert(ingress(notes=notes, tls=tls))
    assert redirected(result) == expected
    if tls:
        assert answer(result, "shop.example.com")["route"]


def test_a_host_that_redirects_everywhere_does_so_for_paths_that_nobody_serves_too():
    assert redirected(convert(ingress(paths=[("/app", "Prefix", "app")], tls="cert")), "/other") == HTTPS


def test_a_path_that_does_not_is_served_beside_others_that_do():
    result = convert(
        ingress("a", [("/", "Prefix", "web")], tls="cert"),
        ingress("b", [("/plain", "Prefix", "p")], notes={"ssl-redirect": "false"}),
    )
    assert redirected(result, "/x") == HTTPS and redirected(result, "/plain/x") is None
    assert answer(result, "shop.example.com", "/plain/x", "http")["route"]
    assert len(routes(result)) == 3


def test_the_report_says_what_was_made_of_it():
    result = convert(
        ingress(
            notes={"ssl-redirect": "true", "force-ssl-redirect": "false", "preserve-trailing-slash": "true"}, tls="c"
        )
    )
    assert [status(result, n) for n in ("ssl-redirect", "force-ssl-redirect", "preserve-trailing-slash")] == [
        "translated", "not_needed", "not_needed",
    ]  # fmt: skip
    assert status(convert(ingress(notes={"ssl-redirect": "yes"})), "ssl-redirect") == "not_needed"


def test_a_redirect_without_tls_may_be_a_loop():
    assert "redirect_without_tls" in codes(convert(ingress(notes={"force-ssl-redirect": "true"})))
    assert "redirect_without_tls" not in codes(convert(ingress(notes={"force-ssl-redirect": "true"}, tls="cert")))
