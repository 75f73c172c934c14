# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a cutover that are judged by HAProxy's, the gateway pods' and Prometheus' counters, and what keeps one from
being taken, or from being taken back.

The tests build on each other, in their order.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import http.client
import http.server
import json
import os
import pathlib
import re
import sys
import threading
import time
import typing as t
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import lab  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of  # noqa: E402

TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-gates"
ISTIO = "networking.istio.io/v1"
OURS = {"mesh_migration": "gates", "mesh_journal_namespace": "mesh-gates"}
# HAProxy counts connections, and the lab's clients keep theirs for some requests each.
FEW = {"gate": {"min_samples": 40, "min_green_samples": 5}}
REAL = {"haproxy": FEW, "gateway": {"gate": {"min_samples": 100, "min_green_samples": 10, "p99_floor_ms": 5000}}}
SETTINGS = {
    **OURS,
    "mesh_bind_strategy": "direct",  # a policy would bind what the tests want to be one side's alone
    "mesh_traffic": REAL,
    "mesh_traffic_probe_only": False,
    "mesh_verify": {"ca_file": f"{os.environ['LAB_STATE']}/apps/certs/ca.crt", "passes": 1},
    "mesh_gate": {"p99_floor_ms": 5000, "deadline": 60},
}
PROBE = {"dir": TRAFFIC, "gate": {"min_samples": 100, "min_green_samples": 10}}


def cutover(**more: t.Any) -> t.Any:
    return lab.play({**SETTINGS, **more}, "--tags", "cutover")


def said(done: t.Any) -> str:
    """What it said, on one line."""
    return " ".join((done.stdout + done.stderr).split())


def warned(done: t.Any) -> set[str]:
    """The warnings that it showed, as CODE KIND OBJECT."""
    return set(re.findall(r"\(item=warning: (\w+ \w+ [^)]+)\)", said(done)))


def shares() -> set[int]:
    """Green's weights; with blue's they add up to 100."""
    return {weight for name, weight in lab.weights().items() if "/green-" in name}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(os.environ["KUBECONFIG"], "lab")


def test_a_probe_alone_is_refused_and_it_is_said_why() -> None:
    done = lab.play({**SETTINGS, "mesh_traffic": {"probe": PROBE}}, "--tags", "preflight")
    assert done.returncode != 0 and "none that counts real clients" in said(done)
    assert "mesh_traffic_probe_only: true" in said(done)


def test_a_step_that_all_of_them_hold_stands_and_what_has_come_up_since_deploy_is_shown(cluster: Cluster) -> None:
    before = lab.play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify")
    assert before.returncode == 0, before.stdout[-4000:]
    service = path_of("v1", "services", "istio-gateway", "public-ingressgateway")
    cluster.patch(service, {"spec": {"internalTrafficPolicy": "Local"}})  # of no concern to who comes by a NodePort
    try:
        done = cutover(mesh_traffic={**REAL, "probe": PROBE}, mesh_cutover_to="green:20")
    finally:
        cluster.patch(service, {"spec": {"internalTrafficPolicy": "Cluster"}})
    assert done.returncode == 0, done.stdout[-4000:]
    assert "service_differs Service istio-gateway/public-ingressgateway" in warned(done) - warned(before)
    assert warned(done).isdisjoint(warned(before)), "once is enough"
    assert shares() == {20}


# -- before a step -----------------------------------------------------------------------------------------------------
def test_no_step_begins_in_a_freeze() -> None:
    today = datetime.datetime.now(datetime.timezone.utc)
    window = {"from": f"{today:%Y-%m-%d}T00:00", "to": f"{today + datetime.timedelta(days=2):%Y-%m-%d}T00:00"}
    done = cutover(mesh_cutover_to="green:30", mesh_freeze=[{**window, "reason": "the shop's week"}])
    assert done.returncode != 0 and "Changes are frozen until" in said(done) and "the shop's week" in said(done)
    assert shares() == {20}


def test_a_trap_that_came_up_since_preflight_stops_the_next_step(cluster: Cluster) -> None:
    spec = {
        "selector": {"app": "public-ingressgateway"},
        "servers": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["late.lab.test"]}],
    }
    gateways = path_of(ISTIO, "gateways", "shop")
    cluster.create(gateways, {"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": "late"}, "spec": spec})
    try:
        done = cutover(mesh_cutover_to="green:30")
        assert done.returncode != 0 and "app_owned_gateway: Gateway shop/late" in said(done)
        assert "have come up since preflight" in said(done) and shares() == {20}
    finally:
        cluster.delete(f"{gateways}/late")


