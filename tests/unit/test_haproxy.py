# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_weights: against a runtime API with faults, and against a real HAProxy."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _haproxy
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import State
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import haproxy_weights, migration_journal
from fake_cluster import CONNECTION, FakeCluster, run_module
from fake_haproxy import FakeHaproxy, FakeServer, pair, real_haproxy
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def fakes(tmp_path):
    started = []

    def start(servers, **options):
        started.append(FakeHaproxy(str(tmp_path / f"{len(started)}.sock"), servers, **options))
        return started[-1]

    yield start
    for fake in started:
        fake.shutdown()
        fake.server_close()


def run(*balancers, check=False, cluster=None, **options):
    params = {
        "runtime_apis": [b if isinstance(b, str) else b.address_text for b in balancers],
        "backends": ["http", "https"], "blue_servers": "-blue$", "green_servers": "-green$", "timeout": 2, **options,
    }  # fmt: skip
    if cluster is not None:
        params.update(CONNECTION)
    return run_module(haproxy_weights, params, cluster, check=check)


# -- the arithmetic ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("percent", range(101))
@pytest.mark.parametrize("servers", [1, 2, 5, 40])
def test_share_is_exact_for_equal_numbers_of_servers(percent, servers):
    blue, green = _haproxy.weights_for(percent, servers, servers)
    assert 100 * green == percent * (green + blue)


@given(st.integers(0, 100), st.integers(1, 60), st.integers(1, 60))
def test_weights_are_what_haproxy_takes_and_both_colours_have_traffic_in_between(percent, blue, green):
    pair_ = _haproxy.weights_for(percent, blue, green)
    assert all(0 <= weight <= _haproxy.MAX_WEIGHT for weight in pair_)
    assert (pair_[0] == 0) == (percent == 100)
    assert (pair_[1] == 0) == (percent == 0)


@given(st.integers(1, 99), st.integers(1, 8), st.integers(1, 8))
def test_no_other_pair_of_weights_is_nearer(percent, blue, green):
    def error(b, g):
        return abs(100 * green * g / (green * g + blue * b) - percent)

    b, g = _haproxy.weights_for(percent, blue, green)
    best = min(error(x, y) for x in range(1, 257) for y in (1, 2, 3, 10, 99, 128, 255, 256))
    assert error(b, g) <= best + 1e-6


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, (100, 0)), (1, (99, 1)), (10, (90, 10)), (50, (50, 50)), (100, (0, 100))]
)
def test_usual_steps_read_well(percent, expected):
    assert _haproxy.weights_for(percent, 2, 2) == expected


@given(
    st.lists(st.tuples(st.sampled_from(["blue", "green"]), st.integers(0, 256)), min_size=2, max_size=8),
    st.integers(0, 100),
)
def test_order_of_writes_never_overshoots_green_and_never_leaves_a_backend_empty(colours, percent):
    servers = [
        _haproxy.Server("i", "b", f"{n}-{c}", c, w, w, "UP", "UP", "ready", False, "roundrobin", "", {})
        for n, (c, w) in enumerate([("blue", 1), ("green", 1), *colours])
    ]
    count = {c: sum(s.colour == c for s in servers) for c in ("blue", "green")}
    blue, green = _haproxy.weights_for(percent, count["blue"], count["green"])
    wanted = {s.name: blue if s.colour == "blue" else green for s in servers}
    limit = max(_haproxy.share(servers), _haproxy.share(servers, wanted))
    state = {s.name: s.weight for s in servers}
    for _backend, name, weight in _haproxy.ordered(servers, wanted):
        state[name] = weight
        assert sum(state.values()) > 0
        assert _haproxy.share(servers, state) <= limit
    assert state == wanted


