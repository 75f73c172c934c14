# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of live traffic: what each reads, what it makes of it, and how a gate is judged by several of them."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _envoy_stats, _haproxy, _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils.traffic_sources import (
    SOURCES,
    Tally,
    Tools,
    Window,
    _source,
    gateway,
    haproxy,
    prometheus,
)
from ansible_collections.bluegreen.mesh.plugins.modules import traffic_gate_info
from fake_cluster import FakeCluster, run_module
from fake_haproxy import Counting, FakeHaproxy, free_port, pair, real_haproxy, until
from fake_prometheus import FakePrometheus, vector
from hypothesis import given
from hypothesis import strategies as st
from loopback import Server, certificate_files

ROOT = Path(__file__).resolve().parents[2]
NO_TOOLS = Tools(lambda: None, {})


# -- the set of sources ------------------------------------------------------------------------------------------------
def test_every_source_has_its_file_its_settings_and_its_row():
    files = {path.stem for path in (ROOT / "plugins/module_utils/traffic_sources").glob("[a-z]*.py")}
    schema = yaml.safe_load((ROOT / "roles/mesh/meta/argument_specs.yml").read_text(encoding="utf-8"))
    settings = schema["argument_specs"]["main"]["options"]["mesh_traffic"]["options"]
    page = (ROOT / "docs/gates.md").read_text(encoding="utf-8")
    assert files == SOURCES.keys() == settings.keys() == set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    for name, source in SOURCES.items():
        assert settings[name]["options"].keys() - {"gate"} <= source.OPTIONS.keys() and "gate" in settings[name]["options"]
        assert source.UNSEEN, "every source is blind for something"


# -- percentiles -------------------------------------------------------------------------------------------------------
def test_a_percentile_of_buckets_lies_within_its_bucket():
    buckets = {10.0: 50.0, 100.0: 90.0, 1000.0: 100.0, float("inf"): 100.0}
    assert _source.percentile_of(buckets, 50) == 10.0
    assert _source.percentile_of(buckets, 70) == 55.0
    assert _source.percentile_of(buckets, 99) == 910.0


def test_no_sample_and_beyond_the_last_bound_are_unknown():
    assert _source.percentile_of({}) is None
    assert _source.percentile_of({10.0: 0.0, float("inf"): 0.0}) is None
    assert _source.percentile_of({10.0: 5.0, float("inf"): 100.0}) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 100))
def test_a_percentile_is_between_the_bounds(counts: list[int], percent: int):
    buckets, total = {}, 0
    for number, count in enumerate(counts):
        total += count
        buckets[float(number + 1)] = float(total)
    found = _source.percentile_of(buckets, percent)
    assert (found is None) is (total == 0)
    assert found is None or 0 <= found <= len(counts)


# -- haproxy -----------------------------------------------------------------------------------------------------------
# From HAProxy 2.6, shortened: the columns that are looked at, and some that are not.
HEADER = "# pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,status,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,mode,"


