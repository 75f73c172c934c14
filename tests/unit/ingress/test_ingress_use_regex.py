# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_ingresses import answer, convert, ingress, routes, status


def test_its_paths_match_the_beginning_and_ignore_case():
    result = convert(ingress(paths=[("/v[0-9]+/x", "ImplementationSpecific", "v")], notes={"use-regex": "true"}))
    assert routes(result)[0]["match"] == [{"uri": {"regex": "(?i)/v[0-9]+/x.*"}}]
    assert status(result, "use-regex") == "translated"
    asked = [answer(result, "shop.example.com", path, "http") is not None for path in ("/V1/x/y", "/a/v1/x", "/v/x")]
    assert asked == [True, False, False]


def test_a_path_without_special_characters_stays_readable():
    result = convert(ingress(paths=[("/app", "Prefix", "app")], notes={"use-regex": "true"}))
    assert routes(result)[0]["match"] == [{"uri": {"prefix": "/app"}, "ignoreUriCase": True}]


def test_off_is_not_needed():
    result = convert(ingress(paths=[("/app", "Exact", "app")], notes={"use-regex": "false"}))
    assert routes(result)[0]["match"] == [{"uri": {"exact": "/app"}}] and status(result, "use-regex") == "not_needed"
