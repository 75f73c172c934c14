# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the scenarios are run: where time is left for some only, each has its turn."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
import scenarios  # noqa: E402


def test_each_long_scenario_is_among_the_first_once():
    names = scenarios.in_order("long", False)
    assert len(names) == len(set(names)) > 20
    first = len(scenarios.LONGEST)
    turns = [scenarios.in_turn(names, turn) for turn in range(400, 400 + len(names) - first)]
    assert all(sorted(turn) == sorted(names) and set(turn[:first]) == set(scenarios.LONGEST) for turn in turns)
    assert {turn[first] for turn in turns} == set(names) - set(scenarios.LONGEST)


def test_names_of_the_order_are_scenarios():
    known = {path.parent.name for path in scenarios.SCENARIOS.glob("*/molecule.yml")}
    assert set(scenarios.SLOW) | set(scenarios.LONGEST) <= known
    assert not scenarios.in_turn([], 3)
