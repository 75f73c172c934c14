# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the role unbind goes about it, and where it finds files. That no route is lost by that order:
scenario bind_admission."""

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


# -- the files that make sources green ---------------------------------------------------------------------------------
ENVIRONMENT = {"PWD": "/srv/site"}
RUN = {
    "mesh_migration": "ingress", "inventory_hostname": "staging", "mesh_gitops": None,
    "lookup": lambda _plugin, name: ENVIRONMENT[name],
}  # fmt: skip


def folder(given: str | None) -> str:
    """Where they are written."""
    dest = role_tasks.task("mesh/tasks/desired.yml", "Write")["bluegreen.mesh.override_files"]["dest"]
    return role_tasks.evaluate(dest, mesh_overrides_dir=given, **RUN)


def test_files_that_make_sources_green_are_written_for_each_cluster() -> None:
    assert role_tasks.load("mesh/defaults/main.yml")["mesh_overrides_dir"] is None
    assert folder(None) == "/srv/site/overrides/ingress-staging"
    assert folder("/srv/overrides") == "/srv/overrides"
    assert "when" not in role_tasks.task("mesh/tasks/desired.yml", "Write")


def test_the_refusal_names_the_folder_where_there_are_files() -> None:
    refuse = role_tasks.task("unbind/tasks/gateway.yml", "Refuse")
    found = {"blocking": [{"text": "shop/web: names blue"}], "overrides": [{"path": "helm/shop.web.yaml"}]}
    told = role_tasks.refusal(refuse, _mesh_desired=found, mesh_overrides_dir="/srv/overrides", **RUN)
    assert "shop/web: names blue. Make the sources name green: there are files for that in /srv/overrides. Or" in told
    told = role_tasks.refusal(refuse, _mesh_desired={**found, "overrides": []}, mesh_overrides_dir=None, **RUN)
    assert "Make the sources name green. Or accept" in told
    assert role_tasks.refusal(refuse, _mesh_desired={**found, "blocking": []}, mesh_overrides_dir=None, **RUN) == ""


def test_what_is_committed_has_to_be_in_the_working_copy() -> None:
    """The folder that is taken where none is given is not."""
    check = role_tasks.task("mesh/tasks/main.yml", "Check that what is committed")
    given = {**RUN, "mesh_gitops": {"repo": "/srv/config"}}
    assert "mesh_overrides_dir is not set" in role_tasks.refusal(check, mesh_overrides_dir=None, **given)
    assert "is /srv/other" in role_tasks.refusal(check, mesh_overrides_dir="/srv/other", **given)
    assert role_tasks.refusal(check, mesh_overrides_dir="/srv/config/overrides", **given) == ""
