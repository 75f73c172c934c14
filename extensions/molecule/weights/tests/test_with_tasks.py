# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh_balancer.type tasks: the same HAProxy by task files, and a switch that only knows all or nothing.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t

import lab
import pytest

HERE = pathlib.Path(__file__).parents[1]
BACKENDS = ["passthrough_http", "passthrough_https"]
JOURNAL = {"mesh_migration": "tasks", "mesh_journal_namespace": "mesh-weights", "mesh_takeover": True}
SETTINGS = {
    **JOURNAL,
    "mesh_balancer": {
        "type": "tasks",
        "read": str(HERE / "files/haproxy/read.yml"),
        "set": str(HERE / "files/haproxy/set.yml"),
        "settings": {"apis": ["tcp:172.30.0.20:9999"], "backends": BACKENDS},
    },
}


def share(settings: dict[str, t.Any], wanted: int, *argv: str, **more: t.Any) -> subprocess.CompletedProcess[str]:
    command, options = lab.playing({**settings, "weights_wanted": wanted, **more}, *argv)
    command[command.index("playbooks/migrate.yml")] = str(HERE / "files" / "share.yml")
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout[-3000:]
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode != 0
    text = " ".join(done.stdout.split())
    assert all(words in text for words in says), done.stdout[-3000:]


def green() -> set[int]:
    return {w for name, w in lab.weights().items() if name.partition("/")[0] in BACKENDS and "/green-" in name}


def test_check_mode_says_so_and_sets_nothing() -> None:
    assert changed(share(SETTINGS, 25, "--check")) == 1 and green() == {0}


def test_a_share_by_files_is_journalled_set_and_read_back(tmp_path: pathlib.Path) -> None:
    assert changed(share(SETTINGS, 25, weights_expected=0)) == 1 and green() == {25}
    where = {"namespace": "mesh-weights", "name": "tasks"}
    (step,) = lab.run("migration_journal", tmp_path, **where, undo_from="cutover")["undo"]
    assert step["state"] == "done" and step["inverse"]["module"] == "tasks"
    assert step["inverse"]["params"]["green_percent"] == 0
    assert changed(share(SETTINGS, 25, weights_expected=25)) == 0


def test_what_somebody_else_set_is_noticed_and_left() -> None:
    for backend in BACKENDS:
        for node in (1, 2):
            lab.ask(f"set server {backend}/green-node-{node} weight 75")
    refused(share(SETTINGS, 50, weights_expected=25), "expected 25 %", "somebody else", "files/haproxy/read.yml")
    assert green() == {75}


def test_the_run_of_before_sets_nothing_more() -> None:
    refused(share(SETTINGS, 60, _mesh_epoch=0), "stale_epoch")
    assert green() == {75}


def test_rollback_gives_back_what_was_there_first() -> None:
    done = lab.play({**SETTINGS, "mesh_rollback_to": "cutover"}, "--tags", "rollback")
    assert changed(done) == 1 and green() == {0}
    assert changed(lab.play({**SETTINGS, "mesh_rollback_to": "cutover"}, "--tags", "rollback")) == 0


def in_turn(*backends: str) -> dict[str, t.Any]:
    """A file that sets one backend after another, and breaks off where there is none of that name."""
    balancer = SETTINGS["mesh_balancer"]
    settings = {**balancer["settings"], "in_turn": backends}
    files = {"set": str(HERE / "files/haproxy/in_turn.yml")}
    return {**SETTINGS, "mesh_balancer": {**balancer, **files, "settings": settings}}


def journalled(tmp_path: pathlib.Path) -> list[tuple[str, float]]:
    """State and share of before, of what a rollback would undo."""
    where = {"namespace": "mesh-weights", "name": "tasks"}
    steps = lab.run("migration_journal", tmp_path, **where, undo_from="cutover")["undo"]
    return [(step["state"], step["inverse"]["params"]["green_percent"]) for step in steps]


def test_a_set_that_breaks_off_in_the_middle_is_completed_by_the_next_run(tmp_path: pathlib.Path) -> None:
    refused(share(in_turn(BACKENDS[0], "nope"), 40, weights_expected=0), "no_such_backend")
    assert green() == {0, 40} and journalled(tmp_path) == [("recorded", 0)]
    assert changed(share(in_turn(*BACKENDS), 40)) == 1 and green() == {40}
    # What is gone back to is what was there first, and not the half that the second run found.
    assert journalled(tmp_path) == [("done", 0)]
    assert changed(lab.play({**in_turn(*BACKENDS), "mesh_rollback_to": "cutover"}, "--tags", "rollback")) == 1
    assert green() == {0} and journalled(tmp_path) == []


