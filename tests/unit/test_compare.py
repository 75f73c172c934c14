# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._compare import MASKS, Rules, compile_masks, judge
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import Answer
from hypothesis import given
from hypothesis import strategies as st

RULES = Rules()
BASE = Answer(
    status=200, headers=[("content-type", "text/plain"), ("server", "istio-envoy")], body=b"hello\nworld\n",
    http_version="2", certificate="ab" * 32,
)  # fmt: skip


def answer(**changes):
    return dataclasses.replace(BASE, **changes)


def compare(blue, green, rules=RULES, private=False):
    """blue: list of answers of one node; green: one answer."""
    return judge({"b": blue}, {"g": [green]}, rules, private)


def only(verdict):
    assert verdict.verdict == "different"
    assert len(verdict.differences) == 1, verdict.differences
    return verdict.differences[0]


def test_same_answers_are_equal():
    assert compare([BASE, BASE], BASE).verdict == "equal"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"status": 404}, "status"),
        ({"http_version": "1.1"}, "http_version"),
        ({"certificate": "cd" * 32}, "certificate"),
        ({"headers": [*BASE.headers, ("location", "https://elsewhere/")]}, "location"),
        ({"trailers": [("grpc-status", "12")]}, "grpc_status"),
        ({"headers": [("content-type", "text/html"), ("server", "istio-envoy")]}, "header content-type"),
        ({"headers": [("content-type", "text/plain")]}, "header server"),
        ({"headers": [*BASE.headers, ("strict-transport-security", "max-age=1")]}, "header strict-transport-security"),
        ({"body": b"hello\nmoon\n"}, "body"),
        ({"body": b"hello\n"}, "body"),
        ({"body": b""}, "body"),
    ],
)
def test_each_field_that_differs_is_named(changes, name):
    found = only(compare([BASE, BASE], answer(**changes)))
    assert found["field"] == name and found["node"] == "g"


@pytest.mark.parametrize(
    "field", ["status", "location", "http_version", "certificate", "grpc_status", "headers", "body"]
)
def test_fields_can_be_left_out(field):
    rules = Rules(fields=(field,))
    other = answer(
        status=404, http_version="1.1", certificate="", trailers=[("grpc-status", "1")], body=b"x",
        headers=[("location", "/"), ("content-type", "a/b"), ("server", "istio-envoy")],
    )  # fmt: skip
    names = {found["field"] for found in compare([BASE, BASE], other, rules).differences}
    expected = {"headers": set(), "body": set()}.get(field, {field})  # not compared when the status differs
    assert names == expected


def test_unreachable_is_neither_equal_nor_different():
    lost = Answer(error="unreachable", detail="Connection refused")
    for blue, green, side in (
        ([BASE, BASE], lost, "green"),
        ([BASE, lost], BASE, "blue"),
        ([lost, lost], lost, "blue"),
    ):
        verdict = compare(blue, green)
        assert verdict.verdict == "unreachable"
        assert verdict.differences[0][side] == "Connection refused"


@pytest.mark.parametrize(
    ("error", "field", "words"),
    [
        ("untrusted", "certificate", "ca_file"),
        ("local", "probe", "could not be sent"),
        ("unreachable", "connection", "no"),
    ],
)
def test_what_we_could_not_ask_or_would_not_take_is_never_equal(error, field, words):
    lost = Answer(error=error, detail="no such thing")
    cases = [([lost, lost], lost, "blue"), ([BASE, BASE], lost, "green"), ([BASE, lost], BASE, "blue")]
    for blue, green, side in cases:
        verdict = compare(blue, green)
        assert verdict.verdict == "unreachable"
        assert verdict.differences[0]["field"] == field
        assert "no such thing" in verdict.differences[0][side] and words in verdict.differences[0][side]


def test_what_blue_refuses_green_must_refuse_in_the_same_way():
    refused, closed = Answer(error="tls", detail="reset"), Answer(error="closed")
    assert compare([refused, refused], refused).verdict == "equal"
    assert only(compare([refused, refused], BASE))["blue"] == "refused (tls)"
    assert only(compare([refused, refused], closed))["green"] == "refused (closed)"
    assert compare([BASE, BASE], refused).verdict == "different"


def test_a_blue_that_disagrees_with_itself_is_never_equal():
    for change in ({"status": 503}, {"certificate": "00"}, {"http_version": "1.1"}, {"error": "closed", "status": 0}):
        verdict = compare([BASE, answer(**change)], BASE)
        assert verdict.verdict == "different"
        assert "blue differs from itself" in verdict.differences[0]["blue"]


def test_a_header_in_which_blue_differs_from_itself_is_noise():
    other = answer(headers=[("content-type", "text/html"), ("server", "istio-envoy")])
    verdict = compare([BASE, other], answer(headers=[("content-type", "a/b"), ("server", "istio-envoy")]))
    assert (verdict.verdict, verdict.noise) == ("equal", ["header content-type"])
    assert compare([BASE, other], answer(headers=[("server", "nginx")])).verdict == "different"


