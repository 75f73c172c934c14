# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _verify
from ansible_collections.bluegreen.mesh.plugins.module_utils._compare import Rules
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import Answer
from ansible_collections.bluegreen.mesh.plugins.modules import route_verify
from fake_cluster import run_module
from loopback import Server, certificate_files

BLUE = _verify.Side(("10.0.0.1", "10.0.0.2"), {"443": "30443"})
GREEN = _verify.Side(("10.0.0.1", "10.0.0.2"), {"443": "30444"})


def route(name="r", **changes):
    return {
        "id": name, "host": f"{name}.test", "port": 443, "scheme": "https", "protocol": "h2", "method": "GET",
        "path": "/", "headers": {}, "query": {}, **changes,
    }  # fmt: skip


class World:
    """Answers for addresses by a function of (side, route host, round), and counts."""

    def __init__(self, answer):
        self.answer = answer
        self.sent = []
        self.rounds = 0
        self.now = 0.0

    def ask(self, requests, emit):
        self.rounds += 1
        for request in list(requests):
            self.sent.append(request)
            emit(request, self.answer(request.key[1], request.url, self.rounds))

    def sleep(self, seconds):
        self.now += seconds

    def verify(self, *routes, unprobed=(), blue=BLUE, green=GREEN, **options):
        return _verify.verify(
            routes, unprobed, blue, green, Rules(), _verify.Options(**options), self.ask, lambda: self.now, self.sleep
        )


def ok(*_args):
    return Answer(status=200, http_version="2")


def test_blue_is_asked_twice_and_green_once_on_each_node():
    world = World(ok)
    result = world.verify(route("a"), route("b"))
    assert result["verified"] and result["counts"] == {"equal": 2, "different": 0, "unreachable": 0, "not_probed": 0}
    assert result["requests"] == len(world.sent) == 12
    addresses = sorted(request.address for request in world.sent if request.url.startswith("https://a."))
    assert addresses == ["10.0.0.1:30443"] * 2 + ["10.0.0.1:30444"] + ["10.0.0.2:30443"] * 2 + ["10.0.0.2:30444"]


def test_passes_in_a_row_are_counted_and_a_failure_begins_anew():
    world = World(lambda side, _url, number: Answer(status=503 if side == "green" and number == 2 else 200))
    result = world.verify(route(), passes=3, deadline=100)
    assert result["verified"] and world.rounds == 5 and result["routes"][0]["passes"] == 3


def test_routes_that_have_passed_are_not_asked_again():
    world = World(
        lambda side, url, number: Answer(status=404 if side == "green" and "slow" in url and number < 4 else 200)
    )
    result = world.verify(route("fast"), route("slow"), deadline=100)
    assert result["verified"]
    assert sum("fast" in request.url for request in world.sent) == 6


def test_time_is_up_at_the_deadline():
    world = World(lambda side, *_: Answer(status=404 if side == "green" else 200))
    result = world.verify(route(), deadline=5, interval=1)
    assert not result["verified"] and result["counts"]["different"] == 1 and world.rounds == 6
    assert result["routes"][0]["differences"][0]["field"] == "status"


def test_without_a_deadline_passing_routes_still_get_all_their_rounds():
    world = World(lambda side, url, _number: Answer(status=404 if side == "green" and "bad" in url else 200))
    result = world.verify(route("good"), route("bad"), passes=3)
    assert result["counts"]["equal"] == 1 and result["counts"]["different"] == 1 and world.rounds == 3


def test_noise_that_shows_only_over_rounds_is_learned():
    """A canary behind both gateways: blue happens to show one version twice, green the other, then the other way."""
    bodies = {("blue", 1): b"v1", ("green", 1): b"v2", ("blue", 2): b"v2", ("green", 2): b"v1"}
    world = World(lambda side, _url, number: Answer(status=200, body=bodies[side, number]))
    result = world.verify(route(), deadline=10)
    assert result["verified"] and result["routes"][0]["noise"] == ["body"]


def test_a_status_is_never_learned_as_noise():
    world = World(lambda side, _url, number: Answer(status=200 if (side == "blue") == (number % 2 == 1) else 503))
    assert not world.verify(route(), deadline=10).get("verified")


