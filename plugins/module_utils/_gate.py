# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether live traffic, as one of traffic_sources measured it, allows the next step. Pure; no gate passes on no data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .traffic_sources._source import Measured, Tally

DEVIATIONS = 3.0  # of a count, by which green's failures may exceed what blue's rate makes likely


@dataclass(frozen=True)
class Limits:
    """min_samples, min_green_samples: requests; max_error_rate: 0..1; p99_ratio: green's over blue's; p99_floor_ms."""

    min_samples: int = 500
    min_green_samples: int = 20
    max_error_rate: float = 0.0
    p99_ratio: float = 3.0
    p99_floor_ms: float = 100.0


def lacking(measured: Measured, limits: Limits, side: str = "green") -> list[str]:
    """What is still missing before the gate can judge; empty when there is enough. side: as for breaches()."""
    missing = []
    total, judged, side = measured.total.requests or 0, _side(measured, side), _name(side)
    if total < limits.min_samples:
        missing.append(f"{total} requests were recorded, {limits.min_samples} are needed")
    if (judged.requests or 0) < limits.min_green_samples:
        missing.append(
            f"{judged.requests or 0} requests are known to have been answered by {side}, {limits.min_green_samples} are"
            " needed"
        )
    if limits.min_green_samples and judged.failed is None:
        missing.append(f"it is not known how many of {side}'s requests failed")
    if measured.latency and judged.p99_ms is None and (judged.requests or 0) >= max(1, limits.min_green_samples):
        missing.append(f"{side}'s p99 is not known")
    return missing + list(measured.notes if missing else ())


def _name(side: str) -> str:
    return "blue" if side == "blue" else "green"


def _side(measured: Measured, side: str) -> Tally:
    return measured.blue if side == "blue" else measured.green


def baseline(measured: Measured, limits: Limits, before: Tally, side: str = "green") -> Tally:
    """What is compared with: blue, in the same window while it answers as many as green must, since both then share the
    same minute and the same machines; else what it was like before. With side `same` it is green that is read so."""
    like = measured.green if side == "same" else measured.blue
    if (like.requests or 0) < max(1, limits.min_green_samples):
        return before
    known = like.failed is not None
    return Tally(
        like.requests if known else before.requests,
        like.failed if known else before.failed,
        before.p99_ms if like.p99_ms is None else like.p99_ms,
    )


def breaches(measured: Measured, limits: Limits, before: Tally, real: bool, side: str = "green") -> list[str]:
    """Why the step has to be taken back; empty when it may stand.

    before: blue before the step. real: it counts real clients, whose applications fail by themselves now and then: green
    may then fail as often as blue, and max_error_rate on top. Else max_error_rate is all, of green and of everything.
    While there are fewer requests than are needed, as many may fail as if they were there: one of the first three is not
    a third of all. side: which colour is judged; blue, once it has everything again, by what it was like before; same,
    green by what green was like before, where nothing moves from one to the other.
    """
    like = baseline(measured, limits, before) if side == "green" else before
    judged = _side(measured, side)
    sides = [(f"{_name(side)}'s", judged, limits.min_green_samples)]
    if not real:
        sides.insert(0, ("all", measured.total, limits.min_samples))
    reasons = []
    for who, tally, needed in sides:
        if not tally.requests or tally.failed is None:
            continue
        count = max(tally.requests, needed)
        likely = count * (like.rate or 0.0) if real else 0.0
        allowed = count * limits.max_error_rate + likely + DEVIATIONS * math.sqrt(likely)
        if tally.failed > allowed:
            besides = f"; {_whose(side)} rate {'is' if side == 'green' else 'was'} {like.rate:.4%}" if likely else ""
            reasons.append(
                f"{tally.failed} of {who} {tally.requests} requests failed ({tally.rate:.4%}, allowed"
                f" {limits.max_error_rate:.4%}{besides})"
            )
    return reasons + _slow(judged, side, like.p99_ms, limits)


def _whose(side: str) -> str:
    return "its" if side == "same" else "blue's"


def _slow(judged: Tally, side: str, like_p99_ms: float | None, limits: Limits) -> list[str]:
    if judged.p99_ms is None or judged.p99_ms <= limits.p99_floor_ms:
        return []
    if (judged.requests or 0) < limits.min_green_samples:  # too few to have a 99th percentile
        return []
    if like_p99_ms is None:
        return [f"{_name(side)}'s p99 is {judged.p99_ms:.0f} ms, and there is nothing of {_whose(side)} to compare it with"]
    if judged.p99_ms > like_p99_ms * limits.p99_ratio:
        was = "blue's" if side == "green" else "it was"
        return [
            f"{_name(side)}'s p99 is {judged.p99_ms:.0f} ms, {was} {like_p99_ms:.0f} ms: more than {limits.p99_ratio:g}"
            " times as long"
        ]
    return []
