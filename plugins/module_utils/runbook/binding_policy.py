# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the binding policy, whatever carries it out. It is not written by hand: going on is not by hand either."""

from __future__ import annotations

import shlex
import typing as t

from .._binding_policy import policy_name
from ._command import Book, Command

KINDS = (
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io", "mutatingpolicies.policies.kyverno.io",
    "clusterpolicies.kyverno.io",
)  # fmt: skip


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    name = shlex.quote(policy_name(params["migration"]))
    if params["state"] != "absent":
        what = "what is written from now on has to name both sides by itself, until Ansible runs again: nothing to do"
        return [Command(f"the binding policy {name} stays away; {what}", ":")]
    each = f'if k get "$kind" {name} >/dev/null 2>&1; then k delete "$kind" {name}; fi'
    run = f"for kind in {' '.join(KINDS)}; do\n  {each}"
    what = "remove the binding policy first, and wait until every API server has forgotten it"
    return [Command(f"{what} (a few seconds), or it binds again", f"{run}\ndone\nsleep 10")]
