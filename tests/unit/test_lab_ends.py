# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However it ends, nothing of the lab is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from fake_haproxy import until

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from bglab import cli  # noqa: E402

# Processes as the lab has them: in sessions and networks of their own, deaf to SIGTERM, with children.
TREE = """
trap '' TERM
setsid unshare --net sh -c 'sleep 600 & exec sleep 601' &
setsid sleep 602 &
wait
"""


def of_mark(mark: str) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:
            continue  # gone meanwhile
    return found


@pytest.mark.parametrize("victim", ["the first process outside", "the first process inside"])
def test_the_death_of_its_first_process_ends_all_of_it(victim: str):
    mark = f"LAB_TEST={uuid.uuid4()}"
    environment = {**os.environ, **dict([mark.split("=")])}
    outer = subprocess.Popen([*cli.UNSHARE, "sh", "-c", TREE], env=environment, stdin=subprocess.DEVNULL)
    try:
        until(lambda: len(of_mark(mark)) == 5, 20)
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text(encoding="utf-8")
        os.kill(outer.pid if victim.endswith("outside") else int(children), signal.SIGKILL)
        outer.wait(20)
        until(lambda: not of_mark(mark), 20)
    finally:
        for pid in of_mark(mark):
            os.kill(pid, signal.SIGKILL)


LAB = """#!/bin/sh
echo "$1" >> "$LAB_CALLS"
case $1 in
    exec) exec sleep 600 ;;
    down) [ ! -e "$LAB_CALLS.ending" ] || { : > "$LAB_CALLS.down"; while [ ! -e "$LAB_CALLS.go" ]; do sleep 0.02; done; } ;;
esac
echo "$1 done" >> "$LAB_CALLS"
"""


@pytest.mark.parametrize("script", ["demo", "bench"])
def test_ctrl_c_ends_the_lab_and_a_second_one_does_not_stop_that(script: str, tmp_path: Path):
    folder = tmp_path / "tests" / script
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / script / "run", folder)
    lab = tmp_path / "tests" / "lab" / "lab"
    lab.parent.mkdir()
    lab.write_text(LAB, encoding="utf-8")
    lab.chmod(lab.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"
    environment = {**os.environ, "LAB_CALLS": str(calls)}
    # A shell that starts tests in the background has them ignore SIGINT, and Bash can't trap what it was told to ignore.
    command = ["env", "--default-signal=INT", folder / "run"]
    run = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        until(lambda: calls.exists() and calls.read_text(encoding="utf-8").endswith("exec\n"), 20)
        (tmp_path / "calls.ending").touch()
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        until((tmp_path / "calls.down").exists, 20)
        os.killpg(run.pid, signal.SIGINT)
        assert run.poll() is None
        (tmp_path / "calls.go").touch()
        assert run.wait(20) == 130
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert calls.read_text(encoding="utf-8").endswith("exec\ndown\ndown done\n")
