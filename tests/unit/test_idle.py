# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a gateway is idle: what its pods count, and that nothing unknown passes for idle."""

from __future__ import annotations

import json
import time
import types

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _idle
from ansible_collections.bluegreen.mesh.plugins.module_utils._idle import Look, Meter
from ansible_collections.bluegreen.mesh.plugins.module_utils.idle_sources import gateway
from ansible_collections.bluegreen.mesh.plugins.modules import traffic_idle_info
from fake_cluster import FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st

# From a gateway pod of Istio 1.31 with upstream Envoy 1.40 and statsInclusionPrefixes listener,http, shortened.
PAGE = """\
# TYPE envoy_http_agent_downstream_rq_total counter
envoy_http_agent_downstream_rq_total{} 84
envoy_http_downstream_cx_total{http_conn_manager_prefix="outbound_0.0.0.0_8443"} 157
envoy_http_downstream_rq{response_code_class="2xx",http_conn_manager_prefix="outbound_0.0.0.0_8443"} 1931
# TYPE envoy_http_downstream_rq_total counter
envoy_http_downstream_rq_total{http_conn_manager_prefix="outbound_0.0.0.0_8080"} 203
envoy_http_downstream_rq_total{http_conn_manager_prefix="outbound_0.0.0.0_8443"} 2143
envoy_listener_admin_downstream_cx_total{} 2
envoy_listener_downstream_cx_total{listener_address="0.0.0.0_15021"} 84
envoy_listener_downstream_cx_total{listener_address="0.0.0.0_15090"} 1
envoy_listener_downstream_cx_total{listener_address="0.0.0.0_8080"} 5
envoy_listener_downstream_cx_total{listener_address="0.0.0.0_8443"} 157
envoy_listener_downstream_cx_active{listener_address="0.0.0.0_15021"} 0
envoy_listener_downstream_cx_active{listener_address="0.0.0.0_15090"} 1
envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8080"} 1
envoy_listener_downstream_cx_active{listener_address="0.0.0.0_8443"} 8
envoy_listener_downstream_pre_cx_active{listener_address="0.0.0.0_8443"} 2
envoy_server_total_connections{} 8
envoy_server_uptime{} 56
istio_agent_go_goroutines 33
"""
# Istio's own proxy with its default statistics.
ISTIO = """\
istio_requests_total{reporter="source",source_workload="gw",response_code="200",response_flags="-",path="a,b=\\"}c"} 40
istio_requests_total{reporter="source",source_workload="gw",response_code="404",response_flags="NR"} 2
istio_requests_total{reporter="destination",source_workload="x"} 1000
istio_tcp_connections_opened_total{reporter="source"} 7 1700000000000
envoy_server_total_connections{} 3
envoy_server_uptime{} 100
"""


def page(requests=0, active=0, uptime=100, connections=0):
    return (
        f'envoy_http_downstream_rq_total{{http_conn_manager_prefix="outbound_0.0.0.0_8443"}} {requests}\n'
        f'envoy_listener_downstream_cx_active{{listener_address="0.0.0.0_8443"}} {active}\n'
        f'envoy_listener_downstream_cx_total{{listener_address="0.0.0.0_8443"}} {connections}\n'
        f"envoy_server_uptime{{}} {uptime}\n"
    )


# -- reading -----------------------------------------------------------------------------------------------------------
def test_clients_are_counted_and_the_proxys_own_listeners_are_not():
    pod = gateway.meter_of("p", "u", PAGE, _idle.TOLD)
    assert (pod.requests, pod.connections, pod.open_connections, pod.uptime) == (2346, 162, 11, 56)
    assert pod.unknown == []


def test_a_gateway_without_a_listener_for_clients_has_none():
    """Of a pod of a passthrough gateway that no VirtualService is bound to any more."""
    own = "".join(line + "\n" for line in PAGE.splitlines() if "_15021" in line or "server" in line)
    pod = gateway.meter_of("p", "u", own, ["connections", "open_connections"])
    assert (pod.connections, pod.open_connections, pod.unknown) == (0, 0, [])
    hidden = "".join(line + "\n" for line in own.splitlines() if "listener" not in line)
    assert len(gateway.meter_of("p", "u", hidden, ["connections", "open_connections"]).unknown) == 2