def test_what_is_not_probed_is_never_verified():
    world = World(ok)
    hidden = {"id": "x", "reason": "regex_path", "detail": "no path", "reachable": True}
    unreached = {"id": "y", "reason": "mesh_only", "detail": "", "reachable": False}
    result = world.verify(route(), unprobed=[hidden, unreached])
    assert not result["verified"] and result["counts"]["not_probed"] == 1 and len(result["routes"]) == 2
    result = world.verify(route(), route("other", port=9000))
    assert not result["verified"]
    assert "no port of blue and green is known for server port 9000" in str(result["routes"])


def test_nothing_is_not_verified():
    assert not World(ok).verify()["verified"]
    assert not World(ok).verify(route(), blue=_verify.Side(("a",), {}), green=GREEN)["verified"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "POST"}, "may change something"),
        ({"method": "DELETE"}, "may change something"),
        ({"protocol": "grpc", "method": "POST", "path": "/a.B/C"}, "may change something"),
        ({"protocol": "smtp"}, "is not one of"),
        ({"host": ""}, "has no host"),
        ({"port": None}, "has no port"),
    ],
)
def test_nothing_is_sent_when_one_route_must_not_be(changes, words):
    world = World(ok)
    with pytest.raises(ValueError, match=words):
        world.verify(route(), route("bad", **changes))
    assert not world.sent


def test_requests_are_made_of_routes():
    request = _verify.request_of(
        route(path="/a b/ü", query={"x": "1 2"}, headers={"x-a": "b"}, authority="r.test:443", method="HEAD")
    )
    assert request.url == "https://r.test/a%20b/%C3%BC?x=1+2"
    assert request.headers == (("x-a", "b"), ("Host", "r.test:443")) and request.method == "HEAD"
    assert _verify.request_of(route(protocol="tcp", scheme="tls", path="", method="")).url == "tls://r.test"
    assert _verify.request_of(route(method="POST", body="{}", unsafe=True)).body == b"{}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"addresses": ["a"], "ports": {}}, "blue.ports is empty"),
        ({"addresses": [], "ports": {443: 30443}}, "blue.addresses is empty"),
        ({"addresses": ["a"], "ports": {443: "https"}}, "leads to 'https'"),
    ],
)
def test_sides_that_lead_nowhere(options, words):
    with pytest.raises(ValueError, match=words):
        _verify.side_of("blue", options)


def test_ports_may_be_addresses_of_their_own():
    side = _verify.side_of("blue", {"addresses": ["10.0.0.1", "fd00::1"], "ports": {443: 30443, 80: "lb.test:8080"}})
    assert side.targets(443) == ["10.0.0.1:30443", "[fd00::1]:30443"]
    assert side.targets("80") == ["lb.test:8080"] and side.targets(1) == []


# -- the module, against servers ---------------------------------------------------------------------------------------
def verify(blue, green, **params):
    ports = {"blue": {"ports": {"443": blue}}, "green": {"ports": {"443": green}}}
    return run_module(route_verify, {"headers": ["content-type"], "masks": ["^(blue|green)"], **ports, **params})


@pytest.fixture
def pair(tmp_path):
    files = certificate_files(tmp_path, "r.test")
    with Server(files, "blue") as blue, Server(files, "green") as green:
        yield blue, green


def test_equal_servers(pair):
    blue, green = pair
    result = verify(blue.address, green.address, routes=[route(protocol="http1"), route("ws", protocol="websocket")])
    assert result["verified"] and not result["changed"], result
    assert len(blue.requests) == 4 and len(green.requests) == 2


def test_a_difference_fails_the_task_and_is_described(pair):
    blue, green = pair
    result = verify(blue.address, green.address, routes=[route(protocol="http1")], masks=[])
    assert result["failed"] and result["failure"]["code"] == "not_equal" and not result["verified"]
    assert "r: different, body" in result["msg"] and "green" in result["msg"]
    allowed = verify(blue.address, green.address, routes=[route(protocol="http1")], masks=[], fail_on=[])
    assert not allowed.get("failed") and not allowed["verified"] and allowed["counts"]["different"] == 1


def test_another_certificate_is_a_difference(pair, tmp_path):
    blue, _green = pair
    (tmp_path / "other").mkdir()
    with Server(certificate_files(tmp_path / "other", "r.test"), "green") as green:
        result = verify(blue.address, green.address, routes=[route(protocol="http1")])
    assert [one["field"] for one in result["routes"][0]["differences"]] == ["certificate"]


def test_nobody_there_fails_the_task(pair):
    result = verify(pair[0].address, "127.0.0.1:1", routes=[route(protocol="http1")])
    assert result["failed"] and result["counts"]["unreachable"] == 1


