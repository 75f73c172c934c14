# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import answer, codes, convert, ingress, routes, status

from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress.redirects import redirect


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://new.test/x?y=1", {"scheme": "https", "authority": "new.test", "uri": "/x?y=1"}),
        ("https://new.test", {"scheme": "https", "authority": "new.test", "uri": "/"}),
        ("https://new.test$request_uri", {"scheme": "https", "authority": "new.test"}),
        ("http://new.test:8080/", {"scheme": "http", "authority": "new.test", "port": 8080, "uri": "/"}),
        ("$scheme://new.test$request_uri", {"authority": "new.test"}),
        ("/login", {"uri": "/login"}),
        ("https://new.test/sub$request_uri", None),
        ("https://$host/x", None),
        ("new.test", None),
        ("ftp://new.test/", None),
    ],
)
def test_the_url_as_istio_has_it(url, expected):
    assert redirect(url, 302) == (expected and {"redirectCode": 302, **expected})


@pytest.mark.parametrize(
    ("notes", "code"),
    [
        ({"permanent-redirect": "/a"}, 301), ({"permanent-redirect": "/a", "permanent-redirect-code": "308"}, 308),
        ({"permanent-redirect": "/a", "permanent-redirect-code": "200"}, 301), ({"temporal-redirect": "/a"}, 302),
        ({"temporal-redirect": "/a", "permanent-redirect": "/b"}, 302),
        ({"temporal-redirect": "/a", "temporal-redirect-code": "307"}, 307),
    ],
)  # fmt: skip
def test_it_answers_in_the_place_of_the_backend_on_both_ports(notes, code):
    result = convert(ingress(notes=notes, tls="cert"))
    for scheme in ("http", "https"):
        assert answer(result, "shop.example.com", "/x", scheme)["redirect"] == {"uri": "/a", "redirectCode": code}
    assert all("route" not in route for route in routes(result))
    assert {status(result, name) for name in notes} <= {"translated", "not_needed"}


@pytest.mark.parametrize(
    "notes", [{"permanent-redirect": "https://$host/"}, {"permanent-redirect": "/a", "permanent-redirect-code": "304"}]
)
def test_what_envoy_can_not_say_is_an_error(notes):
    result = convert(ingress(notes=notes))
    assert status(result, "permanent-redirect") == "not_translated" and "annotation_redirect" in codes(result, "error")


def test_a_code_without_a_redirect_means_nothing():
    assert status(convert(ingress(notes={"permanent-redirect-code": "308"})), "permanent-redirect-code") == "not_needed"
