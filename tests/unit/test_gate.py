"""The live-traffic gate: what passes, what breaches, and that nothing passes on no data."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _gate, _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils.traffic_sources import Measured, Tally, probe
from hypothesis import given
from hypothesis import strategies as st


def records(colour: str, count: int, ms: float = 5.0, failed: int = 0) -> list[dict]:
    found = []
    for number in range(count):
        record = {"t": float(number), "route": "r", "protocol": "h2", "via": colour, "status": 200, "ms": ms}
        if number < failed:
            record["error"] = "status 503, not 200"
        found.append(record)
    return found


def judge(*groups: list[dict], blue_p99_ms: float | None = None, **limits: float) -> tuple[list[str], list[str]]:
    """As the probe is judged."""
    colours = {"blue": ["blue"], "green": ["green"]}
    measured = probe.of_summary(_traffic.summarise([r for group in groups for r in group], colours))
    wanted = _gate.Limits(**limits)
    before = Tally(1000, 0, blue_p99_ms)
    return _gate.lacking(measured, wanted), _gate.breaches(measured, wanted, before, real=False)


def real(blue: Tally, green: Tally, before: Tally = Tally(), side: str = "green", **limits: float) -> list[str]:
    """As a source of real clients is judged."""
    return _gate.breaches(Measured(blue, green), _gate.Limits(**limits), before, True, side)


def test_no_data_is_lacking_not_passing():
    lacking, _breaches = judge()
    assert len(lacking) == 2


def test_enough_good_samples_pass():
    assert judge(records("blue", 500), records("green", 50)) == ([], [])


def test_traffic_that_never_reached_green_is_lacking():
    lacking, breaches = judge(records("blue", 5000))
    assert "0 requests are known to have been answered by green" in lacking[0]
    assert breaches == []


def test_who_is_neither_counts_for_all_and_for_nobody():
    lacking, breaches = judge(records("someone", 600, failed=1), records("green", 50))
    assert lacking == [] and breaches == ["1 of all 650 requests failed (0.1538%, allowed 0.0000%)"]


def test_one_failure_is_a_breach_by_default_and_says_how_many():
    _lacking, breaches = judge(records("blue", 500, failed=1), records("green", 50))
    assert breaches == ["1 of all 550 requests failed (0.1818%, allowed 0.0000%)"]


def test_greens_own_rate_counts_even_when_the_total_is_fine():
    _lacking, breaches = judge(records("blue", 9900), records("green", 100, failed=5), max_error_rate=0.01)
    assert breaches == ["5 of green's 100 requests failed (5.0000%, allowed 1.0000%)"]


def test_one_of_the_first_three_is_not_yet_a_third_of_all():
    early = records("blue", 2), records("green", 1, failed=1)
    assert judge(*early, max_error_rate=0.01, min_samples=500, min_green_samples=100)[1] == []
    assert judge(*early, min_samples=500, min_green_samples=100)[1]


@pytest.mark.parametrize(("blue", "green", "ok"), [(50, 149, True), (50, 151, False), (5, 99, True), (5, 101, False)])
def test_latency_is_judged_against_blue_above_a_floor(blue: float, green: float, ok: bool):
    _lacking, breaches = judge(records("blue", 500, ms=blue), records("green", 50, ms=green))
    assert (breaches == []) is ok


def test_after_the_last_step_blues_earlier_latency_counts():
    assert judge(records("green", 600, ms=140), blue_p99_ms=50.0)[1] == []
    assert "3 times as long" in judge(records("green", 600, ms=160), blue_p99_ms=50.0)[1][0]


def test_slow_green_without_anything_to_compare_is_a_breach():
    assert "nothing of blue's" in judge(records("green", 600, ms=160))[1][0]


# -- real clients ------------------------------------------------------------------------------------------------------
def test_real_applications_fail_on_green_as_often_as_on_blue():
    blue = Tally(10_000, 100)
    assert real(blue, Tally(1000, 10)) == []
    assert real(blue, Tally(1000, 19)) == []  # three standard deviations: chance
    assert real(blue, Tally(1000, 20)) == [
        "20 of green's 1000 requests failed (2.0000%, allowed 0.0000%; blue's rate is 1.0000%)"
    ]
    assert real(blue, Tally(1000, 29), max_error_rate=0.01) == []


def test_blues_failures_are_no_reason_to_go_back_to_it():
    assert real(Tally(10_000, 5000), Tally(1000, 0)) == []


def test_where_blue_never_failed_one_failure_is_a_breach():
    assert real(Tally(10_000, 0), Tally(1000, 1))
    assert real(Tally(), Tally(1000, 1)), "nothing is known of blue"


def test_at_the_last_step_blue_is_what_it_was_before():
    before = Tally(10_000, 100, 20.0)
    assert real(Tally(3, 3), Tally(1000, 10), before) == []
    assert real(Tally(3, 0), Tally(1000, 30), before)


def test_what_is_unknown_is_not_zero():
    measured = Measured(Tally(1000, 0), Tally(1000, None), notes=("the query returned nothing",))
    lacking = _gate.lacking(measured, _gate.Limits())
    assert lacking == ["it is not known how many of green's requests failed", "the query returned nothing"]
    assert _gate.baseline(Measured(Tally(1000, None, 7.0)), _gate.Limits(), Tally(9, 1, 3.0)) == Tally(9, 1, 7.0)


def test_a_latency_that_was_asked_for_and_is_not_known_is_missing():
    unknown = Measured(Tally(1000, 0, 10.0), Tally(1000, 0, None), notes=("no data",), latency=True)
    assert _gate.lacking(unknown, _gate.Limits()) == ["green's p99 is not known", "no data"]
    assert _gate.lacking(Measured(unknown.blue, unknown.green), _gate.Limits()) == [], "of a source that can't see it"
    assert _gate.lacking(Measured(unknown.blue, unknown.blue, latency=True), _gate.Limits()) == []


def test_too_few_answers_have_no_99th_percentile():
    assert real(Tally(1000, 0, 10.0), Tally(19, 0, 5000.0)) == []
    assert "more than 3 times as long" in real(Tally(1000, 0, 10.0), Tally(20, 0, 5000.0))[0]


def test_after_going_back_blue_is_judged_by_what_it_was():
    before = Tally(10_000, 0, 50.0)
    assert real(Tally(1000, 0, 60.0), Tally(), before, side="blue") == []
    assert real(Tally(1000, 0, 600.0), Tally(), before, side="blue") == [
        "blue's p99 is 600 ms, it was 50 ms: more than 3 times as long"
    ]
    assert real(Tally(1000, 9), Tally(), before, side="blue")
    assert "answered by blue" in _gate.lacking(Measured(), _gate.Limits(), "blue")[1]


def test_where_nothing_moves_green_is_judged_by_what_green_was():
    before, idle = Tally(10_000, 10, 50.0), Tally(0, 0)
    assert real(idle, Tally(1000, 1, 60.0), before, side="same") == []
    assert real(Tally(5000, 0, 600.0), Tally(1000, 1, 600.0), before, side="same") == [
        "green's p99 is 600 ms, it was 50 ms: more than 3 times as long"
    ], "what is left of blue is no measure"
    assert real(idle, Tally(1000, 9), before, side="same") == [
        "9 of green's 1000 requests failed (0.9000%, allowed 0.0000%; its rate was 0.1000%)"
    ]
    assert "answered by green" in _gate.lacking(Measured(), _gate.Limits(), "same")[1]
    assert _gate.baseline(Measured(idle, Tally(40, 1, 7.0)), _gate.Limits(), before, "same") == Tally(40, 1, 7.0)


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000), st.floats(0, 0.2))
def test_more_failures_never_make_a_breach_go_away(blue_failed: int, failed: int, more: int, allowed: float):
    blue = Tally(5000, blue_failed)
    fewer = real(blue, Tally(10_000, failed), max_error_rate=allowed)
    assert not fewer or real(blue, Tally(10_000, failed + more), max_error_rate=allowed)
