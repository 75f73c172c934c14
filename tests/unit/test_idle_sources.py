# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of idleness beside the gateway's pods: what each reads, what it leaves out, and what it does not know."""

from __future__ import annotations

import re
import socket
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _idle
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils.idle_sources import (
    SOURCES,
    Tools,
    access_log,
    haproxy,
    prometheus,
)
from ansible_collections.bluegreen.mesh.plugins.modules import traffic_idle_info
from fake_cluster import run_module
from fake_haproxy import FakeHaproxy, free_port, pair, real_haproxy, until
from fake_prometheus import FakePrometheus, vector
from loopback import Server

ROOT = Path(__file__).resolve().parents[2]


def tools(state: dict[str, t.Any] | None = None) -> Tools:
    return Tools(lambda: None, state or {})


# -- the set of sources ------------------------------------------------------------------------------------------------
def test_every_source_has_its_file_its_settings_and_its_row():
    files = {path.stem for path in (ROOT / "plugins/module_utils/idle_sources").glob("[a-z]*.py")}
    schema = yaml.safe_load((ROOT / "roles/mesh/meta/argument_specs.yml").read_text(encoding="utf-8"))
    settings = schema["argument_specs"]["main"]["options"]["mesh_soak"]["options"]["sources"]["options"]
    page = (ROOT / "docs/idleness.md").read_text(encoding="utf-8")
    assert files == SOURCES.keys() == settings.keys() == set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    documented = yaml.safe_load(traffic_idle_info.DOCUMENTATION)["options"]["sources"]["suboptions"]
    for name, source in SOURCES.items():
        assert documented[name]["suboptions"].keys() == source.OPTIONS.keys()
        assert source.UNSEEN and source.TELLS, "every source tells something, and is blind for something"


# -- haproxy -----------------------------------------------------------------------------------------------------------
def test_the_servers_of_one_side_are_counted_at_a_real_haproxy(tmp_path: Path):
    port = free_port()
    with Server(label="blue") as server:
        lines = [
            "    mode tcp", "    timeout connect 1s", "    timeout client 30s", "    timeout server 30s",
            f"frontend f\n    bind 127.0.0.1:{port}\n    default_backend web", "backend web",
            f"    server blue-1 {server.address} weight 1", f"    server green-1 {server.address} weight 0",
        ]  # fmt: skip
        with real_haproxy(tmp_path, lines) as api:
            options = {"runtime_apis": [api], "backends": ["web"], "servers": "^blue", "timeout": 5.0}
            until(lambda: answers(options))
            assert [(m.name, m.connections, m.open_connections) for m in haproxy.look(options, tools()).meters] == [
                (f"web/blue-1 of HAProxy {api}", 0, 0)
            ]
            with socket.create_connection(("127.0.0.1", port), 5) as one, socket.create_connection(("127.0.0.1", port), 5):
                until(lambda: haproxy.look(options, tools()).total("open_connections") == 2)
                look = haproxy.look(options, tools())
                assert look.meters[0].turnover == (2, 2) and look.meters[0].uptime is not None
                haproxy.tell_ages(options, look)
                assert len(look.meters[0].ages) == 2 and all(0 <= age < 30 for age in look.meters[0].ages)
                one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert one.recv(100).startswith(b"HTTP/1.1 200")
            until(lambda: haproxy.look(options, tools()).total("open_connections") == 0)
            assert haproxy.look(options, tools()).total("connections") == 2
            green = haproxy.look({**options, "servers": "^green"}, tools())
            assert (green.total("connections"), green.total("open_connections")) == (0, 0)


def answers(options: dict[str, t.Any]) -> bool:
    try:
        return bool(haproxy.look(options, tools()).meters)
    except Refusal as exc:
        assert exc.code == "unreachable"
        return False


# From HAProxy 2.6, shortened.
SESSIONS = """\
0x55d: proto=tcpv4 src=10.1.2.3:40312 fe=public be=public srv=blue-node-1 ts=00 epoch=0 age=1h5m calls=2 rate=0 exp=59s
0x55e: proto=tcpv4 src=10.1.2.3:40313 fe=public be=public srv=blue-node-1 ts=00 epoch=0 age=2d3h calls=2 rate=0
0x55f: proto=tcpv4 src=10.1.2.3:40314 fe=public be=public srv=green-node-1 ts=00 epoch=0 age=7s calls=1 rate=0
0x560: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=1 rate=0
"""


def test_ages_of_sessions_are_read_from_their_list():
    assert haproxy.ages_of(SESSIONS) == {
        "public/blue-node-1": [3900, 183600], "public/green-node-1": [7], "<NONE>/<none>": [0],
    }  # fmt: skip
    assert haproxy.ages_of("Permission denied\n") == {}


STAT = "# pxname,svname,scur,stot,\nweb,FRONTEND,1,9,\nweb,blue-1,1,5,\nweb,green-1,,4,\nweb,BACKEND,1,9,\n"


