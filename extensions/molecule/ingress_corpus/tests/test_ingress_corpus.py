# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request that the corpus expects something of, asked of both sides at their NodePorts: of Traefik all but those
marked for ingress-nginx alone, of Istio's gateway all. What is expected was written from the rules of ingress-nginx.

And what both support, by route_verify: these requests, and the probes that the conversion makes, are answered alike."""

from __future__ import annotations

import collections
import io
import pathlib
import re
import time
import typing as t
from urllib.parse import parse_qsl, urljoin

import lab
import pycurl
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _compare
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

CORPUS = pathlib.Path(__file__).parents[4] / "tests" / "unit" / "ingress_corpus"
NODE = "172.30.0.11"
PORTS = {"blue": {"http": 31080, "https": 31443}, "green": {"http": 31081, "https": 31444}}
FILES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CORPUS.glob("*.yaml"))}
SIDES = ("blue", "green")
EVERY = [entry for content in FILES.values() for entry in content["expect"]]
ASKED = [
    pytest.param(side, entry, id=f"{side}-{name}-{entry.get('scheme', 'http')}-{entry['host']}{entry['path']}-{number}")
    for name, content in FILES.items()
    for number, entry in enumerate(content["expect"])
    for side in SIDES
    if not (side == "blue" and entry.get("only"))
]
CHANCE = 400  # requests, where chance decides
SETTINGS = yaml.safe_load((pathlib.Path(__file__).parents[1] / "vars" / "settings.yml").read_text(encoding="utf-8"))
CLIENT = "192.0.2.7"  # whom the corpus' source ranges let in
# Of the echo server's lines all but which backend was reached, and by what: headers, of which each gateway adds its own.
REST = r"(?m)(?:^(?!ServicePort=|Host=|URL=)[A-Z]\w*=.*\n)+"
PREFLIGHT = [f"access-control-{name}" for name in ("allow-methods", "allow-headers", "allow-credentials", "max-age")]
# What is compared of an answer: a backend's, one that says where to go or who may ask, and one that only refuses, for
# which each controller has its own words.
COMPARED = {
    "backend": list(_compare.FIELDS),
    "instead": [name for name in _compare.FIELDS if name != "body"],
    "refusal": ["status", "http_version"],
}


class Answer(t.NamedTuple):
    status: int
    headers: dict[str, str]  # trailers too, in lower case
    body: str

    def told(self, name: str) -> str:
        found = re.search(rf"(?m)^{name}=(.*)$", self.body)
        return found[1].strip() if found else ""


def ask(side: str, entry: dict[str, t.Any]) -> Answer:
    scheme, host = entry.get("scheme", "http"), entry["host"]
    grpc = entry["path"].startswith("/grpc.health")
    headers, body = [f"{k}: {v}" for k, v in entry.get("headers", {}).items()], io.BytesIO()
    if "client" in entry:
        headers.append(f"X-Forwarded-For: {entry['client']}")  # as the balancer in front would say
    seen: dict[str, str] = {}

    def line(raw: bytes) -> None:
        name, colon, value = raw.decode("latin-1").partition(":")
        if colon:
            seen[name.strip().lower()] = value.strip()

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"{scheme}://{host}{entry['path']}")
    curl.setopt(pycurl.CONNECT_TO, [f"::{NODE}:{PORTS[side][scheme]}"])
    curl.setopt(pycurl.PATH_AS_IS, 1)
    curl.setopt(pycurl.SSL_VERIFYPEER, 0)  # one certificate stands for all
    curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS if grpc else pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.TIMEOUT, 15)
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.WRITEDATA, body)
    curl.setopt(pycurl.HEADERFUNCTION, line)
    if grpc:
        headers += ["Content-Type: application/grpc", "TE: trailers"]
        curl.setopt(pycurl.POSTFIELDS, b"\0\0\0\0\0")
    elif "method" in entry:
        curl.setopt(pycurl.CUSTOMREQUEST, entry["method"])
    curl.setopt(pycurl.HTTPHEADER, headers)
    try:
        curl.perform()
        return Answer(curl.getinfo(pycurl.RESPONSE_CODE), seen, body.getvalue().decode(errors="replace"))
    finally:
        curl.close()


def listed(value: str | None) -> list[str] | None:
    """A header's value: of a list, neither order nor blanks count."""
    return None if value is None else sorted(part.strip() for part in value.split(","))


def cookie(line: str) -> dict[str, str]:
    """Name and attributes of what Set-Cookie says."""
    name, *attributes = (part.strip().partition("=") for part in line.split(";"))
    return {"name": name[0], **{key.lower(): value for key, _equals, value in attributes}}


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> dict[str, str]:
    """Port of the pod -> Service."""
    found = cluster.list(path_of("v1", "services", "corpus"))
    return {str(one["spec"]["ports"][0]["targetPort"]): one["metadata"]["name"] for one in found}