def test_no_step_begins_where_what_was_kept_was_made_anew(cluster: Cluster) -> None:
    """By its UID: the test says that another one was kept."""
    account = path_of("v1", "serviceaccounts", "istio-system", "public-ingressgateway")
    kept = cluster.get(account)["metadata"]["annotations"]["bluegreen.mesh/kept-uid"]
    cluster.patch(account, {"metadata": {"annotations": {"bluegreen.mesh/kept-uid": "another"}}})
    try:
        done = cutover(mesh_cutover_to="green:30")
    finally:
        cluster.patch(account, {"metadata": {"annotations": {"bluegreen.mesh/kept-uid": kept}}})
    assert done.returncode != 0 and "ServiceAccount public-ingressgateway is gone, is being deleted, or was made" in said(done)
    assert "Green stays at 20 %." in said(done) and shares() == {20}


def route(name: str, *gateways: str) -> dict[str, t.Any]:
    spec = {
        "hosts": [f"{name}.lab.test"], "gateways": list(gateways),
        "http": [{"directResponse": {"status": 200}}],
    }  # fmt: skip
    return {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


# -- what only one source sees -----------------------------------------------------------------------------------------
def failed_by(source: str, others: str, **settings: t.Any) -> None:
    """The step from 20 to 50 % does not hold, by green's failed requests as this source alone has seen them."""
    done = cutover(mesh_cutover_to="green:50", **settings)
    told = re.search(r"The step to 50 % did not hold: (.*?) Green is back at 20", said(done))
    assert done.returncode != 0 and told, done.stdout[-3000:]
    assert re.match(rf"{source}: \d+ of green's \d+ requests failed", told[1]) and not re.search(f"({others}):", told[1]), told[1]
    assert shares() == {20}


def test_a_breach_that_only_haproxys_counters_show() -> None:
    with lab.refused_at_one_node():
        failed_by("haproxy", "gateway|probe", mesh_traffic={**REAL, "probe": PROBE})


class Prometheus(http.server.ThreadingHTTPServer):
    """The part of Prometheus' API that a gate asks, over the gateway pods' real counters, scraped each second."""

    daemon_threads = True
    QUERY = re.compile(r'sum\(increase\(answers\{ns="([\w-]+)"(?:,class=~"(\S+?)")?\}\[(\d+)s\]\)\)')
    SAMPLE = re.compile(r'^envoy_http_downstream_rq\{response_code_class="(\dxx)",http_conn_manager_prefix="outbound\S*"\} (\d+)')

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster, self.stopped = cluster, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: collections.deque[tuple[float, dict[tuple[str, str, str], int]]] = collections.deque(maxlen=300)
        self.threads = [threading.Thread(target=work) for work in (self.serve_forever, self.scrape)]
        for thread in self.threads:
            thread.start()

    def scrape(self) -> None:
        while not self.stopped.is_set():
            counts: dict[tuple[str, str, str], int] = {}
            for namespace in ("istio-system", "istio-gateway"):
                for pod in self.cluster.list(path_of("v1", "pods", namespace)):
                    name = pod["metadata"]["name"]
                    path = path_of("v1", "pods", namespace, f"{name}:15020", "proxy/stats/prometheus")
                    status, _headers, body = self.cluster.raw("GET", path, retry=False)
                    for line in body.decode().splitlines() if status == 200 else ():
                        if match := self.SAMPLE.match(line):
                            key = (namespace, name, match[1])
                            counts[key] = counts.get(key, 0) + int(match[2])
            self.seen.append((time.time(), counts))
            self.stopped.wait(1.0)

    def answer(self, query: str) -> list[dict[str, t.Any]]:
        match = self.QUERY.fullmatch(query)
        if not match or not self.seen:
            return []
        now, counts = self.seen[-1]
        _when, before = next((one for one in self.seen if one[0] >= now - int(match[3])), self.seen[-1])
        keys = [key for key in counts if key[0] == match[1] and re.fullmatch(match[2] or ".*", key[2])]
        value = sum(max(0, counts[key] - before.get(key, 0)) for key in keys)
        return [{"metric": {}, "value": [now, str(value)]}] if keys else []

    def close(self) -> None:
        self.stopped.set()
        self.shutdown()
        for thread in self.threads:
            thread.join(10)
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Prometheus

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["query"][0]
        result = {"resultType": "vector", "result": self.server.answer(query)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": result}).encode())

    def log_message(self, *_args: t.Any) -> None:
        pass


@pytest.fixture
def prometheus(cluster: Cluster) -> t.Iterator[Prometheus]:
    server = Prometheus(cluster)
    yield server
    server.close()


@contextlib.contextmanager
def strangers(host: str, path: str = "/") -> t.Iterator[list[int]]:
    """Clients who ask green, and green alone, past the balancer; nobody's probe. Yields what they are answered."""
    answers: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("172.30.0.11", 30081, timeout=30)
        connection.request("GET", path, headers={"Host": host})
        answers.append(connection.getresponse().status)
        connection.close()

    with lab.meanwhile(ask, every=0.05):
        yield answers


def test_a_breach_that_only_a_query_to_prometheus_shows(prometheus: Prometheus) -> None:
    queries = {
        "url": prometheus.url, "blue": "istio-system", "green": "istio-gateway",
        "requests": 'sum(increase(answers{ns="$colour"}[$window]))',
        "failed": 'sum(increase(answers{ns="$colour",class=~"[45]xx"}[$window]))',
        "gate": {"min_samples": 100, "min_green_samples": 10},
    }  # fmt: skip
    with strangers("nobody.example.com") as answers:  # nothing is there: no 5xx
        failed_by("prometheus", "gateway|haproxy", mesh_traffic={**REAL, "prometheus": queries})
    assert answers and set(answers) == {404}


def test_a_breach_that_only_the_pods_own_counters_show() -> None:
    """An application fails, as it is told to by these clients."""
    with strangers("httpbin.lab.test", "/get?codes=500") as answers:
        failed_by("gateway", "haproxy|probe", mesh_traffic={**REAL, "probe": PROBE})
    assert answers and set(answers) == {500}


# -- the way back ------------------------------------------------------------------------------------------------------
def test_a_breach_holds_where_going_back_would_lose_a_route(cluster: Cluster) -> None:
    """A route that is green's alone comes up after the step was made."""
    routes = path_of(ISTIO, "virtualservices", "shop")

    def write() -> bool:
        if shares() != {40}:
            return False
        cluster.create(routes, route("green-only", "istio-gateway/public-ingressgateway"))
        return True

    never = {"mesh_traffic": {"haproxy": {"gate": {"min_samples": 10**9}}}, "mesh_gate": {"deadline": 5}}
    try:
        with lab.meanwhile(write, every=0.1):
            done = cutover(mesh_cutover_to="green:40", **never)
        assert done.returncode != 0 and "1000000000 are needed" in said(done), done.stdout[-3000:]
        assert "blue is not good to go back to: going back would lose a route: VirtualService shop/green-only" in said(done)
        assert shares() == {40}
        # Nor does the next step begin.
        done = cutover(mesh_cutover_to="green:60")
        assert done.returncode != 0 and "no longer serve both sides" in said(done) and shares() == {40}
    finally:
        if cluster.find(f"{routes}/green-only"):
            cluster.delete(f"{routes}/green-only")


def test_all_goes_back_to_blue_in_one_step_even_in_a_freeze() -> None:
    always = [{"from": "00:00", "to": "00:00"}]
    done = cutover(mesh_cutover_to="blue:100", mesh_freeze=always)
    assert done.returncode == 0, done.stdout[-4000:]
    assert shares() == {0}


# -- approvals ---------------------------------------------------------------------------------------------------------
def test_where_nobody_can_be_asked_the_run_ends_and_running_it_again_goes_on(cluster: Cluster) -> None:
    steps = {"mesh_cutover_steps": [10, 50], "mesh_cutover_approve": [10]}
    done = cutover(**steps)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "The next step, to 50 %, is to be approved: run -t cutover again" in said(done) and shares() == {10}
    data = cluster.get(path_of("v1", "configmaps", "mesh-gates", "gates"))["data"]
    assert json.loads(data["run"])["state"] == "closed"
    done = cutover(**steps)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Verify again, as time has passed" in said(done) and shares() == {50}


def test_all_of_it_is_undone(cluster: Cluster) -> None:
    done = lab.play({**OURS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-4000:]
    assert shares() == {0}
