# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the roles, and what Ansible makes of their expressions, without running them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[2] / "roles"
LOADER = DataLoader()


def load(name: str) -> t.Any:
    return LOADER.load_from_file(str(ROLES / name), trusted_as_template=True)


def task(name: str, word: str) -> t.Any:
    """The one of that file whose name begins so."""
    return next(task for task in load(name) if task["name"].startswith(word))


def evaluate(text: t.Any, **given: t.Any) -> t.Any:
    return Templar(loader=LOADER, variables={**load("mesh/vars/main.yml"), **given}).template(text)


def holds(condition: str | list[str], **given: t.Any) -> bool:
    """Of `when` or `that`."""
    several = [condition] if isinstance(condition, str) else condition
    return all(evaluate(trust_as_template("{{ " + one + " }}"), **given) for one in several)


def refusal(task: t.Any, **given: t.Any) -> str:
    """What an assertion says where it does not hold, else ''."""
    asked = task["ansible.builtin.assert"]
    variables = {**(task.get("vars") or {}), **given}
    return "" if holds(asked["that"], **variables) else evaluate(asked["fail_msg"], **variables)
