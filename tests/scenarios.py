# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the Molecule scenarios on the lab: python tests/scenarios.py OUT RESULTS STAGE

Scenarios wait more than they work, so there are two lanes (TEST_LANES=1 for one), each with a lab of its own, and each
takes the next scenario that is left. A lab that is up already, of someone who works in it, is the only lane, and is left
up. Logs and JUnit files are written to OUT; what ended how is added to RESULTS, a line for each check: stage, check,
passed, failed, skipped, seconds.

STAGE is molecule or long. Scenarios with a file `long` are of the second: a test run of half an hour has no time for them.
The file has the minutes that it takes where two lanes share two cores. TEST_END is a time in seconds since 1970: a
scenario that would not end before it is not begun, and counts as skipped. With TEST_TURN, any number, long scenarios take
turns, so that those left out by the next number are others.
A scenario that fails leaves the next ones a new lab. One with a file `unproven`, which says why, counts as skipped;
`tests/lab/lab exec -- molecule test -s NAME` runs it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import counts

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "extensions" / "molecule"
LAB = str(ROOT / "tests" / "lab" / "lab")
FIRST = "rollback"  # of those that are not long
TAIL = 150  # lines of a log that are shown of what failed


def needs(name: str) -> list[str]:
    """What a scenario needs in its lab beside what is always there."""
    file = SCENARIOS / name / "needs"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def replaces_blue(name: str) -> bool:
    """Whether it leaves no blue behind, so that nothing can come after it in the same lab."""
    return (SCENARIOS / name / "replaces_blue").exists()


def unproven(name: str) -> str:
    """Why a scenario is not run unless it is called by name: it has not been seen to pass as it is now. Else ''."""
    file = SCENARIOS / name / "unproven"
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def minutes(name: str) -> float:
    """How long it takes. Those that are not long do not count."""
    file = SCENARIOS / name / "long"
    return float(file.read_text(encoding="utf-8")) if file.exists() else 0.0


def of_stage(stage: str, files: str) -> list[str]:
    """Names of the stage's scenarios that have such a file."""
    found = sorted(path.parent for path in SCENARIOS.glob(f"*/{files}"))
    return [path.name for path in found if path.name != "default" and (path / "long").exists() == (stage == "long")]


def in_order(stage: str, shared: bool) -> list[str]:
    """Its scenarios, those that take long first, so that no lane is left alone with one at the end. shared: in one lab
    that stays."""
    names = [name for name in of_stage(stage, "molecule.yml") if not unproven(name)]
    return sorted(names, key=lambda name: (replaces_blue(name) == shared, -minutes(name), name != FIRST, name))


def in_turn(names: list[str], turn: int) -> list[str]:
    """Beginning with another one for each turn."""
    at = turn % max(len(names), 1)
    return names[at:] + names[:at]


def in_time(names: list[str], slower: float) -> str | None:
    """The first that ends before TEST_END. slower: how many times as long as they should scenarios took here so far."""
    left = float(os.environ.get("TEST_END") or inf) - time.time()
    return next((name for name in names if 60 * minutes(name) * slower < left), None)


