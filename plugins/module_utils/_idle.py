# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what several sources count stands still, and nothing is open: then it is idle. Pure.

The rule is that unknown is an answer and never means idle. A meter is a thing that counts: a pod of a gateway, a server
of a balancer, a log file, a query. All sources must agree, and one of them at least must tell open connections.
"""

from __future__ import annotations

import dataclasses
import typing as t

COUNTED = ("requests", "connections")  # since a meter started; open_connections are now
TOLD = (*COUNTED, "open_connections")
MARKS = (10, 30, 60, 300, 600, 1800, 3600, 21600, 86400)  # seconds: ages that are told apart
SAMPLES = 60  # of each meter that are remembered at most, for ages
Snapshot = dict[str, t.Any]  # plain data, so that it survives JSON


@dataclasses.dataclass
class Meter:
    """One thing that counts. None is unknown.

    id: the same one has the same id, within its source; counts: which of TOLD are asked of it; sources: what each value
    is from; unknown: why, for each that is asked of it and None; blind: those of unknown that no wait mends; detail: for
    people.
    turnover: (connections since it started, how many of these are open), by one and the same count, for their ages.
    ages: seconds of each open connection, where the source knows them.
    """

    name: str
    id: str
    counts: tuple[str, ...] = TOLD
    requests: float | None = None
    connections: float | None = None
    open_connections: int | None = None
    uptime: int | None = None
    turnover: tuple[int, int] | None = None
    ages: list[int] | None = None
    sources: dict[str, str] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)
    blind: list[str] = dataclasses.field(default_factory=list)
    detail: dict[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Look:
    """What one source saw at one time. unknown: what it could not see, beside what its meters say; gone: there is nothing
    left that could be in use; state: what it is to be given at its next look."""

    meters: list[Meter] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)
    gone: bool = False
    state: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def total(self, field: str) -> float | None:
        """The sum over all meters; None when it is unknown for one of them, or there is none."""
        values = [getattr(meter, field) for meter in self.meters]
        return None if not values or None in values else sum(values)

    @property
    def doubts(self) -> list[str]:
        found = self.unknown + [text for meter in self.meters for text in meter.unknown]
        return found if found or self.meters or self.gone else ["there is nothing that counts"]


@dataclasses.dataclass
class Verdict:
    """word: idle, busy or unknown; reasons: why not idle; quiet_for: seconds without traffic; snapshot: for the next look;
    older: 'SOURCE ID' -> how many of its open connections are older than so many seconds; blind: what will not be told
    however long one waits, so that it never comes to be idle."""

    word: str
    reasons: list[str]
    quiet_for: float
    snapshot: Snapshot
    older: dict[str, list[dict[str, int]]]
    blind: list[str] = dataclasses.field(default_factory=list)

    @property
    def hopeless(self) -> bool:
        """Nothing is in use as far as is told, and no wait will tell more."""
        return self.word == "unknown" and bool(self.blind)


def is_snapshot(value: t.Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("since"), (int, float))
        and all(isinstance(value.get(name), dict) for name in ("meters", "state", "opened"))
    )


def judge(looks: dict[str, Look], previous: Snapshot | None, at: float, window: float) -> Verdict:
    """Idle only if every meter is known, is the same as at the start of the window, and had no traffic since.

    at: seconds since the epoch. The snapshot that is returned is the start of the quiet time: the previous one while all
    is quiet, else a new one. What is gone altogether is idle at once.
    """
    here = {name: look for name, look in looks.items() if not look.gone}
    opened = _opened(here, previous, at)
    older = {key: _older(meter, opened.get(key, []), at) for key, meter in _keyed(here)}
    kept = {"state": {name: look.state for name, look in looks.items()}, "opened": opened}
    fresh = {"since": at, "meters": _meters(here), **kept}
    quiet = at - float(previous["since"]) if previous else 0.0
    if not here:
        return Verdict("idle", [], max(0.0, quiet), fresh, older)

    busy = [f"{meter.name}: {_open_words(meter, older[key])}" for key, meter in _keyed(here) if meter.open_connections]
    doubts = [text for look in here.values() for text in look.doubts]
    blind = [text for _key, meter in _keyed(here) for text in meter.blind]
    if not doubts and not any(look.total("open_connections") is not None for look in here.values()):
        blind.append(f"none of the sources ({', '.join(here)}) tells open connections: name one that does")
        doubts.append(blind[-1])
    if previous is None:
        doubts.append("there is no earlier snapshot to compare with")
    else:
        more_busy, more_doubts = _compare(here, looks, previous)
        busy += more_busy
        doubts += more_doubts
    if busy:
        return Verdict("busy", busy, 0.0, fresh, older, blind)
    if doubts or previous is None:
        return Verdict("unknown", doubts, 0.0, fresh, older, blind)
    if quiet < 0:
        return Verdict("unknown", ["the clock went backwards since the earlier snapshot"], 0.0, fresh, older)
    same = {**previous, **kept}
    if quiet < window:
        return Verdict("unknown", [f"quiet for {quiet:.0f} of {window:g} s"], quiet, same, older)
    return Verdict("idle", [], quiet, same, older)


def _keyed(looks: dict[str, Look]) -> list[tuple[str, Meter]]:
    return [(f"{name} {meter.id}", meter) for name, look in looks.items() for meter in look.meters]


def _meters(looks: dict[str, Look]) -> dict[str, t.Any]:
    names = ("name", "uptime", "sources", *COUNTED)
    return {key: {name: getattr(meter, name) for name in names} for key, meter in _keyed(looks)}


def _compare(here: dict[str, Look], looks: dict[str, Look], previous: Snapshot) -> tuple[list[str], list[str]]:
    busy, doubts = [], []
    before, now_there = previous["meters"], dict(_keyed(here))
    for key, old in before.items():
        look = looks.get(key.partition(" ")[0])
        if key not in now_there and not (look and (look.gone or (look.unknown and not look.meters))):
            doubts.append(f"{old['name']}: is gone since the earlier snapshot, and what it served last with it")
    for key, meter in now_there.items():
        old = before.get(key)
        if old is None:
            doubts.append(f"{meter.name}: is new since the earlier snapshot")
            continue
        if meter.uptime is not None and old["uptime"] is not None and meter.uptime < old["uptime"]:
            doubts.append(f"{meter.name}: was restarted since the earlier snapshot")
        for field in COUNTED:
            now, then = getattr(meter, field), old[field]
            if field not in meter.counts or now is None:
                continue
            if then is None or old["sources"].get(field) != meter.sources.get(field):
                doubts.append(f"{meter.name}: {field} were not known from the same statistic before")
            elif now < then:
                doubts.append(f"{meter.name}: {field} went back from {then:g} to {now:g}: it was restarted")
            elif now > then:
                busy.append(f"{meter.name}: {now - then:g} {field} since the earlier snapshot")
    return busy, doubts


# -- how old open connections are --------------------------------------------------------------------------------------
def _opened(here: dict[str, Look], previous: Snapshot | None, at: float) -> dict[str, list[list[float]]]:
    """'SOURCE ID' -> [time, connections until then] of each look at what is still the same process, oldest first."""
    found = {}
    for key, meter in _keyed(here):
        if meter.turnover is None:
            continue
        begun = at - meter.uptime - 1 if meter.uptime is not None else 0.0
        earlier = [one for one in (previous or {}).get("opened", {}).get(key, []) if begun <= one[0] < at]
        if earlier and earlier[-1][1] > meter.turnover[0]:
            earlier = []
        found[key] = _thinned([*earlier, [at, meter.turnover[0]]])
    return found


def _thinned(samples: list[list[float]]) -> list[list[float]]:
    """Every second one of the older half is dropped, so that few are left of long ago, and the first one always."""
    if len(samples) <= SAMPLES:
        return samples
    return [one for index, one in enumerate(samples) if index % 2 == 0 or index >= SAMPLES // 2]


def _older(meter: Meter, samples: list[list[float]], at: float) -> list[dict[str, int]]:
    """[{seconds, connections}]: how many of the open ones are older. Counters give lower bounds: of those open now, no
    more than were opened since a look can be younger than that look."""
    found = []
    for mark in MARKS:
        if meter.ages is not None:
            number = sum(age >= mark for age in meter.ages)
        else:
            then = next((one for one in reversed(samples) if at - one[0] >= mark), None)
            if meter.turnover is None or then is None:
                break
            number = meter.turnover[1] - int(meter.turnover[0] - then[1])
        if number <= 0:
            break
        found.append({"seconds": mark, "connections": number})
    return found


def _open_words(meter: Meter, older: list[dict[str, int]]) -> str:
    number = meter.open_connections
    said = f"{number} open connection{'' if number == 1 else 's'}"
    if not older:
        return said
    least = "" if meter.ages is not None else "at least "
    return f"{said}, {least}{older[-1]['connections']} of them older than {words_of(older[-1]['seconds'])}"


def words_of(seconds: float) -> str:
    """
    >>> words_of(90), words_of(600), words_of(7200)
    ('90 s', '10 min', '2 h')
    """
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
