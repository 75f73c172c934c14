# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gzip
import re
import tracemalloc

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _access_log, _routes
from ansible_collections.bluegreen.mesh.plugins.module_utils._access_log import MASK
from ansible_collections.bluegreen.mesh.plugins.module_utils.access_logs.record import Record
from ansible_collections.bluegreen.mesh.plugins.modules import access_log_routes_info, route_info
from fake_cluster import FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st
from test_access_logs import haproxy, istio
from test_routes import REF, TO, gateway, server, vs

PLAIN = server(8080, "HTTP", hosts=("*",), httpsRedirect=True)
OBJECTS = [
    vs("shop", hosts=["shop.lab.test"], http=[
        {"match": [{"uri": {"prefix": "/api/"}, "queryParams": {"v": {"exact": "2"}}}], "route": TO},
        {"match": [{"uri": {"regex": "/item/[0-9]+"}}, {"uri": {"exact": "/rare"}}], "route": TO},
        {"match": [{"headers": {"x-beta": {"exact": "1"}}}], "route": TO},
        {"match": [{"queryParams": {"token": {"exact": "abc"}}}], "route": TO},
        {"match": [{"uri": {"prefix": "/pages"}}], "route": TO},
    ]),
    vs("wild", hosts=["*.wild.lab.test"]),
    vs("quiet", hosts=["quiet.lab.test"]),
]  # fmt: skip


def tables(*objects):
    return _routes.tables([gateway(PLAIN, server())], objects or OBJECTS, {})


def tally(*records, limit=3, excluded=()):
    found = _access_log.Tally(tables(), limit, [re.compile(one) for one in excluded])
    for record in records:
        found.add(record)
    return found


def record(target="/pages", host="shop.lab.test", method="GET", status=200, protocol="HTTP/2", tls=True):
    return Record(method, host, target, status, protocol, tls)


def requests(found):
    return {one["route"] + " " + one["host"]: one["requests"] for one in found["routes"] if one["requests"]}


def test_each_request_counts_for_the_route_that_took_it():
    found = _access_log.summary(tally(
        record("/api/x?v=2"), record("/api/x?v=2", status=503), record("/api/x"), record("/item/7"), record("/rare"),
        record("/item/7", method="POST"), record("/", "a.wild.lab.test"), record("/x", tls=False),
        record("/y", "SHOP.lab.test:443", tls=None), record("/pages/a", "shop.lab.test", tls=None),
    ), 9)  # fmt: skip
    assert requests(found) == {
        "http[0].match[0] shop.lab.test": 2, "http[1].match[0] shop.lab.test": 2, "http[1].match[1] shop.lab.test": 1,
        "http[4].match[0] shop.lab.test": 1, "http[0] *.wild.lab.test": 1, "httpsRedirect shop.lab.test": 1,
    }  # fmt: skip
    first = found["routes"][[one["route"] for one in found["routes"]].index("http[0].match[0]")]
    assert first["statuses"] == {"200": 1, "503": 1} and first["samples"] == 1
    assert [one["unsafe"] for one in found["routes"] if one["route"] == "http[1].match[0]"] == [1]
    assert {(one["host"], one["path"], one["reason"]) for one in found["unmatched"]} == {
        ("shop.lab.test", "/api/*", "no_route"), ("shop.lab.test", "/y", "no_route"),
    }  # fmt: skip
    assert "istio-system/public:8443 quiet.lab.test default/quiet http[0]" in found["silent"]


def test_routes_that_headers_decide_on_are_not_called_silent():
    found = _access_log.summary(tally(record("/pages")), 9)
    beta = "istio-system/public:8443 shop.lab.test default/shop http[2].match[0]"
    assert beta in found["undecided"] and beta not in found["silent"]


def test_a_rare_route_has_its_sample_beside_a_busy_one():
    busy = [record(f"/pages/{number % 50}") for number in range(5000)]
    found = tally(*busy, record("/rare"), limit=3)
    counts = {one["route"]: one["samples"] for one in _access_log.summary(found, 9)["routes"] if one["samples"]}
    assert counts == {"http[4].match[0]": 3, "http[1].match[1]": 1}


def test_samples_depend_on_neither_order_nor_repetition():
    many = [record(f"/pages/{number}") for number in range(200)]
    once = _access_log.summary(tally(*many), 9)["samples"]
    assert once == _access_log.summary(tally(*reversed(many), *many[:50]), 9)["samples"]
    assert len({one["path"] for one in once}) == 3


def test_a_wildcard_host_gets_the_names_that_are_in_use():
    (sample,) = _access_log.summary(tally(record("/a", "One.Wild.lab.test")), 9)["samples"]
    assert (sample["host"], sample["gateway"], sample["port"]) == ("one.wild.lab.test", REF, 8443)


@pytest.mark.parametrize(
    ("changes", "protocol"),
    [({"protocol": "HTTP/1.1"}, "http1"), ({}, ""), ({"status": 101, "protocol": "HTTP/1.1"}, "websocket")],
)
def test_the_protocol_is_the_clients(changes, protocol):
    (sample,) = _access_log.summary(tally(record(**changes)), 9)["samples"]
    assert sample["protocol"] == protocol


