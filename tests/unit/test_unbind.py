# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the role unbind goes about it. That no route is lost by that order: scenario bind_admission."""

from __future__ import annotations

import typing as t

import role_tasks


def steps() -> t.Iterator[str]:
    """Each task in words."""
    for task in role_tasks.load("unbind/tasks/gateway.yml"):
        for key, value in task.items():
            if key.endswith(".include_role"):
                yield " ".join((value["tasks_from"], (task.get("vars") or {}).get("bind_state", ""))).strip()
            elif key.endswith(".include_tasks"):
                yield f"own {value}"
            elif key.endswith(".assert"):
                yield "refuse"
            elif key.startswith("bluegreen.mesh."):
                yield " ".join((key.rpartition(".")[2], value["state"], value.get("from", ""))).strip()


def test_sources_and_idleness_first_then_greens_rules_blues_names_and_last_blues_rules() -> None:
    """A policy that still added blue would undo what is unbound; one that did not add green any more would leave a
    VirtualService that comes with blue alone to a blue that nobody asks."""
    assert list(steps()) == [
        "desired.yml", "own gitops.yml", "refuse", "idle_now.yml",
        "gitops.yml reduced", "binding_policy reduced",
        "virtual_service_gateways unbound blue", "virtual_service_gateways unbound blue",
        "gitops.yml absent", "binding_policy absent",
    ]  # fmt: skip


def test_blues_names_are_looked_for_until_none_comes_back() -> None:
    """What was written by the rules of before, while they were changed."""
    again = role_tasks.task("unbind/tasks/gateway.yml", "Look again")
    given = {"unbind_policy": {"strategy": "kyverno"}, "_mesh_check": False}
    assert role_tasks.holds(again["when"], **given)
    assert not role_tasks.holds(again["when"], **{**given, "unbind_policy": {"strategy": None}}), "direct has no rules"
    for changed, ends in ((1, False), (0, True)):
        assert role_tasks.holds(again["until"], unbind_again={"counts": {"changed": changed}}) is ends
