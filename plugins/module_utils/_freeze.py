# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows in which a cutover takes no step. Pure: the time is given.

A window has from and to, both of one form, in its own time zone:
  "Fri 16:00" to "Mon 08:00"                    every week
  "08:00" to "18:00", with days [Mon, Tue]      on these days, or on all; to may be on the day after
  "2026-12-20T00:00" to "2027-01-04T08:00"      once
Wall clocks jump. Where a time of a window is there twice, or not at all, on such a night, the longer window is meant.
"""

from __future__ import annotations

import datetime
import re
import typing as t
import zoneinfo

from ._module import Refusal

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_DAILY = re.compile(_CLOCK)
_WEEKLY = re.compile(rf"({'|'.join(DAYS)}) {_CLOCK}")
UTC = datetime.timezone.utc
WEEK = datetime.timedelta(days=7)


class Span(t.NamedTuple):
    """When a window is, once. index: of the window."""

    begin: datetime.datetime
    end: datetime.datetime
    index: int


def frozen(windows: t.Sequence[dict[str, t.Any]], now: datetime.datetime) -> Span | None:
    """The span that `now` is in; of several, the one that ends last. Raises Refusal(bad_window), whatever the time."""
    spans = [span for index, window in enumerate(windows) for span in _spans(index, window, now.astimezone(UTC))]
    return max((span for span in spans if span.begin <= now < span.end), key=lambda span: span.end, default=None)


def _spans(index: int, window: dict[str, t.Any], now: datetime.datetime) -> t.Iterator[Span]:
    """Every span of a window that `now` may be in."""
    where = f"mesh_freeze[{index}]"
    zone = _zone(where, window.get("timezone") or "UTC")
    begin, end = str(window["from"]), str(window["to"])
    days = _days(where, window.get("days"))
    if (weekly := _WEEKLY.fullmatch(begin)) and (until := _WEEKLY.fullmatch(end)):
        if days:
            raise _bad(f"{where}.days", "is for windows whose from is a time of day", window["days"])
        starts = [(DAYS.index(weekly[1]), int(weekly[2]), int(weekly[3]))]
        length = _length(starts[0], (DAYS.index(until[1]), int(until[2]), int(until[3])), WEEK)
    elif (daily := _DAILY.fullmatch(begin)) and (until := _DAILY.fullmatch(end)):
        starts = [(day, int(daily[1]), int(daily[2])) for day in days or range(7)]
        length = _length((0, int(daily[1]), int(daily[2])), (0, int(until[1]), int(until[2])), datetime.timedelta(days=1))
    else:
        first, last = _moment(f"{where}.from", begin, min, zone), _moment(f"{where}.to", end, max, zone)
        if days:
            raise _bad(f"{where}.days", "is for windows whose from is a time of day", window["days"])
        if last <= first:
            raise _bad(f"{where}.to", f"is not after from ({begin})", end)
        yield Span(first, last, index)
        return
    today = now.astimezone(zone).replace(tzinfo=None)
    monday = today.replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=today.weekday())
    for week in (-1, 0, 1):
        for day, hour, minute in starts:
            wall = monday + week * WEEK + datetime.timedelta(days=day, hours=hour, minutes=minute)
            yield Span(_at(wall, zone, min), _at(wall + length, zone, max), index)


def _length(begin: tuple[int, ...], end: tuple[int, ...], period: datetime.timedelta) -> datetime.timedelta:
    """From one place in a period to the next such end, by the wall clock; the same place is a whole period later."""
    first, last = (datetime.timedelta(days=d, hours=h, minutes=m) for d, h, m in (begin, end))
    return (last - first) % period or period


def _at(wall: datetime.datetime, zone: datetime.tzinfo, choose: t.Callable[..., datetime.datetime]) -> datetime.datetime:
    """When a wall clock shows this: of both readings of a time that is there twice, or not at all, the chosen one."""
    return choose(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _moment(
    field: str, text: str, choose: t.Callable[..., datetime.datetime], zone: datetime.tzinfo
) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise _bad(
            field, "is not a time, or not of the same form as its other end: expected 'Fri 16:00', '16:00' or"
            " '2026-12-20T16:00'", text,
        ) from None  # fmt: skip
    if found.tzinfo:
        raise _bad(field, "has an offset of its own; write it in the window's timezone", text)
    return _at(found, zone, choose)


def _days(where: str, days: t.Sequence[str] | None) -> list[int]:
    unknown = [day for day in days or () if day not in DAYS]
    if unknown:
        raise _bad(f"{where}.days", f"expected some of {', '.join(DAYS)}", unknown)
    return [DAYS.index(day) for day in days or ()]


def _zone(where: str, name: str) -> datetime.tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        have = "this host knows it not" if zoneinfo.available_timezones() else "this host has no time zones: install tzdata"
        raise _bad(f"{where}.timezone", f"expected a name such as Europe/Berlin; {have}", name) from exc


def _bad(field: str, what: str, found: t.Any) -> Refusal:
    return Refusal("bad_window", f"{field}: {what}. Found {found!r}.")
