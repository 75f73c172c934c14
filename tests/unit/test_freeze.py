# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze windows: when they are, over weekends, midnights and the nights in which clocks change."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _freeze
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import freeze_window_info
from fake_cluster import run_module
from hypothesis import given
from hypothesis import strategies as st

BERLIN = {"timezone": "Europe/Berlin"}
WEEKEND = {"from": "Fri 16:00", "to": "Mon 08:00", **BERLIN}
# Clocks in Berlin: 2026-03-29 02:00 becomes 03:00 (01:00 UTC), 2026-10-25 03:00 becomes 02:00 (01:00 UTC).


def at(text: str) -> datetime.datetime:
    """A time in UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


def frozen(window: dict, text: str) -> bool:
    return _freeze.frozen([window], at(text)) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T14:59", False),  # Friday 15:59 in Berlin, in winter
        ("2026-11-20T15:00", True),
        ("2026-11-22T12:00", True),
        ("2026-11-23T06:59", True),
        ("2026-11-23T07:00", False),  # Monday 08:00
        ("2026-07-17T13:59", False),  # Friday 15:59, in summer
        ("2026-07-17T14:00", True),
        ("2026-07-20T05:59", True),
        ("2026-07-20T06:00", False),
        ("2026-03-30T05:59", True),  # the weekend in which clocks go forward: begun in winter, ended in summer
        ("2026-03-30T06:00", False),
        ("2026-10-26T06:59", True),  # ... and back
        ("2026-10-26T07:00", False),
    ],
)
def test_a_weekend_goes_by_the_clocks_on_the_wall(text: str, expected: bool):
    assert frozen(WEEKEND, text) is expected


def test_the_end_is_told_to_the_minute():
    span = _freeze.frozen([WEEKEND], at("2026-03-28T12:00"))
    assert (span.begin, span.end) == (at("2026-03-27T15:00"), at("2026-03-30T06:00"))
    assert span.end - span.begin == datetime.timedelta(hours=63)  # one less than on other weekends


def test_a_time_that_is_there_twice_or_never_makes_the_window_longer():
    night = {"from": "02:15", "to": "02:45", **BERLIN}
    autumn = _freeze.frozen([night], at("2026-10-25T00:30"))  # 02:30, the first one
    assert (autumn.begin, autumn.end) == (at("2026-10-25T00:15"), at("2026-10-25T01:45"))
    # In spring neither is there: from the earlier reading of the one to the later of the other.
    spring = _freeze.frozen([night], at("2026-03-29T01:30"))
    assert (spring.begin, spring.end) == (at("2026-03-29T00:15"), at("2026-03-29T01:45"))


def test_a_day_on_which_clocks_change_has_another_length():
    day = {"from": "00:00", "to": "00:00", "days": ["Sun"], **BERLIN}
    spring, autumn = (_freeze.frozen([day], at(text)) for text in ("2026-03-29T12:00", "2026-10-25T12:00"))
    assert spring.end - spring.begin == datetime.timedelta(hours=23)
    assert autumn.end - autumn.begin == datetime.timedelta(hours=25)


def test_hours_may_end_on_the_day_after():
    night = {"from": "22:00", "to": "06:00", "days": ["Sun"], "timezone": "UTC"}
    assert frozen(night, "2026-11-22T22:00") and frozen(night, "2026-11-23T05:59")
    assert not frozen(night, "2026-11-23T06:00") and not frozen(night, "2026-11-22T05:00")


def test_a_window_over_the_end_of_a_week():
    window = {"from": "Sun 20:00", "to": "Tue 04:00", "timezone": "UTC"}
    assert frozen(window, "2026-11-23T00:00") and frozen(window, "2026-11-24T03:59")
    assert not frozen(window, "2026-11-24T04:00") and not frozen(window, "2026-11-22T19:59")


def test_once():
    year = {"from": "2026-12-20T00:00", "to": "2027-01-04T08:00", "timezone": "America/New_York"}
    assert not frozen(year, "2026-12-20T04:59") and frozen(year, "2026-12-20T05:00")
    assert frozen(year, "2027-01-04T12:59") and not frozen(year, "2027-01-04T13:00")


def test_of_several_the_one_that_ends_last_is_told():
    windows = [{"from": "00:00", "to": "23:00"}, {"from": "Sat 00:00", "to": "Mon 00:00"}]
    assert _freeze.frozen(windows, at("2026-11-21T12:00")).index == 1
    assert _freeze.frozen([], at("2026-11-21T12:00")) is None


@given(st.datetimes(datetime.datetime(2025, 1, 1), datetime.datetime(2027, 12, 31)))
def test_a_window_and_its_complement_cover_every_moment(moment: datetime.datetime):
    """On nights in which clocks change both may hold: never neither."""
    now = moment.replace(tzinfo=datetime.timezone.utc)
    other = {"from": "Mon 08:00", "to": "Fri 16:00", **BERLIN}
    assert _freeze.frozen([WEEKEND], now) or _freeze.frozen([other], now)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"from": "Fri 16:00", "to": "08:00"}, "mesh_freeze[0].from: is not a time"),
        ({"from": "Friday 16:00", "to": "Mon 08:00"}, "'Friday 16:00'"),
        ({"from": "25:00", "to": "08:00"}, "'25:00'"),
        ({"from": "2026-12-20T00:00", "to": "2026-12-19T00:00"}, "mesh_freeze[0].to: is not after from"),
        ({"from": "2026-12-20T00:00+01:00", "to": "2026-12-21T00:00"}, "in the window's timezone"),
        ({"from": "16:00", "to": "18:00", "days": ["Monday"]}, "mesh_freeze[0].days"),
        ({"from": "Fri 16:00", "to": "Mon 08:00", "days": ["Mon"]}, "mesh_freeze[0].days"),
        ({"from": "16:00", "to": "18:00", "timezone": "Berlin"}, "Europe/Berlin"),
    ],
)
def test_a_window_that_can_not_be_understood_is_refused_whatever_the_time(window: dict, words: str):
    with pytest.raises(Refusal) as refused:
        _freeze.frozen([window], at("2026-11-21T12:00"))
    assert refused.value.code == "bad_window" and words in str(refused.value)


def test_the_module_says_until_when_and_why():
    asked = {"windows": [{**WEEKEND, "reason": "nobody is there"}], "at": at("2026-11-21T12:00").timestamp()}
    result = run_module(freeze_window_info, asked)
    assert result["frozen"] and result["until"] == "Mon 2026-11-23 08:00 Europe/Berlin"
    assert result["window"]["reason"] == "nobody is there"
    assert run_module(freeze_window_info, {**asked, "at": at("2026-11-25T12:00").timestamp()})["frozen"] is False
    assert run_module(freeze_window_info, {"windows": [{"from": "x", "to": "y"}]})["failure"]["code"] == "bad_window"
