# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against real sockets on loopback. HTTP/2 and gRPC need a server of their own:
extensions/molecule/verify."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections import Counter

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _probe
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import Request
from hypothesis import given
from hypothesis import strategies as st
from loopback import Server, certificate_files


def ask(*requests, **options):
    answers = {}
    _probe.ask(requests, lambda request, answer: answers.__setitem__(request.key, answer), timeout=5.0, **options)
    assert set(answers) == {request.key for request in requests}
    return answers


def one(request, **options):
    return ask(request, **options)[request.key]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def server():
    with Server() as found:
        yield found


@pytest.fixture
def tls(tmp_path):
    files = certificate_files(tmp_path, "shop.test", "*.shop.test")
    with Server(tls=files) as found:
        found.ca_file = files[0]
        found.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert((tmp_path / "tls.crt").read_text())).hexdigest()
        yield found


def test_host_goes_to_the_named_address_without_a_port(server):
    answer = one(Request(1, "http://shop.test/a?b=c", server.address))
    assert (answer.status, answer.error, answer.http_version, answer.complete) == (200, "", "1.1", True)
    assert answer.body == b"blue GET /a?b=c host=shop.test\n"
    assert ("server", "blue") in answer.headers
    assert server.requests[0][2]["user-agent"] == _probe.USER_AGENT


def test_methods_headers_and_bodies_do_not_leak_into_the_next_request(server):
    requests = [
        Request("head", "http://shop.test/1", server.address, method="HEAD"),
        Request("get", "http://shop.test/2", server.address),
        Request("post", "http://shop.test/3", server.address, method="POST", body=b"x", headers=(("X-A", "1"),)),
        Request("get2", "http://shop.test/4", server.address),
        Request("put", "http://shop.test/5", server.address, method="PUT", body=b"yy"),
        Request(
            "options",
            "http://shop.test/6",
            server.address,
            method="OPTIONS",
            headers=(("Host", "other.test"), ("X-Empty", "")),
        ),
        Request("get3", "http://shop.test/7", server.address),
    ]
    answers = ask(*requests, concurrency=1)
    assert [method for method, _path, _headers in server.requests] == [
        "HEAD",
        "GET",
        "POST",
        "GET",
        "PUT",
        "OPTIONS",
        "GET",
    ]
    assert answers["head"].body == b"" and answers["head"].status == 200
    by_path = {path: headers for _method, path, headers in server.requests}
    assert by_path["/3"]["x-a"] == "1" and "x-a" not in by_path["/4"]
    assert "content-length" not in by_path["/4"] and "expect" not in by_path["/3"]
    assert by_path["/6"]["host"] == "other.test" and by_path["/6"]["x-empty"] == ""
    assert by_path["/7"]["host"] == "shop.test"


@pytest.mark.parametrize("status", [204, 301, 403, 404, 503])
def test_every_status_is_an_answer(server, status):
    assert one(Request(1, f"http://shop.test/status/{status}", server.address)).status == status


def test_redirects_are_not_followed(server):
    answer = one(Request(1, "http://shop.test/redirect", server.address))
    assert answer.status == 301 and ("location", "https://shop.test/there") in answer.headers
    assert len(server.requests) == 1


def test_repeated_headers_are_kept_and_interim_answers_are_not(server):
    answer = one(Request(1, "http://shop.test/cookie", server.address))
    assert [value for name, value in answer.headers if name == "set-cookie"] == ["sid=1; Path=/", "b=2"]
    answer = one(Request(1, "http://shop.test/interim", server.address))
    assert answer.status == 200 and "link" not in dict(answer.headers)


def test_nobody_there_is_unreachable():
    answer = one(Request(1, "http://shop.test/", closed_port()))
    assert (answer.status, answer.error) == (0, "unreachable") and answer.detail


def test_no_answer_in_time_is_unreachable(server):
    answers = {}
    _probe.ask([Request(1, "http://shop.test/slow/5", server.address)], lambda _r, a: answers.update(a=a), timeout=0.3)
    assert answers["a"].error == "unreachable" and answers["a"].status == 0


def test_a_connection_that_ends_without_an_answer_is_closed(server):
    assert one(Request(1, "http://shop.test/close", server.address)).error == "closed"
    assert one(Request(1, "http://shop.test/half", server.address)).error == "closed"