class Runner:
    def __init__(self, out: Path, results: Path, stage: str) -> None:
        self.out, self.results, self.stage = out, results, stage
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._queue: list[str] = []
        self._slower = 1.0

    def record(self, check: str, passed: int, failed: int, skipped: int, seconds: float | str) -> None:
        seconds = seconds if isinstance(seconds, str) else f"{seconds:.0f}"
        with self._lock, open(self.results, "a", encoding="utf-8") as file:
            file.write("\t".join((self.stage, check, str(passed), str(failed), str(skipped), seconds)) + "\n")

    def call(self, log: t.BinaryIO, env: dict[str, str], *argv: str) -> int:
        with self._lock:
            if self._stopped:
                return 1
            process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
            self._running.add(process)
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def check(self, name: str, env: dict[str, str], *commands: t.Sequence[str]) -> bool:
        """Commands, of which the first that fails ends it."""
        begin = time.monotonic()
        path = self.out / f"{self.stage}-{name.replace(' ', '-')}.log"
        with self._lock:
            print(f"== {self.stage}: {name} (log in {path.relative_to(ROOT)})", flush=True)
        with open(path, "wb") as log:
            passed = all(self.call(log, env, *command) == 0 for command in commands)
        seconds = time.monotonic() - begin
        self.record(name, int(passed), int(not passed), 0, seconds)
        with self._lock:
            print(f"== {self.stage}: {name}: {'passed' if passed else 'FAILED'} after {seconds:.0f} s", flush=True)
            if not passed and not self._stopped:
                print(*path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:], sep="\n", flush=True)
        return passed

    def scenario(self, name: str, env: dict[str, str], *options: str) -> bool:
        """With a home of its own, since Molecule notes there that instances are prepared, and would skip prepare for the
        others."""
        env = {**env, "ANSIBLE_HOME": f"{env['ANSIBLE_HOME']}/{name}", "MOLECULE_JUNIT": str(self.out)}
        (self.out / f"molecule-{name}.xml").unlink(missing_ok=True)
        extras = needs(name)
        run = (LAB, "exec", "--", "molecule", "test", "--scenario-name", name, *options)
        if not extras:
            return self.check(name, env, run)
        passed = self.check(name, env, (LAB, "add", *extras), run)
        return self.check(f"{name}: remove {' '.join(extras)}", env, (LAB, "remove", *extras)) and passed

    def count(self, name: str) -> None:
        """Molecule skips the tests of a scenario that has none, and exits 0."""
        junit = self.out / f"molecule-{name}.xml"
        try:
            self.record(f"{name}: tests", *counts.count(str(junit)), "-")
        except (FileNotFoundError, ElementTree.ParseError) as exc:  # it broke off before there were any, or while it wrote them
            self.record(f"{name}: no tests are told of: {type(exc).__name__}", 0, 1, 0, "-")

    def lane(self, number: int) -> None:
        """number: 0 is a lab that somebody else has started."""
        env = {**os.environ, "ANSIBLE_HOME": f"{os.environ['ANSIBLE_HOME']}/lane-{number}"}
        if number:
            env["LAB_STATE"] = str(ROOT / ".cache" / "lab" / f"lane-{number}")
        up = False
        while not self._stopped:
            with self._lock:
                name = in_time(self._queue, self._slower)
                if name is None:
                    break
                self._queue.remove(name)
            begin = time.monotonic()
            if not up:
                up = not number or self.check(f"lab {number} up for {name}", env, (LAB, "up"))
                up = up and self.scenario("default", env)
            passed = up and self.scenario(name, env, "--no-shared-state")
            self.count(name)
            with self._lock:
                self._slower = max(self._slower, (time.monotonic() - begin) / 60 / (minutes(name) or inf))
            if number and (not passed or replaces_blue(name)):
                subprocess.run((LAB, "down"), env=env, check=False)
                up = False
        if number:
            subprocess.run((LAB, "down"), env=env, check=False)

    def run(self, lanes: int) -> None:
        for name in of_stage(self.stage, "unproven"):
            print(f"== {self.stage}: {name}: skipped: {unproven(name)}", flush=True)
            self.record(f"{name}: unproven", 0, 0, 1, "-")
        extras = sorted({one for name in in_order(self.stage, False) for one in needs(name)})
        env = dict(os.environ)
        if not self.check("lab build", env, (LAB, "build"), *[(LAB, "build", *extras)] * bool(extras)):
            return
        shared = subprocess.run((LAB, "status"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        numbers = [0] if shared.returncode == 0 else range(1, lanes + 1)
        self._queue = in_order(self.stage, shared.returncode == 0)
        if self.stage == "long" and "TEST_TURN" in os.environ:
            self._queue = in_turn(self._queue, int(os.environ["TEST_TURN"]))
        threads = [threading.Thread(target=self.lane, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in () if self._stopped else self._queue:
            hasty = in_time([name], self._slower) is None
            what = "no time was left for it" if hasty else "its lane ended before it"
            print(f"== {self.stage}: {name}: {'skipped' if hasty else 'FAILED'}: {what}", flush=True)
            self.record(f"{name}: {what}", 0, int(not hasty), int(hasty), "-")

    def stop(self, signum: int, _frame: t.Any) -> None:
        """Each lane takes its lab down, and with it whatever still runs there."""
        self._stopped = True
        for process in list(self._running):
            process.terminate()
        print(f"{runner.stage}: stopped by signal {signum}", flush=True)


if __name__ == "__main__":
    runner = Runner(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, runner.stop)
    for old in runner.out.glob(f"{runner.stage}-*"):
        old.unlink()
    runner.run(int(os.environ.get("TEST_LANES", "2")))