def stat(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def tally(before: str, after: str, servers: str = "green") -> Tally:
    first, second = (haproxy.parse("i", text, ["tls"]) for text in (before, after))
    return haproxy.difference(first, second, re.compile(servers))


def test_in_mode_tcp_connections_are_counted():
    before = stat("tls,green-1,0,0,100,1,1,0,1,UP,,,,,,,tcp,", "tls,blue-1,0,0,900,0,0,0,0,UP,,,,,,,tcp,")
    after = stat("tls,green-1,0,0,150,3,2,9,5,UP,,,,,,,tcp,", "tls,blue-1,0,0,990,0,0,0,0,UP,,,,,,,tcp,")
    assert tally(before, after) == Tally(50, 6)  # a reset of an idle connection (eresp) is no failure there
    assert tally(before, after, "blue") == Tally(90, 0)


def test_connections_that_were_all_refused_are_traffic_too():
    before = stat("tls,green-1,0,0,100,0,0,0,0,UP,,,,,,,tcp,")
    assert tally(before, stat("tls,green-1,0,0,100,0,0,0,4,DOWN,,,,,,,tcp,")) == Tally(4, 4)


def test_in_mode_http_answers_are_counted():
    before = stat("tls,green-1,0,0,10,0,0,0,0,UP,0,100,0,5,1,0,http,")
    after = stat("tls,green-1,0,0,12,1,0,0,0,UP,0,190,5,9,3,0,http,")
    assert tally(before, after) == Tally(90 + 5 + 4 + 2 + 1, 3)


def test_several_servers_and_instances_are_added_up_and_other_backends_left_out():
    rows = [f"{backend},{name},0,0,{count},0,0,0,0,UP,,,,,,,tcp," for backend, name, count in (
        ("tls", "green-1", 10), ("tls", "green-2", 20), ("tls", "BACKEND", 30), ("other", "green-3", 99),
    )]  # fmt: skip
    now = haproxy.parse("a", stat(*rows), ["tls"]) | haproxy.parse("b", stat(*rows), ["tls"])
    before = {title: dict.fromkeys(counters, 0) for title, counters in now.items()}
    assert haproxy.difference(before, now, re.compile("green")) == Tally(60, 0)


@pytest.mark.parametrize("after", ["tls,green-1,0,0,9,0,0,0,0,UP,,,,,,,tcp,", "tls,green-9,0,0,900,0,0,0,0,UP,,,,,,,tcp,"])
def test_counters_that_began_anew_are_no_data(after: str):
    with pytest.raises(Refusal) as refused:
        tally(stat("tls,green-1,0,0,100,0,0,0,0,UP,,,,,,,tcp,"), stat(after))
    assert refused.value.code == "reloaded" and "was reloaded" in str(refused.value)


@pytest.mark.parametrize("mode", ["tcp", "http"])
def test_what_a_real_haproxy_counts(tmp_path: Path, mode: str):
    """Green's port is refused, or answers 503. Clients are served all the same in mode tcp, by blue; the counters tell."""
    port = free_port()
    with Server(label="blue") as blue, Server(label="green") as green:
        where = f"127.0.0.1:{free_port()}" if mode == "tcp" else green.address
        lines = [
            f"    mode {mode}", "    timeout connect 1s", "    timeout client 5s", "    timeout server 5s", "    retries 1",
            "    option redispatch 1", f"frontend f\n    bind 127.0.0.1:{port}\n    default_backend web", "backend web",
            "    balance roundrobin", f"    server blue-1 {blue.address} weight 1", f"    server green-1 {where} weight 1",
        ]  # fmt: skip
        with real_haproxy(tmp_path, lines) as api:
            options = {
                "runtime_apis": [api], "backends": ["web"], "blue_servers": "^blue", "green_servers": "^green", "timeout": 5,
            }  # fmt: skip
            until(lambda: not refused(api))
            begun = haproxy.begin(options, NO_TOOLS)
            for _number in range(10):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    path = "/status/503" if mode == "http" else "/"
                    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                    assert connection.recv(100).startswith(b"HTTP/1.1 503" if mode == "http" else b"HTTP/1.1 200")
            until(lambda: (haproxy.measure(options, begun, Window(0, 1), NO_TOOLS).total.requests or 0) >= 10)
            seen = haproxy.measure(options, begun, Window(0, 1), NO_TOOLS)
    # In mode tcp blue is asked again for those that green refused, so that the next ones are green's turn.
    assert seen.green.requests == seen.green.failed and seen.green.requests >= 5
    assert seen.blue.failed == (5 if mode == "http" else 0)


def refused(api: str) -> bool:
    try:
        _haproxy.RuntimeApi(api, 5).level()
    except Refusal:
        return True
    return False


# -- gateway -----------------------------------------------------------------------------------------------------------
def page(good: int = 0, bad: int = 0, slow: int = 0) -> str:
    """As a gateway pod of the lab has it, with its own listeners' counters beside."""
    manager = 'http_conn_manager_prefix="outbound_0.0.0.0_8443"'
    total = good + bad
    return f"""\
envoy_http_agent_downstream_rq{{response_code_class="2xx"}} 84
envoy_http_downstream_rq{{response_code_class="5xx",http_conn_manager_prefix="stats"}} 7
envoy_http_downstream_rq{{response_code_class="2xx",{manager}}} {good}
envoy_http_downstream_rq{{response_code_class="5xx",{manager}}} {bad}
envoy_http_downstream_rq_completed{{{manager}}} {total}
envoy_http_downstream_rq_time_bucket{{{manager},le="10"}} {total - slow}
envoy_http_downstream_rq_time_bucket{{{manager},le="1000"}} {total}
envoy_http_downstream_rq_time_bucket{{{manager},le="+Inf"}} {total}
envoy_http_downstream_rq_time_bucket{{http_conn_manager_prefix="agent",le="+Inf"}} 84
"""


ISTIO = """\
istio_requests_total{reporter="source",response_code="200",response_flags="-"} 40
istio_requests_total{reporter="source",response_code="404",response_flags="NR"} 2
istio_requests_total{reporter="source",response_code="503",response_flags="UH"} 3
istio_requests_total{reporter="destination",response_code="503"} 1000
istio_request_duration_milliseconds_bucket{reporter="source",le="25"} 45
istio_request_duration_milliseconds_bucket{reporter="source",le="+Inf"} 45
"""


def test_answers_of_clients_are_told_from_those_of_the_proxy_itself():
    found = _envoy_stats.answers(page(90, 10, 5))
    assert found == {
        "requests": 100, "failed": 10, "buckets": {"10": 95, "1000": 100, "inf": 100}, "source": "envoy",
    }  # fmt: skip
    assert _envoy_stats.answers("") == {"requests": 0, "failed": 0, "buckets": {}, "source": ""}


def test_istios_own_statistics_and_upstream_envoys_names():
    found = _envoy_stats.answers(ISTIO)
    assert (found["requests"], found["failed"], found["source"]) == (45, 3, "istio")
    assert found["buckets"] == {"25": 45, "inf": 45}
    plain = 'envoy_http_downstream_rq_xx{envoy_response_code_class="5",envoy_http_conn_manager_prefix="http"} 4\n'
    assert _envoy_stats.answers(plain)["failed"] == 4
    assert _envoy_stats.answers(plain.replace('prefix="http"', 'prefix="admin"'))["requests"] == 0


def pods(**pages: str) -> gateway.Counts:
    return {uid: {"name": uid, **_envoy_stats.answers(text)} for uid, text in pages.items()}


def test_a_window_is_two_readings():
    before, now = pods(a=page(100, 1)), pods(a=page(150, 3, slow=1))
    found = gateway.difference(before, now)
    assert (found.requests, found.failed) == (52, 2)
    assert found.p99_ms is not None and found.p99_ms > 10


def test_pods_that_come_go_and_restart():
    found = gateway.difference(pods(a=page(100), gone=page(500)), pods(a=page(7, 1), new=page(5)))
    assert (found.requests, found.failed) == (8 + 5, 1)


def cluster(pages: dict[str, t.Any]) -> FakeCluster:
    """pages: by pod; blue's begin with b. A page may be a function, or (status, body)."""
    fake = FakeCluster()
    for name, colour in (("old", "blue"), ("new", "green")):
        fake.add({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "gw", "name": name},
                  "spec": {"selector": {"app": colour}}})  # fmt: skip
    for name, text in pages.items():
        labels = {"app": "blue" if name.startswith("b") else "green"}
        fake.add({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"},
                  "metadata": {"namespace": "gw", "name": name, "uid": name, "labels": labels}})  # fmt: skip

        def answer(_request: t.Any, text: t.Any = text) -> tuple[int, t.Any]:
            told = text() if callable(text) else text
            return told if isinstance(told, tuple) else (200, told.encode())

        fake.on("GET", f"*/pods/{name}:*/proxy/stats/prometheus", answer)
    return fake


