# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether live traffic, as _traffic.summarise() counts it, allows the next step. Pure; no gate passes on no data."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """min_samples, min_green_samples: requests; max_error_rate: 0..1; p99_ratio: green's over blue's; p99_floor_ms."""

    min_samples: int = 500
    min_green_samples: int = 20
    max_error_rate: float = 0.0
    p99_ratio: float = 3.0
    p99_floor_ms: float = 100.0


Summary = t.Mapping[str, t.Any]


def lacking(summary: Summary, limits: Limits) -> list[str]:
    """What is still missing before the gate can judge; empty when there is enough."""
    missing = []
    total = summary["total"]["requests"]
    if total < limits.min_samples:
        missing.append(f"{total} requests were recorded, {limits.min_samples} are needed")
    green = _colour(summary, "green").get("requests", 0)
    if green < limits.min_green_samples:
        missing.append(f"{green} requests are known to have been answered by green, {limits.min_green_samples} are needed")
    return missing


def breaches(summary: Summary, limits: Limits, blue_p99_ms: float | None) -> list[str]:
    """Why the step has to be taken back; empty when it may stand.

    blue_p99_ms: blue's latency before the first step. Blue's latency in the same window is used instead while blue still
    answers as many requests as green must: both then share the same minute and the same machines. Latencies are those
    from when a request was really sent, so that a busy measuring host does not look like a slow gateway.
    """
    reasons = []
    for name in ("total", "green"):
        tally = summary["total"] if name == "total" else _colour(summary, "green")
        rate = tally.get("error_rate")
        if rate is not None and rate > limits.max_error_rate:
            who = "all" if name == "total" else "green's"
            reasons.append(
                f"{tally['failed']} of {who} {tally['requests']} requests failed ({rate:.4%}, allowed {limits.max_error_rate:.4%})"
            )
    blue = _colour(summary, "blue")
    if blue.get("requests", 0) >= limits.min_green_samples:
        blue_p99_ms = blue["p99_sent_ms"]
    green_p99 = _colour(summary, "green").get("p99_sent_ms")
    if green_p99 is not None and green_p99 > limits.p99_floor_ms:
        if blue_p99_ms is None:
            reasons.append(f"green's p99 is {green_p99:.0f} ms, and there is nothing of blue's to compare it with")
        elif green_p99 > blue_p99_ms * limits.p99_ratio:
            reasons.append(
                f"green's p99 is {green_p99:.0f} ms, blue's {blue_p99_ms:.0f} ms: more than {limits.p99_ratio:g} times as long"
            )
    return reasons


def _colour(summary: Summary, colour: str) -> Summary:
    return summary["colours"].get(colour) or {}
