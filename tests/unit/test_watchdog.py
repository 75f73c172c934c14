# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A step is made once somebody watches it, who knows all that taking it back needs. The role's own tasks, as Ansible
plays them, beside a playbook that stands for the watchdog."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import role_tasks
import yaml

ROOT = Path(__file__).resolve().parents[2]
CUTOVER = ROOT / "roles" / "cutover"
NAME = re.compile(r"\b_?(?:mesh|cutover)_\w+")


def names_in(value: object) -> set[str]:
    return set(NAME.findall(yaml.safe_dump(value, width=10**6)))


def needed(balancer: str) -> set[str]:
    """Every mesh_ setting that the watchdog's tasks come to, by way of the variables that they use."""
    tasks = ["unsettled", "breach", "note", *(f"{balancer}/{part}" for part in ("read", "set"))]
    # What is included by these of two balancers.
    tasks += {"dns": ["dns/records", "dns/endpoints"], "route53": ["route53/records", "dns/endpoints"]}.get(balancer, [])
    tasks += ["aws/weights"] if balancer.startswith("aws") else []
    known: dict[str, object] = {}
    for role in ("mesh", "cutover"):
        known |= yaml.safe_load((ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8"))
    found: set[str] = set()
    new = names_in([yaml.safe_load((CUTOVER / "tasks" / f"{name}.yml").read_text(encoding="utf-8")) for name in tasks])
    while new - found:
        found |= new
        new = {name for used in found & known.keys() - armed() for name in names_in(known[used])}
    return {name for name in found if name.startswith("mesh_")}


def armed() -> set[str]:
    (task,) = yaml.safe_load((CUTOVER / "tasks" / "arm.yml").read_text(encoding="utf-8"))
    return set(task["vars"]["cutover_watchdog_vars"]) | {"mesh_kubeconfig"}


# What is but named, in lists and to people; and who runs it, which is said to be the watchdog.
OTHERS = {"mesh_conversion", "mesh_ingress", "mesh_cutover_to", "mesh_operator", "mesh_takeover"}


@pytest.mark.parametrize("balancer", sorted(path.stem for path in (CUTOVER / "meta" / "balancers").glob("*.yml")))
def test_it_is_told_all_that_the_way_back_needs(balancer: str) -> None:
    assert needed(balancer) - armed() - OTHERS == set()


def start(tmp_path: Path, watchdog: list[dict]) -> subprocess.CompletedProcess[str]:
    """watchdog_process.yml, with these tasks as playbooks/watchdog.yml."""
    places = {name: tmp_path / name for name in ("playbooks", "roles/cutover", "async", "tmp")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    play = {"hosts": "localhost", "gather_facts": False}
    (places["playbooks"] / "watchdog.yml").write_text(json.dumps([{**play, "tasks": watchdog}]))
    given = {
        "role_path": str(places["roles/cutover"]), "mesh_kubeconfig": "nowhere",
        "cutover_watchdog_vars": {"watchdog_step": "3-50"}, "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    tasks = [
        {"ansible.builtin.include_tasks": str(CUTOVER / "tasks" / "watchdog_process.yml")},
        {"ansible.builtin.debug": {"msg": "THE STEP IS MADE, {{ lookup('ansible.builtin.file', '" + str(tmp_path) + "/seen') }}"}},
    ]
    (tmp_path / "run.yml").write_text(json.dumps([{**play, "hosts": "here", "vars": given, "tasks": tasks}]))
    env = {
        **os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_ASYNC_DIR": str(places["async"]), "TMPDIR": str(places["tmp"]),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "here,", "-c", "local", "run.yml"]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=150, check=False)


def test_a_step_is_made_once_somebody_watches_it(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        [
            {"ansible.builtin.copy": {"content": "{{ watchdog_step }} is watched", "dest": f"{tmp_path}/seen"}},
            {"ansible.builtin.file": {"path": "{{ watchdog_file }}", "state": "absent"}},
        ],
    )
    assert done.returncode == 0 and "THE STEP IS MADE, 3-50 is watched" in done.stdout, done.stdout
    assert not list((tmp_path / "tmp").glob("bluegreen-mesh-watchdog-*"))


def test_that_it_begins_to_watch_between_two_conditions_is_no_failure(tmp_path: Path) -> None:
    """Ansible asks failed_when, then until; the file may go in between."""
    _make, _tell, _start, see = role_tasks.load("cutover/tasks/watchdog_process.yml")
    told = tmp_path / "told"
    told.touch()

    def holds(which: str, finished: bool) -> bool:
        given = {"cutover_watchdog_process": {"finished": finished}, "cutover_watchdog_file": {"path": str(told)}}
        return role_tasks.holds(see["block"][0][which], **given)

    assert not holds("failed_when", finished=False)
    assert holds("failed_when", finished=True), "it has ended, and never watched"
    told.unlink()
    assert holds("until", finished=False)
    assert not holds("failed_when", finished=True), "it watched, and had nothing to do any more"


def test_a_step_that_nobody_watches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("by nobody")
    done = start(tmp_path, [{"ansible.builtin.fail": {"msg": "the journal can't be read from here"}}])
    assert done.returncode != 0 and "THE STEP IS MADE" not in done.stdout, done.stdout
    assert "The watchdog does not watch:" in done.stdout and "the journal can't be read from here" in done.stdout
    assert not list((tmp_path / "tmp").glob("bluegreen-mesh-watchdog-*")), "it may hold a key"
