# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from hypothesis import given
from hypothesis import strategies as st

BLUE, GREEN = "istio-system/public", "istio-gateway/public-ingressgateway"
BLUE2, GREEN2 = "istio-system/passthrough", "istio-gateway/passthrough-ingressgateway"
PAIRS = (vs.Pair(BLUE, GREEN), vs.Pair(BLUE2, GREEN2))
BIND = vs.Bound(PAIRS)


def make(gateways=None, matches=(), namespace="team", hosts=("a.test",), **meta):
    """A VirtualService; matches: (kind, gateways) of one route each."""
    spec = {"hosts": list(hosts)}
    if gateways is not None:
        spec["gateways"] = list(gateways)
    for kind, names in matches:
        spec.setdefault(kind, []).append({"match": [{"port": 80}, {"gateways": list(names)}]})
    return {"metadata": {"namespace": namespace, "name": "shop", "resourceVersion": "7", **meta}, "spec": spec}


def after(body, rule=BIND):
    plan = vs.plan_one(body, rule)
    return plan.verdict, plan.after


def apply(body, rule):
    """The object as it would be stored."""
    new = copy.deepcopy(body)
    for operation in vs.plan_one(body, rule).patch():
        *parents, last = operation["path"].split("/")[1:]
        target = new
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        assert operation["op"] == "replace" or last in target
        target[last] = operation["value"]
    return new


# -- references ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reference", "namespace", "gateway"),
    [
        ("public", "istio-system", BLUE),
        ("public", "team", "team/public"),
        ("./public", "istio-system", BLUE),
        ("istio-system/public", "team", BLUE),
        ("public.istio-system", "team", BLUE),
        ("public.istio-system.svc", "team", BLUE),
        ("public.istio-system.svc.cluster.local", "team", BLUE),
        ("public.istio-system.svc.corp.example", "team", BLUE),
        ("ns/name.with.dots", "team", "ns/name.with.dots"),
        ("mesh", "team", "mesh"),
    ],
)
def test_reference_forms(reference, namespace, gateway):
    assert vs.resolve(reference, namespace) == gateway


@pytest.mark.parametrize(
    "reference",
    ["", "/", "a/", "/b", "a/b/c", "*/b", "A/b", "./", ".b", "b.", "a..b", "a b", "a/b ", "-a", 7, None, ["a"]],
)
def test_malformed_references(reference):
    assert vs.resolve(reference, "team") is None


LEGACY = ["public.istio-system", "public.istio-system.svc", "public.istio-system.svc.cluster.local"]
FORMS = ["public", "./public", BLUE, *LEGACY]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_bound_alike_and_stays_as_written(form):
    body = make([form], [("http", [form])], namespace="istio-system")
    assert after(body) == ("change", {vs.TOP: [form, GREEN], "/spec/http/0/match/1/gateways": [form, GREEN]})
    bound = make([form, GREEN], namespace="istio-system")
    assert after(bound, vs.Unbound(PAIRS, "blue")) == ("change", {vs.TOP: [GREEN]})


# -- bind ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([BLUE], [BLUE, GREEN]),
        (["mesh", BLUE, "other/gw"], ["mesh", BLUE, GREEN, "other/gw"]),
        ([GREEN, "mesh"], [BLUE, GREEN, "mesh"]),
        ([BLUE, BLUE2], [BLUE, GREEN, BLUE2, GREEN2]),
        ([BLUE, GREEN2], [BLUE, GREEN, BLUE2, GREEN2]),
    ],
)
def test_the_twin_is_added_beside(before, expected):
    assert after(make(before)) == ("change", {vs.TOP: expected})


@pytest.mark.parametrize("gateways", [[BLUE, GREEN], [GREEN, BLUE], ["other/gw"], ["other/gw", "mesh"]])
def test_nothing_to_bind(gateways):
    assert after(make(gateways)) == ("unchanged", {vs.TOP: gateways})


def test_one_way_leaves_green_alone():
    assert after(make([GREEN]), vs.Bound(PAIRS, both_ways=False))[0] == "unchanged"


