# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that share a host by weight and by header: what is written, what is left alone, and the way back."""

from __future__ import annotations

import copy
import dataclasses
import json
import re

import by_hand
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _canary, _routes, runbook
from ansible_collections.bluegreen.mesh.plugins.module_utils._canary import Match, Share, Target
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import canary_routes
from role_tasks import refusal, task

HOST = "web.shop.svc.cluster.local"
TARGET = Target(HOST, "shop", {"v1": {"version": "v1"}, "v2": {"version": "v2"}})
SEED = Share({"v1": 95, "v2": 5})


def to(host="web", weight=None, **more):
    return {"destination": {"host": host, **more}, **({} if weight is None else {"weight": weight})}


def vs(*http, namespace="shop", note=None, **spec):
    meta = {"namespace": namespace, "name": "web"}
    if note:
        meta["annotations"] = {_canary.NOTE: json.dumps(note)}
    return {"metadata": meta, "spec": {"hosts": ["web.test"], "http": list(http), **spec}}


def written(body, done):
    """The object as it is after the write."""
    after = copy.deepcopy(body)
    after["spec"]["http"] = done.http
    after["metadata"]["annotations"] = {_canary.NOTE: json.dumps(done.note)} if done.note else {}
    return after


def shared(body, share=SEED, marker=""):
    return written(body, _canary.edited(body, TARGET, share, marker))


def weights(route):
    return {one["destination"].get("subset", ""): one.get("weight") for one in route["route"]}


def taker(body, **ask):
    """The route that takes a request, in the order of the list."""
    for route in body["spec"]["http"]:
        if any(_routes.matches(match, _routes.Ask(**ask)) for match in route.get("match") or [None]):
            return route
    return None


# -- weights -----------------------------------------------------------------------------------------------------------
def test_the_seed_s_split():
    (route,) = shared(vs({"route": [to()]}))["spec"]["http"]
    assert route["route"] == [to(subset="v1", weight=95), to(subset="v2", weight=5)]


@pytest.mark.parametrize("host", ["web", "WEB", HOST])
def test_a_host_is_known_by_its_short_and_its_full_name(host):
    assert weights(shared(vs({"route": [to(host)]}))["spec"]["http"][0]) == {"v1": 95, "v2": 5}


@pytest.mark.parametrize("body", [
    vs({"route": [to()]}, namespace="other"),  # web.other, by its short name
    vs({"route": [to("web.shop")]}),  # which Istio does not complete
    vs({"route": [to("web2")]}),
    vs({"redirect": {"authority": "x.test"}}),
    vs({"delegate": {"name": "x"}}),
    vs({"route": [to(subset="v2")]}),  # asks for v2 by name
])  # fmt: skip
def test_what_does_not_send_to_it_is_left_alone(body):
    done = _canary.edited(body, TARGET, SEED)
    assert done.concerned == [] and done.http == body["spec"]["http"] and done.note == {}


def test_other_destinations_keep_theirs_and_everything_else_stays():
    route = {
        "name": "cart", "match": [{"uri": {"prefix": "/cart"}}], "timeout": "3s", "retries": {"attempts": 2},
        "route": [to("old", 40), to("web", 60, port={"number": 80})],
    }  # fmt: skip
    (new,) = shared(vs(route))["spec"]["http"]
    assert {**new, "route": None} == {**route, "route": None}
    assert new["route"] == [
        to("old", 40), to("web", 57, port={"number": 80}, subset="v1"), to("web", 3, port={"number": 80}, subset="v2"),
    ]  # fmt: skip


def test_what_was_pinned_or_split_by_hand_is_taken_over():
    body = vs(
        {"route": [to(subset="v1")]},
        {"match": [{"uri": {"exact": "/x"}}], "route": [to("web", 70, subset="v1"), to("web", 30, subset="v2")]},
    )
    body["spec"]["http"].reverse()
    assert [weights(route) for route in shared(body)["spec"]["http"]] == [{"v1": 95, "v2": 5}] * 2