GATEWAY = {"gateway": {"blue": ["gw/old"], "green": ["gw/new"]}}


# -- prometheus --------------------------------------------------------------------------------------------------------
@pytest.fixture
def prom() -> t.Iterator[t.Callable[..., FakePrometheus]]:
    running = []

    def start(answers: dict[str, t.Any], **more: t.Any) -> FakePrometheus:
        running.append(FakePrometheus(answers, **more))
        return running[-1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def options(server: FakePrometheus, **more: t.Any) -> dict[str, t.Any]:
    return {
        "url": server.url, "requests": 'sum(increase(rq{w="$colour",x=~"a$"}[$window]))', "failed": "bad($colour)",
        "p99_ms": None, "blue": "old", "green": "new", "token_file": None, "ca_file": None, "timeout": 5.0, **more,
    }  # fmt: skip


def test_queries_are_asked_for_each_colour_and_window(prom, tmp_path):
    server = prom({'rq{w="old"': vector(990.6), 'rq{w="new"': vector(10), "bad(old)": vector(0), "bad(new)": vector(0.3),
                   "p99(new)": {"status": "success", "data": {"resultType": "scalar", "result": [1, "12.5"]}}})  # fmt: skip
    (tmp_path / "token").write_text("hush\n", encoding="utf-8")
    asked = options(server, p99_ms="p99($colour)", token_file=str(tmp_path / "token"))
    seen = prometheus.measure(asked, {}, Window(100.0, 145.0), NO_TOOLS)
    assert (seen.blue, seen.green) == (Tally(991, 0), Tally(10, 1, 12.5))
    assert seen.notes == ("mesh_traffic.prometheus.p99_ms returned no data for blue: p99(old)",)
    assert ('sum(increase(rq{w="new",x=~"a$"}[45s]))', "Bearer hush") in server.asked


@pytest.mark.parametrize("nothing", [vector(), vector("NaN"), vector("+Inf")])
def test_no_data_is_not_zero(prom, nothing):
    seen = prometheus.measure(options(prom({"rq": vector(100), "bad": nothing})), {}, Window(0, 1), NO_TOOLS)
    assert seen.green == Tally(100, None) and "returned no data for green" in seen.notes[1]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (vector(1, 2), "bad_query", "returns 2 numbers; put sum() around it"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "bad_query", "returns a matrix"),
        ((400, {"status": "error", "error": "parse error"}), "unreadable", "answered 400 to sum(increase"),
        ((401, b"who?"), "unreadable", "Check token_file"),
        ((302, b""), "unreadable", "302"),
        (b"<html>", "unreadable", "that it is Prometheus"),
        ({"status": "success"}, "unexpected_answer", "no answer of Prometheus"),
    ],
)
def test_an_answer_that_is_none_says_what_to_do(prom, answer, code, words):
    with pytest.raises(Refusal) as refused_:
        prometheus.begin(options(prom({"rq": answer})), NO_TOOLS)
    assert refused_.value.code == code and words in str(refused_.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"failed": "sum(bad)"}, "mesh_traffic.prometheus.failed: has no $colour"),
        ({"url": "prometheus:9090"}, "expected http://"),
        ({"url": "https://user:word@prometheus"}, "Use token_file"),
    ],
)
def test_settings_that_can_not_work_are_refused_unasked(prom, more, words):
    server = prom({})
    with pytest.raises(Refusal) as refused_:
        prometheus.begin(options(server, **more), NO_TOOLS)
    assert words in str(refused_.value) and server.asked == [] and "word" not in str(refused_.value).replace("password", "")