@pytest.mark.parametrize("gateways", [None, [], ["mesh"]])
def test_the_mesh_only_is_never_touched(gateways):
    plan = vs.plan_one(make(gateways, [("http", [BLUE])]), BIND)
    assert plan.verdict == "unchanged" and "mesh" in plan.reason and plan.before == plan.after


@pytest.mark.parametrize("kind", ["http", "tcp", "tls"])
def test_match_lists_of_every_kind_and_absent_ones_stay_absent(kind):
    body = make([BLUE], [(kind, [BLUE]), (kind, ["mesh"])])
    new = apply(body, BIND)
    assert new["spec"][kind] == [
        {"match": [{"port": 80}, {"gateways": [BLUE, GREEN]}]}, {"match": [{"port": 80}, {"gateways": ["mesh"]}]},
    ]  # fmt: skip


def test_a_half_bound_object_is_completed():
    assert after(make([BLUE, GREEN], [("http", [BLUE])]))[1]["/spec/http/0/match/1/gateways"] == [BLUE, GREEN]


def test_a_malformed_reference_is_named():
    plan = vs.plan_one(make([BLUE], [("http", [BLUE, "a/b/c"])]), BIND)
    assert plan.verdict == "skipped"
    assert "spec.http[0].match[1].gateways" in plan.reason and "'a/b/c'" in plan.reason


def test_a_malformed_reference_elsewhere_is_no_concern():
    assert vs.plan_one(make(["a/b/c"]), BIND).verdict == "unchanged"


def test_what_is_being_deleted_is_left_alone():
    assert vs.plan_one(make([BLUE], deletionTimestamp="now"), BIND).verdict == "skipped"


ODD_ROUTES = [None, {"match": None}, {"match": [None]}]


@pytest.mark.parametrize("spec", [None, {}, {"hosts": ["a"], "gateways": [BLUE], "http": ODD_ROUTES}])
def test_odd_objects(spec):
    body = make()
    body["spec"] = spec
    vs.plan_one(body, BIND)


# -- unbind ----------------------------------------------------------------------------------------------------------
def test_unbind_removes_one_side_where_the_other_is():
    assert after(make(["mesh", BLUE, GREEN, "o/g"]), vs.Unbound(PAIRS, "blue"))[1] == {vs.TOP: ["mesh", GREEN, "o/g"]}
    assert after(make(["mesh", BLUE, GREEN, "o/g"]), vs.Unbound(PAIRS, "green"))[1] == {vs.TOP: ["mesh", BLUE, "o/g"]}


def test_unbind_removes_every_form_that_is_written():
    body = make(["public", BLUE, "public.istio-system", GREEN], namespace="istio-system")
    assert after(body, vs.Unbound(PAIRS, "blue"))[1] == {vs.TOP: [GREEN]}


@pytest.mark.parametrize(
    "body", [make([BLUE]), make(["mesh", BLUE]), make([BLUE, GREEN], [("http", [BLUE])]), make([BLUE, GREEN, BLUE2])]
)
def test_unbind_never_leaves_a_list_without_a_gateway_nor_does_half(body):
    plan = vs.plan_one(body, vs.Unbound(PAIRS, "blue"))
    assert plan.verdict == "skipped" and "bind it first" in plan.reason and plan.after == plan.before


def test_what_is_unbound_already_is_unchanged():
    assert after(make([GREEN]), vs.Unbound(PAIRS, "blue"))[0] == "unchanged"


# -- restore ---------------------------------------------------------------------------------------------------------
def test_restore_gives_back_only_what_is_as_we_left_it():
    rule = vs.Restored({"team/shop": {vs.TOP: ([BLUE, GREEN], [BLUE])}})
    assert after(make([BLUE, GREEN]), rule) == ("change", {vs.TOP: [BLUE]})
    assert after(make([BLUE]), rule)[0] == "unchanged"
    plan = vs.plan_one(make([BLUE, GREEN, "o/g"]), rule)
    assert plan.verdict == "skipped" and "changed by others" in plan.reason


