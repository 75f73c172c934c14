# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probes see of real gateways: HTTP/2, gRPC and WebSocket, which unit tests have no server for, and
trouble."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _probe, _verify
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import Answer, Request


@pytest.fixture(scope="module")
def found() -> dict[str, t.Any]:
    return json.loads((pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "routes.json").read_text())


@pytest.fixture(scope="module")
def address(found: dict[str, t.Any]) -> str:
    """Blue's HTTPS server on the first node."""
    return _verify.side_of("blue", found["sides"]["blue"]).targets(8443)[0]


def ask(*requests: Request, **options: t.Any) -> dict[t.Any, Answer]:
    answers: dict[t.Any, Answer] = {}
    _probe.ask(requests, lambda request, answer: answers.__setitem__(request.key, answer), **options)
    assert len(answers) == len(requests)
    return answers


def one(url: str, address: str, protocol: str, **options: t.Any) -> Answer:
    return ask(Request(1, url, address, protocol, **options))[1]


def run(tmp_path: pathlib.Path, **params: t.Any) -> dict[str, t.Any]:
    return lab.run("route_verify", tmp_path, cluster=False, **params)


def routes_of(found: dict[str, t.Any], host: str) -> list[dict[str, t.Any]]:
    routes = [route for route in found["routes"] if route["host"] == host]
    assert routes
    return routes


@pytest.mark.parametrize(("protocol", "version"), [("h2", "2"), ("http1", "1.1"), ("tls_passthrough", "2")])
def test_the_http_version_is_the_one_asked_for(address, protocol, version):
    answer = one("https://plain.verify.test/", address, protocol)
    assert (answer.status, answer.http_version, answer.error) == (200, version, "")
    assert len(answer.certificate) == 64 and b"Host=plain.verify.test\n" in answer.body


def test_gateway_info_tells_the_certificate_that_is_presented_and_the_pods_that_present_it(address, tmp_path):
    (gateway,) = lab.run("gateway_info", tmp_path, gateways=["mesh-verify/blue"])["gateways"]
    (told,) = gateway["certificates"]
    assert told["error"] is None and told["expired"] is False and told["not_after"][:2] == "20", told
    assert told["sha256"] == one("https://plain.verify.test/", address, "http1").certificate
    cluster = _client.Cluster(**lab.CONNECTION)
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in gateway["selector"].items())}
    pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in cluster.list("/api/v1/pods", query)}
    assert pods and {pod["name"]: pod["ip"] for pod in gateway["pods"] if pod["ready"]} == pods
    assert gateway["workload_namespaces"] == ["istio-system"]


def test_grpc_health_has_its_status_in_the_trailers(address):
    answer = one("https://grpc.verify.test" + _probe.GRPC_HEALTH, address, "grpc")
    assert (answer.status, answer.http_version, dict(answer.trailers).get("grpc-status")) == (200, "2", "0")
    assert answer.body == b"\0\0\0\0\2\x08\x01"  # a message of two bytes: SERVING
    unknown = one("https://grpc.verify.test/no.Such/Method", address, "grpc")
    assert "12" in (dict(unknown.trailers).get("grpc-status"), dict(unknown.headers).get("grpc-status"))


def test_websocket_echo_through_the_gateway(address):
    answer = one("https://socket.verify.test/", address, "websocket", body=b"is it you")
    assert answer.status == 101 and b"is it you" in answer.body
    assert one("https://other.verify.test/", address, "websocket").status == 200


def test_many_answers_without_a_body_over_http2(address):
    """Envoy takes libcurl's WINDOW_UPDATEs for a flood when such requests are multiplexed: see _probe.Loop."""
    requests = [Request(i, f"https://none.verify.test/{i}", address, "h2") for i in range(2000)]
    answers = ask(*requests, concurrency=64)
    assert {(answer.status, answer.error) for answer in answers.values()} == {(404, "")}


def test_a_name_without_a_certificate_is_refused_in_the_handshake(address):
    assert one("https://stranger.invalid/", address, "h2").error == "tls"


def test_every_route_is_found_with_its_own_answer(found, address):
    asked = {}
    for route in routes_of(found, "plain.verify.test"):
        request = _verify.request_of(route)
        answer = one(request.url, address, request.protocol, headers=request.headers, method=request.method)
        asked[route["route"], route["protocol"]] = (answer.status, dict(answer.headers).get("x-frame-options"))
    assert asked == {
        ("http[0].match[0]", "h2"): (308, None),
        ("http[0].match[0]", "http1"): (308, None),
        ("http[1].match[0]", "h2"): (200, "DENY"),
        ("http[2].match[0]", "h2"): (403, None),
        ("http[4].match[0]", "h2"): (200, None),
        ("http[5]", "h2"): (200, None),
    }


@pytest.mark.parametrize(("host", "field"), [("half.verify.test", "status"), ("other.verify.test", "body")])
def test_a_difference_is_named_for_every_node(found, tmp_path, host, field):
    result = run(tmp_path, routes=routes_of(found, host), **found["sides"], fail_on=[])
    assert not result["verified"] and result["counts"]["different"] == 2
    for route in result["routes"]:
        assert {difference["field"] for difference in route["differences"]} == {field}
        assert len({difference["node"] for difference in route["differences"]}) == 2
    if field == "body":
        assert result["routes"][0]["differences"][0]["green"] == "line 2: green"


def test_a_certificate_that_is_not_for_the_host_is_never_equal(found, tmp_path):
    """The lab's is for *.lab.test."""
    trusting = {**found["sides"], "ca_file": f"{os.environ['LAB_STATE']}/apps/certs/ca.crt"}
    result = run(tmp_path, routes=routes_of(found, "plain.verify.test"), **trusting)
    assert result["failed"] and not result["verified"] and result["counts"]["unreachable"] == 6
    assert "blue's certificate at" in result["msg"] and "not trusted" in result["msg"]
    unserved = [route for route in found["routes"] if route["expect"] in ("not_found", "refused")]
    assert {route["expect"] for route in unserved} == {"not_found", "refused"}
    assert run(tmp_path, routes=unserved, **trusting, deadline=20)["verified"]


def test_a_node_that_does_not_answer_is_unreachable_and_fails(found, tmp_path):
    sides = json.loads(json.dumps(found["sides"]))
    sides["green"]["ports"]["8443"] = 30999
    result = run(tmp_path, routes=routes_of(found, "plain.verify.test"), **sides)
    assert result["failed"] and result["counts"]["unreachable"] == 6 and not result["verified"]


def test_what_was_not_probed_keeps_the_whole_from_being_verified(found, tmp_path):
    plain = routes_of(found, "plain.verify.test")
    result = run(tmp_path, routes=plain, unprobed=found["unprobed"], **found["sides"], deadline=30)
    assert not result.get("failed") and not result["verified"]
    assert (result["counts"]["equal"], result["counts"]["not_probed"]) == (6, 1)
    strict = run(tmp_path, routes=plain, unprobed=found["unprobed"], **found["sides"], fail_on=["not_probed"])
    assert strict["failed"] and "unsafe_method" in strict["msg"]