def test_its_certificate_is_checked_against_the_given_authority(prom, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = certificate_files(tmp_path, "localhost")
    context.load_cert_chain(certificate, key)
    server = prom({"rq": vector(1), "bad": vector(0)}, context=context)
    asked = {**options(server), "url": server.url.replace("127.0.0.1", "localhost")}
    with pytest.raises(Refusal, match="ca_file"):
        prometheus.measure(asked, {}, Window(0, 1), NO_TOOLS)
    seen = prometheus.measure({**asked, "ca_file": certificate}, {}, Window(0, 1), NO_TOOLS)
    assert seen.green == Tally(1, 0)


# -- the gate ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def balancer(tmp_path):
    server = Counting(str(tmp_path / "api"), pair(["https"], 1, 1))
    server.counts = {"node-1-blue": (1000, 0), "node-1-green": (0, 0)}
    yield server
    server.shutdown()
    server.server_close()


def haproxy_of(server: FakeHaproxy, **more: t.Any) -> dict[str, t.Any]:
    own = {"runtime_apis": [server.address_text], "backends": ["https"], "blue_servers": "blue$", "green_servers": "green$"}
    return {"haproxy": {**own, **more}}


def gate(sources: dict[str, t.Any], fake: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    return run_module(traffic_gate_info, {"sources": sources, **more}, fake)


def test_a_gate_of_haproxys_counters(balancer):
    sources = haproxy_of(balancer)
    first = gate(sources, state="begun")
    balancer.counts = {"node-1-blue": (1500, 0), "node-1-green": (0, 0)}
    begun = gate(sources, state="begun", since=first["snapshot"], before=first["before"])
    assert begun["before"]["haproxy"] == {"requests": 500, "failed": 0, "p99_ms": None}
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (50, 0)}
    passed = gate(sources, since=begun["snapshot"], before=begun["before"])
    assert passed["passed"] and passed["sources"]["haproxy"]["green"]["requests"] == 50
    assert passed["sources"]["haproxy"]["real"] and "latency" in passed["sources"]["haproxy"]["unseen"]
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (50, 2)}
    failed = gate(sources, since=begun["snapshot"], before=begun["before"])
    assert failed["breaches"] == ["haproxy: 2 of green's 50 requests failed (4.0000%, allowed 0.0000%)"]