# -- the runtime API's language ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:/run/h.sock", ("unix", "/run/h.sock")),
        ("tcp:192.0.2.1:9999", ("tcp", ("192.0.2.1", 9999))),
        ("tcp:[2001:db8::1]:9999", ("tcp", ("2001:db8::1", 9999))),
    ],
)
def test_addresses(text, expected):
    assert _haproxy.parse_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "unix:", "unix:relative", "tcp:host", "tcp::9", "tcp:h:0", "tcp:h:65536", "/run/h.sock"]
)
def test_malformed_addresses_are_refused(text):
    with pytest.raises(Refusal, match="runtime_apis"):
        _haproxy.parse_address(text)


def test_answers_of_several_commands_are_told_apart():
    text = "\nAbsolute weight can only be between 0 and 256 inclusive.\n\n\n1\n# a\nb\n\n"
    assert _haproxy.split_answers(text) == [
        "",
        "Absolute weight can only be between 0 and 256 inclusive.",
        "",
        "1\n# a\nb",
    ]


@given(st.lists(st.text("ab", min_size=1, max_size=9)), st.integers(1, 30))
def test_batches_keep_order_and_limit(commands, limit):
    groups = _haproxy.batches(commands, limit)
    assert [c for g in groups for c in g] == commands
    assert all(len(g) == 1 or len(";".join(g)) < limit for g in groups)


# -- reading -----------------------------------------------------------------------------------------------------------
def test_reads_only_when_no_share_is_given(fakes):
    fake = fakes(pair())
    result = run(fake)
    assert result["changed"] is False and result["green_percent"] == 0
    assert fake.sets == []
    first = result["backends"][0]
    assert first == {
        "instance": fake.address_text, "backend": "http", "server": "node-1-blue", "colour": "blue", "weight": 100,
        "configured_weight": 100, "health": "UP", "status": "UP", "admin": "ready", "scur": 3, "stot": 40, "rate": 2,
        "econ": 1, "eresp": 0, "last_chk": "Layer4 check passed, fine",
    }  # fmt: skip
    green = next(s for s in result["backends"] if s["colour"] == "green")
    assert (green["status"], green["health"], green["admin"]) == ("UP", "UP", "ready")


def test_share_is_null_where_backends_differ(fakes):
    fake = fakes(pair())
    fake.set_all({"https/node-1-green": 100, "https/node-2-green": 100})
    result = run(fake)
    assert result["green_percent"] is None
    assert [s["green_percent"] for s in result["shares"]] == [0, 50]


def test_none_and_nearly_none_are_not_one_share(fakes):
    fake = fakes(pair())
    fake.set_all({"https/node-1-blue": 256, "https/node-2-blue": 256, "https/node-1-green": 1})
    assert run(fake)["green_percent"] is None
    assert [s["green_percent"] for s in run(fake)["shares"]] == [0, 0.19]


# -- setting -----------------------------------------------------------------------------------------------------------
def test_sets_all_backends_of_all_instances_and_a_second_run_changes_nothing(fakes):
    one, two = fakes(pair()), fakes(pair())
    result = run(one, two, green_percent=10)
    assert result["changed"] is True and result["green_percent"] == 10
    for fake in (one, two):
        assert set(fake.weights().values()) == {90, 10}
    assert result["diff"]["before"][one.address_text]["http"]["node-1-green"] == 0
    assert result["diff"]["after"][one.address_text]["http"]["node-1-green"] == 10
    assert result["weights_set"] == 16
    again = run(one, two, green_percent=10)
    assert again["changed"] is False and again["weights_set"] == 0
    assert len(one.sets) == 8


def test_check_mode_tells_what_would_be_and_writes_nothing(fakes):
    fake = fakes(pair())
    checked = run(fake, check=True, green_percent=10)
    assert fake.sets == []
    assert checked == run(fake, green_percent=10) | {"backends": checked["backends"]}


