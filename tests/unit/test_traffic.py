# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import json
import os
import signal
import time
from collections import Counter

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._traffic import Plan, Target
from ansible_collections.bluegreen.mesh.plugins.modules import traffic_probe
from fake_cluster import run_module
from fake_haproxy import until
from hypothesis import given
from hypothesis import strategies as st
from loopback import Server, certificate_files


@pytest.fixture
def server():
    with Server() as found:
        yield found


def target(server, **changes):
    options = {"name": "a", "url": "http://a.test/x", "protocol": "http1", "connect_to": server.address, **changes}
    return Target(**options)


def client(*targets, rate=200.0, seconds=0.5, lifetime=10, timeout=2.0, ca_file="", resolver=""):
    """Runs a client in this process to its end; returns its records."""
    written = []
    running = _traffic._Client(Plan(tuple(targets), rate, seconds, lifetime, timeout, ca_file, resolver), written.append)
    assert running.run() == "max_seconds"
    return [json.loads(line) for data in written for line in data.splitlines()]


# -- the client --------------------------------------------------------------------------------------------------------
def test_every_due_request_is_sent_and_recorded_once(server):
    records = client(target(server, via_pattern=r"^(\w+) "), target(server, name="b", url="http://b.test/y", weight=3))
    assert 100 <= len(records) <= 101
    assert len(server.requests) == len(records)
    assert Counter(record["route"] for record in records)["b"] == pytest.approx(3 * len(records) / 4, abs=2)
    assert all(record["status"] == 200 and "error" not in record and record["ms"] > 0 for record in records)
    assert {record["via"] for record in records if record["route"] == "a"} == {"blue"}
    assert {record["via"] for record in records if record["route"] == "b"} == {None}
    due = sorted(record["t"] for record in records)
    assert due[-1] - due[0] == pytest.approx((len(due) - 1) / 200, abs=0.01)


def waiting(records) -> int:
    """Requests that were not answered when the next one was due, 10 ms later, which then had a connection of its own."""
    return sum(record["ms"] >= 10 for record in records)


def test_connections_are_closed_after_their_number_of_requests(server):
    records = client(target(server), rate=100, lifetime=5)
    assert len(records) / 5 <= server.connections <= len(records) / 5 + 8 + waiting(records)


def test_failures_are_recorded_with_their_reason(server):
    records = client(
        target(server, name="status", url="http://a.test/status/503"),
        target(server, name="closed", url="http://a.test/close"),
        target(server, name="expected", url="http://a.test/status/404", expect_status=404),
        target(server, name="nobody", connect_to="127.0.0.1:1"),
        target(server, name="slow", url="http://a.test/slow/3"),
        target(server, name="grpc", protocol="grpc"),
        rate=60,
        timeout=1.0,
    )
    errors = {record["route"]: record.get("error", "") for record in records}
    assert errors["status"] == "status 503"
    assert errors["closed"].startswith("closed: ")
    assert errors["expected"] == ""
    assert errors["nobody"].startswith("unreachable: ") and errors["slow"].startswith("unreachable: ")
    assert errors["grpc"] != ""
    assert min(record["ms"] for record in records if record["route"] == "slow") >= 990


def test_latency_counts_from_when_a_request_was_due(server, monkeypatch):
    """A client that stands still for 0.3 s: what was due meanwhile is sent, and its wait is part of its latency."""
    send = _traffic._Client.launch
    stalled = []

    def launch(self, lane, due, now):
        if not stalled:
            stalled.append(time.sleep(0.3))
        send(self, lane, due, now)

    monkeypatch.setattr(_traffic._Client, "launch", launch)
    records = client(target(server), rate=100, seconds=0.5)
    assert 48 <= len(records) <= 51
    waited = [record for record in records if record.get("lag", 0) > 100]
    assert len(waited) >= 10
    assert all(record["ms"] >= record["lag"] for record in waited)


def test_what_can_not_be_sent_in_time_is_a_failure_and_not_left_out(server, monkeypatch):
    monkeypatch.setattr(_traffic, "IN_FLIGHT", 3)
    records = client(target(server, url="http://a.test/slow/1"), rate=50, seconds=0.4)
    assert 19 <= len(records) <= 21
    assert sum(record.get("error", "").startswith("overload: ") for record in records) >= 15
    late = _traffic._Client(Plan((target(server),), 10, 1, 1, 1.0), lambda _data: None)
    late.launch(late.lanes[0], time.monotonic() - 2, time.monotonic())
    assert "late: " in late.lines[0] and late.in_flight == 0