def test_a_set_that_breaks_off_in_the_middle_is_undone_by_a_rollback(tmp_path: pathlib.Path) -> None:
    refused(share(in_turn(BACKENDS[0], "nope"), 40, weights_expected=0), "no_such_backend")
    assert green() == {0, 40} and journalled(tmp_path) == [("recorded", 0)]
    assert changed(lab.play({**in_turn(*BACKENDS), "mesh_rollback_to": "cutover"}, "--tags", "rollback")) == 1
    assert green() == {0} and journalled(tmp_path) == []


def switch(tmp_path: pathlib.Path, **options: t.Any) -> dict[str, t.Any]:
    folder = HERE / "files" / "switch"
    files = {name: str(folder / f"{name}.yml") for name in ("read", "set", "prepare")}
    settings = {"switch": str(tmp_path / "switch")}
    balancer = {"type": "tasks", "granularity": "all", **files, "settings": settings, **options}
    return {**JOURNAL, "mesh_cutover_steps": [100], "mesh_balancer": balancer}


def test_all_or_nothing(tmp_path: pathlib.Path) -> None:
    settings = switch(tmp_path)
    # Made by prepare, then turned.
    assert changed(share(settings, 100, weights_expected=0)) == 2
    assert (tmp_path / "switch").read_text(encoding="utf-8") == "green"
    assert changed(share(settings, 100, weights_expected=100)) == 0
    done = lab.play({**settings, "mesh_rollback_to": "cutover"}, "--tags", "rollback")
    assert changed(done) == 1 and (tmp_path / "switch").read_text(encoding="utf-8") == "blue"


def test_what_the_switch_carries_is_handed_over_and_taken_away(tmp_path: pathlib.Path) -> None:
    """By the files for soak and for clean-up, each by the run that has the journal only."""
    folder, carried = HERE / "files" / "switch", tmp_path / "switch.carried"
    files = {name: str(folder / f"{name}.yml") for name in ("hand_over", "finalise")}
    settings = switch(tmp_path, **files)
    refused(lab.part({**settings, "_mesh_epoch": 0}, "cutover", "hand_over.yml"), "stale_epoch")
    assert not carried.exists()
    assert changed(lab.part(settings, "cutover", "hand_over.yml")) == 1
    assert carried.read_text(encoding="utf-8") == "handed over"
    refused(lab.part({**settings, "_mesh_epoch": 0}, "cutover", "finalise.yml"), "stale_epoch")
    assert carried.exists()
    assert changed(lab.part(settings, "cutover", "finalise.yml")) == 1 and not carried.exists()
    assert changed(lab.part(settings, "cutover", "hand_over.yml", "finalise.yml")) == 2 and not carried.exists()
    # Without such files there is nothing to do.
    assert changed(lab.part(switch(tmp_path), "cutover", "hand_over.yml", "finalise.yml")) == 0


def test_the_infrastructure_code_is_told_what_the_users_file_says(tmp_path: pathlib.Path) -> None:
    (tmp_path / "switch").write_text("green", encoding="utf-8")
    files = {"handover": str(HERE / "files/switch/handover.yml")}
    done = lab.part(switch(tmp_path, **files), "cutover", "handover.yml", argv=("-v",))
    assert changed(done) == 0
    told, _end = json.JSONDecoder().raw_decode(done.stdout.rpartition('"cutover_handover":')[2].lstrip())
    target = {"server": "green", "weight": 100, "colour": "green"}
    assert told == {"resources": [], "weights": [{"kind": "haproxy", "name": "switch", "targets": [target]}]}
    files = {"handover": str(HERE / "files/switch/nothing.yml")}
    refused(lab.part(switch(tmp_path, **files), "cutover", "handover.yml"), "left balancer_handover: null", "files/switch/nothing.yml")


@pytest.mark.parametrize(
    ("options", "more", "says"),
    [
        ({}, {"mesh_cutover_steps": [10, 100]}, ["moves everything at once"]),
        ({}, {"mesh_cutover_to": "green:50"}, ["mesh_cutover_to is green:50"]),
        ({"set": "balancer/set.yml"}, {}, ["mesh_balancer.set", "is no file"]),
        ({"set": str(HERE / "files/switch/nothing.yml")}, {}, ["was to give green 100 %", "finds 0 %"]),
        ({"read": str(HERE / "files/switch/nothing.yml")}, {}, ["left balancer_shared"]),
    ],
    ids=["steps", "to", "path", "not in force", "no share"],
)
def test_what_is_wrong_is_refused(
    tmp_path: pathlib.Path, options: dict[str, t.Any], more: dict[str, t.Any], says: list[str]
) -> None:
    (tmp_path / "switch").write_text("blue", encoding="utf-8")
    refused(share({**switch(tmp_path, **options), **more}, 100), *says)
    assert (tmp_path / "switch").read_text(encoding="utf-8") == "blue"