@pytest.mark.parametrize(("share", "weights_", "parts"), [
    (100, {"v1": 95, "v2": 5}, {"v1": 95, "v2": 5}),
    (33, {"v1": 50, "v2": 50}, {"v1": 17, "v2": 16}),
    (60, {"v1": 99, "v2": 1}, {"v1": 59, "v2": 1}),
    (0, {"v1": 95, "v2": 5}, {"v1": 0, "v2": 0}),
    (7, {"a": 33, "b": 33, "c": 34}, {"a": 2, "b": 2, "c": 3}),
])  # fmt: skip
def test_parts_are_whole_and_add_up(share, weights_, parts):
    found = _canary.apportion(share, weights_)
    assert sum(found.values()) == share and found == parts


@pytest.mark.parametrize(("share", "code"), [
    (Share({"v1": 90, "v2": 5}), "bad_weights"),
    (Share({"v1": 105, "v2": -5}), "bad_weights"),
    (Share({"v1": 50, "v3": 50}), "bad_weights"),
    (Share({"v1": 100}, (Match("v3", "header", "x", "y"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "x y", "y"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "x", ""),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "Cookie", "a=b"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", _canary.HEADER, "b"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "x", "", "prefix"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "x", "(", "regex"),)), "bad_match"),
    (Share({"v1": 100}, (Match("v2", "header", "x", "(?!a).*", "regex"),)), "bad_match"),  # Python's, not RE2's
])  # fmt: skip
def test_a_share_that_can_t_be_is_refused(share, code):
    with pytest.raises(Refusal) as exc:
        _canary.check_share(share, TARGET.subsets)
    assert exc.value.code == code


def test_a_good_share_is_not():
    _canary.check_share(Share({"v1": 100}, (Match("v2", "cookie", "a", "b"),)), TARGET.subsets)
    _canary.check_share(MOBILE, TARGET.subsets)


@pytest.mark.parametrize(("first", "second", "hidden"), [
    (("header", "X", "a"), ("header", "x", "a"), True),
    (("header", "x", "a"), ("header", "y", "a"), False),
    (("header", "x", "a"), ("header", "x", "a", "prefix"), False),
    (("header", "x", "a", "prefix"), ("header", "x", "ab"), True),
    (("header", "x", "a", "prefix"), ("header", "x", "b"), False),
    (("header", "x", "a", "prefix"), ("header", "x", "ab", "prefix"), True),
    (("header", "x", "ab", "prefix"), ("header", "x", "a", "prefix"), False),
    (("header", "x", "a.*", "regex"), ("header", "x", "ab"), True),
    (("header", "x", "a", "regex"), ("header", "x", "ab"), False),  # it fits the whole value, or not at all
    (("header", "x", "a.*", "regex"), ("header", "x", "a.*", "regex"), True),
    (("header", "x", "a.*", "regex"), ("header", "x", "ab", "prefix"), False),  # it is, and that is not known
    (("cookie", "a", "b"), ("cookie", "a", "b"), True),
    (("cookie", "a", "b"), ("cookie", "A", "b"), False),
    (("cookie", "a", "b"), ("header", "a", "b"), False),
])  # fmt: skip
def test_a_match_behind_one_that_takes_all_of_it_for_another_version_is_refused(first, second, hidden):
    share = Share({"v1": 100}, (Match("v1", *first), Match("v2", *second)))
    if hidden:
        with pytest.raises(Refusal, match=r"match\[1\] is never reached: match\[0\] .* to v1\. Put the narrower"):
            _canary.check_share(share, TARGET.subsets)
    else:
        _canary.check_share(share, TARGET.subsets)
    _canary.check_share(Share({"v1": 100}, (Match("v2", *first), Match("v2", *second))), TARGET.subsets)


@pytest.mark.parametrize(("http", "share", "code", "says"), [
    ([{"route": [to("old", 40), to("web", 40)]}], SEED, "bad_sum", "spec.http[0]: the weights of its destinations add up to 80"),
    ([{"route": [to("old", 90), to("web", 10)]}], Share({"v1": 99, "v2": 1}), "too_fine", "1 % of the 10 %"),
    ([{"route": [to("old")]}, {"route": [to()]}], SEED, "shadowed", "spec.http[1] is never reached: http[0] before it"),
    ([{"match": [{"headers": {"X-Test": {"exact": "a"}}}], "route": [to()]}],
     Share({"v1": 100, "v2": 0}, (Match("v2", "header", "x-test", "b"),)), "header_taken", "x-test"),
])  # fmt: skip
def test_a_route_that_can_t_be_shared_is_refused_by_name(http, share, code, says):
    with pytest.raises(Refusal) as exc:
        _canary.edited(vs(*http), TARGET, share)
    assert exc.value.code == code and says in str(exc.value) and "VirtualService shop/web" in str(exc.value)


def test_a_route_for_one_gateway_does_not_shadow():
    http = [{"match": [{"uri": {"prefix": "/"}, "gateways": ["mesh"]}], "route": [to("old")]}, {"route": [to()]}]
    assert _canary.edited(vs(*http), TARGET, SEED).concerned == [1]


# -- matches -----------------------------------------------------------------------------------------------------------
TESTERS = Share(
    {"v1": 100, "v2": 0}, (Match("v2", "header", "X-Canary", "always"), Match("v2", "cookie", "ca.nary", "yes"))
)
MOBILE = Share(
    {"v1": 100, "v2": 0},
    (
        Match("v2", "header", "User-Agent", "Shop/2.", "prefix"),
        Match("v2", "header", "User-Agent", ".*(Mobile|Android).*", "regex"),
    ),
)


def test_a_match_goes_to_v2_while_the_weights_say_v1():
    body = shared(
        vs({"match": [{"uri": {"prefix": "/api"}}], "timeout": "3s", "route": [to()]}, {"route": [to("other")]}),
        TESTERS,
    )
    tester = {"headers": {"x-canary": "always"}}
    assert weights(taker(body, path="/api", **tester)) == {"v2": None}
    assert taker(body, path="/api", **tester)["timeout"] == "3s"
    assert weights(taker(body, path="/api")) == {"v1": 100, "v2": 0}
    assert taker(body, path="/", **tester)["route"] == [to("other")]  # what was never the host's is not now
    assert weights(taker(body, path="/api", headers={"x-canary": "never"})) == {"v1": 100, "v2": 0}


@pytest.mark.parametrize(("cookie", "v2"), [
    ("ca.nary=yes", True), ("a=b; ca.nary=yes", True), ("ca.nary=yes; a=b", True), ("a=b;ca.nary=yes;c=d", True),
    ("ca.nary=yesterday", False), ("xca.nary=yes", False), ("caxnary=yes", False), ("a=ca.nary=yes", False),
])  # fmt: skip
def test_a_cookie_is_one_among_others(cookie, v2):
    body = shared(vs({"route": [to()]}), TESTERS)
    assert (weights(taker(body, headers={"cookie": cookie})) == {"v2": None}) is v2


def test_matches_stand_before_the_weights_in_their_order_and_are_read_back():
    body = shared(vs({"route": [to()]}), TESTERS)
    names = [route.get("name") for route in body["spec"]["http"]]
    assert names == [f"{TARGET.mark}match-0-x-canary", f"{TARGET.mark}match-1-cookie", None]
    assert _canary.matches_of(body, TARGET) == [Match("v2", "header", "x-canary", "always"), TESTERS.matches[1]]
    assert _canary.weights_of(body, TARGET) == {"v1": 100, "v2": 0}


@pytest.mark.parametrize(("agent", "v2"), [
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148", True),
    ("Mozilla/5.0 (X11; Linux x86_64)", False),
    ("Shop/2.1", True), ("shop/2.1", False), ("Shop/20", False), ("my Shop/2.1", False),
])  # fmt: skip
def test_only_mobile_clients_reach_v2(agent, v2):
    body = shared(vs({"match": [{"headers": {"agent": {"exact": "x"}}}], "route": [to()]}), MOBILE)
    found = taker(body, headers={"user-agent": agent, "agent": "x"})
    assert weights(found) == ({"v2": None} if v2 else {"v1": 100, "v2": 0})
    assert taker(body, headers={"user-agent": agent}) is None
    assert weights(taker(body, headers={"agent": "x"})) == {"v1": 100, "v2": 0}, "no User-Agent at all"


def test_what_a_header_begins_with_and_fits_is_read_back_and_its_route_s_own_header_is_not():
    http = [{"match": [{"headers": {"agent": {"exact": "x"}, "cookie": {"exact": "a=b"}}}], "route": [to()]}]
    there = shared(vs(*copy.deepcopy(http)), MOBILE)
    assert _canary.matches_of(there, TARGET) == [dataclasses.replace(one, name="user-agent") for one in MOBILE.matches]
    assert shared(there, MOBILE) == there
    assert written(there, _canary.edited(there, TARGET, None))["spec"]["http"] == http


# -- scouts ------------------------------------------------------------------------------------------------------------
def test_a_scout_says_which_write_it_is_of():
    route = {
        "mirror": {"host": "m"},
        "fault": {"abort": {}},
        "headers": {"response": {"set": {"a": "b"}}},
        "route": [to()],
    }
    body = shared(vs(route), SEED, "w1")
    for subset in ("v1", "v2"):
        scout = taker(body, headers={_canary.HEADER: f"w1.{subset}"})
        assert weights(scout) == {subset: None} and "mirror" not in scout and "fault" not in scout
        assert scout["headers"]["response"]["set"] == {"a": "b", _canary.HEADER: "w1"}
    assert taker(body, headers={_canary.HEADER: "w0.v2"})["route"] == taker(body)["route"]
    last = body["spec"]["http"][-1]
    assert (last["mirror"], last["fault"]) == (route["mirror"], route["fault"])


def test_on_the_way_back_a_scout_takes_the_route_of_before():
    body = shared(vs({"route": [to()]}), SEED, "w1")
    back = written(body, _canary.edited(body, TARGET, None, "w2"))
    assert taker(back, headers={_canary.HEADER: "w2."})["route"] == [to()] and taker(back)["route"] == [to()]
    assert _canary.NOTE not in back["metadata"]["annotations"]
    assert _canary.named_subsets([back], TARGET) == {}
    assert written(back, _canary.edited(back, TARGET, None))["spec"]["http"] == [{"route": [to()]}]


def test_a_marker_is_of_its_content():
    a = _canary.marker_of("uid", SEED, "routed")
    assert a == _canary.marker_of("uid", Share({"v1": 95, "v2": 5}), "routed") and re.fullmatch("[0-9a-f]{16}", a)
    others = {
        _canary.marker_of("uid2", SEED, "routed"),
        _canary.marker_of("uid", TESTERS, "routed"),
        _canary.marker_of("uid", SEED, "x"),
    }
    assert len(others | {a}) == 4


# -- the way back ------------------------------------------------------------------------------------------------------
ORIGINALS = [
    [{"route": [to()]}],
    [{"route": [to(weight=100)]}],
    [{"route": [to(subset="v1")]}],
    [{"name": "a", "match": [{"uri": {"exact": "/x"}}], "route": [to("old", 40), to("web", 60)]},
     {"match": [{"uri": {"exact": "/y"}}], "redirect": {"uri": "/z"}},
     {"route": [to("web", 70, subset="v1"), to("web", 30, subset="v2")]}],
]  # fmt: skip


@pytest.mark.parametrize("http", ORIGINALS)
def test_there_and_back_to_the_letter(http):
    body = vs(*copy.deepcopy(http))
    there = shared(body, TESTERS, "w1")
    for percent in (5, 50, 100):
        there = shared(there, Share({"v1": 100 - percent, "v2": percent}, TESTERS.matches), f"w{percent}")
    assert _canary.plain(there, TARGET) == http
    back = written(there, _canary.edited(there, TARGET, None))
    assert back["spec"] == body["spec"] and not back["metadata"]["annotations"]


@pytest.mark.parametrize("http", ORIGINALS)
def test_a_second_write_changes_nothing(http):
    once = shared(vs(*http), TESTERS, "w1")
    assert shared(once, TESTERS, "w1") == once


def test_what_its_owner_has_written_anew_is_his():
    there = shared(vs({"route": [to()]}), SEED)
    there["spec"]["http"] = [{"route": [to(subset="v2")], "timeout": "1s"}]
    assert _canary.plain(there, TARGET) == there["spec"]["http"]
    assert _canary.weights_of(there, TARGET) is None
    there["spec"]["http"] = []
    assert _canary.plain(there, TARGET) == [] and _canary.weights_of(there, TARGET) is None


def test_two_hosts_in_one_virtual_service_do_not_meet():
    other = Target("cart.shop.svc.cluster.local", "shop", TARGET.subsets)
    body = vs({"match": [{"uri": {"prefix": "/cart"}}], "route": [to("cart")]}, {"route": [to()]})
    first = shared(body, TESTERS, "w1")
    both = written(first, _canary.edited(first, other, TESTERS, "w2"))
    assert weights(taker(both, path="/cart")) == weights(taker(both, path="/")) == {"v1": 100, "v2": 0}
    left = written(both, _canary.edited(both, TARGET, None))
    assert _canary.weights_of(left, other) == {"v1": 100, "v2": 0} and _canary.weights_of(left, TARGET) is None
    assert written(left, _canary.edited(left, other, None))["spec"] == body["spec"]


def test_of_several_weights_the_safest_is_told():
    body = shared(vs({"match": [{"uri": {"exact": "/a"}}], "route": [to()]}, {"route": [to()]}))
    body["spec"]["http"][1]["route"] = [to("web", 100, subset="v1"), to("web", 0, subset="v2")]
    assert _canary.weights_of(body, TARGET) == {"v1": 100, "v2": 0}


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_note_that_can_t_be_read_is_none(text):
    body = vs({"route": [to()]})
    body["metadata"]["annotations"] = {_canary.NOTE: text}
    assert _canary.noted(body) == {} and _canary.plain(body, TARGET) == [{"route": [to()]}]


# -- what can't be -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_route_without_headers_is_refused_by_name(kind):
    with pytest.raises(Refusal, match=rf"VirtualService shop/web spec.{kind}\[0\] sends to {HOST}") as exc:
        _canary.check_kinds([vs(**{kind: [{"route": [to()]}]})], TARGET)
    assert exc.value.code == "not_http"
    _canary.check_kinds([vs(**{kind: [{"route": [to("other")]}]})], TARGET)


def test_a_subset_that_is_not_there_is_refused_by_name():
    body = vs({"route": [to()]}, {"route": [to(subset="v9")]})
    with pytest.raises(Refusal, match=r"spec.http\[1\] names subset v9 of .*: found v1, v2 in") as exc:
        _canary.check_subsets([body], TARGET, ["v1", "v2"])
    assert exc.value.code == "no_subset"
    _canary.check_subsets([body], TARGET, ["v9"])


@pytest.mark.parametrize(("spec", "serves"), [
    ({"hosts": ["web"]}, True),
    ({"hosts": [HOST], "gateways": ["mesh", "a/b"]}, True),
    ({"hosts": [HOST], "gateways": ["a/b"]}, False),
    ({"hosts": ["other"]}, False),
])  # fmt: skip
def test_who_serves_the_mesh(spec, serves):
    assert _canary.serves_mesh({"metadata": {"namespace": "shop", "name": "x"}, "spec": spec}, TARGET) is serves


def test_one_of_ours_is_shared_like_any_other():
    body = _canary.shell(TARGET, "bluegreen-canary-web", [HOST], ["mesh"], 80)
    assert _canary.serves_mesh(body, TARGET)
    destination = {"host": HOST, "port": {"number": 80}}
    assert shared(body)["spec"]["http"][0]["route"][1] == {"destination": {**destination, "subset": "v2"}, "weight": 5}


# -- the runbook -------------------------------------------------------------------------------------------------------
PARAMS = {
    "service": "shop/web",
    "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}],
}
BOOK = runbook.Book("m", "bluegreen-mesh")


@pytest.mark.parametrize("share", [TESTERS, MOBILE])
@pytest.mark.parametrize("http", ORIGINALS)
def test_the_runbook_gives_the_routes_back(http, share):
    body, stranger = vs(*copy.deepcopy(http)), vs({"route": [to("other")]})
    stranger["metadata"]["name"] = "stranger"
    there = shared(body, share, "w1")
    first, second = canary_routes.commands({}, {**PARAMS, "state": "unrouted"}, BOOK)
    (back,) = by_hand.run(first.run, there, stranger)
    assert back["spec"] == body["spec"] and back["metadata"]["annotations"] == {}
    assert "delete virtualservices.networking.istio.io bluegreen-canary-web -n shop" in second.run


def test_the_runbook_leaves_another_host_s_canary():
    other = Target("cart.shop.svc.cluster.local", "shop", TARGET.subsets)
    first = shared(
        vs({"match": [{"uri": {"prefix": "/cart"}}], "route": [to("cart")]}, {"route": [to()]}), TESTERS, "w1"
    )
    both = written(first, _canary.edited(first, other, TESTERS, "w2"))
    command, _delete = canary_routes.commands({}, {**PARAMS, "state": "unrouted"}, BOOK)
    (left,) = by_hand.run(command.run, both)
    assert left["spec"]["http"] == _canary.edited(both, TARGET, None).http
    assert _canary.weights_of(left, other) == {"v1": 100, "v2": 0}


def test_the_runbook_sets_weights():
    there = shared(vs({"route": [to()]}), Share({"v1": 50, "v2": 50}, TESTERS.matches), "w1")
    (command,) = canary_routes.commands({}, {**PARAMS, "state": "routed", "weights": {"v1": 100}}, BOOK)
    (back,) = by_hand.run(command.run, there)
    assert _canary.weights_of(back, TARGET) == {"v1": 100, "v2": 0}
    assert back["spec"]["http"][:-1] == there["spec"]["http"][:-1]


def test_the_runbook_takes_the_subsets_away():
    rule = {
        "metadata": {"annotations": {"bluegreen.mesh/canary-subsets": "v2"}},
        "spec": {"subsets": [{"name": "v1"}, {"name": "v2"}]},
    }
    first, second = canary_routes.commands({}, {**PARAMS, "state": "absent"}, BOOK)
    (left,) = by_hand.run(first.run, rule, {"metadata": {"name": "other"}})
    assert left["spec"] == {"subsets": [{"name": "v1"}]} and left["metadata"]["annotations"] == {}
    assert "destinationrules.networking.istio.io,serviceentries.networking.istio.io bluegreen-canary-web" in second.run


# -- the role --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stable", "new", "lost"),
    [
        ({"b3": True, "x-request-id": True}, {"b3": False, "x-request-id": True}, "b3"),
        ({"b3": True}, {"b3": True}, ""),
        ({"b3": False}, {"b3": False}, ""),  # the stable one does not get it, either
        ({"b3": None}, {"b3": None}, ""),  # no answer shows its request
        ({"b3": True}, {"b3": None}, ""),
    ],
)
def test_a_step_is_taken_back_where_the_new_version_loses_the_trace(stable, new, lost):
    (refuse,) = [t for t in task("canary/tasks/step.yml", "Step")["block"] if t["name"].startswith("Refuse a version")]
    settled = [{"trace": {}}, {"trace": {"v1": stable, "v2": new}}]
    said = refusal(refuse, canary_shared={"settled": settled}, canary_stable="v1", canary_new="v2")
    assert said == (f"v2 does not get {lost}, which v1 gets." if lost else "")
    assert refusal(refuse, canary_shared={"settled": None}, canary_stable="v1", canary_new="v2") == "", "in check mode"
