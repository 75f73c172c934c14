# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

from fake_ingresses import convert, ingress, routes, status

from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress import cors


def test_the_defaults_are_blues():
    result = convert(ingress(notes={"enable-cors": "true"}))
    policy = routes(result)[0]["corsPolicy"]
    assert (
        policy["allowOrigins"] == [{"exact": "*"}]
        and policy["allowCredentials"] is True
        and policy["maxAge"] == "1728000s"
    )
    assert (
        policy["allowMethods"] == ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"] and "exposeHeaders" not in policy
    )
    assert status(result, "enable-cors") == "translated"


def test_all_of_it():
    notes = {
        "enable-cors": "true", "cors-allow-origin": "https://a.test, https://*.b.test", "cors-allow-methods": "GET",
        "cors-allow-headers": "X-A,X-B", "cors-expose-headers": "X-C", "cors-allow-credentials": "false",
        "cors-max-age": "60",
    }  # fmt: skip
    result = convert(ingress(notes=notes))
    origins = [{"exact": "https://a.test"}, {"regex": r"https://[A-Za-z0-9-]+\.b\.test"}]
    assert routes(result)[0]["corsPolicy"] == {
        "allowOrigins": origins, "allowMethods": ["GET"], "allowHeaders": ["X-A", "X-B"], "exposeHeaders": ["X-C"],
        "allowCredentials": False, "maxAge": "60s",
    }  # fmt: skip
    assert {status(result, name) for name in notes} == {"translated"}


def test_a_wildcard_is_one_label():
    pattern = cors.origin("https://*.b.test:8443")["regex"]
    asked = {
        o: bool(re.fullmatch(pattern, o))
        for o in ("https://x.b.test:8443", "https://x.y.b.test:8443", "https://xb.test:8443")
    }
    assert list(asked.values()) == [True, False, False]


def test_without_the_switch_there_is_none():
    result = convert(ingress(notes={"cors-allow-origin": "https://a.test"}))
    assert "corsPolicy" not in routes(result)[0] and status(result, "cors-allow-origin") == "not_needed"


def test_what_istio_does_not_take_is_named_and_the_rest_is_there():
    notes = {
        "enable-cors": "true",
        "cors-allow-methods": "GET, FETCH",
        "cors-allow-headers": "X-A, a b",
        "cors-max-age": "0",
    }
    result = convert(ingress(notes=notes))
    policy = routes(result)[0]["corsPolicy"]
    assert policy["allowMethods"] == ["GET"] and policy["allowHeaders"] == ["X-A"] and "maxAge" not in policy
    assert status(result, "cors-allow-methods") == status(result, "cors-allow-headers") == "not_translated"