def test_certificate_is_known_for_every_request_of_a_connection(tls):
    answers = ask(*(Request(i, f"https://a.shop.test/{i}", tls.address) for i in range(20)), concurrency=2)
    assert {answer.certificate for answer in answers.values()} == {tls.fingerprint}
    assert tls.connections <= 2
    assert set(tls.names) == {"a.shop.test"}


def test_trust_is_only_asked_for_with_a_ca_file(tls):
    request = Request(1, "https://shop.test/", tls.address)
    stranger = Request(1, "https://stranger.test/", tls.address)
    assert one(stranger).status == 200
    assert one(request, ca_file=tls.ca_file).status == 200
    wrong = one(stranger, ca_file=tls.ca_file)
    assert (wrong.status, wrong.error) == (0, "untrusted") and "stranger.test" in wrong.detail


@pytest.mark.parametrize("url", ["https://stranger.test/", "tls://stranger.test"])
def test_a_request_may_do_without_trust_on_a_connection_of_its_own(tls, url):
    protocol = "http1" if url.startswith("https") else "tcp"
    requests = [Request(n, url, tls.address, protocol, trusted=n % 2 == 1) for n in range(4)]
    answers = ask(*requests, ca_file=tls.ca_file, concurrency=1)
    assert [answers[n].error for n in range(4)] == ["", "untrusted"] * 2
    assert answers[0].certificate == answers[2].certificate == tls.fingerprint
    ordered = list(_probe.interleave([*requests, *requests], 1))
    assert [request.trusted for request in ordered] == [False, True] * 4, "as groups of their own"


@pytest.mark.parametrize("url", ["https://shop.test/", "tls://shop.test"])
def test_a_certificate_of_another_authority_is_untrusted(tls, tmp_path, url):
    (tmp_path / "other").mkdir()
    other, _key = certificate_files(tmp_path / "other", "shop.test")
    protocol = "http1" if url.startswith("https") else "tcp"
    assert one(Request(1, url, tls.address, protocol), ca_file=other).error == "untrusted"


@pytest.mark.parametrize(
    ("url", "protocol"),
    [("https://shop.test/", "http1"), ("https://shop.test/", "websocket"), ("tls://shop.test", "tcp")],
)
def test_files_that_can_not_be_used_are_no_answer(tls, tmp_path, url, protocol):
    (tmp_path / "rubbish").write_text("no PEM")
    (tmp_path / "other").mkdir()
    own, key = certificate_files(tmp_path / "other")
    for ca_file in ("/nonexistent/ca.crt", str(tmp_path / "rubbish")):
        assert one(Request(1, url, tls.address, protocol), ca_file=ca_file).error == "local"
    for pair in (("/nonexistent/tls.crt", key), (str(tmp_path / "rubbish"), key), (own, str(tmp_path / "tls.key"))):
        assert one(Request(1, url, tls.address, protocol, certificate=pair)).error == "local"
    assert not tls.requests


@pytest.mark.parametrize(
    ("url", "protocol"),
    [("https://sh op.test/", "http1"), ("nothing://shop.test/", "http1"), ("tls://.test", "tcp")],
)
def test_what_can_not_be_asked_is_no_answer(tls, url, protocol):
    answer = one(Request(1, url, tls.address, protocol))
    assert (answer.status, answer.error) == (0, "local") and answer.detail


def test_what_is_no_http_is_the_other_sides_doing(server):
    assert one(Request(1, "http://shop.test/noise", server.address)).error == "protocol"
    assert one(Request(1, "http://shop.test/noise", server.address, "websocket")).error == "protocol"


@pytest.mark.parametrize(("url", "protocol"), [("https://shop.test/", "http1"), ("tls://shop.test", "tcp")])
def test_a_handshake_that_never_goes_on_is_unreachable(url, protocol):
    answers = {}
    with socket.create_server(("127.0.0.1", 0)) as mute:
        request = Request(1, url, f"127.0.0.1:{mute.getsockname()[1]}", protocol)
        _probe.ask([request], lambda _request, answer: answers.update(a=answer), timeout=0.3)
    assert answers["a"].error == "unreachable"


def test_a_head_without_its_body_is_not_complete(server):
    answers = {}
    request = Request(1, "http://shop.test/stall/blue", server.address)
    _probe.ask([request], lambda _request, answer: answers.update(a=answer), timeout=2)
    assert (answers["a"].status, answers["a"].complete, answers["a"].body) == (200, False, b"")