def test_no_data_is_a_breach(balancer):
    begun = gate(haproxy_of(balancer), state="begun")
    result = gate(haproxy_of(balancer), since=begun["snapshot"], deadline=0)
    assert result["passed"] is False
    assert result["breaches"][0] == "haproxy: 0 requests were recorded, 500 are needed within 0 s"


def test_a_source_has_limits_of_its_own(balancer):
    sources = haproxy_of(balancer, gate={"min_samples": 10, "min_green_samples": 5})
    begun = gate(sources, state="begun")
    balancer.counts = {"node-1-blue": (1010, 0), "node-1-green": (5, 0)}
    assert gate(sources, since=begun["snapshot"], deadline=0)["passed"]
    assert not gate(haproxy_of(balancer), since=begun["snapshot"], deadline=0)["passed"]


def test_a_source_that_is_gone_is_a_breach_with_what_to_do(balancer, monkeypatch):
    begun = gate(haproxy_of(balancer), state="begun")
    balancer.shutdown()
    balancer.server_close()
    monkeypatch.setattr(traffic_gate_info, "UNREADABLE_SECONDS", 0.6)
    result = gate(haproxy_of(balancer), since=begun["snapshot"])
    assert not result["passed"] and 0.5 < result["waited"] < 30
    assert "Is HAProxy running" in result["breaches"][0]
    assert gate(haproxy_of(balancer), state="begun")["failure"]["code"] == "unreachable", "before the step it is refused"


def test_a_reload_is_a_breach_at_once(balancer):
    begun = gate(haproxy_of(balancer), state="begun")
    balancer.counts = {"node-1-blue": (0, 0), "node-1-green": (0, 0)}
    result = gate(haproxy_of(balancer), since=begun["snapshot"])
    assert result["waited"] < 5 and "was reloaded" in result["breaches"][0]


