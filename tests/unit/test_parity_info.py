# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and its sources: files, and an istiod on loopback."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import urllib.parse

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_parity_info
from fake_cluster import run_module
from test_parity import camel, dump

ROUTES = [{"id": "r", "host": "shop.lab.test", "port": 443}]
TOKEN = "s3cr3t-of-istiod"


class Istiod(http.server.ThreadingHTTPServer):
    def __init__(self, dumps, token=""):
        self.dumps, self.token = dumps, token
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        proxy = urllib.parse.parse_qs(url.query).get("proxyID", [""])[0]
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401, b"")
        if url.path != "/debug/config_dump" or proxy not in self.server.dumps:
            return self.answer(404, b"Proxy not connected to this Pilot instance.")
        return self.answer(200, self.server.dumps[proxy])

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


def text(side, **changes):
    return json.dumps(camel(dump(side, **changes))).encode()


def run(**options):
    sides = {"blue": {"proxies": ["b.istio-system"]}, "green": {"proxies": ["gone.istio-gateway", "g.istio-gateway"]}}
    for name, one in sides.items():
        one.update({"listening": {"443": "8443"}, **options.pop(name, {})})
    return run_module(gateway_parity_info, {**sides, "routes": ROUTES, **options})


def test_istiod_is_asked_for_each_pod_until_it_knows_one():
    with Istiod({"b.istio-system": text("blue"), "g.istio-gateway": text("green")}) as istiod:
        found = run(istiod={"url": istiod.url + "/"})
    assert found["known"] and found["equal"] and found["sources"] == ["istiod", "istiod"] and not found["changed"]
    assert found["parts"] == [] and found["counts"]["equal"] == 8
    assert found["routes"] == [{"id": "r", "verdict": "equal", "differences": []}]


def test_a_difference_is_told(tmp_path):
    (tmp_path / "blue.json").write_text(json.dumps(dump("blue")))
    (tmp_path / "green.json").write_bytes(gzip.compress(json.dumps(dump("green", 443, filters=[{"name": "lua"}])).encode()))
    green = {"file": str(tmp_path / "green.json"), "listening": {"443": 443}}
    found = run(blue={"file": str(tmp_path / "blue.json")}, green=green)
    assert found["known"] and not found["equal"] and found["sources"] == ["file", "file"]
    assert [part["id"] for part in found["parts"]] == ["filter_chain 8443 *.lab.test"]
    assert found["routes"][0]["verdict"] == "different"


def test_a_token_opens_it_and_is_in_no_result(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN", TOKEN)
    (tmp_path / "token").write_text(TOKEN)
    with Istiod({"b.istio-system": text("blue"), "g.istio-gateway": text("green")}, TOKEN) as istiod:
        refused = run(istiod={"url": istiod.url})
        for where in ({"token_env": "TOKEN"}, {"token_file": str(tmp_path / "token")}):
            found = run(istiod={"url": istiod.url, **where})
            assert found["equal"] and TOKEN not in str(found)
    assert not refused["known"] and "401" in refused["reason"] and "port-forward" in refused["reason"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no source"),
        ({"istiod": {"url": "http://127.0.0.1:9"}}, "127.0.0.1:9"),
        ({"istiod": {"url": "http://127.0.0.1:9", "token_env": "NOBODY_HAS_THIS"}}, "NOBODY_HAS_THIS is empty"),
        ({"istiod": {"url": "http://127.0.0.1:9"}, "blue": {"proxies": []}}, "no pods"),
        ({"blue": {"file": "/nowhere/dump"}, "green": {"file": "/nowhere/dump"}}, "/nowhere/dump"),
        ({"blue": {"file": __file__}, "green": {"file": __file__}}, "test_parity_info.py"),
    ],
)
def test_what_can_not_be_had_is_unknown_and_never_equal(options, words):
    found = run(**options)
    assert not found.get("failed") and not found["known"] and not found["equal"] and words in found["reason"]
    assert found["routes"] == [{"id": "r", "verdict": "unknown", "differences": []}]


def test_an_istiod_that_does_not_know_the_proxy_is_told():
    with Istiod({}) as istiod:
        found = run(istiod={"url": istiod.url})
    assert not found["known"] and "another replica" in found["reason"]


def test_a_file_that_is_no_dump_is_unknown(tmp_path):
    (tmp_path / "x").write_text('{"clusters": []}')
    found = run(blue={"file": str(tmp_path / "x")}, green={"file": str(tmp_path / "x")})
    assert not found["known"] and 'blue: it has no "configs"' in found["reason"]


@pytest.mark.parametrize("options", [{"blue": {"listening": {"a": 1}}}, {"green": {"listening": {"1": None}}}, {"routes": [{"id": "x"}]}])
def test_bad_input_is_refused(options):
    assert run(**options)["failure"]["code"] == "bad_input"