def test_tls_is_verified_with_a_ca_file(tmp_path):
    files = certificate_files(tmp_path, "a.test")
    with Server(tls=files) as server:
        good = client(target(server, url="https://a.test/"), ca_file=files[0], rate=20)
        bad = client(target(server, url="https://b.test/"), ca_file=files[0], rate=20)
        unverified = client(target(server, url="https://b.test/", protocol="tls_passthrough"), rate=20)
    assert all("error" not in record for record in good + unverified)
    assert bad and all(record["error"].startswith("untrusted: ") for record in bad)


def test_websocket_messages_share_connections(server):
    records = client(
        target(server, protocol="websocket", via_pattern="^(blue)", body_base64="aGk="), rate=100, lifetime=10
    )
    assert all(record["status"] == 101 and record["via"] == "blue" and "error" not in record for record in records)
    assert len(records) / 10 <= len(server.requests) <= len(records) / 10 + 3 + waiting(records)


def test_websocket_server_that_closes_after_each_answer(server):
    once = target(server, protocol="websocket", url="http://a.test/once", connection_lifetime=1)
    records = client(once, rate=50)
    assert all("error" not in record and "retried" not in record for record in records)
    assert len(server.requests) == len(records)


def test_websocket_message_is_sent_again_when_its_connection_had_ended(server):
    records = client(target(server, protocol="websocket", url="http://a.test/second"), rate=50)
    assert all("error" not in record for record in records)
    again = sum(record.get("retried", False) for record in records)
    assert 1 <= again < len(server.requests)


