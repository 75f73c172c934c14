# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from fake_ingresses import codes, convert, ingress, routes, status
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress import rewrite_target


def rewritten(path, target, asked):
    """What Envoy makes of a path: RE2 replaces every match; \\1 is a capture."""
    rule = rewrite_target.regex_rewrite(path, target)
    return re.sub(rule["match"], rule["rewrite"].replace("\\\\", "\\\\"), asked)


@pytest.mark.parametrize(
    ("path", "target", "asked", "expected"),
    [
        ("/api(/|$)(.*)", "/$2", "/api/v1/x", "/v1/x"),
        ("/api(/|$)(.*)", "/$2", "/api", "/"),
        ("/app", "/new", "/app/x", "/new"),
        ("/APP/(\\w+)", "/u/$1", "/app/bob/more", "/u/bob"),
        ("/a/(.*)", "/$1-$2", "/a/b", "/b-"),
        ("/a|/b(.*)", "/x$1", "/b/c", "/x/c"),
    ],
)
def test_the_whole_path_is_replaced(path, target, asked, expected):
    assert rewritten(path, target, asked) == expected


@given(st.text("abc/", max_size=8), st.sampled_from(["/x/$1", "/$1/$1", "/fix"]))
def test_it_does_what_nginx_does(rest, target):
    """nginx: an unanchored search, and the target in the place of the whole path."""
    found = re.search(r"(?i)/a(.*)", f"/a{rest}")
    assert rewritten("/a(.*)", target, f"/a{rest}") == target.replace("$1", found[1])


def test_it_is_written_and_makes_the_path_a_regular_expression():
    result = convert(
        ingress(paths=[("/api(/|$)(.*)", "ImplementationSpecific", "api")], notes={"rewrite-target": "/$2"})
    )
    (route,) = routes(result)
    assert route["rewrite"] == {"uriRegexRewrite": {"match": "(?i)^/api(/|$)(.*).*$", "rewrite": "/\\2"}}
    assert (
        route["match"] == [{"uri": {"regex": "(?i)/api(/|$)(.*).*"}}]
        and status(result, "rewrite-target") == "translated"
    )


def test_a_target_that_is_the_path_itself_changes_nothing():
    result = convert(ingress(paths=[("/app", "Exact", "app")], notes={"rewrite-target": "/app"}))
    assert routes(result)[0]["match"] == [{"uri": {"exact": "/app"}}] and "rewrite" not in routes(result)[0]


@pytest.mark.parametrize("target", ["https://other.test/$1", "/x?y=1", "/$uri", "/$host/x"])
def test_what_can_not_be_said_is_an_error(target):
    result = convert(ingress(notes={"rewrite-target": target}))
    assert status(result, "rewrite-target") == "not_translated" and "annotation_rewrite_target" in codes(
        result, "error"
    )


def test_the_prefix_is_sent_where_there_is_a_rewrite():
    notes = {"rewrite-target": "/$1", "x-forwarded-prefix": "/api"}
    result = convert(ingress(paths=[("/api/(.*)", "ImplementationSpecific", "api")], notes=notes))
    assert routes(result)[0]["headers"] == {"request": {"set": {"X-Forwarded-Prefix": "/api"}}}
    assert status(convert(ingress(notes={"x-forwarded-prefix": "/api"})), "x-forwarded-prefix") == "not_needed"
    assert (
        status(
            convert(ingress(paths=[("/a(.*)", "Prefix", "a")], notes={**notes, "x-forwarded-prefix": "/$1"})),
            "x-forwarded-prefix",
        )
        == "not_translated"
    )