def test_lines_in_which_blue_differs_from_itself_are_noise_and_the_others_are_not():
    blue = [answer(body=b"id=one time=1\nfixed\n"), answer(body=b"id=two time=1\nfixed\n")]
    assert compare(blue, answer(body=b"id=three time=1\nfixed\n")).noise == ["body"]
    assert compare(blue, answer(body=b"id=three time=1\nfixed\n")).verdict == "equal"
    assert only(compare(blue, answer(body=b"id=three time=1\nbroken\n")))["green"] == "line 2: broken"
    assert compare(blue, answer(body=b"id=three time=2\nfixed\n")).verdict == "different"
    assert compare(blue, answer(body=b"error\nfixed\n")).verdict == "different"


def test_bodies_of_varying_length_must_share_what_blues_share():
    blue = [answer(body=b"top\nrow\nrow2\nend"), answer(body=b"top\nrow\nend")]
    assert compare(blue, answer(body=b"top\nother\nrow\nmore\nend")).verdict == "equal"
    assert only(compare(blue, answer(body=b"top\nrow\n")))["blue"] == "line: end"


def test_default_masks_hide_what_is_each_gateways_own():
    def body(ip, uid, when, trace):
        return f"IP={ip}\nX-Request-Id={uid}\nat {when}\nX-B3-Traceid={trace}\nHost=shop\n".encode()

    one = body("10.244.1.5", "0b1f6a3e-1111-4222-8333-444455556666", "2026-01-02T03:04:05.678Z", "a" * 32)
    two = body(
        "10.244.2.77:8080", "ffffffff-aaaa-4222-8333-444455556666", "2026-02-02 03:04:05+01:00", "0123456789abcdef"
    )
    assert compare([answer(body=one), answer(body=one)], answer(body=two)).verdict == "equal"
    other = two.replace(b"Host=shop", b"Host=shop2")
    assert compare([answer(body=one), answer(body=one)], answer(body=other)).verdict == "different"
    bare = dataclasses.replace(RULES, masks=())
    assert compare([answer(body=one), answer(body=one)], answer(body=two), bare).verdict == "different"


def test_own_masks_and_bad_ones():
    rules = dataclasses.replace(RULES, masks=compile_masks([r"pod-\w+"]))
    assert compare([answer(body=b"pod-a")] * 2, answer(body=b"pod-b"), rules).verdict == "equal"
    with pytest.raises(ValueError, match=r"mask '\('"):
        compile_masks([*MASKS, "("])


def test_cookies_are_compared_by_name_and_attributes_and_never_shown():
    blue = answer(headers=[*BASE.headers, ("set-cookie", "sid=secret1; Path=/; HttpOnly; Max-Age=10")])
    same = answer(headers=[*BASE.headers, ("set-cookie", "sid=secret2; Max-Age=11; Path=/; HttpOnly")])
    other = answer(headers=[*BASE.headers, ("set-cookie", "sid=secret2; Path=/")])
    assert compare([blue, blue], same).verdict == "equal"
    found = only(compare([blue, blue], other))
    assert found["blue"].startswith("sha256:") and "secret" not in str(found)


def test_answers_to_private_requests_are_shown_as_digests():
    found = only(compare([BASE, BASE], answer(body=b"hello\naccount 4711\n"), private=True))
    assert "4711" not in str(found) and found["green"].startswith("sha256:")


def test_long_values_are_cut():
    found = only(compare([answer(body=b"x" * 5000)] * 2, answer(body=b"y" * 5000)))
    assert len(found["blue"]) < 200


def test_a_body_that_was_cut_off_is_not_compared():
    stream = answer(body=b"data: 1\n", complete=False)
    assert compare([stream, stream], answer(body=b"data: 2\ndata: 3\n", complete=False)).verdict == "equal"
    assert compare([stream, stream], answer(status=500)).verdict == "different"


@pytest.mark.parametrize("fields", [Rules().fields, ("status",)])
def test_half_an_answer_is_not_a_whole_one(fields):
    """Whatever is compared: a head whose body never comes is no answer in time."""
    rules, half = Rules(fields=fields), answer(body=b"hel", complete=False)
    found = only(compare([BASE, BASE], half, rules))
    assert (found["field"], found["blue"], found["green"]) == ("body", "complete", "cut off after 3 bytes")
    found = only(compare([half, half], BASE, rules))
    assert (found["field"], found["blue"], found["green"]) == ("body", "cut off after 3 bytes", "complete")
    for green in (half, BASE):
        verdict = compare([BASE, half], green, rules)
        assert (verdict.verdict, verdict.noise) == ("equal", ["body"])


def test_every_green_node_counts():
    verdict = judge({"b": [BASE, BASE]}, {"g1": [BASE], "g2": [answer(status=503)]}, RULES)
    assert only(verdict)["node"] == "g2"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_without_masks_and_noise_equal_means_equal(one, two):
    rules = dataclasses.replace(RULES, masks=())
    verdict = compare([answer(body=one)] * 2, answer(body=two), rules)
    assert (verdict.verdict == "equal") == (one == two)


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=4))
def test_green_that_answers_as_one_of_blue_is_equal(bodies):
    blue = [answer(body=body) for body in bodies]
    for body in bodies:
        assert compare(blue, answer(body=body)).verdict == "equal"