def test_istios_own_statistics_are_read_from_the_gateways_view():
    pod = gateway.meter_of("p", "u", ISTIO, _idle.TOLD)
    assert (pod.requests, pod.connections, pod.open_connections) == (42, 7, None)
    assert len(pod.unknown) == 1 and "envoy_server_total_connections is 3" in pod.unknown[0]


def test_no_connection_at_all_is_known():
    pod = gateway.meter_of("p", "u", "envoy_server_total_connections{} 0\n", ["requests", "open_connections"])
    assert pod.open_connections == 0 and pod.requests is None


@pytest.mark.parametrize("manager", ["agent", "stats", "admin", "agent;"])
def test_connection_managers_of_the_proxy_itself_say_nothing_of_clients(manager):
    text = f'envoy_http_downstream_rq_total{{http_conn_manager_prefix="{manager}"}} 9\n'
    assert gateway.meter_of("p", "u", text, ["requests", "open_connections"]).requests is None


@pytest.mark.parametrize(
    "text", ["", "<html>", "# only comments\n", "envoy_http_downstream_rq_total{} NaN_\n", "envoy_http_downs"]
)
def test_a_page_that_tells_nothing_leaves_everything_unknown(text):
    pod = gateway.meter_of("p", "u", text, _idle.TOLD)
    assert (pod.requests, pod.connections, pod.open_connections) == (None, None, None) and len(pod.unknown) == 3


def test_http_connections_do_not_answer_for_a_gateway_that_serves_tcp():
    text = 'envoy_http_downstream_cx_active{http_conn_manager_prefix="outbound_0.0.0.0_8443"} 0\n'
    assert gateway.meter_of("p", "u", text, ["requests", "open_connections"]).open_connections == 0
    assert gateway.meter_of("p", "u", text, _idle.TOLD).open_connections is None


@given(st.text())
def test_any_text_can_be_read(text):
    gateway.meter_of("p", "u", text, ["requests", "open_connections"])


# -- judging -----------------------------------------------------------------------------------------------------------
HTTP = ("requests", "open_connections")


def judge(texts, previous, at, window=0, counts=HTTP):
    meters = [gateway.meter_of(name, name + "-uid", text, counts) for name, text in texts.items()]
    return _idle.judge({"gateway": Look(meters)}, previous, at, window)


def test_idle_after_the_window_and_not_before():
    first = judge({"a": page(5), "b": page(7)}, None, 1000.0)
    assert first.word == "unknown" and "no earlier snapshot" in first.reasons[0]
    second = judge({"a": page(5, uptime=130), "b": page(7, uptime=130)}, first.snapshot, 1030.0, window=60)
    assert (second.word, second.quiet_for, second.reasons) == ("unknown", 30, ["quiet for 30 of 60 s"])
    third = judge({"a": page(5, uptime=160), "b": page(7, uptime=160)}, second.snapshot, 1060.0, window=60)
    assert (third.word, third.quiet_for) == ("idle", 60)


def test_traffic_starts_the_window_anew():
    first = judge({"a": page(5)}, None, 0.0)
    busy = judge({"a": page(6)}, first.snapshot, 50.0, window=60)
    assert busy.word == "busy" and busy.reasons == ["a: 1 requests since the earlier snapshot"]
    assert judge({"a": page(6)}, busy.snapshot, 70.0, window=60).word == "unknown"
    assert judge({"a": page(6)}, busy.snapshot, 110.0, window=60).word == "idle"


@pytest.mark.parametrize(
    ("texts", "word", "words"),
    [
        ({"a": page(5, active=1)}, "busy", "1 open connection"),
        ({"a": page(4)}, "unknown", "went back from 5 to 4"),
        ({"a": page(5, uptime=3)}, "unknown", "was restarted"),
        ({"a": page(5), "b": page(0)}, "unknown", "b: is new"),
        ({"b": page(5)}, "unknown", "a: is gone"),
        ({}, "unknown", "nothing that counts"),
        ({"a": ISTIO}, "unknown", "envoy_server_total_connections is 3"),
        ({"a": ""}, "unknown", "none of"),
    ],
)
def test_what_is_not_known_to_be_quiet_is_not_idle(texts, word, words):
    first = judge({"a": page(5)}, None, 0.0)
    verdict = judge(texts, first.snapshot, 1000.0)
    assert verdict.word == word and any(words in reason for reason in verdict.reasons), verdict
    assert verdict.snapshot["since"] == 1000.0


