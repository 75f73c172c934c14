# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of live traffic have in common. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

COLOURS = ("blue", "green")


@dataclasses.dataclass(frozen=True)
class Tally:
    """One colour in one window. None is unknown, and never as good as 0."""

    requests: int | None = None
    failed: int | None = None
    p99_ms: float | None = None

    @property
    def rate(self) -> float | None:
        return self.failed / self.requests if self.requests and self.failed is not None else None


@dataclasses.dataclass(frozen=True)
class Measured:
    """blue, green; other: what can't be told to be either; notes: what is unknown, and why; latency: whether it is
    measured here, so that an unknown one is missing; detail: for people."""

    blue: Tally = Tally()
    green: Tally = Tally()
    other: Tally = Tally(0, 0)
    notes: tuple[str, ...] = ()
    latency: bool = False
    detail: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> Tally:
        every = (self.blue, self.green, self.other)
        return Tally(sum(tally.requests or 0 for tally in every), sum(tally.failed or 0 for tally in every))

    def result(self) -> dict[str, t.Any]:
        shown = {name: dataclasses.asdict(getattr(self, name)) for name in (*COLOURS, "other")}
        return {**shown, "notes": list(self.notes), **self.detail}


@dataclasses.dataclass(frozen=True)
class Window:
    """since, until: seconds since 1970."""

    since: float
    until: float

    @property
    def seconds(self) -> int:
        """Whole seconds, at least one."""
        return max(1, round(self.until - self.since))


@dataclasses.dataclass(frozen=True)
class Tools:
    """cluster: gives the connection, made when it is first needed; colours: who answered -> which side, for the probe."""

    cluster: t.Callable[[], t.Any]
    colours: dict[str, t.Sequence[str]]


def percentile_of(buckets: dict[float, float], percent: float = 99) -> float | None:
    """A percentile from cumulative counts by upper bound (Prometheus' le), interpolated within its bucket.

    None without samples, and where it lies beyond the last finite bound: then it is only known to be longer than that.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    rank = buckets[bounds[-1]] * percent / 100
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return None
            inside = buckets[bound] - below
            return round(lower + (bound - lower) * ((rank - below) / inside if inside else 1.0), 1)
        lower, below = bound, buckets[bound]
    return None