def test_a_refused_handshake_is_told_from_nobody_there(tls, server):
    assert one(Request(1, "https://unknown.test/", tls.address)).error == "tls"
    assert one(Request(1, "https://shop.test/", server.address)).error in ("tls", "closed")


def test_passthrough_shows_what_the_server_chooses(tls):
    answer = one(Request(1, "https://shop.test/", tls.address, "tls_passthrough"))
    assert (answer.status, answer.http_version, answer.certificate) == (200, "1.1", tls.fingerprint)


@pytest.mark.parametrize("secure", [False, True])
def test_websocket_upgrades_and_hears_an_echo(server, tls, secure):
    target, scheme = (tls, "https") if secure else (server, "http")
    answer = one(Request(1, f"{scheme}://shop.test/chat", target.address, "websocket"))
    assert (answer.status, answer.error, answer.body) == (101, "", b"blue " + _probe.GREETING)
    assert answer.certificate == (tls.fingerprint if secure else "")


def test_websocket_without_an_echo_is_an_upgrade_all_the_same(server, monkeypatch):
    monkeypatch.setattr(_probe, "ECHO_WAIT", 0.1)
    answer = one(Request(1, "http://shop.test/mute", server.address, "websocket"))
    assert (answer.status, answer.body, answer.error) == (101, b"", "")


def test_websocket_message_can_be_chosen_and_a_refusal_is_an_answer(server):
    assert one(Request(1, "http://shop.test/chat", server.address, "websocket", body=b"hi")).body == b"blue hi"
    refused = one(Request(1, "http://shop.test/status/403", server.address, "websocket"))
    assert (refused.status, refused.error) == (403, "")
    assert one(Request(1, "http://shop.test/", closed_port(), "websocket")).error == "unreachable"


def test_tcp_and_tls_connections(server, tls):
    answers = ask(
        Request("tcp", "tcp://shop.test", server.address, "tcp"),
        Request("tls", "tls://shop.test", tls.address, "tcp"),
        Request("refused", "tls://unknown.test", tls.address, "tcp"),
        Request("nobody", "tcp://shop.test", closed_port(), "tcp"),
    )
    assert (answers["tcp"].status, answers["tcp"].headers) == (1, [("peer", "open")])
    assert (answers["tls"].status, answers["tls"].certificate) == (1, tls.fingerprint)
    assert answers["refused"].error == "tls"
    assert answers["nobody"].error == "unreachable"


def test_more_requests_than_slots_are_all_answered(server):
    requests = [Request(i, f"http://h{i % 10}.test/{i}", server.address) for i in range(500)]
    answers = ask(*_probe.interleave(requests, 5), concurrency=5)
    assert all(answers[i].body == f"blue GET /{i} host=h{i % 10}.test\n".encode() for i in range(500))


def test_connections_are_kept_for_the_group_whose_turn_comes_again(server):
    # One at a time, so that it does not depend on which of several is answered first.
    requests = [Request(i, f"http://h{i % 6}.test/{i}", server.address) for i in range(300)]
    ask(*_probe.interleave(requests, 1), concurrency=1)
    assert server.connections == 6


def test_a_request_that_offers_h2_does_not_take_a_connection_of_http1(tls):
    # This server has no HTTP/2: all that can be seen of the offer is that it was made, on a connection of its own.
    answers = ask(
        Request("http1", "https://shop.test/", tls.address),
        Request("h2", "https://shop.test/", tls.address, "h2"),
        Request("http1 again", "https://shop.test/", tls.address),
        Request("h2 again", "https://shop.test/", tls.address, "h2"),
        concurrency=1,
    )
    assert {answer.status for answer in answers.values()} == {200}
    assert tls.connections == 2


def test_a_failing_request_does_not_disturb_the_others(server):
    requests = [
        Request(i, "http://a.test/close" if i % 3 == 0 else f"http://a.test/{i}", server.address) for i in range(60)
    ]
    answers = ask(*requests, concurrency=8)
    assert Counter(answer.error for answer in answers.values()) == {"": 40, "closed": 20}