# -- roots and delegates ---------------------------------------------------------------------------------------------
def family(rule, root, delegate, selected=("team/root", "team/leaf")):
    root["metadata"]["name"], delegate["metadata"]["name"] = "root", "leaf"
    root["spec"].setdefault("http", []).append({"delegate": {"name": "leaf"}})
    bodies = [root, delegate]
    plans = {vs.key_of(body): vs.plan_one(body, rule) for body in bodies}
    assert vs.delegates_of(root) == {"team/leaf"}
    vs.couple(plans, {"team/leaf": {"team/root"}}, set(selected), rule)
    return [plans["team/root"], plans["team/leaf"]]


LEAF = {"hosts": (), "matches": [("http", [BLUE])]}
BOTH_LEAF = {"hosts": (), "matches": [("http", [BLUE, GREEN])]}


def test_a_delegate_is_bound_with_its_root():
    plans = family(BIND, make([BLUE]), make(**LEAF))
    assert [(plan.verdict, plan.delegate) for plan in plans] == [("change", False), ("change", True)]


def test_a_delegate_whose_root_is_not_selected_stays():
    _root, leaf = family(BIND, make([BLUE]), make(**LEAF), selected=["team/leaf"])
    assert leaf.verdict == "skipped" and "team/root" in leaf.reason and "not selected" in leaf.reason


def test_a_delegate_whose_root_is_skipped_stays():
    root, leaf = family(BIND, make([BLUE, "a/b/c"]), make(**LEAF))
    assert root.verdict == leaf.verdict == "skipped" and "malformed" in leaf.reason


def test_a_root_is_bound_although_its_delegate_is_skipped():
    root, leaf = family(BIND, make([BLUE]), make(hosts=(), matches=[("http", [BLUE, "a/b/c"])]))
    assert (root.verdict, leaf.verdict) == ("change", "skipped")


def test_neither_loses_what_the_other_keeps():
    rule = vs.Unbound(PAIRS, "blue")
    root, leaf = family(rule, make([BLUE, GREEN]), make(**LEAF))
    assert root.verdict == leaf.verdict == "skipped" and "delegate team/leaf" in root.reason
    root, leaf = family(rule, make([BLUE]), make(**BOTH_LEAF))
    assert root.verdict == leaf.verdict == "skipped" and "root team/root" in leaf.reason
    assert [p.verdict for p in family(rule, make([BLUE, GREEN]), make(**BOTH_LEAF))] == ["change", "change"]


# -- the way back ----------------------------------------------------------------------------------------------------
def test_a_thousand_names_fit():
    plans = []
    for i in range(1000):
        body = make([BLUE])
        body["metadata"]["name"] = f"virtual-service-{i}"
        plans.append(vs.plan_one(body, BIND))
    (options,) = vs.inverses(plans, BIND)
    assert options["state"] == "unbound" and options["from"] == "green" and len(options["names"]) == 1000
    assert len(str(options)) < 64 * 1024


def test_what_had_green_only_goes_back_to_green_only():
    (options,) = vs.inverses([vs.plan_one(make([GREEN]), BIND)], BIND)
    assert options["from"] == "blue"


def test_what_was_half_bound_is_restored_by_value():
    plan = vs.plan_one(make([BLUE, GREEN], [("http", [BLUE])]), BIND)
    (options,) = vs.inverses([plan], BIND)
    pointer = "/spec/http/0/match/1/gateways"
    assert options == {
        "state": "restored",
        "restore": [{"name": "team/shop", "lists": {pointer: {"from": [BLUE, GREEN], "to": [BLUE]}}}],
        "contested": "report",
    }


@pytest.mark.parametrize(("rule", "last"), [(BIND, True), (vs.Unbound(PAIRS, "blue"), False)])
def test_steps_are_recorded_so_that_undoing_the_last_first_keeps_the_order(rule, last):
    top = [GREEN] if rule is BIND else [GREEN, BLUE]
    root, leaf = make(top), make(hosts=(), matches=[("http", [BLUE] if rule is BIND else [BLUE, GREEN])])
    leaf["metadata"]["name"] = "leaf"
    options = vs.inverses([vs.plan_one(leaf, rule), vs.plan_one(root, rule)], rule)
    names = [o.get("names") or [item["name"] for item in o["restore"]] for o in options]
    assert names == ([["team/shop"], ["team/leaf"]] if last else [["team/leaf"], ["team/shop"]])


