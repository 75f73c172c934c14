# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Precedence: what an Ingress controller chooses and what Istio's first match chooses are the same backend.

The matcher of the Ingress rules here is written from the rules themselves (Kubernetes' path types; nginx's: exact, else
the longest prefix; for hosts with regular expressions, the longest that matches the beginning), and shares nothing with
the conversion.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_ingresses import answer, backend, codes, convert, ingress, made

HOST = "shop.example.com"
ELEMENTS = st.sampled_from(["a", "b", "ab", "A", "api", "v1"])
PLAIN = st.lists(ELEMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
SLASHED = st.tuples(PLAIN, st.booleans()).map(lambda pair: pair[0] + ("/" if pair[1] and pair[0] != "/" else ""))
REGEX = st.sampled_from(["/a", "/a/(.*)", "/a(/|$)(.*)", "/api/v[0-9]+", "/(a|b)", "/a|/b", "/.*", "/ab$", "/a.", "/"])


def choose(ingresses, path):
    """The Service that an Ingress controller sends a path of the one host to, or a redirect to the slash, or None."""
    ordered = sorted(ingresses, key=lambda i: i["metadata"]["name"], reverse=True)
    ordered.sort(key=lambda i: i["metadata"]["creationTimestamp"])
    entries, seen = [], set()
    regex_host = False
    for item in ordered:
        regex = item["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/use-regex") == "true"
        regex_host |= regex
        for rule in item["spec"]["rules"]:
            for entry in rule["http"]["paths"]:
                kind = entry["pathType"]
                key = (entry["path"], kind if entry["path"] != "/" or kind == "Exact" else "")
                if key not in seen:
                    seen.add(key)
                    entries.append((entry["path"], kind, entry["backend"]["service"]["name"], regex))
    if regex_host:
        patterns = []
        exact = {p for p, kind, _s, _r in entries if kind == "Exact"}
        for written, kind, name, regex in entries:
            if kind == "Prefix" and written != "/" and not regex:
                patterns.append((written.rstrip("/") + "/", name))
                if written in exact:
                    continue
            patterns.append((written, name))
        patterns.sort(key=lambda one: one[0], reverse=True)
        patterns.sort(key=lambda one: len(one[0]), reverse=True)
        return next((name for pattern, name in patterns if re.search(f"^{pattern}", path, re.I)), None)
    for written, kind, name, _regex in entries:
        if kind == "Exact" and written == path:
            return name
    best = None
    for written, kind, name, _regex in entries:
        if kind == "Exact":
            continue
        begin = written if kind == "ImplementationSpecific" or written == "/" else written.rstrip("/") + "/"
        whole = kind == "Prefix" and path == written.rstrip("/")
        if path.startswith(begin) or whole:
            rank = (len(begin), kind == "Prefix")
            if best is None or rank > best[0]:
                best = (rank, name)
    slash = [w for w, kind, _n, _r in entries if kind == "ImplementationSpecific" and w == path + "/" and path]
    prefix = [w for w, kind, _n, _r in entries if kind == "Prefix" and w.rstrip("/") == path]
    if slash and not prefix:
        return "redirect"
    return best[1] if best else None


def answered(result, path):
    found = answer(result, HOST, path, scheme="http")
    if found and found.get("redirect"):
        return "redirect"
    return (backend(found) or "/").partition("/")[2] or None


@st.composite
def ingresses(draw, regex=False):
    """Up to three Ingresses of one host, of ages that may be equal; every path has a Service of its own."""
    found, number = [], 0
    for index in range(draw(st.integers(1, 3))):
        own = regex and (index == 0 or draw(st.booleans()))
        paths = []
        for _path in range(draw(st.integers(1, 4))):
            number += 1
            if own:
                paths.append((draw(REGEX), "ImplementationSpecific", f"s{number}"))
            else:
                kind = draw(st.sampled_from(["Exact", "Prefix", "ImplementationSpecific"]))
                paths.append((draw(SLASHED), kind, f"s{number}"))
        notes = {"use-regex": "true"} if own else {}
        found.append(ingress(f"i{index}", paths, notes=notes, age=draw(st.integers(0, 2))))
    return found


ASKED = st.one_of(SLASHED, st.tuples(SLASHED, st.sampled_from(["x", "/x", "1"])).map("".join))


@given(ingresses(), st.lists(ASKED, min_size=1, max_size=8))
@example([ingress("i0", [("/a/", "Prefix", "s1"), ("/a", "Exact", "s2"), ("/", "Prefix", "s3")])], ["/a", "/a/", "/ab"])
@example(
    [ingress("i0", [("/a/", "ImplementationSpecific", "s1")]), ingress("i1", [("/a", "Prefix", "s2")])], ["/a", "/a/b"]
)
def test_both_choose_the_same_backend(found, paths):
    result = convert(*found)
    for path in paths:
        assert answered(result, path) == choose(found, path), path


@given(ingresses(regex=True), st.lists(ASKED, min_size=1, max_size=8))
@example(
    [ingress("i0", [("/a|/b", "ImplementationSpecific", "s1")], notes={"use-regex": "true"})], ["/x/b", "/a", "/x/a"]
)
@example(
    [
        ingress(
            "i0",
            [("/.*", "ImplementationSpecific", "s1"), ("/a.", "ImplementationSpecific", "s2")],
            notes={"use-regex": "true"},
        )
    ],
    ["/ab", "/xy"],
)
def test_both_choose_the_same_backend_with_regular_expressions(found, paths):
    result = convert(*found)
    for path in paths:
        assert answered(result, path) == choose(found, path), path


@given(ingresses())
def test_every_path_that_can_answer_is_in_the_routes_and_all_is_stable(found):
    result = convert(*found)
    assert result.objects == convert(*reversed(found)).objects
    said = {(row["ingress"], row["field"]) for row in result.routes}
    for index, item in enumerate(found):
        for number, entry in enumerate(item["spec"]["rules"][0]["http"]["paths"]):
            name = entry["backend"]["service"]["name"]
            if choose(found, entry["path"]) == name:
                assert (f"team/i{index}", f"spec.rules[0].http.paths[{number}]") in said


@pytest.mark.parametrize(
    ("path", "service"),
    [("/", "any"), ("/app", "app"), ("/app/x", "app"), ("/apple", "any"), ("/app/exact", "exact"),
     ("/app/exact/x", "app"),
     ("/app/long", "long"), ("/app/longer", "app")],
)  # fmt: skip
def test_exact_before_the_longest_prefix_and_what_takes_all_last(path, service):
    result = convert(
        ingress(
            paths=[
                ("/", "Prefix", "any"),
                ("/app", "Prefix", "app"),
                ("/app/exact", "Exact", "exact"),
                ("/app/long", "Prefix", "long"),
            ]
        )
    )
    assert answered(result, path) == service
    (item,) = made(result, "VirtualService")
    assert item["spec"]["http"][-1]["match"] == [{"uri": {"prefix": "/"}}]


def test_of_two_that_claim_a_path_the_older_one_has_it_and_the_other_is_named():
    result = convert(ingress("new", [("/", "Prefix", "new")]), ingress("old", [("/", "Prefix", "old")], age=9))
    assert answered(result, "/x") == "old" and "path_duplicate" in codes(result)
    assert next(f for f in result.findings if f.code == "path_duplicate").object == "Ingress team/new"


def test_of_one_age_the_last_name_counts():
    assert answered(convert(ingress("a", [("/", "Prefix", "a")]), ingress("b", [("/", "Prefix", "b")])), "/") == "b"


def test_the_default_backend_serves_what_no_path_does():
    one = ingress("one", [("/app", "Prefix", "app")], default="rest")
    assert [answered(convert(one), path) for path in ("/app/x", "/x")] == ["app", "rest"]
    # ... unless any Ingress of the host says so for `/`.
    two = ingress("two", [("/", "Prefix", "root")])
    assert answered(convert(one, two), "/x") == "root"


def test_a_host_of_its_own_comes_before_a_wildcard_and_that_before_any():
    result = convert(
        ingress("exact", [("/", "Prefix", "exact")], host="a.example.com"),
        ingress("wild", [("/", "Prefix", "wild")], host="*.example.com"),
        ingress("any", (), default="any"),
    )
    ask = {host: backend(answer(result, host, scheme="http")) for host in ("a.example.com", "b.example.com", "c.test")}
    assert ask == {"a.example.com": "team/exact", "b.example.com": "team/wild", "c.test": "team/any"}
    assert "wildcard_wider" in codes(result)


def test_what_envoy_can_not_match_is_an_error_and_not_a_guess():
    result = convert(
        ingress(paths=[("/(?!x).*", "ImplementationSpecific", "s"), ("/y", "Exact", "y")], notes={"use-regex": "true"})
    )
    assert "regex_unsupported" in codes(result, "error")
    assert len(made(result, "VirtualService")[0]["spec"]["http"]) == 1


def test_one_regular_expression_makes_all_paths_of_the_host_one_and_says_so():
    result = convert(
        ingress("plain", [("/app", "Exact", "app")]),
        ingress("regex", [("/v[0-9]+", "ImplementationSpecific", "v")], notes={"use-regex": "true"}),
    )
    assert [answered(result, path) for path in ("/app", "/APPLE", "/V1x")] == ["app", "app", "v"]
    assert [f.object for f in result.findings if f.code == "regex_host_wide"] == ["Ingress team/plain"]
