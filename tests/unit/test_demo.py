# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demo's account must show for the run to count."""

from __future__ import annotations

import ast
import importlib.util
import json
import types
import typing as t
from pathlib import Path

import pytest
import yaml

DEMO = Path(__file__).resolve().parents[2] / "tests" / "demo" / "demo.py"
PHASE = {"name": "soak", "changed": 0, "requests": 400, "failed": 0, "rate": 400.0}


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Any:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(module, "LOG", tmp_path / "ansible.log")
    return module


def report(*phases: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    spoken = {"h2": {"requests": 800, "failed": 0}}
    rows = [{**PHASE, **phase} for phase in phases or ({},)]
    return {"requests": 800, "failed": 0, "rate": 400.0, "protocols": spoken, "phases": rows, **more}


def test_a_good_run_counts(demo: t.Any) -> None:
    assert demo.shortcomings(report(), True, {"h2"}) == []


@pytest.mark.parametrize(
    ("found", "running", "says"),
    [
        (report(), False, "the clients had ended"),
        (report({"rate": 0.0, "requests": 0}), True, "soak: clients asked 0.0 times a second"),
        (report({"rate": 299.9}), True, "soak: clients asked 299.9 times a second (at least 300 wanted)"),
        (report(rate=12.0), True, "in all: clients asked 12.0 times"),
        (report(failed=1), True, "1 of 800 requests failed"),
        (report({"changed": 2}), True, "the second full run changed 2"),
        (report(protocols={"h2": {"requests": 0}}), True, "no request by h2"),
    ],
)
def test_why_a_run_does_not_count(demo: t.Any, found: dict[str, t.Any], running: bool, says: str) -> None:
    (one,) = demo.shortcomings(found, running, {"h2"})
    assert one.startswith(says)


@pytest.mark.parametrize(
    ("last", "until", "running", "says"),
    [
        (0.005, 13.0, True, ""),  # so short that but two requests are due in it
        (3.0, 13.0, False, "the clients had ended"),
        (3.0, 9.0, False, "last: clients asked 0.0 times"),
        (3.0, 11.0, True, "last: clients asked 133.3 times"),
    ],
    ids=["a short phase", "ended just before the end", "ended in the last quarter", "ended within a phase"],
)
def test_the_clients_ask_in_every_phase_and_to_the_end(
    demo: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    last: float, until: float, running: bool, says: str,
) -> None:  # fmt: skip
    """The demo itself. Its phases take no time but by a clock of their own; 400 requests are due in a second of that."""
    clock, lasts = 1000.0, {"first": 10.0, "last": last}
    (tmp_path / "targets.yml").write_text("[{protocol: h2}]")
    records = Path(demo._traffic.records_path(str(demo.TRAFFIC)))
    records.parent.mkdir()
    kept = {"route": "a", "protocol": "h2", "via": None, "status": 200, "ms": 1.0}
    lines = [json.dumps({"t": clock + k / 400, **kept}) for k in range(int(400 * min(until, 10 + last)))]
    records.write_text("\n".join(lines) + "\n")

    def play(name: str, *argv: str) -> tuple[float, int]:
        nonlocal clock
        clock += lasts.get(name, 0)
        return lasts.get(name, 0), int("traffic_state=stopped" in argv and running)

    monkeypatch.setattr(demo, "play", play)
    monkeypatch.setattr(demo, "STEPS", (("first", ["-t", "first"]), ("last", [])))
    monkeypatch.setattr(demo, "TARGETS", tmp_path / "targets.yml")
    monkeypatch.setattr(demo, "time", types.SimpleNamespace(time=lambda: clock))
    status, shown = demo.main(), capsys.readouterr().out
    assert (status, f"demo: FAILED: {says}" in shown) == ((1, True) if says else (0, False)), shown
    (first, *_more) = json.loads((tmp_path / "report.json").read_text())["phases"]
    assert (first["requests"], first["rate"]) == (min(4000, 400 * until), min(400, 40 * until))


def test_the_bench_times_the_way_back_by_every_balancer_of_a_demo() -> None:
    """What a demo can be shifted by: HAProxy, and what has a file of settings; a list there is a playbook."""
    files = (DEMO.parent / "backends").glob("*.yml")
    shifted = {path.stem for path in files if isinstance(yaml.safe_load(path.read_text()), dict)}
    bench = ast.parse((DEMO.parents[1] / "bench" / "bench.py").read_text())
    (timed,) = (
        ast.literal_eval(line.value) for line in bench.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "BACKENDS"
    )  # fmt: skip
    assert sorted(timed) == sorted({"haproxy", *shifted})