def test_websocket_failures(server):
    records = client(
        target(server, name="refused", protocol="websocket", url="http://a.test/status/403"),
        target(server, name="mute", protocol="websocket", url="http://a.test/mute"),
        target(server, name="nobody", protocol="websocket", connect_to="127.0.0.1:1"),
        rate=30,
        timeout=1.0,
    )
    errors = {record["route"]: record.get("error") for record in records}
    assert errors["refused"] == "status 403"
    assert "no answer to the message" in errors["mute"]
    assert errors["nobody"].startswith("unreachable: ")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_interleaving_gives_each_its_weight_and_spreads_it(weights):
    order = _traffic.interleave(weights)
    assert Counter(order) == dict(enumerate(weights))
    for index, weight in enumerate(weights):
        places = [place for place, chosen in enumerate(order + order) if chosen == index]
        assert max(b - a for a, b in zip(places, places[1:])) <= 2 * -(-sum(weights) // weight)


# -- the process -------------------------------------------------------------------------------------------------------
def probe(**params):
    return run_module(traffic_probe, params, check=params.pop("check", False))


def started(server, tmp_path, **changes):
    options = {"state": "started", "dir": str(tmp_path / "t"), "rate": 100, "max_seconds": 30, "timeout": 2}
    options["targets"] = [
        {"name": "a", "url": "http://a.test/x", "connect_to": server.address, "via_pattern": r"^(\w+)"}
    ]
    return probe(**{**options, **changes})


@pytest.fixture
def running(server, tmp_path):
    result = started(server, tmp_path)
    assert result["changed"] and result["running"], result
    yield result
    state = _traffic.read_state(str(tmp_path / "t"))
    assert _traffic.stop(state, 10)


def test_started_read_stopped(server, tmp_path, running):
    folder = str(tmp_path / "t")
    assert os.getsid(running["pid"]) == os.getpgid(running["pid"]) != os.getsid(0)
    again = started(server, tmp_path)
    assert (again["changed"], again["pid"]) == (False, running["pid"])
    other = started(server, tmp_path, rate=50)
    assert other["failed"] and other["failure"]["code"] == "already_running" and str(running["pid"]) in other["msg"]
    predicted = started(server, tmp_path, rate=50, restart=True, check=True)
    assert predicted["changed"] and predicted["pid"] == running["pid"]
    runs = {"rate": 100.0, "targets": ["a"]}
    assert predicted["diff"] == {"before": runs, "after": {**runs, "rate": 50.0}}
    until(lambda: probe(state="read", dir=folder)["total"]["requests"] > 50)
    seen = probe(state="read", dir=folder, colours={"blue": ["blue"], "green": ["green"]})
    assert seen["running"] and not seen["changed"]
    assert seen["colours"]["blue"]["requests"] == seen["total"]["requests"]
    assert seen["colours"]["green"]["error_rate"] is None
    assert (
        probe(state="stopped", dir=folder, check=True)["changed"] and _traffic.start_ticks(running["pid"]) is not None
    )
    ended = probe(state="stopped", dir=folder)
    assert ended["diff"] == {"before": runs, "after": {}}
    assert ended["changed"] and not ended["running"] and ended["ended"] == "stopped"
    assert ended["total"]["requests"] == len(server.requests) and ended["total"]["failed"] == 0
    assert not probe(state="stopped", dir=folder)["changed"]


def test_secret_headers_are_sent_and_never_shown(server, tmp_path):
    target = {"name": "a", "url": "http://a.test/x", "connect_to": server.address, "headers": {"Authorization": "s3cret"}}
    result = started(server, tmp_path, targets=[target])
    assert result["diff"] == {"before": {}, "after": {"rate": 100.0, "targets": ["a"]}}
    assert "s3cret" not in json.dumps(result)
    until(lambda: probe(state="read", dir=str(tmp_path / "t"))["total"]["requests"] > 2)
    assert probe(state="stopped", dir=str(tmp_path / "t"))["total"]["failed"] == 0
    assert "s3cret" in {headers.get("authorization") for *_request, headers in server.requests}


def test_restart_goes_on_in_the_same_file(server, tmp_path, running):
    folder = str(tmp_path / "t")
    until(lambda: probe(state="read", dir=folder)["total"]["requests"] > 20)
    result = started(server, tmp_path, rate=50, restart=True)
    assert result["changed"] and result["pid"] != running["pid"]
    assert probe(state="read", dir=folder, since=0)["total"]["requests"] > 20


def test_a_client_that_was_killed_is_said_to_have_died(tmp_path, running):
    os.kill(running["pid"], signal.SIGKILL)
    until(lambda: _traffic.start_ticks(running["pid"]) is None)
    result = probe(state="read", dir=str(tmp_path / "t"))
    assert (result["running"], result["ended"]) == (False, "died")


def test_a_pid_that_now_is_another_process_is_never_signalled(tmp_path):
    state = {"pid": os.getpid(), "start_ticks": 1, "timeout": 1, "started": 0.0}
    assert not _traffic.running(state)
    assert _traffic.stop(state, 1)  # were it sent, SIGTERM would end this test run


def test_it_ends_by_itself(server, tmp_path):
    started(server, tmp_path, max_seconds=0.3)
    folder = str(tmp_path / "t")
    until(lambda: not probe(state="read", dir=folder)["running"])
    assert probe(state="read", dir=folder)["ended"] == "max_seconds"


def test_check_mode_starts_nothing(server, tmp_path):
    assert started(server, tmp_path, check=True)["changed"]
    assert not (tmp_path / "t").exists()


def test_reading_where_nothing_ran(tmp_path):
    result = probe(state="read", dir=str(tmp_path / "none"))
    assert (result["running"], result["ended"]) == (False, "never started")
    assert (result["total"]["requests"], result["total"]["error_rate"], result["total"]["p99_ms"]) == (0, None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 0}, "rate is 0"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"targets": [{"name": "a", "url": "ftp://x/"}]}, "targets[0] (a): url"),
        ({"targets": [{"name": "a", "url": "http://x/", "connect_to": "1.2.3.4"}]}, "connect_to"),
        ({"targets": [{"name": "a", "url": "http://x/", "via_pattern": "abc"}]}, "has no group"),
        ({"targets": [{"name": "a", "url": "http://x/", "via_pattern": "("}]}, "can't be read"),
        ({"targets": [{"name": "a", "url": "http://x/", "weight": 0}]}, "weight"),
        ({"targets": [{"name": "a", "url": "http://x/", "body_base64": "aGk="}]}, "body_base64"),
        ({"targets": [{"name": "a", "url": "http://x/"}] * 2}, "is used 2 times"),
        ({"ca_file": "/nonexistent/ca.pem"}, "ca_file /nonexistent/ca.pem can't be read"),
    ],
)
def test_bad_plans_start_nothing(server, tmp_path, changes, words):
    result = started(server, tmp_path, **changes)
    assert result["failed"] and words in result["msg"], result["msg"]
    assert not (tmp_path / "t").exists()