def test_every_source_has_to_hold(balancer, prom):
    server = prom({"rq": vector(5000), "bad(old)": vector(0), "bad(new)": vector(3)})
    settings = {name: value for name, value in options(server).items() if value is not None}
    sources = {**haproxy_of(balancer), "prometheus": settings}
    begun = gate(sources, state="begun")
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (50, 0)}
    result = gate(sources, since=begun["snapshot"], deadline=10)
    assert result["breaches"] == ["prometheus: 3 of green's 5000 requests failed (0.0600%, allowed 0.0000%)"]
    server.answers["bad(new)"] = vector(0)
    assert gate(sources, since=begun["snapshot"])["passed"]


def test_a_pause_is_watched_and_not_slept(balancer):
    sources = haproxy_of(balancer, gate={"min_samples": 1, "min_green_samples": 1})
    begun = gate(sources, state="begun")
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (50, 0)}
    assert gate(sources, since=begun["snapshot"], observe=1.2)["waited"] >= 1.2

    def fail_later() -> None:
        until(lambda: balancer.log.count("show stat -1 4 -1") > seen + 1)
        balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (60, 1)}

    seen = balancer.log.count("show stat -1 4 -1")
    threading.Thread(target=fail_later, daemon=True).start()
    late = gate(sources, since=begun["snapshot"], observe=60)
    assert not late["passed"] and late["waited"] < 30


def test_after_going_back_blue_is_judged(balancer):
    begun = gate(haproxy_of(balancer), state="begun")
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (0, 0)}
    assert gate(haproxy_of(balancer), since=begun["snapshot"], side="blue")["passed"]
    assert not gate(haproxy_of(balancer), since=begun["snapshot"], deadline=0)["passed"]


def test_a_change_behind_green_is_judged_by_what_green_was_before_it(balancer):
    sources = haproxy_of(balancer, gate={"min_samples": 1})
    begun = gate(sources, state="begun", side="same")
    balancer.counts = {"node-1-blue": (1000, 0), "node-1-green": (1000, 2)}
    first = gate(sources, since=begun["snapshot"], side="same")
    assert first["passed"] and first["before"]["haproxy"] == {"requests": 1000, "failed": 2, "p99_ms": None}
    begun = gate(sources, state="begun", side="same", before=first["before"])
    assert begun["before"] == first["before"]
    balancer.counts = {"node-1-blue": (1000, 0), "node-1-green": (2000, 5)}
    assert gate(sources, since=begun["snapshot"], before=begun["before"], side="same")["passed"]
    balancer.counts = {"node-1-blue": (1000, 0), "node-1-green": (2000, 30)}
    assert "its rate was 0.2000%" in gate(sources, since=begun["snapshot"], before=begun["before"], side="same")["breaches"][0]


def test_a_gate_of_the_pods_own_counters():
    blue, green, asked = {"good": 1000}, {"good": 0}, []

    def clients() -> str:
        """Between two looks of the gate."""
        asked.append(1)
        blue["good"] += 600 if len(asked) > 2 else 0
        green["good"] += 30 if len(asked) > 2 else 0
        return page(**green)

    fake = cluster({"b1": lambda: page(**blue), "g1": clients, "g2": ""})
    begun = gate(GATEWAY, fake, state="begun")
    green["good"] = 400  # our own probes, between the step and the gate
    result = gate(GATEWAY, fake, since=begun["snapshot"], deadline=20)
    assert result["passed"], result["breaches"]
    assert result["sources"]["gateway"]["green"]["requests"] < 400
    assert "g2 (green) has no statistic of its answers" in result["sources"]["gateway"]["notes"][0]


