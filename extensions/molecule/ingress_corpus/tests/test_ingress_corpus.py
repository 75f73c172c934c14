# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request that the corpus expects something of, asked of both sides at their NodePorts: of Traefik all but those
marked for ingress-nginx alone, of Istio's gateway all. What is expected was written from the rules of ingress-nginx."""

from __future__ import annotations

import collections
import io
import pathlib
import re
import time
import typing as t
from urllib.parse import urljoin

import pycurl
import pytest
import yaml
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
        for name, percent in expected["shares"].items():  # within 4 standard deviations
            spread = 4 * (CHANCE * percent / 100 * (1 - percent / 100)) ** 0.5
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
    assert asked["green"] == len(EVERY) >= 155
    assert asked["blue"] == len(EVERY) - sum("only" in entry for entry in EVERY) >= 125