def test_a_counter_from_another_statistic_is_not_compared():
    first = judge({"a": 'istio_requests_total{reporter="source"} 5\nenvoy_server_total_connections{} 0\n'}, None, 0.0)
    verdict = judge({"a": page(5)}, first.snapshot, 10.0)
    assert verdict.word == "unknown" and "not known from the same statistic" in verdict.reasons[0]


def test_only_what_is_asked_for_has_to_stand_still():
    first = judge({"a": page(5, connections=1)}, None, 0.0)
    assert judge({"a": page(5, connections=2)}, first.snapshot, 10.0).word == "idle"
    both = ("connections", "open_connections")
    first = judge({"a": page(5, connections=1)}, None, 0.0, counts=both)
    assert judge({"a": page(5, connections=2)}, first.snapshot, 10.0, counts=both).word == "busy"


def test_a_clock_that_went_backwards_is_not_idle():
    first = judge({"a": page(5)}, None, 100.0)
    assert judge({"a": page(5)}, first.snapshot, 50.0).word == "unknown"


@given(
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=3),
)
def test_idle_only_if_the_same_pods_stand_still_with_nothing_open(then, now):
    first = judge({name: page(r, active=a) for name, (r, a) in then.items()}, None, 0.0)
    verdict = judge({name: page(r, active=a) for name, (r, a) in now.items()}, first.snapshot, 10.0, window=10)
    quiet = then.keys() == now.keys() and now and all(then[n][0] == now[n][0] and now[n][1] == 0 for n in now)
    assert (verdict.word == "idle") == bool(quiet)


# -- several sources ---------------------------------------------------------------------------------------------------
def standing(connections=5, still_open=0, uptime=100):
    """One that tells open connections."""
    return Look([Meter("server", "s", ("connections", "open_connections"), None, connections, still_open, uptime)])


def lines(requests=5):
    """One that does not."""
    return Look([Meter("log", "l", ("requests",), requests)])


def test_all_sources_must_agree():
    first = _idle.judge({"haproxy": standing(), "access_log": lines()}, None, 0.0, 0)
    for now, word in (
        ({"haproxy": standing(), "access_log": lines()}, "idle"),
        ({"haproxy": standing(), "access_log": lines(6)}, "busy"),
        ({"haproxy": standing(6), "access_log": lines()}, "busy"),
        ({"haproxy": standing(), "access_log": Look(unknown=["log: can't be read"])}, "unknown"),
        ({"haproxy": Look(), "access_log": lines()}, "unknown"),
        ({"haproxy": standing()}, "unknown"),
    ):
        assert _idle.judge(now, first.snapshot, 10.0, 0).word == word, now


def test_without_a_source_that_tells_open_connections_it_is_unknown():
    first = _idle.judge({"access_log": lines()}, None, 0.0, 0)
    verdict = _idle.judge({"access_log": lines()}, first.snapshot, 10.0, 0)
    assert verdict.word == "unknown"
    assert verdict.reasons == ["none of the sources (access_log) tells open connections: name one that does"]


def test_a_source_that_could_not_be_read_for_a_while_starts_the_window_anew():
    first = _idle.judge({"haproxy": standing()}, None, 0.0, 20)
    silent = _idle.judge({"haproxy": Look(unknown=["haproxy: no answer"])}, first.snapshot, 10.0, 20)
    assert (silent.word, silent.reasons) == ("unknown", ["haproxy: no answer"])
    back = _idle.judge({"haproxy": standing()}, silent.snapshot, 12.0, 20)
    assert back.word == "unknown" and _idle.judge({"haproxy": standing()}, back.snapshot, 31.0, 20).word == "unknown"
    assert _idle.judge({"haproxy": standing()}, back.snapshot, 32.0, 20).word == "idle"


def test_what_is_gone_does_not_hide_what_another_source_sees():
    first = _idle.judge({"gateway": lines(), "haproxy": standing()}, None, 0.0, 0)
    gone = Look(gone=True)
    assert _idle.judge({"gateway": gone, "haproxy": standing()}, first.snapshot, 5.0, 0).word == "idle"
    assert _idle.judge({"gateway": gone, "haproxy": standing(5, 1)}, first.snapshot, 5.0, 0).word == "busy"
    assert _idle.judge({"gateway": gone}, None, 5.0, 3600).word == "idle"