def test_unequal_configured_weights_and_numbers_of_servers(fakes):
    fake = fakes(
        [FakeServer("http", "a-blue", 7), FakeServer("http", "b-blue", 200), FakeServer("http", "a-green", 3),
         FakeServer("http", "b-green", 5), FakeServer("http", "c-green", 1)]
    )  # fmt: skip
    result = run(fake, backends=["http"], green_percent=25)
    weights = fake.weights()
    assert weights["http/a-blue"] == weights["http/b-blue"]
    assert weights["http/a-green"] == weights["http/b-green"] == weights["http/c-green"]
    green, blue = 3 * weights["http/a-green"], 2 * weights["http/a-blue"]
    assert result["green_percent"] == pytest.approx(100 * green / (green + blue), abs=0.01)
    assert result["green_percent"] == pytest.approx(25, abs=0.01)


def test_a_share_that_rounding_would_miss_is_refused(fakes):
    fake = fakes(pair(["http"], blue=1, green=50))
    result = run(fake, backends=["http"], green_percent=1)
    assert result["failure"]["code"] == "unrepresentable" and "16.34 %" in result["msg"]
    assert fake.sets == []


def test_servers_in_maint_and_drain_stay_there_get_the_weight_and_do_not_count(fakes):
    fake = fakes(pair())
    by_name = {f"{s.backend}/{s.name}": s for s in fake.servers}
    by_name["http/node-1-green"].admin = 1
    by_name["https/node-1-blue"].admin = 8
    result = run(fake, green_percent=50)
    assert [s["green_percent"] for s in result["shares"]] == [50, 50]
    assert fake.weights()["http/node-1-green"] == fake.weights()["http/node-2-green"]
    assert by_name["http/node-1-green"].admin == 1 and by_name["https/node-1-blue"].admin == 8
    assert all("state" not in command for command in fake.sets)
    assert {s["server"]: s["admin"] for s in result["backends"] if s["backend"] == "http"}["node-1-green"] == "maint"
    assert [s["admin"] for s in result["backends"] if s["admin"] != "ready"] == ["maint", "drain"]


def test_a_share_that_was_returned_can_be_set_again(fakes):
    fake = fakes(pair(["http"], blue=3, green=2))
    fake.set_all({"http/node-1-green": 40, "http/node-2-green": 40})
    found = run(fake, backends=["http"])["green_percent"]
    assert found == 21.05
    run(fake, backends=["http"], green_percent=60)
    assert run(fake, backends=["http"], green_percent=found)["green_percent"] == pytest.approx(found, abs=0.1)


def test_explicit_weights(fakes):
    fake = fakes(pair())
    result = run(fake, weights={"http": {"node-1-blue": 3, "node-1-green": 4}})
    assert result["weights_set"] == 2
    assert fake.weights()["http/node-1-blue"] == 3 and fake.weights()["http/node-2-blue"] == 100


# -- refusals: nothing is changed --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"green_percent": 101}, "bad_option", "101"),
        ({"green_percent": 5, "expect_green_percent": 101}, "bad_option", "expect_green_percent"),
        ({"backends": ["http", "nope"]}, "no_such_backend", "nope. It has: http, https"),
        ({"backends": ["http;quit"]}, "bad_option", "http;quit"),
        ({"backends": []}, "bad_option", "backends"),
        ({"green_servers": "-purple$"}, "no_such_server", "matches none of its servers"),
        ({"green_servers": "node"}, "both_colours", "disjoint"),
        ({"green_servers": "("}, "bad_option", "green_servers"),
        ({"weights": {"nope": {}}}, "bad_option", "nope"),
        ({"weights": {"http": 3}}, "bad_option", "BACKEND"),
        ({"weights": {"http": {"node-9-blue": 1}}}, "no_such_server", "node-9-blue"),
        ({"weights": {"http": {"node-1-blue": 257}}}, "bad_option", "257"),
        ({"weights": {"http": {"node-1-blue": "1 ; quit"}}}, "bad_option", "whole number"),
    ],
)
def test_bad_options_are_refused(fakes, options, code, words):
    fake = fakes(pair())
    result = run(fake, **options)
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"]
    assert fake.sets == []