# -- properties ------------------------------------------------------------------------------------------------------
UNRELATED = ["mesh", "other/gw", "gw", "gw.other.svc.cluster.local", "./local"]
ANY = st.sampled_from([*FORMS, GREEN, "public-ingressgateway.istio-gateway", BLUE2, GREEN2, *UNRELATED])
BLUE_ONLY = st.sampled_from([BLUE, "public.istio-system.svc", BLUE2, *UNRELATED])


def objects(names):
    lists = st.lists(names, min_size=1, max_size=5, unique=True)
    matches = st.lists(st.tuples(st.sampled_from(["http", "tcp", "tls"]), lists), max_size=3)
    return st.builds(make, lists, matches, st.sampled_from(["team", "istio-system"]))


RULES = st.sampled_from([BIND, vs.Bound(PAIRS, False), vs.Unbound(PAIRS, "blue"), vs.Unbound(PAIRS, "green")])


@given(objects(ANY))
def test_bind_is_idempotent(body):
    once = apply(body, BIND)
    assert vs.plan_one(once, BIND).verdict == "unchanged"


@given(objects(BLUE_ONLY))
def test_unbind_undoes_bind(body):
    bound = apply(body, BIND)
    assert apply(bound, vs.Unbound(PAIRS, "green")) == body


@given(objects(ANY), RULES)
def test_nothing_else_is_lost_and_the_order_is_kept(body, rule):
    plan = vs.plan_one(body, rule)
    pair_names = {name for pair in PAIRS for name in pair}
    assert plan.before.keys() == plan.after.keys()
    for pointer, names in plan.before.items():
        new = plan.after[pointer]
        assert new, "a list is never emptied"
        unrelated = [n for n in names if vs.resolve(n, body["metadata"]["namespace"]) not in pair_names]
        assert [n for n in new if n in unrelated] == unrelated
        kept = [n for n in names if n in new]
        assert [n for n in new if n in kept] == kept
        if isinstance(rule, vs.Bound):
            assert kept == names


@given(objects(ANY), RULES)
def test_the_recorded_inverse_leads_back_exactly(body, rule):
    plan = vs.plan_one(body, rule)
    if plan.verdict != "change":
        return
    (options,) = vs.inverses([plan], rule)
    pairs = tuple(vs.Pair(**pair) for pair in options.get("pairs", ()))
    inverse = {
        "bound": lambda: vs.Bound(pairs),
        "unbound": lambda: vs.Unbound(pairs, options["from"]),
        "restored": lambda: vs.Restored(
            {i["name"]: {p: (c["from"], c["to"]) for p, c in i["lists"].items()} for i in options["restore"]}
        ),
    }[options["state"]]()
    assert apply(apply(body, rule), inverse) == body


@given(st.sampled_from(FORMS), st.sampled_from(FORMS), st.lists(st.sampled_from(UNRELATED), max_size=3, unique=True))
def test_forms_are_equivalent(one, other, rest):
    for rule in (BIND, vs.Unbound(PAIRS, "blue")):
        results = []
        for form in (one, other):
            plan = vs.plan_one(make([form, *rest, GREEN], [("http", [form])], namespace="istio-system"), rule)
            results.append((plan.verdict, [[vs.resolve(n, "istio-system") for n in ns] for ns in plan.after.values()]))
        assert results[0] == results[1]


def test_what_is_labelled_so_is_left_alone():
    aside = {"labels": {vs.LEAVE_ALONE: "false"}}
    for rule in (BIND, vs.Unbound(PAIRS, "blue")):
        assert vs.plan_one(make([BLUE], **aside), rule).verdict == "skipped"
        assert vs.plan_one(make([GREEN, "mesh"] if rule is not BIND else [BLUE, GREEN], **aside), rule).verdict == "unchanged"
    assert vs.plan_one(make([BLUE], labels={vs.LEAVE_ALONE: "true"}), BIND).verdict == "change"