# -- ages --------------------------------------------------------------------------------------------------------------
def pod(opened, still_open, uptime=100000):
    return Look([Meter("p", "p", (), None, opened, still_open, uptime, turnover=(opened, still_open))])


def ages(*looks):
    """What is known after looks of (time, opened, open)."""
    previous = None
    for at, opened, still_open in looks:
        verdict = _idle.judge({"gateway": pod(opened, still_open)}, previous, at, 0)
        previous = json.loads(json.dumps(verdict.snapshot))
    return verdict


def test_of_those_open_now_no_more_than_were_opened_since_can_be_younger():
    verdict = ages((0.0, 100, 12), (1000.0, 105, 12), (1060.0, 107, 12))
    assert verdict.reasons[0] == "p: 12 open connections, at least 5 of them older than 10 min"
    assert verdict.older["gateway p"] == [
        {"seconds": 10, "connections": 10}, {"seconds": 30, "connections": 10}, {"seconds": 60, "connections": 10},
        {"seconds": 300, "connections": 5}, {"seconds": 600, "connections": 5},
    ]  # fmt: skip


def test_without_an_earlier_look_or_with_more_opened_since_no_age_is_known():
    assert ages((0.0, 100, 12)).older["gateway p"] == []
    assert ages((0.0, 100, 12), (700.0, 112, 12)).reasons[0] == "p: 12 open connections"


def test_a_restart_takes_the_ages_with_it():
    first = _idle.judge({"gateway": pod(100, 12)}, None, 0.0, 0)
    assert _idle.judge({"gateway": pod(3, 2)}, first.snapshot, 700.0, 0).older["gateway p"] == []
    assert _idle.judge({"gateway": pod(200, 150, uptime=100)}, first.snapshot, 700.0, 0).older["gateway p"] == []


def test_ages_that_a_source_knows_are_said_as_they_are():
    look = standing(9, 3)
    look.meters[0].ages = [4, 61, 4000]
    verdict = _idle.judge({"haproxy": look}, None, 0.0, 0)
    assert verdict.reasons == ["server: 3 open connections, 1 of them older than 1 h"]
    look.meters[0].ages = [4, 5, 6]
    assert _idle.judge({"haproxy": look}, None, 0.0, 0).reasons == ["server: 3 open connections"]


@given(st.lists(st.tuples(st.floats(0.5, 50), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=150))
def test_a_lower_bound_is_never_above_the_truth(steps):
    """A gateway is played: at each step some connections come, and the oldest of them go."""
    at, opened, born, previous = 1000.0, 0, [], None
    for seconds, come, go in steps:
        at += seconds
        born = [*born, *[at] * come][go:]
        opened += come
        verdict = _idle.judge({"gateway": pod(opened, len(born))}, previous, at, 0)
        previous = verdict.snapshot
        for bound in verdict.older["gateway p"]:
            assert bound["connections"] <= sum(at - when >= bound["seconds"] for when in born)
    assert len(previous["opened"]["gateway p"]) <= _idle.SAMPLES


# -- the module --------------------------------------------------------------------------------------------------------
def pod_object(name, phase="Running", ready="True", labels=None):
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "istio-system", "name": name, "uid": f"uid-{name}", "labels": labels or {"app": "gw"},
        },
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


def serve(cluster, name, answer, port=15020):
    path = f"/api/v1/namespaces/istio-system/pods/{name}:{port}/proxy/stats/prometheus"
    cluster.on("GET", path, lambda _request: answer if isinstance(answer, tuple) else (200, answer.encode()))


def run(cluster, **options):
    source = {"selectors": ["istio-system/app=gw"], "counts": list(HTTP)}
    source |= {name: options.pop(name) for name in ("selectors", "services", "counts") if name in options}
    return run_module(traffic_idle_info, {"sources": {"gateway": source}, **options}, cluster)


def pods_in(result):
    return result["sources"]["gateway"]["meters"]


