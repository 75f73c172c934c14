# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scenarios are run, and in which order: where time is left for some only, each has its turn."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
import scenarios  # noqa: E402


def test_each_long_scenario_is_among_the_first_once():
    names = scenarios.in_order("long", False)
    assert len(names) == len(set(names)) > 20
    turns = [scenarios.in_turn(names, turn) for turn in range(400, 400 + len(names))]
    assert all(sorted(turn) == sorted(names) for turn in turns)
    assert {turn[0] for turn in turns} == set(names)
    assert not scenarios.in_turn([], 3)


def test_those_that_take_long_are_begun_first():
    assert scenarios.in_order("molecule", True)[0] == scenarios.FIRST
    names = [name for name in scenarios.in_order("long", False) if not scenarios.replaces_blue(name)]
    taken = [scenarios.minutes(name) for name in names]
    assert taken == sorted(taken, reverse=True) and taken[-1] > 0


def test_one_that_would_not_end_in_time_is_not_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scenarios, "minutes", {"a": 20.0, "b": 9.0, "c": 0.0}.get)
    monkeypatch.delenv("TEST_END", raising=False)
    assert scenarios.in_time(["a", "b", "c"], 5) == "a"
    monkeypatch.setenv("TEST_END", str(int(time.time()) + 10 * 60))
    assert scenarios.in_time(["a", "b", "c"], 1) == "b"
    assert scenarios.in_time(["a", "b", "c"], 1.5) == "c"
    monkeypatch.setenv("TEST_END", str(int(time.time()) - 1))
    assert scenarios.in_time(["a", "b", "c"], 1) is None


def test_one_whose_tests_broke_off_has_failed(tmp_path: Path):
    runner = scenarios.Runner(tmp_path, tmp_path / "results", "long")
    (tmp_path / "molecule-cut.xml").write_text("<testsuites><testsuite><testcase", encoding="utf-8")
    (tmp_path / "molecule-good.xml").write_text("<testsuite><testcase/></testsuite>", encoding="utf-8")
    for name in ("cut", "none", "good"):
        runner.count(name)
    told = [line.split("\t")[2:5] for line in (tmp_path / "results").read_text(encoding="utf-8").splitlines()]
    assert told == [["0", "1", "0"], ["0", "1", "0"], ["1", "0", "0"]]
