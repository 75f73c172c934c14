# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding an object still and letting it go: patches over plain objects."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _frozen
from fake_cluster import merge_patch

SUSPEND = ("spec", "suspend")
REPLICAS = ("spec", "replicas")


def body(**spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": "x", "resourceVersion": "7"}, "spec": spec}


def frozen(before: dict[str, t.Any], *holders: str, fields=((SUSPEND, True),)) -> dict[str, t.Any]:
    return merge_patch(before, _frozen.freeze_patch(before, list(fields), holders))


def thawed(before: dict[str, t.Any], *holders: str, **more: t.Any) -> dict[str, t.Any]:
    now = merge_patch(before, _frozen.thaw_patch(before, holders, lambda item: item == "ours", **more))
    if not now["metadata"].get("annotations"):
        now["metadata"].pop("annotations", None)
    return now


@pytest.mark.parametrize("spec", [{}, {"suspend": False}, {"suspend": False, "other": [1]}])
def test_there_and_back(spec: dict[str, t.Any]) -> None:
    before = body(**spec)
    during = frozen(before, "a")
    assert during["spec"]["suspend"] is True
    assert thawed(during, "a") == before


def test_every_write_is_conditional() -> None:
    assert _frozen.freeze_patch(body(), [(SUSPEND, True)], ["a"])["metadata"]["resourceVersion"] == "7"
    assert _frozen.thaw_patch(frozen(body(), "a"), ["a"], bool)["metadata"]["resourceVersion"] == "7"


def test_the_last_holder_lets_it_go() -> None:
    during = frozen(frozen(body(replicas=2), "a", fields=[(REPLICAS, 0)]), "b", fields=[(REPLICAS, 0)])
    assert during["spec"]["replicas"] == 0
    one = thawed(during, "a")
    assert one["spec"]["replicas"] == 0 and thawed(one, "b")["spec"]["replicas"] == 2
    assert _frozen.thaw_patch(during, ["c"], bool) == {}, "who holds nothing changes nothing"


def test_what_was_so_already_is_not_ours() -> None:
    before = body(suspend=True)
    assert _frozen.freeze_patch(before, [(SUSPEND, True)], ["a"]) == {} == _frozen.thaw_patch(before, ["a"], bool)


def test_the_second_time_changes_nothing() -> None:
    assert _frozen.freeze_patch(frozen(body(), "a"), [(SUSPEND, True)], ["a"]) == {}


def test_the_first_note_of_what_was_before_counts() -> None:
    during = frozen(body(replicas=3), "a", fields=[(REPLICAS, 0)])
    during["spec"]["replicas"] = 1  # somebody starts it again
    again = frozen(during, "a", fields=[(REPLICAS, 0)])
    assert again["spec"]["replicas"] == 0 and thawed(again, "a")["spec"]["replicas"] == 3


def test_of_a_list_only_our_items_go() -> None:
    path = ("spec", "list")
    during = frozen(body(list=["theirs"]), "a", fields=[(path, ["theirs", "ours"])])
    during["spec"]["list"].append("new")
    assert thawed(during, "a")["spec"]["list"] == ["theirs", "new"]
    assert "list" not in thawed(frozen(body(), "a", fields=[(path, ["ours"])]), "a")["spec"]


def test_the_journal_stands_in_for_a_note_that_was_taken_off() -> None:
    during = frozen(body(replicas=2), "a", fields=[(REPLICAS, 0)])
    bare = copy.deepcopy(during)
    del bare["metadata"]["annotations"]
    assert _frozen.thaw_patch(bare, ["a"], bool) == {}
    assert thawed(bare, "a", former=[(REPLICAS, 2)])["spec"]["replicas"] == 2
    # With the note, or where all is as it was, the journal changes nothing.
    assert _frozen.thaw_patch(body(replicas=2), ["a"], bool, [(REPLICAS, 2)]) == {}


@pytest.mark.parametrize("note", ["{", "[]", '{"fields": [1]}', '{"for": 1}'])
def test_a_damaged_note_says_nothing(note: str) -> None:
    damaged = body(suspend=True)
    damaged["metadata"]["annotations"] = {_frozen.FROZEN: note}
    assert _frozen.thaw_patch(damaged, ["a"], bool) == {}
