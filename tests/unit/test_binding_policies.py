# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies as they are written. What clusters make of them is in the scenarios bind_admission and bind_kyverno."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils import binding_policies
from ansible_collections.bluegreen.mesh.plugins.module_utils.binding_policies import cel
from ansible_collections.bluegreen.mesh.plugins.module_utils.binding_policies import (
    kyverno_cluster_policy as cluster_policy,
)
from hypothesis import given
from hypothesis import strategies as st

PAIRS = (vs.Pair("a/old", "a/new"), vs.Pair("b/side.door", "b/mesh"), vs.Pair("c/x", "d/x"))
RULE = vs.Bound(PAIRS)
REFERENCES = st.sampled_from([
    "a/old", "old", "./old", "old.a", "old.a.svc.cluster.local", "a/new", "new", "b/side.door", "side.door",
    "./side.door",
    "b/mesh", "mesh", "./mesh", "mesh.b", "a/mesh", "c/x", "d/x", "x", "x.c", "x.d", "other/gateway", "older",
    "a/older",
])  # fmt: skip


class EveryKind:
    """Resources of a cluster that serves whatever is asked for."""

    @staticmethod
    def find(_api_version, kind):
        return kind.lower(), False


def bodies():
    return [body for s in binding_policies.STRATEGIES for body in s.objects(EveryKind, "name", RULE)]


def test_each_strategy_is_listed_and_whole():
    assert binding_policies.NAMES == ("admission_policy", "kyverno", "kyverno_cluster_policy", "direct")
    for strategy in binding_policies.STRATEGIES:
        assert strategy.WHERE and strategy.available(EveryKind)
        found = [(body["apiVersion"], body["kind"]) for body in strategy.objects(EveryKind, "name", RULE)]
        assert set(found) <= set(strategy.KINDS) and bool(found) == bool(strategy.KINDS)


def test_none_keeps_anybody_from_writing():
    found = [body["spec"].get("failurePolicy") for body in bodies()]
    assert found == ["Ignore", None, "Ignore", "Ignore"]  # the second is a binding


@pytest.mark.parametrize("index", [0, 2, 3])
def test_all_pairs_are_in_it_and_one_way_adds_no_blue(index):
    body = bodies()[index]
    text = json.dumps(body)
    assert all(gateway.replace(".", "[.]") in text or gateway in text for pair in PAIRS for gateway in pair)
    assert json.dumps(bodies()[index]) == text  # rendered the same each time
    one_way = vs.Bound(PAIRS, both_ways=False)
    assert "'a/new': 'a/old'" in str(cel.variables(RULE)) and "'a/new': 'a/old'" not in str(cel.variables(one_way))
    names = [rule["name"] for rule in cluster_policy.spec(one_way)["rules"]]
    assert names and not [name for name in names if name.startswith("blue")]


# -- the regular expressions, which mean the same in Python and in RE2 -----------------------------------------------
@given(st.one_of(REFERENCES, st.from_regex(r"[-./a-zA-Z0-9]{0,12}", fullmatch=True)))
def test_what_is_well_formed_is_what_can_be_resolved(reference):
    assert bool(re.fullmatch(cel.WELL_FORMED, reference)) == (vs.resolve(reference, "a") is not None)


def as_cluster_policy(names, namespace, both_ways):
    """What the rules for one list do, one after the other."""

    def joined():
        return " ".join([namespace, *names])

    for blue, green in PAIRS:
        for have, lack, first in ((blue, green, False), *([(green, blue, True)] if both_ways else [])):
            if re.search(cluster_policy.named(have), joined()) and not re.search(cluster_policy.named(lack), joined()):
                expression = cluster_policy.with_twin("LIST", have, lack, first)
                pattern, put = re.fullmatch(
                    r"split\(regex_replace_all\('(.*)', join\(' ', \[\[request\.namespace\], LIST\]\[\]\), '(.*)'\),"
                    r" ' '\)\[1:\]",
                    expression,
                ).groups()
                assert pattern == cluster_policy.named(have)
                put = re.sub(r"\$\{(\d)\}", r"\\g<\1>", put)
                names = re.sub(pattern, put, joined()).split(" ")[1:]
    return names


@given(st.lists(REFERENCES, max_size=5), st.sampled_from(["a", "b", "c", "e"]), st.booleans())
def test_a_cluster_policy_does_with_a_list_what_our_plan_does(names, namespace, both_ways):
    (expected,) = vs.Bound(PAIRS, both_ways).apply(f"{namespace}/x", {vs.TOP: names}).values()
    assert as_cluster_policy(names, namespace, both_ways) == expected