def test_every_running_pod_is_read_once():
    cluster = FakeCluster(
        pod_object("a"), pod_object("b", ready="False"), pod_object("done", "Succeeded"),
        pod_object("other", labels={"app": "x"}),
    )
    serve(cluster, "a", page(5, connections=3))
    serve(cluster, "b", page(7, active=2))
    result = run(cluster)
    assert not result["changed"] and cluster.total == 3
    told = result["sources"]["gateway"]
    assert (told["requests"], told["connections"], told["open_connections"]) == (12, 3, 2)
    assert [(p["name"], p["ready"]) for p in pods_in(result)] == [("a", True), ("b", False)]
    assert result["verdict"] == "busy" and result["idle"] is False


def test_a_snapshot_survives_json_and_leads_to_idle():
    cluster = FakeCluster(pod_object("a"))
    serve(cluster, "a", page(5))
    snapshot = json.loads(json.dumps(run(cluster)["snapshot"]))
    result = run(cluster, previous=snapshot)
    assert result["idle"] is True and result["verdict"] == "idle" and result["reasons"] == []
    assert run(cluster, previous=snapshot, window=3600)["idle"] is False


def test_envoys_own_port_is_the_fallback():
    cluster = FakeCluster(pod_object("a"))
    serve(cluster, "a", (503, {}))
    serve(cluster, "a", page(5), port=15090)
    assert run(cluster)["sources"]["gateway"]["requests"] == 5


def test_a_pod_that_can_not_be_read_makes_the_sum_unknown():
    cluster = FakeCluster(pod_object("a"), pod_object("b"))
    serve(cluster, "a", page(5))
    for port in (15020, 15090):
        serve(cluster, "b", (403, {}), port)
    result = run(cluster)
    told = result["sources"]["gateway"]
    assert told["requests"] is None and told["open_connections"] is None and result["idle"] is False
    assert (
        "b: its metrics can't be read" in result["unknown"][0] and "pods/proxy is not allowed" in result["unknown"][0]
    )


def test_no_pod_is_unknown_and_not_idle():
    result = run(FakeCluster(pod_object("a", labels={"app": "x"})))
    assert (
        result["verdict"] == "unknown"
        and "no running pod in namespace istio-system has the labels app=gw" in result["unknown"]
    )


def service(selector):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "istio-system", "name": "gw"},
        "spec": {"selector": selector},
    }  # fmt: skip


def test_a_service_names_the_pods():
    cluster = FakeCluster(pod_object("a"), pod_object("b", labels={"app": "x"}), service({"app": "gw"}))
    serve(cluster, "a", page(5))
    result = run(cluster, selectors=[], services=["istio-system/gw"])
    assert [p["name"] for p in pods_in(result)] == ["a"]


@pytest.mark.parametrize(
    ("selector", "code"), [(None, "no_selector"), ({}, "no_selector"), ("none", "no_such_service")]
)
def test_a_service_that_names_none_is_refused(selector, code):
    cluster = FakeCluster(pod_object("a"), *([] if selector == "none" else [service(selector)]))
    assert run(cluster, selectors=[], services=["istio-system/gw"])["failure"]["code"] == code


def test_what_is_gone_is_idle_only_for_who_says_so():
    no_service = {"selectors": [], "services": ["istio-system/gw"]}
    for cluster, options in ((FakeCluster(), no_service), (FakeCluster(pod_object("a", labels={"app": "x"})), {})):
        result = run(cluster, gone_is_idle=True, wait=30, **dict(options))
        assert result["idle"] is True and pods_in(result) == []
        assert not run(cluster, **dict(options)).get("idle")
    here = FakeCluster(pod_object("a"))
    serve(here, "a", page(5, active=1))
    assert run(here, gone_is_idle=True)["verdict"] == "busy"


def clock(monkeypatch) -> list[float]:
    """One that only waiting moves; how long was waited, each time."""
    waited: list[float] = []
    fake = types.SimpleNamespace(sleep=waited.append, monotonic=lambda: float(sum(waited)), time=time.time)
    monkeypatch.setattr(traffic_idle_info, "time", fake)
    return waited


@pytest.mark.parametrize(
    ("text", "ready", "blind"),
    [
        (ISTIO.replace("istio_tcp", "other"), "True", True),
        (ISTIO.replace("istio_tcp", "other"), "False", False),  # its configuration is still to come
        ("<html>", "True", False),  # not what an Envoy says
        (ISTIO, "True", False),  # readiness checks are counted, too, and are not always there
        (page(), "True", False),
    ],
)
def test_what_no_wait_mends_is_told_apart(text, ready, blind, monkeypatch):
    cluster = FakeCluster(pod_object("a", ready=ready))
    serve(cluster, "a", text)
    result = run(cluster, counts=["connections", "open_connections"])
    assert bool(result["blind"]) is blind and set(result["blind"]) <= set(result["unknown"])
    waited = clock(monkeypatch)
    result = run(cluster, counts=["connections", "open_connections"], wait=60, window=3600, give_up=True)
    assert result["verdict"] == "unknown" and result["hopeless"] is blind
    assert sum(waited) == (0 if blind else 60)