# -- whom we trust -----------------------------------------------------------------------------------------------------
def of_another_authority(tmp_path, *names):
    (tmp_path / "other").mkdir()
    return certificate_files(tmp_path / "other", *names)


def test_with_a_ca_file_certificates_are_trusted_and_compared(pair, tmp_path):
    blue, green = pair
    trusted = [route(protocol="http1"), route("tcp", host="r.test", protocol="tcp", scheme="tls", path="")]
    result = verify(blue.address, green.address, routes=trusted, ca_file=str(tmp_path / "tls.crt"))
    assert result["verified"] and result["counts"]["equal"] == 2, result


@pytest.mark.parametrize(("scheme", "protocol"), [("https", "http1"), ("https", "websocket"), ("tls", "tcp")])
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_certificates_that_are_not_trusted_are_never_equal(pair, tmp_path, scheme, protocol, wrong):
    blue, green = pair
    other, _key = of_another_authority(tmp_path, "r.test")
    name, ca_file = ("r", other) if wrong == "authority" else ("x", str(tmp_path / "tls.crt"))
    asked = route(name, scheme=scheme, protocol=protocol)
    result = verify(blue.address, green.address, routes=[asked], ca_file=ca_file)
    assert result["failed"] and not result["verified"] and result["counts"]["unreachable"] == 1
    assert f"{name}: unreachable, blue's certificate at {blue.address}: not trusted" in result["msg"]
    assert "ca_file" in result["msg"] and not blue.requests and not green.requests


def test_greens_certificate_alone_may_be_the_one_that_is_not_trusted(pair, tmp_path):
    blue, _green = pair
    compared = ["status", "headers"]  # as for certificates of green's own, which differ from blue's
    with Server(of_another_authority(tmp_path, "r.test"), "green") as green:
        options = {"routes": [route(protocol="http1")], "compare": compared}
        result = verify(blue.address, green.address, ca_file=str(tmp_path / "tls.crt"), **options)
        assert result["failed"] and f"unreachable, green's certificate at {green.address}" in result["msg"]
        assert verify(blue.address, green.address, **options)["verified"], "which nobody wanted to judge"


@pytest.mark.parametrize(
    ("expect", "host"), [("refused", "stranger.test"), ("not_found", "stranger.test"), ("answer", "any.invalid")]
)
@pytest.mark.parametrize(("scheme", "protocol"), [("https", "http1"), ("https", "tls_passthrough"), ("tls", "tcp")])
def test_a_host_without_a_certificate_may_meet_one_that_is_not_for_it(pair, tmp_path, expect, host, scheme, protocol):
    """A Gateway for any host answers for an unknown one with the certificate that it has."""
    blue, green = pair
    asked = [route(host=host, expect=expect, scheme=scheme, protocol=protocol), route(protocol="http1")]
    options = {"routes": asked, "ca_file": str(tmp_path / "tls.crt")}
    result = verify(blue.address, green.address, **options)
    assert result["verified"] and result["counts"]["equal"] == 2, result
    with Server(of_another_authority(tmp_path, "r.test"), "green") as other:
        result = verify(blue.address, other.address, **options)
    assert [one["field"] for one in result["routes"][0]["differences"]] == ["certificate"]
    assert result["routes"][0]["verdict"] == "different"


@pytest.mark.parametrize("ca_file", [None, "tls.crt"])
@pytest.mark.parametrize(("scheme", "protocol"), [("https", "http1"), ("https", "tls_passthrough"), ("tls", "tcp")])
def test_a_handshake_that_both_refuse_is_equal_and_one_that_green_takes_is_not(
    pair, tmp_path, ca_file, scheme, protocol
):
    blue, green = pair
    asked = {"scheme": scheme, "protocol": protocol, "expect": "refused"}
    options = {"ca_file": ca_file and str(tmp_path / ca_file), "routes": [route("unknown", **asked)]}
    assert verify(blue.address, green.address, **options)["verified"]
    green.refused = ()
    result = verify(blue.address, green.address, **options)
    assert result["failed"] and result["counts"]["different"] == 1
    assert result["routes"][0]["differences"][0]["blue"] == "refused (tls)"


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_a_ca_file_that_can_not_be_read_sends_nothing(pair, tmp_path, content):
    blue, green = pair
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    result = verify(blue.address, green.address, routes=[route(protocol="http1")], ca_file=str(path))
    assert result["failed"] and result["failure"]["code"] == "bad_input"
    assert f"ca_file {path} can't be read" in result["msg"] and "Name a PEM file" in result["msg"]
    assert not blue.connections and not green.connections


