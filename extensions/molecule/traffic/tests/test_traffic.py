# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client that converge.yml left running: its rate, its cost, its word on trouble, its end. In this order."""

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import lab
import pytest

FOLDER = os.environ["MOLECULE_EPHEMERAL_DIRECTORY"] + "/traffic"


def run(tmp_path: pathlib.Path, **params: t.Any) -> dict[str, t.Any]:
    return lab.run("traffic_probe", tmp_path, cluster=False, **params)


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(condition: t.Callable[[], t.Any], seconds: float = 30.0) -> t.Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return value


def test_it_keeps_its_rate_at_a_low_cost(tmp_path):
    before = run(tmp_path, state="read", dir=FOLDER)
    spent, since = cpu_seconds(before["pid"]), time.monotonic()
    after = until(
        lambda: (found := run(tmp_path, state="read", dir=FOLDER))["total"]["last"] > before["total"]["last"] + 8
        and found
    )
    cost = (cpu_seconds(before["pid"]) - spent) / (time.monotonic() - since)
    seconds = after["total"]["last"] - before["total"]["last"]
    assert after["total"]["requests"] - before["total"]["requests"] == pytest.approx(300 * seconds, rel=0.1)  # those on their way do not count
    assert cost < 0.7, f"{cost:.0%} of a core"


def test_it_tells_which_gateway_pod_answered(tmp_path):
    found = run(tmp_path, state="read", dir=FOLDER, colours={"nobody": ["192.0.2.1"]})
    assert found["colours"]["nobody"]["requests"] == 0 and found["colours"]["unknown"]["requests"] > 0
    with open(FOLDER + "/records.jsonl", encoding="utf-8") as file:
        vias = {json.loads(line)["via"] for line in file if line.endswith("\n")}
    pods = vias - {None}
    assert pods and all(via.startswith("10.244.") for via in pods)


def test_trouble_is_counted_and_shown(tmp_path):
    folder = str(tmp_path / "broken")
    target = {"protocol": "h2", "connect_to": "172.30.0.20:443"}
    targets = [
        {"name": "missing", "url": "https://nobody.lab.test/", **target},
        {"name": "refused", "url": "https://nobody.invalid/", **target},
        {"name": "nobody", "url": "https://shop.lab.test/", **target, "connect_to": "172.30.0.20:9"},
        {"name": "right", "url": "https://nobody.lab.test/", **target, "expect_status": 404},
    ]
    run(tmp_path, state="started", dir=folder, targets=targets, rate=40, max_seconds=60)
    until(lambda: run(tmp_path, state="read", dir=folder)["total"]["requests"] >= 40)
    found = run(tmp_path, state="stopped", dir=folder)
    assert {name: one["error_rate"] for name, one in found["routes"].items()} == {
        "missing": 1.0, "refused": 1.0, "nobody": 1.0, "right": 0.0,
    }  # fmt: skip
    kinds = {error["route"]: error["error"].split(":")[0] for error in found["errors"]}
    assert kinds == {"missing": "status 404", "refused": "tls", "nobody": "unreachable"}
    assert found["total"]["requests"] == sum(1 for _line in open(folder + "/records.jsonl", encoding="utf-8"))


def test_it_ends_with_everything_written_and_nothing_lost(tmp_path):
    found = run(tmp_path, state="stopped", dir=FOLDER)
    assert found["changed"] and found["ended"] == "stopped" and not found["running"]
    assert found["total"]["failed"] == 0, found["error_counts"]
    seconds = found["total"]["last"] - found["total"]["first"]
    assert found["total"]["requests"] == pytest.approx(300 * seconds, rel=0.02)
    assert not run(tmp_path, state="stopped", dir=FOLDER)["changed"]
