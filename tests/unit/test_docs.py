# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation points to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPARISON = (ROOT / "docs" / "guide-comparison.md").read_text(encoding="utf-8")
ROWS = [line for line in COMPARISON.splitlines() if line.startswith("| ")][1:]
JOURNEYS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "journeys").glob("*.md"))]
NAMED = sorted(set(re.findall(r"`([\w/.]+)::(\w+)`", "\n".join([COMPARISON, *JOURNEYS]))))


def test_every_step_is_shown_by_a_test_or_not_claimed() -> None:
    assert len(ROWS) > 20 and len(NAMED) > 20
    for row in ROWS:
        step, _guide, ours, shown = (cell.strip() for cell in row.strip("|").split("|"))
        assert re.search(r"`[\w/.]+::\w+`", shown) or ours == "not yet", step


# In prose, and where a page says of all its tests where they are.
BARE = sorted(set(re.findall(r"`(test_\w+?)(?:\.py)?`", "\n".join([COMPARISON, *JOURNEYS]))))
TESTS = [*(ROOT / "tests" / "unit").rglob("test_*.py"), *(ROOT / "extensions" / "molecule").glob("*/tests/test_*.py")]


@pytest.mark.parametrize("name", BARE)
def test_a_test_that_is_named_without_its_file_exists(name: str) -> None:
    """As a function, or as the file itself."""
    defined = re.compile(rf"^def {name}\(", re.M)
    assert any(path.stem == name or defined.search(path.read_text(encoding="utf-8")) for path in TESTS)


SCENARIOS = sorted(set(re.findall(r"scenarios? `(\w+)`(?: and `(\w+)`)?", "\n".join([COMPARISON, *JOURNEYS]))))
NAMED_FILES = sorted(set(re.findall(r"`((?:tests|extensions|plugins|roles)/[\w./]+\.\w+)(?:::\w+)?`", "\n".join(JOURNEYS))))


@pytest.mark.parametrize("names", SCENARIOS, ids="-".join)
def test_a_scenario_that_is_named_exists(names: tuple[str, str]) -> None:
    assert [name for name in names if name and not (ROOT / "extensions/molecule" / name / "molecule.yml").is_file()] == []


@pytest.mark.parametrize("path", NAMED_FILES)
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: str(value).rpartition("/")[2])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), f"{path} has no {name}"