@pytest.fixture
def knowing(tmp_path):
    """Two servers that know one client, and the files of that one and of another."""
    clients = {}
    for name in ("anna", "eve"):
        (tmp_path / name).mkdir()
        clients[name] = certificate_files(tmp_path / name, name)
    files = certificate_files(tmp_path, "r.test")
    with Server(files, "blue", clients["anna"][0]) as blue, Server(files, "green", clients["anna"][0]) as green:
        yield blue, green, clients


def as_robot(blue, green, files):
    certificate, key = files
    robot = {"name": "robot", "hosts": ["r.test"], "client_cert": certificate, "client_key": key}
    return verify(blue.address, green.address, routes=[route(protocol="http1", identity="robot")], identities=[robot])


def test_a_client_certificate_that_blue_does_not_take_proves_nothing(knowing):
    blue, green, clients = knowing
    assert as_robot(blue, green, clients["anna"])["verified"]
    result = as_robot(blue, green, clients["eve"])
    assert result["failed"] and not result["verified"] and result["counts"]["unreachable"] == 1
    assert f"blue's client certificate at {blue.address}: as robot it ends each connection" in result["msg"]


def test_a_client_certificate_that_can_not_be_used_proves_nothing(knowing):
    blue, green, clients = knowing
    result = as_robot(blue, green, (clients["anna"][0], clients["eve"][1]))
    assert result["failed"] and not result["verified"] and result["counts"]["unreachable"] == 1
    assert f"blue's probe at {blue.address}: could not be sent: " in result["msg"] and "identities" in result["msg"]
    assert not blue.requests


@pytest.mark.parametrize("compare", [["status", "headers"], ["status", "headers", "body"]])
@pytest.mark.parametrize(("side", "other"), [("green", "blue"), ("blue", "green")])
def test_a_side_that_sends_its_head_alone_is_not_equal(pair, compare, side, other):
    blue, green = pair
    asked = route(protocol="http1", path=f"/stall/{side}")
    result = verify(blue.address, green.address, routes=[asked], compare=compare, timeout=2)
    assert result["failed"] and result["counts"]["different"] == 1
    (difference,) = result["routes"][0]["differences"]
    assert (difference["field"], difference[side], difference[other]) == ("body", "cut off after 0 bytes", "complete")


def test_routes_from_a_file(pair, tmp_path):
    blue, green = pair
    hidden = {"id": "x", "reason": "regex_path", "detail": "no path", "reachable": True}
    path = tmp_path / "routes.json"
    path.write_text(json.dumps({"routes": [route(protocol="http1")], "unprobed": [hidden]}))
    result = verify(blue.address, green.address, routes_file=str(path))
    assert result["counts"]["equal"] == 1 and result["counts"]["not_probed"] == 1 and not result["verified"]
    strict = verify(blue.address, green.address, routes_file=str(path), fail_on=["not_probed"])
    assert strict["failed"] and "x: not_probed" in strict["msg"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"routes": []}, "proves nothing"),
        ({"routes": [route()], "passes": 0}, "passes is 0"),
        ({"routes": [route()], "timeout": 0}, "timeout is 0"),
        ({"routes": [route()], "masks": ["("]}, "no regular expression"),
        ({"routes_file": "/nonexistent.json"}, "nonexistent"),
    ],
)
def test_bad_input_sends_nothing(pair, params, words):
    blue, green = pair
    result = verify(blue.address, green.address, **params)
    assert result["failed"] and words in result["msg"] and not blue.requests


def test_a_routes_own_credentials_are_shown_nowhere(pair):
    blue, green = pair
    secrets = {"authorization": "Bearer t0ken-of-a-match", "x-api-key": "k3y-of-a-match", "cookie": "sid=c00kie-of-a-match"}
    asked = route(protocol="http1", headers={**secrets, "x-plain": "seen"})
    result = verify(blue.address, green.address, routes=[asked], masks=[])
    assert result["failed"] and "different" in result["msg"]
    text = json.dumps(result)
    assert not [value for value in secrets.values() if value in text] and "seen" in text
    assert set(result["invocation"]["module_args"]["routes"][0]["headers"]) == {*secrets, "x-plain"}
    sent = blue.requests[0]
    assert "t0ken-of-a-match" in str(sent), "and yet it was asked for with them"