def test_a_counter_that_is_not_told_is_unknown():
    (meter,) = haproxy.parse("i", STAT, "Uptime_sec: 17\n", ["web"], re.compile("green"))
    assert meter.unknown == ["web/green-1 of HAProxy i: open_connections: `show stat` has no scur of it"]
    assert meter.uptime == 17 and meter.turnover is None


@pytest.mark.parametrize(
    ("stat", "backend", "servers", "code"),
    [
        (STAT, "api", "blue", "no_such_backend"),
        (STAT, "web", "red", "no_such_server"),
        ("Unknown command", "web", "blue", "unexpected_answer"),
    ],
)
def test_what_haproxy_does_not_have_is_refused(stat: str, backend: str, servers: str, code: str):
    with pytest.raises(Refusal) as refused:
        haproxy.parse("i", stat, "", [backend], re.compile(servers))
    assert refused.value.code == code


def test_a_balancer_that_does_not_answer_is_unknown_and_not_idle(tmp_path: Path):
    source = {"runtime_apis": [f"unix:{tmp_path}/none"], "backends": ["http"], "servers": "blue"}
    result = run_module(traffic_idle_info, {"sources": {"haproxy": source}})
    assert result["verdict"] == "unknown" and "there is no socket" in result["reasons"][0]
    server = FakeHaproxy(str(tmp_path / "api"), pair())
    source["runtime_apis"] = [server.address_text]
    result = run_module(traffic_idle_info, {"sources": {"haproxy": source}})
    server.shutdown()
    assert result["verdict"] == "busy" and "http/node-1-blue of HAProxy unix:" in result["reasons"][0]
    assert result["sources"]["haproxy"]["open_connections"] == 6  # of two servers


# -- access_log --------------------------------------------------------------------------------------------------------
def line(agent: str = "curl/8", path: str = "/", colour: str = "blue") -> str:
    return (
        f'[2026-11-21T10:00:00.000Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 0 5 3 2 "10.0.0.9" "{agent}" "id"'
        f' "shop.example.com" "10.0.1.7:8080" outbound|{colour}|shop 10.0.1.4:4 10.0.1.4:8443 10.0.0.9:4 - -\n'
    )


TCP = (
    '[2026-11-21T10:00:00.000Z] "- - -" 0 - - - "-" 10 20 3 - "-" "-" "-" "-" "10.0.1.7:443" outbound|443||vault 10.0.1.4:4'
    " 10.0.1.4:8443 10.0.0.9:4 vault.example.com -\n"
)


class Log:
    """A log that is looked at again and again."""

    def __init__(self, path: Path, **options: t.Any) -> None:
        self.path, self.state = path, {}
        self.options = {
            "files": [str(path)], "format": "auto", "only": None, "ignore": access_log.HEALTH_CHECKS, **options,
        }  # fmt: skip
        access_log.check(self.options)

    def add(self, *lines: str) -> _idle.Meter:
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(lines)
        return self.look()

    def look(self) -> _idle.Meter:
        look = access_log.look(self.options, tools(self.state))
        self.state = look.state
        return look.meters[0]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "log").write_text(line() * 3, encoding="utf-8")
    return Log(tmp_path / "log")


def test_what_is_added_is_counted_and_what_was_there_is_not(log: Log):
    assert (log.look().requests, log.look().connections) == (0, 0)
    meter = log.add(line(), line(), TCP)
    assert (meter.requests, meter.connections, meter.unknown) == (2, 1, [])
    assert (log.look().requests, log.add(line()).requests) == (2, 3)


@pytest.mark.parametrize(
    ("agent", "path", "counted"),
    [
        ("bluegreen.mesh/probe", "/", 0),
        ("kube-probe/1.31", "/", 0),
        ("ELB-HealthChecker/2.0", "/", 0),
        ("bluegreen.mesh/traffic", "/", 1),  # it comes by the balancer, as clients do
        ("curl/8", "/?x=bluegreen.mesh/probe", 1),
        ("bluegreen.mesh/probe or so", "/", 1),
    ],
)
def test_our_own_probes_and_health_checks_are_left_out(log: Log, agent: str, path: str, counted: int):
    log.look()
    assert log.add(line(agent, path)).requests == counted


def test_only_one_sides_lines_of_a_balancers_log(tmp_path: Path):
    (tmp_path / "log").write_text("", encoding="utf-8")
    log = Log(tmp_path / "log", only=r"\|blue\|", ignore=["/healthz "])
    log.look()
    meter = log.add(line(), line(colour="green"), line(path="/healthz"), "no such line\n")
    assert (meter.requests, meter.unknown) == (1, [])


def test_a_line_that_is_being_written_counts_when_it_is_whole(log: Log):
    log.add(line()[:40])
    assert log.look().requests == 0
    assert log.add(line()[40:]).requests == 1


def test_a_line_that_was_begun_before_the_first_look_counts(log: Log):
    with open(log.path, "a", encoding="utf-8") as file:
        file.write(line()[:40])
    assert log.look().requests == 0
    assert log.add(line()[40:]).requests == 1


