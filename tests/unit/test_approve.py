# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a terminal says that green may get more: the role's own tasks, as Ansible plays them, with the roles that
verify and that close the journal replaced by ones that say so."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import termios
import time
from pathlib import Path

import pytest

APPROVE = Path(__file__).resolve().parents[2] / "roles" / "cutover" / "tasks" / "approve.yml"
SECONDS = 60


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    for role, tasks, says in (("verify", "compare.yml", "VERIFIED AGAIN"), ("mesh", "close.yml", "CLOSED")):
        place = tmp_path / "ansible_collections/bluegreen/mesh/roles" / role / "tasks"
        place.mkdir(parents=True)
        (place / tasks).write_text(json.dumps([{"ansible.builtin.debug": {"msg": says}}]))
    given = {"cutover_taken": 1, "cutover_last_good": 10, "cutover_percent": 50}
    tasks = [{"ansible.builtin.include_tasks": str(APPROVE)}, {"ansible.builtin.debug": {"msg": "STEP TO {{ cutover_percent }}"}}]
    play = {"hosts": "here", "gather_facts": False, "vars": given, "tasks": tasks}
    (tmp_path / "run.yml").write_text(json.dumps([play]))
    return [sys.executable, "-m", "ansible", "playbook", "-i", "here,", "-c", "local", str(tmp_path / "run.yml")]


class Terminal:
    """screen: what was on it. A prompt throws away what was typed before it reads, so that each key is awaited."""

    def __init__(self, command: list[str], tmp_path: Path) -> None:
        self.screen, self._end = "", time.monotonic() + SECONDS
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            env = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
            os.chdir(tmp_path)
            os.execvpe(command[0], command, env)

    def read(self, seconds: float) -> bool:
        """Whether there was anything in that time."""
        assert time.monotonic() < self._end, self.screen
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        self.screen += os.read(self._fd, 65536).decode()
        return True

    def asked(self) -> bool:
        reads_keys = not termios.tcgetattr(self._fd)[3] & termios.ICANON
        return reads_keys and "anything else ends the run here" in self.screen

    def answer(self, text: str) -> int:
        """How it ended."""
        try:
            while not self.asked():
                self.read(0.1)
            for key in text + "\r":
                os.write(self._fd, key.encode())
                while not self.read(5):
                    os.write(self._fd, key.encode())
            while True:
                self.read(1)
        except OSError:  # the other side is closed
            pass
        finally:
            os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_yes_goes_on_once_the_routes_are_verified_again(command: list[str], tmp_path: Path) -> None:
    terminal = Terminal(command, tmp_path)
    status, screen = terminal.answer("yes"), terminal.screen
    assert status == 0 and "green has 10 %, and the gates hold. Type yes to go on to 50 %" in " ".join(screen.split())
    assert 0 < screen.find("VERIFIED AGAIN") < screen.find("STEP TO 50") and "CLOSED" not in screen, screen


@pytest.mark.parametrize("answer", ["no", ""])
def test_anything_else_ends_the_run_well_and_closes_the_journal(command: list[str], tmp_path: Path, answer: str) -> None:
    terminal = Terminal(command, tmp_path)
    status, screen = terminal.answer(answer), terminal.screen
    assert status == 0 and "CLOSED" in screen and "run -t cutover again to go on" in " ".join(screen.split()), screen
    assert "STEP TO 50" not in screen and "VERIFIED AGAIN" not in screen, screen