def test_one_unreachable_instance_keeps_all_from_changing(fakes, tmp_path):
    fake = fakes(pair())
    result = run(fake, f"unix:{tmp_path}/none.sock", green_percent=10)
    assert result["failure"]["code"] == "unreachable" and "none.sock" in result["msg"]
    assert fake.sets == []


def test_an_address_that_can_not_be_used_is_told_apart_by_cause(tmp_path):
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as once:
        once.bind(str(left))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        causes = {
            f"unix:{tmp_path}/none.sock": f"there is no socket {tmp_path}/none.sock",
            f"unix:{left}": f"nothing listens at {left}",
            f"tcp:127.0.0.1:{port}": f"port {port} of 127.0.0.1 did not answer within 0.2 s",
        }
        for address, says in causes.items():
            with pytest.raises(Refusal) as refusal:
                _haproxy.RuntimeApi(address, 0.2).ask(["show info"])
            message = str(refusal.value)
            assert refusal.value.code == "unreachable" and address in message and says in message
            assert "Not answered: show info" in message and "Errno" not in message


def test_green_that_is_not_up_gets_no_more_traffic_but_may_lose_it(fakes):
    fake = fakes(pair())
    run(fake, green_percent=50)
    fake.log.clear()
    next(s for s in fake.servers if (s.backend, s.name) == ("https", "node-2-green")).up = False
    for check in (True, False):
        refused = run(fake, green_percent=100, check=check)
        assert refused["failure"]["code"] == "green_not_up"
        assert "https/node-2-green is DOWN (Layer4 timeout)" in refused["msg"]
        assert refused["failure"]["servers"] == ["https/node-2-green"]
    assert fake.sets == []
    assert run(fake, green_percent=10)["green_percent"] == 10
    assert run(fake, green_percent=50, require_health=False)["green_percent"] == 50


def test_green_without_a_health_check_is_not_up(fakes):
    fake = fakes(pair())
    for server in fake.servers:
        server.checked = False
    refused = run(fake, green_percent=1)
    assert (
        refused["failure"]["code"] == "green_not_up" and "UNCHECKED" in refused["msg"] and "`check`" in refused["msg"]
    )


def test_a_backend_is_not_left_without_a_server_that_is_up(fakes):
    fake = fakes(pair())
    run(fake, green_percent=50)
    for server in fake.servers:
        server.up = server.name.endswith("green")
    refused = run(fake, green_percent=0)
    assert refused["failure"]["code"] == "no_server_up" and "node-1-blue is DOWN" in refused["msg"]
    assert run(fake, green_percent=0, require_health=False)["green_percent"] == 0


def test_all_of_a_colour_in_maint_is_refused(fakes):
    fake = fakes(pair())
    for server in fake.servers:
        if server.name.endswith("green"):
            server.admin = 1
    assert run(fake, green_percent=10)["failure"]["code"] == "no_server"


def test_a_server_of_no_colour_that_takes_traffic_is_refused(fakes):
    fake = fakes([*pair(), FakeServer("http", "old", 5)])
    refused = run(fake, green_percent=10)
    assert refused["failure"]["code"] == "unmatched_server" and "http/old" in refused["msg"]
    fake.servers[-1].admin = 1
    assert run(fake, green_percent=10)["green_percent"] == 10


def test_backup_servers_and_static_algorithms_are_refused(fakes):
    assert run(fakes(pair(), algorithm="first"), green_percent=10)["failure"]["code"] == "static_algorithm"
    static = fakes(pair(), algorithm="static-rr")
    assert run(static, green_percent=10)["failure"]["code"] == "static_algorithm"
    backup = fakes(pair())
    backup.servers[-1].backup = True
    assert run(backup, green_percent=10)["failure"]["code"] == "backup_server"


