# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the runbook's commands in a shell against a kubectl that has objects, and takes JSON patches as the API does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t

import pytest
from fake_cluster import _Refused, patched

Moved = _Refused  # what a patch of another version gets


def run(command: str, *objects: dict[str, t.Any], moved: bool = False) -> list[dict[str, t.Any]]:
    """What the command makes of the objects that it writes. It reads all of them if it asks for a list, else the one.
    moved: somebody else writes them in between.

    Raises Moved where the API server refuses the patch, and AssertionError for what kubectl would not take.
    """
    if not shutil.which("jq"):
        pytest.skip("no jq")
    meta = {"namespace": "n", "name": "o", "resourceVersion": "1"}
    there = [{**o, "metadata": {**meta, **o.get("metadata", {})}} for o in objects]
    listed = "| jq -r" in command
    fake = """
k() {
  case "$1 $*" in
    "get "*" -o json") printf %s "$FOUND" ;;
    "patch "*" --type=json --patch-file=/dev/stdin") echo "$3"; tr -d '\\n'; echo ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
  esac
}
"""
    done = subprocess.run(
        ["sh", "-c", fake + command], capture_output=True, text=True, check=False, timeout=20,
        env={**os.environ, "FOUND": json.dumps({"items": there} if listed else there[0])},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done
    lines = done.stdout.splitlines()
    patches = dict(zip(lines[::2], lines[1::2])) if listed else {there[0]["metadata"]["name"]: lines[1]}
    if moved:
        there = [{**o, "metadata": {**o["metadata"], "resourceVersion": "2"}} for o in there]
    return [
        patched(o, json.loads(patches[o["metadata"]["name"]]), "json-patch")
        for o in there if o["metadata"]["name"] in patches
    ]  # fmt: skip