@pytest.mark.parametrize(
    "asked",
    [
        record(method="POST"), record(method="DELETE"), record("/pages/logout"), record("/pages/delete?id=1"),
        record("/pages/oauth2/callback?code=1"), record("/pages/\x01"), record("/pages/" + "a/" * 2000),
        record("/x", tls=False), record("http://shop.lab.test/pages"), record("*", method="OPTIONS"),
    ],
)  # fmt: skip
def test_what_is_no_safe_probe_is_none(asked):
    found = tally(asked, excluded=_access_log.EXCLUDED)
    assert _access_log.summary(found, 9)["samples"] == []


def test_own_patterns_leave_paths_out():
    assert _access_log.summary(tally(record("/pages/x"), excluded=["/x$"]), 9)["samples"] == []


SECRETS = [
    "/pages?id_token=abc", "/pages?apiKey=abc", "/pages?a=1&password=abc", "/pages?X-Amz-Signature=abc", "/pages?code=abc",
    "/pages?PHPSESSID=abc", "/pages?access_token=abc", "/pages?user_pwd=abc", "/pages?client_secret=abc", "/pages?sig=abc",
    "/pages?sessionid=abc", "/pages?auth=abc", "/pages?q=eyJabc", "/pages?q=me@abc.test", "/pages?abc@x.test=1",
    "/pages/abc0123456789abcdef0123456789", "/pages/eyJabc.def.ghi", "/pages/x%40abc.test",
    "/pages?next=https://u:abc@h/", "/pages?n=4111abc111111111",
]  # fmt: skip


@pytest.mark.parametrize("target", SECRETS)
def test_secrets_are_masked(target):
    found = _access_log.summary(tally(record(target)), 9)
    (sample,) = found["samples"]
    assert "abc" not in str(found) and MASK in str(sample)


@pytest.mark.parametrize("target", ["/pages?page=2&sort=name", "/pages?q=blue+shoes", "/pages?keyword=shoes",
                                    "/pages/how-to-configure-the-gateway", "/pages/1b4e28ba-2fa1-11d2-883f-0016d3cca427"])
def test_what_is_none_stays(target):
    (sample,) = _access_log.summary(tally(record(target)), 9)["samples"]
    assert MASK not in str(sample)


def test_a_request_that_masking_would_lead_elsewhere_is_not_used():
    found = _access_log.summary(tally(record("/pages?token=abc")), 9)
    assert requests(found) == {"http[3].match[0] shop.lab.test": 1} and found["samples"] == []


def test_unmatched_traffic_shows_no_secrets_and_is_bounded():
    strangers = [record(f"/{number}/x", f"h{number}.test") for number in range(3 * _access_log.PLACES)]
    found = tally(record("/0123456789abcdef0123456789abcdef/x", "nobody.test"), *strangers, strangers[-1])
    assert len(found.places) == _access_log.PLACES
    result = _access_log.summary(found, 5)
    assert result["unmatched_requests"] == 3 * _access_log.PLACES + 2 and len(result["unmatched"]) == 5
    assert found.places["nobody.test", f"/{MASK}/*", "unknown_host"].requests == 1


def test_without_sni_tls_is_any_server():
    found = tally(record("/pages", host="quiet.lab.test", tls=False))
    assert requests(_access_log.summary(found, 9)) == {"httpsRedirect quiet.lab.test": 1}
    only_tls = _access_log.Tally(_routes.tables([gateway(server())], OBJECTS, {}), 3)
    only_tls.add(record("/pages", tls=False))
    assert requests(_access_log.summary(only_tls, 9)) == {"http[4].match[0] shop.lab.test": 1}


PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=40)
QUERIES = st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=3)


@given(st.lists(st.tuples(PATHS, QUERIES, st.sampled_from(["GET", "HEAD", "POST"])), max_size=30))
def test_every_sample_is_safe_and_reaches_a_route_that_was_asked(asked):
    from urllib.parse import urlencode

    records = [
        record(f"/{path}" + ("?" + urlencode(query) if query else ""), method=method) for path, query, method in asked
    ]
    found = _access_log.summary(tally(*records), 1000)
    assert sum(one["requests"] for one in found["routes"]) + found["unmatched_requests"] == len(records)
    taken = {one["route"] for one in found["routes"] if one["samples"]}
    hosts = {table.scheme: table.hosts for table in tables()}["https"]
    for sample in found["samples"]:
        assert sample["method"] in ("GET", "HEAD")
        ask = _routes.Ask(sample["path"], sample["method"], {}, sample["query"], sample["host"], "https")
        assert _routes.winner(hosts["shop.lab.test"], ask).label in taken
    full = [{**route_sample(), **sample} for sample in found["samples"]]
    _routes.check_samples(full)