def test_a_socket_without_admin_level_is_refused_before_anything(fakes):
    one, two = fakes(pair()), fakes(pair(), level="operator")
    for check in (True, False):
        refused = run(one, two, green_percent=10, check=check)
        assert refused["failure"]["code"] == "not_admin" and "level operator" in refused["msg"]
    assert one.sets == []
    assert run(two)["green_percent"] == 0  # reading needs no admin


# -- foreign change ----------------------------------------------------------------------------------------------------
def test_a_foreign_change_is_found_and_left(fakes):
    fake = fakes(pair())
    run(fake, green_percent=10)
    fake.set_all({"https/node-1-green": 30})
    fake.log.clear()
    refused = run(fake, green_percent=50, expect_green_percent=10)
    assert refused["failure"]["code"] == "foreign_change"
    assert (
        "backend https: expected 10 % on green, found 18.18 %" in refused["msg"]
        and "backend http:" not in refused["msg"]
    )
    assert fake.sets == []
    assert run(fake, expect_green_percent=10)["failed"]  # reading alone checks it too


def test_a_reload_that_lost_the_weights_is_a_foreign_change(fakes):
    fake = fakes(pair())
    run(fake, green_percent=1)
    fake.set_all({f"{s.backend}/{s.name}": s.configured for s in fake.servers})
    assert run(fake, green_percent=10, expect_green_percent=1)["failure"]["code"] == "foreign_change"


def reload(fake, uptime):
    """What a reload leaves: the weights of the configuration, and a young process."""
    fake.set_all({f"{s.backend}/{s.name}": s.configured for s in fake.servers})
    fake.uptime = uptime


def test_weights_that_a_reload_took_are_set_again(fakes):
    one, two = fakes(pair()), fakes(pair())
    run(one, two, green_percent=10)
    at = time.time() - 100
    reload(two, 60)
    again = {"green_percent": 10, "expect_green_percent": 10, "reloaded_since": at}
    checked = run(one, two, check=True, **again)
    assert checked["changed"] and checked["reloaded"] == [two.address_text] and two.weights() != one.weights()
    result = run(one, two, **again)
    assert result["green_percent"] == 10 and result["reloaded"] == [two.address_text] and two.weights() == one.weights()
    once_more = run(one, two, **again)
    assert once_more["changed"] is False and once_more["reloaded"] == []


@pytest.mark.parametrize("what", ["older than the share", "one of its weights was set since", "does not say how old it is"])
def test_what_a_reload_did_not_do_stays_a_foreign_change(fakes, what):
    fake = fakes(pair())
    run(fake, green_percent=10)
    reload(fake, 101 if what == "older than the share" else 60)
    if what == "one of its weights was set since":
        fake.set_all({"http/node-1-green": 1})
    if what == "does not say how old it is":
        fake.uptime = "?"
    before = fake.weights()
    refused = run(fake, green_percent=10, expect_green_percent=10, reloaded_since=time.time() - 100)
    assert refused["failure"]["code"] == "foreign_change" and fake.weights() == before


def test_a_reload_does_not_hide_what_somebody_else_set_at_another_instance(fakes):
    one, two = fakes(pair()), fakes(pair())
    run(one, two, green_percent=10)
    reload(one, 60)
    two.set_all({"http/node-1-green": 77})
    refused = run(one, two, green_percent=10, expect_green_percent=10, reloaded_since=time.time() - 100)
    assert refused["failure"]["code"] == "foreign_change" and one.address_text not in refused["msg"]


def test_the_expected_share_is_fine_and_so_is_a_repeat_of_a_run_that_was_killed_between_instances(fakes):
    one, two = fakes(pair()), fakes(pair())
    run(one, two, green_percent=1)
    run(one, green_percent=10)  # as if the run had ended here
    result = run(one, two, green_percent=10, expect_green_percent=1)
    assert result["green_percent"] == 10 and two.weights() == one.weights()


def test_zero_is_expected_exactly(fakes):
    fake = fakes(pair())
    fake.set_all({"http/node-1-green": 1})
    assert run(fake, green_percent=10, expect_green_percent=0)["failure"]["code"] == "foreign_change"