def test_headers_and_trailers_are_told_apart():
    lines = [b"HTTP/2 200 \r\n", b"Content-Type: application/grpc\r\n", b"\r\n", b"grpc-status: 0\r\n", b"\r\n"]
    assert _probe.parse_headers(lines) == ([("content-type", "application/grpc")], [("grpc-status", "0")])
    lines = [b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n", b"c: d:e\r\n", b"\r\n"]
    assert _probe.parse_headers(lines) == ([("c", "d:e")], [])


def test_addresses():
    assert _probe.address_of("192.0.2.1", 30443) == "192.0.2.1:30443"
    assert _probe.address_of("2001:db8::1", "30443") == "[2001:db8::1]:30443"


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("12"))), st.integers(1, 6))
def test_interleaving_keeps_every_request_and_spreads_groups(pairs, width):
    requests = [Request(i, f"http://{host}.test/{i}", address) for i, (host, address) in enumerate(pairs)]
    ordered = list(_probe.interleave(requests, width))
    assert sorted(request.key for request in ordered) == list(range(len(pairs)))
    for host, address in set(pairs):
        keys = [r.key for r in ordered if r.url.startswith(f"http://{host}.") and r.address == address]
        assert keys == sorted(keys)


def test_interleaving_lets_twice_as_many_groups_take_turns():
    requests = [Request(f"{host}{i}", f"http://{host}.test/", "x") for host in "abc" for i in range(2)]
    assert [request.key for request in _probe.interleave(requests, 1)] == ["a0", "b0", "a1", "b1", "c0", "c1"]
    assert [request.key for request in _probe.interleave(requests, 2)] == ["a0", "b0", "c0", "a1", "b1", "c1"]


# -- who asks, and from where ------------------------------------------------------------------------------------------
@pytest.fixture
def mutual(tmp_path):
    """A server that asks for a certificate, and those of two clients that it knows."""
    clients = {}
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        clients[name] = certificate_files(tmp_path / name, name)
    (tmp_path / "clients.crt").write_text("".join(open(files[0]).read() for files in clients.values()))
    with Server(tls=certificate_files(tmp_path), client_ca=str(tmp_path / "clients.crt")) as found:
        yield found, clients


def test_connections_are_not_shared_between_client_certificates(mutual):
    server, clients = mutual
    requests = [
        Request((name, number), f"https://shop.test/{name}/{number}", server.address, certificate=clients[name])
        for number in range(10)
        for name in clients
    ]
    answers = ask(*requests, concurrency=1)
    assert {answer.status for answer in answers.values()} == {200}
    asked = {path.split("/")[1]: client for (_m, path, _h), client in zip(server.requests, server.clients)}
    wrong = [path for (_m, path, _h), client in zip(server.requests, server.clients) if path.split("/")[1] != client]
    assert asked == {"anna": "anna", "ben": "ben"} and not wrong
    assert server.connections == 2  # each is kept all the same


def test_without_a_certificate_a_server_that_asks_for_one_refuses(mutual):
    server, clients = mutual
    with_one = Request("with", "https://shop.test/", server.address, certificate=clients["anna"])
    answers = ask(with_one, Request("without", "https://shop.test/", server.address), concurrency=1)
    assert answers["with"].status == 200
    assert answers["without"].status == 0 and answers["without"].error in ("tls", "closed")
    assert server.clients == ["anna"]


def test_interleaving_keeps_client_certificates_apart():
    requests = [Request(i, "https://shop.test/", "a:1", certificate=(str(i // 3), "key")) for i in range(6)]
    assert [request.certificate[0] for request in _probe.interleave(requests, 1)] == ["0", "1"] * 3


@pytest.mark.parametrize("url", ["http://shop.test/", "https://shop.test/", "tcp://shop.test", "tls://shop.test"])
def test_proxy_protocol_comes_first(tmp_path, url):
    secure = url.startswith(("https", "tls"))
    with Server(tls=certificate_files(tmp_path) if secure else None, proxied=True) as server:
        protocol = "http1" if url.startswith("http") else "tcp"
        requests = [Request(number, url, server.address, protocol) for number in range(3)]
        good = ask(*requests, proxy_protocol=True, concurrency=1)
        assert {answer.error for answer in good.values()} == {""}
        assert all(line.startswith("PROXY TCP4 127.0.0.1 127.0.0.1 ") for line in server.lines)
        assert all(line.endswith(server.address.partition(":")[2]) for line in server.lines)
        assert len(server.lines) == server.connections
        if protocol == "http1":
            assert server.connections == 1
            assert one(requests[0]).error in ("closed", "tls")
