# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to keep every VirtualService bound, also those written later: one file each, best first.

A strategy is a module with NAME; KINDS, what it writes, as (apiVersion, kind); WHERE, what it needs, in words;
available(resources), what of it is here, in words, or ''; and objects(resources, name, rule), the policies to write. One
that keeps reports has their (apiVersion, kind) as REPORTS.
To add one: a file here, its name in both lists below, a test beside tests/unit/test_binding_policies.py, and a row in
docs/binding.md. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import types

from .._module import Refusal
from .._resources import Resources
from . import admission_policy, direct, kyverno, kyverno_cluster_policy

STRATEGIES: tuple[types.ModuleType, ...] = (admission_policy, kyverno, kyverno_cluster_policy, direct)
NAMES = tuple(strategy.NAME for strategy in STRATEGIES)
AUTO = "auto"


def choose(resources: Resources, wanted: str) -> tuple[types.ModuleType, str]:
    """(strategy, why). wanted: a name, or `auto`: the first that is available. Raises Refusal no_strategy."""
    missing = []
    for strategy in STRATEGIES:
        if wanted not in (AUTO, strategy.NAME):
            continue
        found = strategy.available(resources)
        if found:
            why = [*(f"no {where}" for where in missing), found] if wanted == AUTO else ["asked for"]
            return strategy, "; ".join(why)
        missing.append(strategy.WHERE)
    raise Refusal(
        "no_strategy",
        f"Strategy {wanted} is asked for, which needs {missing[0]}; the API server serves none of its kinds."
        " Ask for auto, or for another one.",
        strategy=wanted,
    )