# -- reading -----------------------------------------------------------------------------------------------------------
def lines_of(times, timeout=2.0):
    """Records in the order in which a client writes them: by when they ended."""
    ordered = sorted(times, key=lambda pair: pair[0] + pair[1])
    assert all(took <= timeout for _when, took in times)
    return b"".join(
        json.dumps({"t": when, "route": "a", "protocol": "h2", "via": "x", "status": 200, "ms": took * 1000}).encode()
        + b"\n"
        for when, took in ordered
    )


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 2)), max_size=60), st.floats(-1, 101), st.integers(1, 40)
)  # fmt: skip
def test_no_record_is_missed_whatever_the_order(times, since, filler):
    padding = [(i * 100 / (filler * 50), 0.0) for i in range(filler * 50)]
    data = lines_of(times + padding)
    file = io.BytesIO(data)
    file.seek(_traffic.offset_of(file, since, 2.0))
    found = Counter(record["t"] for record in map(json.loads, file) if record["t"] >= since)
    assert found == Counter(when for when, _took in times + padding if when >= since)


def test_reading_the_end_of_a_large_file_is_cheap(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(lines_of([(i / 100, 0.01) for i in range(200_000)]))
    with open(path, "rb") as file:
        offset = _traffic.offset_of(file, 1990.0, 2.0)
    assert path.stat().st_size - offset < 300_000
    assert sum(1 for _record in _traffic.read_records(str(path), 1990.0, 2.0)) == 1000


def test_a_line_being_written_is_left_alone_and_a_broken_one_is_skipped(tmp_path):
    path = tmp_path / "records.jsonl"
    whole = lines_of([(1.0, 0.0)])
    path.write_bytes(whole + b'{"t":2.0,"rou\n' + whole + whole[:-10])
    assert len(list(_traffic.read_records(str(path)))) == 2


def record(**changes):
    return {"t": 1.0, "route": "a", "protocol": "h2", "via": "10.0.0.1", "status": 200, "ms": 10.0, **changes}


def test_counts_by_colour_route_and_protocol():
    records = [
        record(),
        record(t=2.0, via="10.0.0.2", ms=30.0, lag=25),
        record(t=0.5, via=None, status=503, error="status 503", route="b", protocol="grpc", ms=20.0),
    ]
    found = _traffic.summarise(records, {"blue": ["10.0.0.1"], "green": ["10.0.0.2"], "red": []})
    total = found["total"]
    assert (total["requests"], total["failed"], total["late"], total["first"], total["last"]) == (3, 1, 1, 0.5, 2.0)
    assert (total["p50_ms"], total["p99_ms"], total["p99_sent_ms"]) == (20.0, 30.0, 20.0)
    assert {colour: one["requests"] for colour, one in found["colours"].items()} == {
        "blue": 1,
        "green": 1,
        "red": 0,
        "unknown": 1,
    }
    assert found["routes"]["b"]["error_rate"] == 1.0 and found["protocols"]["grpc"]["failed"] == 1
    assert found["errors"] == [
        {"t": 0.5, "route": "b", "protocol": "grpc", "via": None, "error": "status 503", "colour": "unknown"}
    ]
    assert found["error_counts"] == {"status 503": 1}


def test_error_samples_are_bounded():
    found = _traffic.summarise(record(error=f"e{i}") for i in range(100))
    assert len(found["errors"]) == 20 and len(found["error_counts"]) == 20 and found["total"]["failed"] == 100


def test_percentiles_are_of_the_data_or_nothing():
    assert _traffic.percentile([], 99) is None
    assert _traffic.percentile([5.0], 50) == 5.0
    assert _traffic.percentile(list(range(1, 101)), 99) == 99
    assert _traffic.percentile(list(range(1, 1001)), 50) == 500
