# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds up JUnit files: prints "PASSED FAILED SKIPPED". A file that holds no test counts as one failure.

An absent file has to be noticed by the caller, who knows what should have run.
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree


def count(path: str) -> tuple[int, int, int]:
    """Passed, failed (errors included) and skipped test cases of one file."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    if not cases:
        return 0, 1, 0
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    return len(cases) - failed - skipped, failed, skipped


def main(paths: list[str]) -> None:
    print(*(sum(column) for column in zip(*map(count, paths), strict=True)))


if __name__ == "__main__":
    main(sys.argv[1:])