def test_lines_of_no_known_format_are_unknown_and_the_proxys_own_are_not(log: Log):
    log.look()
    assert log.add("2026-11-21T10:00:00.000000Z\tinfo\txdsproxy\tconnected\n").unknown == []
    assert "1 line(s) of no known format" in log.add(line(), "who knows\n").unknown[0]
    assert log.look().unknown == []  # they were added before


def test_a_rotated_log_is_unknown_once(log: Log):
    log.add(line())
    log.path.rename(log.path.with_suffix(".1"))
    assert "rotated" in log.add(line()).unknown[0]
    meter = log.add(line())
    assert meter.unknown == [] and meter.requests == 2


def test_a_truncated_log_is_unknown_once(log: Log):
    log.add(line())
    log.path.write_text("", encoding="utf-8")
    assert "rotated" in log.look().unknown[0]
    assert log.look().unknown == []


def test_a_log_that_is_not_there_is_unknown(tmp_path: Path):
    source = {"files": [str(tmp_path / "none")]}
    result = run_module(traffic_idle_info, {"sources": {"access_log": source}})
    assert result["verdict"] == "unknown" and "none: can't be read: No such file" in result["reasons"][0]


def test_a_compressed_log_is_refused(tmp_path: Path):
    (tmp_path / "log.gz").write_bytes(b"\x1f\x8b\x08")
    result = run_module(traffic_idle_info, {"sources": {"access_log": {"files": [str(tmp_path / "log.gz")]}}})
    assert result["failure"]["code"] == "bad_option" and "log.gz is compressed" in result["msg"]


# -- prometheus --------------------------------------------------------------------------------------------------------
@pytest.fixture
def prom() -> t.Iterator[t.Callable[..., FakePrometheus]]:
    running = []

    def start(answers: dict[str, t.Any]) -> FakePrometheus:
        running.append(FakePrometheus(answers))
        return running[-1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def asking(server: FakePrometheus, **more: t.Any) -> dict[str, t.Any]:
    return {"url": server.url, "open_connections": "open($colour)", "requests": "count", "colour": "blue", **more}


def test_queries_tell_what_is_open_and_what_must_stand_still(prom: t.Any):
    server = prom({"open": vector(0), "count": vector(17.5)})
    first = run_module(traffic_idle_info, {"sources": {"prometheus": asking(server)}})
    told = first["sources"]["prometheus"]
    assert (told["open_connections"], told["requests"], told["connections"]) == (0, 17.5, None)
    assert [query for query, _token in server.asked] == ["count", "open(blue)"]
    again = {"sources": {"prometheus": asking(server)}, "previous": first["snapshot"]}
    assert run_module(traffic_idle_info, again)["idle"]
    server.answers["count"] = vector(18.5)
    assert run_module(traffic_idle_info, again)["reasons"] == [f"{server.url}: 1 requests since the earlier snapshot"]
    server.answers["open"] = vector(0.2)
    assert run_module(traffic_idle_info, again)["reasons"][0] == f"{server.url}: 1 open connection"


def test_a_query_without_data_is_unknown(prom: t.Any):
    result = run_module(traffic_idle_info, {"sources": {"prometheus": asking(prom({"open": vector(0)}))}})
    assert result["verdict"] == "unknown"
    assert "sources.prometheus.requests returned no data: count. Write `or vector(0)`" in result["reasons"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://p"}, "expected a query, one of requests, connections, open_connections"),
        ({"url": "http://p", "requests": "a{c='$colour'}"}, "sources.prometheus.colour: needed, since requests has"),
        ({"url": "p:9090", "requests": "a"}, "sources.prometheus.url: expected http://HOST"),
    ],
)
def test_queries_that_can_not_be_meant(options: dict[str, str], words: str):
    result = run_module(traffic_idle_info, {"sources": {"prometheus": options}})
    assert result["failure"]["code"] == "bad_option" and words in result["msg"]
    assert prometheus.SETTING in result["msg"]


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("haproxy", {"runtime_apis": ["x"], "backends": ["a"], "servers": "b"}, "'x' is not an address"),
        ("haproxy", {"runtime_apis": [], "backends": ["a"], "servers": "b"}, "sources.haproxy.runtime_apis"),
        ("haproxy", {"runtime_apis": ["unix:/a"], "backends": ["a"], "servers": "("}, "sources.haproxy.servers: '('"),
        ("access_log", {"files": []}, "sources.access_log.files"),
        ("access_log", {"files": ["a"], "ignore": ["("]}, "sources.access_log.ignore: '('"),
        ("gateway", {"services": ["a/b"]}, "kubeconfig and context are needed"),
    ],
)
def test_options_that_can_not_be_meant(source: str, options: dict[str, t.Any], words: str, monkeypatch: t.Any):
    for name in ("K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    result = run_module(traffic_idle_info, {"sources": {source: options}})
    assert result["failure"]["code"] == "bad_option" and words in result["msg"]