def test_a_breach_that_only_the_pods_own_counters_show(balancer):
    """Their connections are good ones: what was answered on them, HAProxy does not see in mode tcp."""
    sources = {**haproxy_of(balancer, gate={"min_samples": 1, "min_green_samples": 1}), **GATEWAY}
    blue, green, asked = {"good": 1000}, {"good": 100, "bad": 3}, []

    def clients() -> str:
        """Between two looks of the gate. What failed before the first of them was before the step."""
        asked.append(1)
        if len(asked) > 2:
            blue["good"] += 600
            green.update(good=green["good"] + 28, bad=green["bad"] + 2)
        return page(**green)

    fake = cluster({"b1": lambda: page(**blue), "g1": clients})
    begun = gate(sources, fake, state="begun")
    balancer.counts = {"node-1-blue": (2000, 0), "node-1-green": (50, 0)}
    result = gate(sources, fake, since=begun["snapshot"], deadline=20)
    assert result["breaches"] == ["gateway: 2 of green's 30 requests failed (6.6667%, allowed 0.0000%)"]
    # Applications fail by themselves: as often as on blue is no breach.
    like, asked[:] = {"good": 1000, "bad": 0}, []

    def alike() -> str:
        like.update(good=like["good"] + 560, bad=like["bad"] + 40)
        return page(**like)

    fake = cluster({"b1": alike, "g1": clients})
    again = gate(GATEWAY, fake, since=gate(GATEWAY, fake, state="begun")["snapshot"], deadline=20)
    assert again["passed"] and again["sources"]["gateway"]["green"]["failed"], again["breaches"]


def test_pods_that_can_not_be_read_are_refused_before_the_step_and_a_breach_after_it(monkeypatch):
    fake = cluster({"b1": page(10), "g1": (403, b"{}")})
    refused_ = gate(GATEWAY, fake, state="begun")
    assert refused_["failed"] and "gw/g1: its metrics can't be read" in refused_["msg"] and "pods/proxy" in refused_["msg"]
    monkeypatch.setattr(traffic_gate_info, "UNREADABLE_SECONDS", 0.0)
    result = gate(GATEWAY, fake, since={"at": 0, "sources": {}})
    assert "gateway: gw/g1: its metrics can't be read" in result["breaches"][0]


def test_a_probe_that_does_not_run_is_refused_before_the_step_and_a_breach_after_it(tmp_path, monkeypatch):
    sources = {"probe": {"dir": str(tmp_path)}}
    assert "start one with traffic_probe" in gate(sources, state="begun")["msg"]
    assert gate(sources, since={"at": 0, "sources": {}})["waited"] < 5
    now = time.time()
    lines = [
        {"t": now - 5 + n / 1000, "route": "r", "protocol": "h2", "via": "10.0.0.1", "status": 200, "ms": 7.0} for n in range(600)
    ]
    records = Path(_traffic.records_path(str(tmp_path)))
    records.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr(_traffic, "running", lambda _state: True)
    begun = gate(sources, state="begun")
    assert begun["before"]["probe"] == {"requests": 600, "failed": 0, "p99_ms": 7.0}
    colours = {"blue": ["10.0.0.2"], "green": ["10.0.0.1"]}
    result = gate(sources, since={**begun["snapshot"], "at": now - 10}, colours=colours)
    assert result["passed"] and result["sources"]["probe"]["summary"]["total"]["requests"] == 600


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"sources": {}}, "sources: names none"),
        ({"sources": {"probe": {"dir": "/x"}}, "since": {"sources": 1}}, "since: expected the snapshot"),
        ({"sources": {"prob": {"dir": "/x"}}}, "prob"),
        ({"sources": {"probe": {"dir": "/x", "gate": {"min_sampels": 1}}}}, "min_sampels"),
        ({"sources": GATEWAY}, "kubeconfig and context"),
    ],
)
def test_bad_options_are_refused(params, words):
    result = run_module(traffic_gate_info, {"state": "begun", **params})
    assert result["failed"] and words in result["msg"]