@pytest.fixture(scope="session", autouse=True)
def served() -> None:
    """Both sides know the Ingress whose name is last: they have read them all."""
    last = max(entry["host"] for content in FILES.values() for entry in content["expect"] if "backend" in entry
               and "scheme" not in entry and "client" not in entry)  # fmt: skip
    until = time.monotonic() + 60
    for side in SIDES:
        while ask(side, {"host": last, "path": "/"}).status not in (200, 404) or not ask(
            side, {"host": "class-note.corpus.test", "path": "/"}
        ).told("ServicePort"):
            assert time.monotonic() < until, f"{side} does not serve the corpus"


@pytest.mark.parametrize(("side", "expected"), ASKED)
def test_a_request_gets_what_the_corpus_says(services: dict[str, str], side: str, expected: dict[str, t.Any]) -> None:
    if "shares" in expected:
        count = collections.Counter(services.get(ask(side, expected).told("ServicePort")) for _number in range(CHANCE))
        assert count.keys() == expected["shares"].keys()
        for name, percent in expected["shares"].items():  # within 5 standard deviations
            spread = 5 * (CHANCE * percent / 100 * (1 - percent / 100)) ** 0.5
            assert abs(count[name] - CHANCE * percent / 100) <= spread, count
        return
    answer = ask(side, expected)
    for name, value in expected.get("seen_answer", {}).items():
        assert listed(answer.headers.get(name.lower())) == listed(value), name
    if "status" in expected:
        preflight = expected.get("method") == "OPTIONS"
        assert answer.status == expected["status"] or (preflight and answer.status == 200)
        assert not answer.told("ServicePort")
        if "redirect" in expected:
            url = f"{expected.get('scheme', 'http')}://{expected['host']}{expected['path']}"
            assert urljoin(url, answer.headers["location"]) == urljoin(url, expected["redirect"])
        return
    assert answer.status == 200, answer
    if expected["path"].startswith("/grpc.health"):  # its answer does not say who gave it
        assert answer.headers.get("grpc-status") == "0"
        return
    assert services.get(answer.told("ServicePort")) == expected["backend"]
    if "seen_path" in expected:
        assert answer.told("URL") == expected["seen_path"]
    if "seen_host" in expected:
        assert answer.told("Host") == expected["seen_host"]
    for name, value in expected.get("seen_headers", {}).items():
        assert re.search(rf"(?mi)^RequestHeader={re.escape(name)}:{re.escape(value)}$", answer.body), answer.body
    if "seen_cookie" in expected:
        assert expected["seen_cookie"].items() <= cookie(answer.headers["set-cookie"]).items()


def test_all_of_the_corpus_is_asked() -> None:
    asked = collections.Counter(one.values[0] for one in ASKED)
    assert asked["green"] == len(EVERY) >= 157
    assert asked["blue"] == len(EVERY) - sum("only" in entry for entry in EVERY) >= 125