@given(st.text(st.sampled_from("abcdefXYZ0189+/=_-"), min_size=32, max_size=200).filter(lambda text: any(c.isdigit() for c in text)))
def test_long_values_with_digits_never_get_out(value):
    found = _access_log.summary(tally(record(f"/pages?q={value.replace('+', '%2B')}")), 9)
    assert value not in str(found["samples"])


def route_sample():
    return {name: option.get("default") for name, option in route_info.SAMPLE.items()}


# -- the module --------------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster():
    fake = FakeCluster()
    for name in ("istio-system", "default"):
        fake.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in [gateway(PLAIN, server()), *OBJECTS]:
        fake.add(obj)
    return fake


def run(cluster, **options):
    return run_module(access_log_routes_info, {"gateways": [REF], **options}, cluster)


def test_files_plain_and_packed_and_text(cluster, tmp_path):
    (tmp_path / "a.log").write_text("Envoy proxy is ready\n" + istio(authority="shop.lab.test", request="GET /rare HTTP/2"))
    own = istio(authority="shop.lab.test", agent="bluegreen.mesh/probe")
    with gzip.open(tmp_path / "b.log", "wt") as file:  # told by its content, not its name
        file.write(own + istio(authority="shop.lab.test", request="GET /pages HTTP/2") + istio(request="- - -"))
    text = haproxy(captured=" {quiet.lab.test}") + "\n\n"
    result = run(cluster, files=[str(tmp_path / "a.log"), str(tmp_path / "b.log")], text=text)
    assert not result["changed"] and {one["path"] for one in result["samples"]} == {"/rare", "/pages", "/a"}
    a, b, c = result["files"]
    assert (a["lines"], a["requests"], a["unreadable"]) == (2, 1, 1)
    assert (b["requests"], b["own"], b["not_http"], b["unreadable"]) == (1, 1, 1, 0)
    assert (c["path"], c["requests"]) == ("text", 1)


def test_what_a_gateways_container_logs_beside_is_left_out(cluster):
    agent = "2026-11-21T20:50:27.870636Z\tinfo\t"
    beside = [
        "2026/11/21 20:50:27 INFO memory is not limited package=automemlimit\n", *[f"{agent}FLAG: --a=b\n"] * 120,
        f"{agent}Effective config: binaryPath: envoy\n", "configPath: ./etc\n", "\n",
        "[2026-11-21 20:50:27.870][12][warning][config] listener added\n",
    ]  # fmt: skip
    text = "".join([*beside, istio(authority="shop.lab.test", request="GET /rare HTTP/2"), "what is this?\n"])
    (told,) = run(cluster, text=text)["files"]
    assert (told["lines"], told["log"], told["requests"], told["unreadable"]) == (127, 125, 1, 1)
    nothing = run(cluster, text="".join([*beside, istio(request="- - -"), *["what is this?\n"] * 2]))
    assert nothing["failed"] and nothing["failure"]["code"] == "unknown_format"


def test_the_samples_are_route_infos(cluster):
    asked = run(cluster, text=istio(authority="shop.lab.test", request="GET /item/7?page=2 HTTP/1.1"))
    planned = run_module(route_info, {"gateways": [REF], "samples": asked["samples"]}, cluster)
    (probe,) = [one for one in planned["routes"] if "sample[0]" in one["id"]]
    assert (probe["route"], probe["path"], probe["query"]) == ("http[1].match[0]", "/item/7", {"page": "2"})
    assert probe["protocol"] == "http1" and not planned["unused_samples"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({}, "bad_input", "no log"),
        ({"files": ["/nowhere/x.log"]}, "unreadable_log", "/nowhere/x.log"),
        ({"text": "nothing\nat all"}, "unknown_format", "2 of 2 lines"),
        ({"text": istio(), "format": "haproxy"}, "unknown_format", "haproxy"),
        ({"text": istio(), "exclude_paths": ["("]}, "bad_input", "'('"),
        ({"text": istio(), "per_route": 0}, "bad_input", "per_route"),
        ({"text": istio(), "gateways": ["a/b"]}, "no_gateway", "a/b"),
    ],
)
def test_refusals(cluster, options, code, words):
    result = run(cluster, **options)
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"]


def test_a_broken_archive_is_told(cluster, tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(istio().encode() * 100)[:-20])
    assert run(cluster, files=[str(tmp_path / "x.gz")])["failure"]["code"] == "unreadable_log"


def test_memory_does_not_grow_with_the_log(monkeypatch):
    monkeypatch.setattr(_access_log, "CACHED", 1000)
    found = _access_log.Tally(tables(), 3)
    lines = (istio(authority="shop.lab.test", request=f"GET /pages/{number} HTTP/2") for number in range(40000))
    peaks = []
    tracemalloc.start()
    try:
        for _part in range(4):
            tracemalloc.reset_peak()
            _access_log.count((line for line, _n in zip(lines, range(10000))), "envoy", found)
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[-1] < 1.3 * peaks[0]
    assert sum(seen.requests for seen in found.routes) > 39990
