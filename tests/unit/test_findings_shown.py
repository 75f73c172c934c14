# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings preflight, deploy and cutover show: each once, where it is new. The roles' own tasks, as Ansible
evaluates them."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._inventory import ERROR, WARNING, Finding
from ansible_collections.bluegreen.mesh.plugins.modules.mesh_findings_info import shown
from role_tasks import evaluate, holds, load, refusal, task

PREFLIGHT, DEPLOY, CUTOVER = "preflight/tasks/gateway.yml", "deploy/tasks/findings.yml", "cutover/tasks/unchanged/gateway.yml"


def finding(code: str, severity: str = WARNING, found: str = "x") -> dict[str, t.Any]:
    return shown(Finding(code, severity, "Deployment gw/new", "spec", found, "Mend it."))


def found(name: str, *findings: dict[str, t.Any], **facts: t.Any) -> list[str]:
    """The codes that a phase shows."""
    variables = {"deploy_found": {"findings": findings}, "cutover_findings": {"findings": findings}}
    loop = evaluate(task(name, "Show what")["loop"], **variables, _mesh_journal={"facts": facts})
    return [item["code"] for item in loop]


def remembered(name: str, *findings: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a phase leaves in the journal."""
    (facts,) = task(name, "Hold on to what was shown")["ansible.builtin.set_fact"].values()
    return evaluate(facts, preflight_found={"findings": findings}, deploy_found={"findings": findings})


OLD, NEW, LATE = finding("alert_on_blue"), finding("green_hpa"), finding("handshake_surge")


def test_deploy_shows_what_preflight_has_not() -> None:
    facts = remembered(PREFLIGHT, OLD)
    assert found(DEPLOY, OLD, NEW, **facts) == ["green_hpa"]
    assert found(DEPLOY, finding("alert_on_blue", found="another"), **facts) == ["alert_on_blue"]
    assert found(DEPLOY, OLD, NEW) == ["alert_on_blue", "green_hpa"], "a journal that does not say what was shown"


def test_cutover_shows_what_deploy_has_not() -> None:
    facts = remembered(PREFLIGHT, OLD) | remembered(DEPLOY, OLD, NEW)
    assert found(CUTOVER, OLD, NEW, LATE, **facts) == ["handshake_surge"]
    assert found(CUTOVER, OLD, NEW, **facts) == []
    assert found(CUTOVER, finding("green_replicas", ERROR), **facts) == [], "it is in the refusal"


@pytest.mark.parametrize(("taken", "check", "says"), [(0, False, True), (1, False, False), (0, True, False)])
def test_before_the_first_step_only(taken: int, check: bool, says: bool) -> None:
    when = task(CUTOVER, "Show what")["when"]
    assert holds(when, cutover_taken=taken, _mesh_check=check) is says


def test_what_a_phase_remembers_stays_small() -> None:
    many = [finding("destination_missing", found=str(number)) for number in range(1000)]
    facts = remembered(PREFLIGHT, *many) | remembered(DEPLOY, *many)
    assert len(json.dumps(facts)) < _journal.FACTS_LIMIT / 2
    assert len(found(DEPLOY, *many, **facts)) == 1000 - len(facts["preflight_shown"])


def test_only_preflight_foretells_what_deploy_will_copy() -> None:
    """Once green is there, what has no copy gets none, and an AuthorizationPolicy that is lost lets everybody in."""
    given = {
        name: module["policies"] for name in (PREFLIGHT, DEPLOY, CUTOVER) for entry in load(name)
        if (module := entry.get("bluegreen.mesh.mesh_findings_info"))
    }  # fmt: skip
    assert given == {PREFLIGHT: "{{ mesh_policies }}", DEPLOY: "require", CUTOVER: "require"}


def test_an_error_stops_deploy() -> None:
    refuse, wrong = task(DEPLOY, "Refuse"), [finding("green_replicas", ERROR)]
    assert "error green_replicas: Deployment gw/new" in refusal(refuse, deploy_found={"errors": wrong})
    assert refusal(refuse, deploy_found={"errors": []}) == ""