def route_of(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    """An expectation's request, as the conversion's probes are."""
    secure, (path, _mark, query) = entry.get("scheme") == "https", entry["path"].partition("?")
    grpc, port = path.startswith("/grpc.health"), 443 if secure else 80
    return {
        "id": f"corpus-gateway/public:{port} {entry['host']} {entry['path']} {entry.get('headers', '')}",
        "host": entry["host"], "port": port, "scheme": "https" if secure else "http",
        "protocol": "grpc" if grpc else "h2" if secure else "http1",
        "method": "POST" if grpc else entry.get("method", "GET"), "path": path, "query": dict(parse_qsl(query)),
        "headers": {"X-Forwarded-For": entry.get("client", CLIENT), **entry.get("headers", {})},
    }  # fmt: skip


def question(route: dict[str, t.Any]) -> tuple[t.Any, ...]:
    """What is asked, in whichever version of HTTP."""
    headers = {name.lower(): value for name, value in route["headers"].items() if name.lower() != "content-type"}
    return (
        route["scheme"], route["host"], route["method"], route["path"], *sorted(route["query"].items()),
        *sorted(headers.items()),
    )  # fmt: skip


ONLY = {question(route_of(entry)) for entry in EVERY if "only" in entry}
CHANCES = {question(route_of(entry)): entry["host"] for entry in EVERY if "shares" in entry}
REFUSALS = [
    route_of(entry) for entry in EVERY
    if "status" in entry and "redirect" not in entry and entry.get("method") != "OPTIONS" and "only" not in entry
]  # fmt: skip
INSTEAD = {question(route_of(entry)) for entry in EVERY if "redirect" in entry or entry.get("method") == "OPTIONS"}


def kind_of(route: dict[str, t.Any]) -> str:
    if route.get("expect") == "redirect" or question(route) in INSTEAD:
        return "instead"
    for one in REFUSALS:  # a path is refused with all that is below it
        if all(one[name] == route[name] for name in ("scheme", "host", "query")) and (
            route["path"].startswith(one["path"])
            and route["headers"]["X-Forwarded-For"] == one["headers"]["X-Forwarded-For"]
        ):
            return "refusal"
    return "backend"


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    """What the conversion says of the Ingresses as they are in the cluster; nothing is written."""
    conversion, (workload,) = SETTINGS["mesh_conversion"], SETTINGS["mesh_workloads"]
    (of,) = conversion["classes"]
    green = workload["green"]
    made = {
        "name": of["name"], "gateway": of["gateway"], "selector": green["labels"],
        "workload_namespace": green["namespace"],
    }  # fmt: skip
    return lab.run(
        "ingress_convert", tmp_path_factory.mktemp("convert"), classes=[made], namespaces=conversion["namespaces"],
        name=SETTINGS["mesh_migration"], waive=conversion["waived"], apply=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def routes(converted: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """By id, the probes and the requests of the corpus that both sides support. What the conversion refuses to do is in
    the corpus for its report, and no request is expected of it. Nor can TLS be passed through here: a source range that
    denies reaches it, which is such a finding."""
    refused = {one["object"].removeprefix("Ingress ") for one in converted["waived"] if one["severity"] == "error"}
    probes = [
        # As the balancer in front would say who the client is.
        {**probe, "headers": {"X-Forwarded-For": CLIENT, **probe["headers"]}}
        for probe in converted["probes"]
        if probe["virtual_service"] not in refused and probe["protocol"] != "tls_passthrough"
    ]
    entries = [{**one, "id": f"{one['id']} {number}"} for number, one in enumerate(map(route_of, EVERY))]
    left_out = {*ONLY, *CHANCES}
    return {one["id"]: one for one in [*probes, *entries] if question(one) not in left_out}


@pytest.fixture(scope="session")
def verdicts(
    converted: dict[str, t.Any], routes: dict[str, dict[str, t.Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, t.Any]]:
    """What route_verify says of each, on every node."""
    folder = tmp_path_factory.mktemp("verify")
    gateways = lab.run("gateway_info", folder, gateways=converted["gateways"])["gateways"]
    nodes = gateways[0]["addresses"]
    ports = {port: to for gateway in gateways for port, to in gateway["node_ports"].items()}
    found = []
    for kind, fields in COMPARED.items():
        result = lab.run(
            "route_verify", folder, cluster=False, routes=[one for one in routes.values() if kind_of(one) == kind],
            blue={"addresses": nodes, "ports": {"80": PORTS["blue"]["http"], "443": PORTS["blue"]["https"]}},
            green={"addresses": nodes, "ports": ports}, compare=fields, headers=[*_compare.HEADERS, *PREFLIGHT],
            ignore_headers=["server", *([] if kind == "instead" else PREFLIGHT)], masks=[REST], deadline=20, timeout=15,
            fail_on=[],
        )  # fmt: skip
        assert "routes" in result, result.get("msg")
        found += result["routes"]
    assert len(nodes) == 2 and len(found) == len(routes)
    return {one["id"]: one for one in found}


def test_what_both_support_is_equal_on_both(verdicts: dict[str, dict[str, t.Any]]) -> None:
    differing = {name: one for name, one in verdicts.items() if one["verdict"] != "equal"}
    named = [one["route"] for one in SETTINGS["mesh_conversion"]["differs"]]
    wrong = [
        f"{name}: {one['verdict']}, {one['differences'][:1]}"
        for name, one in differing.items()
        if not any(re.match(pattern, name) for pattern in named)
    ]
    assert wrong == [], "\n".join(wrong)
    needless = [pattern for pattern in named if not any(re.match(pattern, name) for name in differing)]
    assert needless == []
    assert len(verdicts) - len(differing) >= 240


def test_what_is_not_compared_is_what_the_corpus_marks(
    converted: dict[str, t.Any], routes: dict[str, dict[str, t.Any]], verdicts: dict[str, dict[str, t.Any]]
) -> None:
    """What Traefik does not support, which green alone is asked, and what chance decides, of which the shares are
    counted."""
    compared = {question(routes[name]) for name, one in verdicts.items() if one["verdict"] in ("equal", "different")}
    assert {question(route_of(entry)) for entry in EVERY} - compared == {*ONLY, *CHANCES}
    unprobed = {one["host"] for one in converted["unprobed"] if one["reason"] == "no_request"}
    assert unprobed == set(CHANCES.values())