# -- failing halfway ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "Permission denied",
        "Absolute weight can only be between 0 and 256 inclusive.",
        "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.",
        "No such server.",
    ],
)
def test_what_haproxy_refuses_is_an_error_and_everything_is_put_back(fakes, text):
    one, two = fakes(pair()), fakes(pair())
    before = one.weights()
    two.refuse["https/node-2-green"] = text
    result = run(one, two, green_percent=10)
    assert result["failure"]["code"] == "set_failed"
    assert "https/node-2-green (weight 10)" in result["msg"] and text in result["msg"]
    assert one.weights() == before and two.weights() == before
    assert (
        result["failure"]["put_back"] == [one.address_text, two.address_text] and not result["failure"]["not_put_back"]
    )


def test_a_write_that_is_lost_is_found_by_reading_back(fakes):
    fake = fakes(pair())
    before = fake.weights()
    fake.ignore.add("http/node-1-blue")
    result = run(fake, green_percent=10)
    assert result["failure"]["code"] == "set_failed" and "http/node-1-blue: set 90, read back 100" in result["msg"]
    assert fake.weights() == before


def test_what_can_not_be_put_back_is_said(fakes):
    one, two = fakes(pair()), fakes(pair())
    two.close_on = "set server"
    one.ignore.clear()

    original = one.answer

    def answer(command):  # takes the first change, and no other
        if command.startswith("set ") and len(one.sets) >= 8:
            one.log.append(command)
            return "Permission denied\n"
        return original(command)

    one.answer = answer
    result = run(one, two, green_percent=10)
    assert "could NOT be put back" in result["msg"]
    assert [text.split(": ")[0] for text in result["failure"]["not_put_back"]] == [one.address_text]


