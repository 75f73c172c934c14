# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that traffic_probe sent and wrote down, each with its outcome and, where it can be told, its colour."""

from __future__ import annotations

import typing as t

from .. import _traffic
from .._module import Refusal
from ._source import Measured, Tally, Tools, Window

NAME = "probe"
REAL = False
COUNTS_PROBES = False
UNSEEN = ("routes that it does not ask for, and clients that are unlike it",)
OPTIONS = {"dir": {"type": "path", "required": True}}
EARLIER = 15.0  # seconds of records that tell what blue was like before


def begin(options: dict[str, t.Any], _tools: Tools) -> dict[str, t.Any]:
    _check(options)
    return {}


def measure(options: dict[str, t.Any], _begun: dict[str, t.Any], window: Window, tools: Tools) -> Measured:
    _check(options)
    records = _traffic.read_records(_traffic.records_path(options["dir"]), since=window.since)
    return of_summary(_traffic.summarise(records, tools.colours))


def earlier(options: dict[str, t.Any], at: float, tools: Tools) -> Tally:
    """What it was like in the last seconds before `at`: blue's, or all's where it is not known who answered."""
    seen = measure(options, {}, Window(at - EARLIER, at), tools)
    if seen.blue.requests:
        return seen.blue
    return Tally(seen.total.requests, seen.total.failed, seen.detail["summary"]["total"]["p99_sent_ms"])


def of_summary(summary: dict[str, t.Any]) -> Measured:
    """From what _traffic.summarise() counts. Latency is that from when a request was really sent, so that a busy
    measuring host does not look like a slow gateway."""
    colours = {
        name: Tally(tally["requests"], tally["failed"], tally["p99_sent_ms"])
        for name, tally in summary["colours"].items()
    }
    return Measured(
        colours.get("blue", Tally(0, 0)), colours.get("green", Tally(0, 0)), colours.get("unknown", Tally(0, 0)),
        latency=True, detail={"summary": summary},
    )  # fmt: skip


def _check(options: dict[str, t.Any]) -> None:
    if not _traffic.running(_traffic.read_state(options["dir"])):
        raise Refusal(
            "not_running", f"no traffic probe runs in {options['dir']}: start one with traffic_probe, state=started"
        )
