"""The live-traffic gate: what passes, what breaches, and that nothing passes on no data."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _gate, _traffic


def records(colour: str, count: int, ms: float = 5.0, failed: int = 0) -> list[dict]:
    found = []
    for number in range(count):
        record = {"t": float(number), "route": "r", "protocol": "h2", "via": colour, "status": 200, "ms": ms}
        if number < failed:
            record["error"] = "status 503, not 200"
        found.append(record)
    return found


def judge(*groups: list[dict], blue_p99_ms: float | None = None, **limits: float) -> tuple[list[str], list[str]]:
    colours = {"blue": ["blue"], "green": ["green"]}
    summary = _traffic.summarise([r for group in groups for r in group], colours)
    wanted = _gate.Limits(**limits)
    return _gate.lacking(summary, wanted), _gate.breaches(summary, wanted, blue_p99_ms)


def test_no_data_is_lacking_not_passing():
    lacking, _breaches = judge()
    assert len(lacking) == 2


def test_enough_good_samples_pass():
    assert judge(records("blue", 500), records("green", 50)) == ([], [])


def test_traffic_that_never_reached_green_is_lacking():
    lacking, breaches = judge(records("blue", 5000))
    assert "0 requests are known to have been answered by green" in lacking[0]
    assert breaches == []


def test_one_failure_is_a_breach_by_default_and_says_how_many():
    _lacking, breaches = judge(records("blue", 500, failed=1), records("green", 50))
    assert breaches == ["1 of all 550 requests failed (0.1818%, allowed 0.0000%)"]


def test_greens_own_rate_counts_even_when_the_total_is_fine():
    _lacking, breaches = judge(records("blue", 9900), records("green", 100, failed=5), max_error_rate=0.01)
    assert breaches == ["5 of green's 100 requests failed (5.0000%, allowed 1.0000%)"]


@pytest.mark.parametrize(("blue", "green", "ok"), [(50, 149, True), (50, 151, False), (5, 99, True), (5, 101, False)])
def test_latency_is_judged_against_blue_above_a_floor(blue: float, green: float, ok: bool):
    _lacking, breaches = judge(records("blue", 500, ms=blue), records("green", 50, ms=green))
    assert (breaches == []) is ok


def test_after_the_last_step_blues_earlier_latency_counts():
    assert judge(records("green", 600, ms=140), blue_p99_ms=50.0)[1] == []
    assert "3 times as long" in judge(records("green", 600, ms=160), blue_p99_ms=50.0)[1][0]


def test_slow_green_without_anything_to_compare_is_a_breach():
    assert "nothing of blue's" in judge(records("green", 600, ms=160))[1][0]