def test_nor_does_a_wait_mend_that_nobody_tells_what_is_open():
    cluster = FakeCluster(pod_object("a"))
    serve(cluster, "a", ISTIO)
    result = run(cluster, counts=["requests"])
    assert result["unknown"] == [] and "none of the sources (gateway) tells open connections" in result["blind"][0]


def test_who_has_open_connections_is_waited_for_all_the_same(monkeypatch):
    cluster = FakeCluster(pod_object("a"), pod_object("b"))
    serve(cluster, "a", ISTIO.replace("istio_tcp", "other"))
    serve(cluster, "b", page(active=1))
    waited = clock(monkeypatch)
    result = run(cluster, counts=["connections", "open_connections"], wait=60, give_up=True)
    assert result["verdict"] == "busy" and result["blind"] and result["hopeless"] is False
    assert sum(waited) == 60


def test_waiting_ends_with_idleness_or_with_the_time(monkeypatch):
    monkeypatch.setattr(traffic_idle_info, "LOOK_SECONDS", 0.01)
    cluster = FakeCluster(pod_object("a"))
    counts = iter([1, 2, 3, 3, 3])
    path = "/api/v1/namespaces/istio-system/pods/a:15020/proxy/stats/prometheus"
    cluster.on("GET", path, lambda _request: (200, page(next(counts)).encode()))
    assert run(cluster, wait=30)["verdict"] == "idle" and next(counts) == 3
    busy = FakeCluster(pod_object("a"))
    serve(busy, "a", page(5, active=1))
    assert run(busy, wait=1)["verdict"] == "busy" and busy.requests["GET"] > 4


def test_a_cluster_that_fails_for_a_moment_does_not_end_the_wait(monkeypatch):
    monkeypatch.setattr(traffic_idle_info, "LOOK_SECONDS", 0.01)
    cluster = FakeCluster(pod_object("a"))
    serve(cluster, "a", page(5))
    answers = iter([None, (500, {"message": "etcd"}), None, None])
    cluster.on("GET", "/api/v1/namespaces/istio-system/pods", lambda _request: next(answers, None))
    assert run(cluster, wait=30)["verdict"] == "idle" and next(answers, "over") == "over"
    cluster.fail("GET", "/api/v1/namespaces/istio-system/pods", 403, "Forbidden")
    assert run(cluster, wait=30)["failure"]["status"] == 403


def test_nor_does_it_end_a_wait_that_goes_on_with_another_call(monkeypatch):
    monkeypatch.setattr(traffic_idle_info, "LOOK_SECONDS", 0.01)
    cluster = FakeCluster(pod_object("a"))
    serve(cluster, "a", page(5))
    snapshot = run(cluster)["snapshot"]
    answers = iter([(500, {"message": "etcd"})])
    cluster.on("GET", "/api/v1/namespaces/istio-system/pods", lambda _request: next(answers, None))
    assert run(cluster, previous=snapshot, wait=30)["verdict"] == "idle" and next(answers, "over") == "over"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"previous": {"a": 1}}, "previous: expected the snapshot"),
        ({"previous": {"meters": [], "state": {}, "opened": {}, "since": 1}}, "previous: expected the snapshot"),
        ({"counts": []}, "sources.gateway.counts"),
        ({"selectors": []}, "expected services or selectors"),
        ({"selectors": ["app=gw"]}, "'app=gw' is not NAMESPACE/SELECTOR"),
        ({"services": ["gw/"]}, "'gw/' is not NAMESPACE/SERVICE"),
        ({"sources": {}}, "names none; there are gateway, haproxy, access_log, prometheus"),
    ],
)
def test_bad_options_are_refused(options, words):
    result = run(FakeCluster(pod_object("a")), **options)
    assert result["failed"] and result["failure"]["code"] == "bad_option" and words in result["msg"]