def test_an_answer_that_is_not_haproxys_is_said(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _peer = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    result = run(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
    thread.join()
    listener.close()
    assert result["failure"]["code"] == "unexpected_answer" and "400 Bad Request" in result["msg"]


# -- journal -----------------------------------------------------------------------------------------------------------
def test_the_journal_needs_a_cluster(fakes):
    result = run(fakes(pair()), journal={"namespace": "n", "name": "j", "epoch": 1, "phase": "cutover"})
    assert result["failed"] and "kubeconfig" in result["msg"]


class RecordingJournal:
    """Stands in for the journal: what it was told, and when."""

    def __init__(self, events, fail=None):
        self.events, self.fail = events, fail

    def check(self):
        self.events.append("check")
        if self.fail:
            raise self.fail

    def record_all(self, steps):
        for op, key, inverse, _secret, _backup in steps:
            self.events.append(("record", op, key, json.loads(json.dumps(inverse))))
        return [f"step-{n}" for n in range(len(steps))]

    def done(self, *step_ids):
        self.events.append(("done", *step_ids))


@pytest.fixture
def journal(monkeypatch):
    events = []
    stand_in = RecordingJournal(events)
    monkeypatch.setattr(haproxy_weights.Journal, "load", lambda _cluster, params: stand_in if params else None)
    return stand_in


JOURNAL = {"namespace": "bluegreen-mesh", "name": "m", "epoch": 3, "phase": "cutover"}


def test_the_inverse_restores_every_instance_to_its_own_weights(fakes, journal):
    one, two = fakes(pair()), fakes(pair())
    two.set_all({"http/node-1-blue": 77})
    before = one.weights(), two.weights()
    run(one, two, green_percent=10, journal=JOURNAL, cluster=FakeCluster())
    assert journal.events[0] == "check"
    records = [event for event in journal.events if event[0] == "record"]
    assert journal.events[-1] == ("done", "step-0", "step-1")
    assert len(records) == 2 and len({event[2] for event in records}) == 2
    for _word, _op, _key, inverse in reversed(records):
        assert inverse["module"] == "haproxy_weights"
        result = run_module(haproxy_weights, inverse["params"])
        assert not result.get("failed") and result["changed"]
    assert (one.weights(), two.weights()) == before


def test_the_real_journal_keeps_the_first_inverse(fakes):
    fake, cluster = fakes(pair()), FakeCluster()
    opened = {"namespace": "bluegreen-mesh", "name": "m", "state": "open", "operator": "o"}
    epoch = run_module(migration_journal, opened, cluster)["epoch"]
    before = fake.weights()
    for percent in (1, 10, 100):
        result = run(fake, green_percent=percent, journal={**JOURNAL, "epoch": epoch}, cluster=cluster)
        assert result["changed"] and not result.get("failed")
    steps = State.parse(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]).steps
    assert [(s["op"], s["state"], s["phase"]) for s in steps] == [("weights", "done", "cutover")]
    assert run_module(haproxy_weights, steps[0]["inverse"]["params"])["changed"]
    assert fake.weights() == before


def test_nothing_is_recorded_when_nothing_changes_or_in_check_mode(fakes, journal):
    fake = fakes(pair())
    run(fake, green_percent=0, journal=JOURNAL, cluster=FakeCluster())
    run(fake, green_percent=10, journal=JOURNAL, cluster=FakeCluster(), check=True)
    assert journal.events == []


def test_a_newer_run_stops_this_one_before_it_writes(fakes, journal):
    fake = fakes(pair())
    journal.fail = Refusal("stale_epoch", "run R took over")
    result = run(fake, green_percent=10, journal=JOURNAL, cluster=FakeCluster())
    assert result["failure"]["code"] == "stale_epoch" and fake.sets == []


# -- a real HAProxy ----------------------------------------------------------------------------------------------------
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
CONFIG = """
global
  stats socket {folder}/admin.sock mode 600 level admin
  stats socket {folder}/user.sock mode 600 level user
defaults
  mode tcp
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend http
  bind {folder}/http.front
  default_backend http
backend http
  balance roundrobin
  server node-1-blue {folder}/blue.sock check inter 50 weight 10
  server node-2-blue {folder}/blue.sock check inter 50 weight 20
  server node-1-green {folder}/green.sock check inter 50 weight 0
  server node-2-green {folder}/green.sock track http/node-1-green weight 0
backend https
  balance leastconn
  server node-1-blue {folder}/blue.sock check inter 50
  server node-1-green {folder}/green.sock check inter 50 weight 0
backend hashed
  balance source
  server a-blue {folder}/blue.sock check inter 50
  server a-green {folder}/green.sock check inter 50 weight 0
backend consistent
  balance source
  hash-type consistent
  server a-blue {folder}/blue.sock check inter 50
  server a-green {folder}/green.sock check inter 50 weight 0
"""


class Answering:
    """A listener on a UNIX socket that says one word to everyone."""

    def __init__(self, path, word):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        self.word = word
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(self.word)
                except OSError:
                    pass  # a health check that has gone

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        except OSError:
            return  # closed before
        self.listener.close()


def until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to pass within {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def haproxy(tmp_path):
    folder = tmp_path / "h"
    folder.mkdir()
    colours = {colour: Answering(folder / f"{colour}.sock", colour.encode()) for colour in ("blue", "green")}
    (folder / "haproxy.cfg").write_text(CONFIG.format(folder=folder))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")], stdout=log, stderr=log)
    try:
        until((folder / "admin.sock").exists, "HAProxy's socket")
        until(lambda: not run(f"unix:{folder}/admin.sock").get("failed"), "HAProxy's answer")
        yield folder, colours
    finally:
        process.terminate()
        process.wait(10)
        for colour in colours.values():
            colour.close()


def test_real_weights_that_a_restart_took_are_set_again(tmp_path):
    lines = ["mode tcp", "timeout connect 1s", "timeout client 1s", "timeout server 1s", "backend http"]
    lines += [f"server {colour} 127.0.0.1:1 weight {weight}" for colour, weight in (("blue", 100), ("green", 0))]
    options = {"backends": ["http"], "blue_servers": "blue", "green_servers": "green", "require_health": False}
    at = time.time() - 5  # before either process
    with real_haproxy(tmp_path, [f"    {line}" for line in lines]) as api:
        assert run(api, green_percent=30, **options)["green_percent"] == 30
    (tmp_path / "api.sock").unlink()
    again = {"green_percent": 30, "expect_green_percent": 30, **options}
    with real_haproxy(tmp_path, [f"    {line}" for line in lines]) as api:
        late = run(api, reloaded_since=time.time() + 5, **again)
        assert late["failure"]["code"] == "foreign_change" and run(api, **options)["green_percent"] == 0
        result = run(api, reloaded_since=at, **again)
        assert result["reloaded"] == [api] and run(api, **options)["green_percent"] == 30


def count(folder: pathlib.Path, connections: int):
    words = {b"blue": 0, b"green": 0}
    for _n in range(connections):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(folder / "http.front"))
            words[client.recv(10)] += 1
    return words


def test_real_share_of_connections_follows(haproxy):
    folder, _colours = haproxy
    api = f"unix:{folder}/admin.sock"
    before = run(api)
    assert before["green_percent"] == 0
    assert {s["health"] for s in before["backends"]} == {"UP"}  # the tracking one included, and weight 0 too
    assert count(folder, 20) == {b"blue": 20, b"green": 0}
    for percent in (10, 50, 100, 0):
        result = run(api, green_percent=percent)
        assert result["changed"] and result["green_percent"] == percent
        assert run(api, green_percent=percent)["changed"] is False
        assert count(folder, 100) == {b"blue": 100 - percent, b"green": percent}


def test_real_refusals_are_errors_and_leave_everything_as_it_was(haproxy):
    folder, _colours = haproxy
    api = f"unix:{folder}/admin.sock"
    before = run(api)["diff"]
    static = run(api, backends=["http", "hashed"], green_percent=10)
    assert (
        static["failure"]["code"] == "set_failed" and "hashed/a-green" in static["msg"] and "static LB" in static["msg"]
    )
    assert run(api)["diff"] == before
    assert run(api, backends=["consistent"], green_percent=10)["green_percent"] == 10
    assert run(f"unix:{folder}/user.sock", green_percent=10)["failure"]["code"] == "not_admin"
    assert run(api, backends=["nope"])["failure"]["code"] == "no_such_backend"
    complaints = _haproxy.RuntimeApi(api, 2).set_weights(
        [("http", "node-1-blue", 300), ("http", "node-1-green", 0), ("http", "nope", 1), ("nope", "x", 1)]
    )
    assert [re.sub(r" \(.*?\)", "", c) for c in complaints] == [
        "http/node-1-blue: Absolute weight can only be between 0 and 256 inclusive.",
        "http/nope: No such server.",
        "nope/x: No such backend.",
    ]


def test_real_green_down_and_maintenance(haproxy):
    folder, colours = haproxy
    api = f"unix:{folder}/admin.sock"
    _haproxy.RuntimeApi(api, 2).ask(
        ["set server http/node-2-blue state maint", "set server https/node-1-blue state drain"]
    )
    states = {f"{s['backend']}/{s['server']}": s["admin"] for s in run(api)["backends"]}
    assert states["http/node-2-blue"] == "maint" and states["https/node-1-blue"] == "drain"
    colours["green"].close()
    until(lambda: all(s["health"] == "DOWN" for s in run(api)["backends"] if s["colour"] == "green"), "green down")
    refused = run(api, backends=["http"], green_percent=10)
    assert refused["failure"]["code"] == "green_not_up" and "http/node-1-green is DOWN" in refused["msg"]
    states = {f"{s['backend']}/{s['server']}": s["admin"] for s in run(api)["backends"]}
    assert states["http/node-2-blue"] == "maint" and states["https/node-1-blue"] == "drain"
