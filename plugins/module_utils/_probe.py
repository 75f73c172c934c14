# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks many (request, address) pairs at once and returns plain Answers. Knows libcurl, and nothing of Istio.

A request names the host as a client would, and `address` says where it really goes: that is libcurl's CONNECT_TO, so
SNI, Host and certificate checks are those of a client behind the load balancer, whatever NodePort is behind `address`.
URLs carry no port, so that Host has none either, as for a client of port 80 or 443.

What is said about a connection and not about a request (the certificate) is kept by libcurl's connection id, because
only the transfer that made a connection is told. TLS sessions are not resumed: each new connection must show the
certificate that the server has now.
"""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import ssl
import time
import typing as t
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

try:
    import pycurl

    IMPORT_ERROR = None
except ImportError:  # reported by the modules, as ansible-test asks
    import traceback

    pycurl = None
    IMPORT_ERROR = traceback.format_exc()

PROTOCOLS = ("http1", "h2", "grpc", "websocket", "tls_passthrough", "tcp")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
USER_AGENT = "bluegreen.mesh/probe"  # so that access logs can tell our requests from clients'
GRPC_HEALTH = "/grpc.health.v1.Health/Check"
GRPC_EMPTY = b"\0\0\0\0\0"  # one uncompressed message of no bytes: the health of the server as a whole
GREETING = b"bluegreen.mesh"  # what a WebSocket probe sends once upgraded
ECHO_WAIT = 1.0  # seconds that a WebSocket server has to say something before the upgrade alone counts
BODY_LIMIT = 8 << 20  # bytes; a longer body is cut off and its Answer is not complete

# Envoy, asked for a name that it has no certificate for, resets or ends the handshake: that is an answer. Not getting
# as far as a connection is not: it may well be our own place in the network. Nor is a certificate that we don't trust,
# since nothing was asked then. Whatever else libcurl says is about itself, or what it was given: a file, a URL.
_ERROR_CLASSES = {
    **dict.fromkeys((5, 6, 7, 28, 45), "unreachable"),
    **dict.fromkeys((51, 60), "untrusted"),
    **dict.fromkeys((35, 98), "tls"),
    **dict.fromkeys((16, 18, 52, 55, 56, 92), "closed"),
    **dict.fromkeys((1, 8, 22, 61, 88, 100), "protocol"),
}
NO_ANSWER = ("unreachable", "untrusted", "local")  # errors that say nothing of what the other side would answer
_CUT_OFF = (28, 63)  # timed out, or too long: what arrived before still counts


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one address.

    key: the caller's own, handed back with the answer. url: scheme://host/path?query, the host as SNI; for tcp probes
    tcp://host or tls://host. address: "ip:port" to connect to, or "" to resolve the URL's host. headers: (name, value)
    pairs; a Host among them differs from the SNI on purpose. certificate: files of a client certificate and its key.
    trusted: whether the server's certificate must be, where there is a ca_file.
    """

    key: t.Any
    url: str
    address: str
    protocol: str = "http1"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    certificate: tuple[str, str] = ("", "")
    trusted: bool = True


@dataclass(slots=True)
class Answer:
    """What came back.

    status: HTTP status, 0 for none (then `error` is set; a tcp probe that connected has 1). headers and trailers:
    (lower-case name, value) in the order received. http_version: "1.0", "1.1", "2"; it is what ALPN settled on.
    certificate: SHA-256 of the leaf, hex. complete: False when the body was cut off by time or size.
    error: "" or what the other side did: tls (handshake refused), closed (connection ended without an answer),
    protocol (an answer that is none); or why there is no answer: unreachable (no connection, or nothing in time),
    untrusted (its certificate), local (this could not be asked from here). detail: libcurl's words for it.
    """

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    http_version: str = ""
    certificate: str = ""
    complete: bool = True
    error: str = ""
    detail: str = ""
    seconds: float = 0.0


def address_of(host: str, port: int | str) -> str:
    """ "ip:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fingerprint(pem: str) -> str:
    """SHA-256 (hex) of the first certificate in PEM text, or "" when there is none."""
    match = re.search("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    return hashlib.sha256(base64.b64decode(match.group(1))).hexdigest() if match else ""


def parse_headers(lines: t.Iterable[bytes]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Header lines as libcurl hands them over -> (headers of the final answer, trailers). 1xx answers are dropped."""
    headers: list[tuple[str, str]] = []
    trailers: list[tuple[str, str]] = []
    target = headers
    interim = False
    for raw in lines:
        line = raw.rstrip(b"\r\n").decode("latin-1")
        if line.startswith("HTTP/"):
            headers.clear()
            target = headers
            interim = line.split(" ", 2)[1:2] in (["100"], ["102"], ["103"])
        elif not line:
            target = headers if interim else trailers
        else:
            name, _colon, value = line.partition(":")
            target.append((name.strip().lower(), value.strip()))
    return headers, trailers


def check_ca_file(path: str | None) -> None:
    """Raises ValueError for a file without authorities."""
    if not path:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as exc:
        raise ValueError(
            f"ca_file {path} can't be read: {exc.strerror or exc}. Name a PEM file of authorities, on the host where"
            " this runs."
        ) from exc


class Loop:
    """A CurlMulti driven by epoll (poll where there is no epoll): cost grows with what happens, not with handles."""

    def __init__(self, connections: int) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        # One request at a time on an HTTP/2 connection. libcurl (8.23, seen) repeats WINDOW_UPDATE for streams that
        # wait, and with several of them Envoy takes that for a flood (http2.inbound_window_update_frames_flood) and
        # closes the connection under its requests. See interleave() for how connections are reused all the same.
        self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)
        self.multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._epoll = hasattr(select, "epoll")
        self._poll: t.Any = select.epoll() if self._epoll else select.poll()
        self._events = {pycurl.POLL_NONE: 0, pycurl.POLL_IN: 1, pycurl.POLL_OUT: 4, pycurl.POLL_INOUT: 5}
        self._watched: set[int] = set()
        self._timer: float | None = None
        self._finished: list[tuple[t.Any, int, str]] = []

    def add(self, curl: t.Any) -> None:
        self.multi.add_handle(curl)

    def remove(self, curl: t.Any) -> None:
        self.multi.remove_handle(curl)

    def step(self, seconds: float) -> list[tuple[t.Any, int, str]]:
        """Waits at most `seconds` for something to do, does it; returns the transfers that ended: (curl, error, words).

        Error 0 is success. What is returned has been removed from the multi handle.
        """
        if self._timer is not None:
            seconds = min(seconds, self._timer - time.monotonic())
        seconds = max(0.0, seconds)
        for fd, events in self._poll.poll(seconds if self._epoll else seconds * 1000):
            # POLLERR and POLLHUP (8, 16) come unasked; libcurl finds out what they mean by reading
            action = (pycurl.CSELECT_IN if events & 25 else 0) | (pycurl.CSELECT_OUT if events & 4 else 0)
            self.multi.socket_action(fd, action)
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return self._collect()

    def close(self) -> None:
        self.multi.close()
        if self._epoll:
            self._poll.close()

    def _collect(self) -> list[tuple[t.Any, int, str]]:
        ended: list[tuple[t.Any, int, str]] = []
        while True:
            queued, good, bad = self.multi.info_read()
            ended += [(curl, 0, "") for curl in good]
            ended += bad
            if not queued:
                break
        for curl, _code, _words in ended:
            self.multi.remove_handle(curl)
        return ended

    def _watch(self, what: int, fd: int, _multi: t.Any, _data: t.Any) -> None:
        try:
            if what == pycurl.POLL_REMOVE:
                if fd in self._watched:
                    self._watched.discard(fd)
                    self._poll.unregister(fd)
            elif fd in self._watched:
                self._poll.modify(fd, self._events[what])
            else:
                self._watched.add(fd)
                self._poll.register(fd, self._events[what])
        except OSError:  # libcurl may tell us of a socket only after closing it; the kernel has forgotten it by itself
            self._watched.discard(fd)
            if what != pycurl.POLL_REMOVE:
                self._poll.register(fd, self._events[what])
                self._watched.add(fd)

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def new_handle(
    timeout: float, ca_file: str | None, user_agent: str = USER_AGENT, proxy_protocol: bool = False
) -> t.Any:
    """A Curl with all that stays the same from request to request."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.USERAGENT, user_agent)
    curl.setopt(pycurl.TIMEOUT_MS, int(timeout * 1000))
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(timeout * 1000))
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    curl.setopt(pycurl.MAXFILESIZE, BODY_LIMIT)
    curl.setopt(pycurl.HAPROXYPROTOCOL, int(proxy_protocol))
    if ca_file:
        curl.setopt(pycurl.CAINFO, ca_file)
    else:
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    return curl


def prepare(curl: t.Any, request: Request) -> None:
    """Sets what differs from request to request."""
    protocol = request.protocol
    url = request.url
    headers = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
    body = request.body
    method = request.method
    if protocol == "grpc":
        method = "POST"
        body = GRPC_EMPTY if body is None else body
        # Twice would be 415: who asks may have said it already.
        headers = [line for line in headers if not line.lower().startswith(("content-type:", "te:"))]
        headers += ["Content-Type: application/grpc", "TE: trailers"]
    if protocol == "websocket":
        version = pycurl.CURL_HTTP_VERSION_1_1
        url = "ws" + url.removeprefix("http") if url.startswith("http") else url
    elif protocol == "http1":
        version = pycurl.CURL_HTTP_VERSION_1_1
    elif url.startswith("https:"):
        version = pycurl.CURL_HTTP_VERSION_2TLS
    else:
        version = pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
    curl.setopt(pycurl.HTTP_VERSION, version)
    # A request that offers h2 would be sent on an idle HTTP/1.1 connection to the same place, and its answer would say
    # 1.1. libcurl only shares connections of the same TLS options, and this one means nothing outside Windows.
    apart = pycurl.SSLOPT_NO_REVOKE if version == pycurl.CURL_HTTP_VERSION_2TLS else 0
    curl.setopt(pycurl.SSL_OPTIONS, apart)
    curl.setopt(pycurl.URL, url)
    _set_list(curl, pycurl.CONNECT_TO, [f"::{request.address}"] if request.address else [])
    curl.unsetopt(pycurl.CUSTOMREQUEST)
    curl.setopt(pycurl.HTTPGET, 1)
    if body is not None:
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, body)
        headers.append("Expect:")
        if method != "POST":
            curl.setopt(pycurl.CUSTOMREQUEST, method)
    elif method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    elif method != "GET":
        curl.setopt(pycurl.CUSTOMREQUEST, method)
    _set_list(curl, pycurl.HTTPHEADER, headers)


def _set_list(curl: t.Any, option: int, values: list[str]) -> None:
    if values:
        curl.setopt(option, values)
    else:  # an empty list would leave what was set for the request before
        curl.unsetopt(option)


def classify(code: int, status: int, met: bool = True) -> str:
    """libcurl's error code and the status seen so far -> Answer.error. met: whether there was a connection; what is no
    HTTP and what libcurl does not speak (1) are the same to it."""
    if code == 0 or (status and code in _CUT_OFF):
        return ""
    found = _ERROR_CLASSES.get(code, "local")
    return "local" if found == "protocol" and not met else found


_HTTP_VERSIONS = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}


class _Slot:
    """One handle and what it is collecting. A client certificate stays the handle's, since libcurl can't take it back.
    So does whom it trusts."""

    def __init__(
        self, timeout: float, ca_file: str | None, proxy_protocol: bool, certificate: tuple[str, str]
    ) -> None:
        self.curl = new_handle(timeout, ca_file, proxy_protocol=proxy_protocol)
        if certificate[0]:
            self.curl.setopt(pycurl.SSLCERT, certificate[0])
            self.curl.setopt(pycurl.SSLKEY, certificate[1])
        self.curl.setopt(pycurl.OPT_CERTINFO, 1)
        self.request: Request | None = None
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []

    def start(self, request: Request) -> None:
        self.request = request
        self.lines = []
        self.chunks = []
        # bound methods of C types: no Python frame for each header line and chunk
        self.curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.chunks.append)
        prepare(self.curl, request)

    def answer(self, code: int, words: str) -> Answer:
        curl = self.curl
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        headers, trailers = parse_headers(self.lines)
        error = classify(code, status, bool(curl.getinfo(pycurl.PRIMARY_IP)))
        return Answer(
            status=0 if error else status,
            headers=headers,
            trailers=trailers,
            body=b"".join(self.chunks),
            http_version=_HTTP_VERSIONS.get(curl.getinfo(pycurl.INFO_HTTP_VERSION), ""),
            complete=code not in _CUT_OFF,
            error=error,
            detail=words,
            seconds=curl.getinfo(pycurl.TOTAL_TIME),
        )


class _Engine:
    def __init__(
        self, emit: t.Callable[[Request, Answer], None], concurrency: int, timeout: float, ca_file: str | None,
        proxy_protocol: bool,
    ) -> None:  # fmt: skip
        self.emit = emit
        self.concurrency = concurrency
        self.timeout = timeout
        self.ca_file = ca_file
        self.proxy_protocol = proxy_protocol
        self.loop = Loop(2 * concurrency)
        self.slots: dict[t.Any, _Slot] = {}
        self.free: dict[t.Any, list[_Slot]] = {}  # by what stays a handle's
        self.certificates: dict[int, str] = {}
        self.pem: dict[str, str] = {}
        self.nameless: dict[int, list[tuple[Request, Answer]]] = {}
        self.upgraded: deque[_Slot] = deque()
        self.listening: dict[t.Any, float] = {}  # upgraded WebSockets -> when we stop waiting for a frame
        self.spoken: list[_Slot] = []

    def run(self, requests: t.Iterable[Request]) -> None:
        source = iter(requests)
        more = True
        busy = 0
        with ThreadPoolExecutor(max_workers=8) as pool:
            sockets: list[tuple[Request, t.Any]] = []
            while more or busy:
                while more and busy < self.concurrency:
                    request = next(source, None)
                    if request is None:
                        more = False
                    elif request.protocol == "tcp":
                        sockets.append((request, pool.submit(ask_tcp, request, *self._options(request))))
                    else:
                        self._start(request)
                        busy += 1
                if busy:
                    for curl, code, words in self.loop.step(1.0 if not self.listening else 0.05):
                        self._finish(self.slots[curl], code, words)
                        busy -= 1
                    busy -= self._websockets()
            for request, future in sockets:
                self.emit(request, future.result())
        for waiting in self.nameless.values():
            for request, answer in waiting:
                self.emit(request, answer)

    def close(self) -> None:
        self.loop.close()
        for slot in self.slots.values():
            slot.curl.close()

    def _options(self, request: Request) -> tuple[float, str | None, bool]:
        return self.timeout, self.ca_file if request.trusted else None, self.proxy_protocol

    def _start(self, request: Request) -> None:
        free = self.free.setdefault((request.certificate, request.trusted), [])
        if free:
            slot = free.pop()
        else:
            slot = _Slot(*self._options(request), request.certificate)
            self.slots[slot.curl] = slot
        slot.start(request)
        if request.protocol == "websocket":
            slot.curl.setopt(pycurl.HEADERFUNCTION, lambda line: self._websocket_header(slot, line))
            slot.curl.setopt(pycurl.WRITEFUNCTION, lambda data: self._websocket_frame(slot, data))
        self.loop.add(slot.curl)

    def _finish(self, slot: _Slot, code: int, words: str) -> None:
        request = slot.request
        if request is None:
            raise AssertionError("a transfer ended that was never started")
        self.listening.pop(slot.curl, None)
        if request.protocol == "websocket" and slot.curl.getinfo(pycurl.RESPONSE_CODE) not in (0, 101):
            code = 0  # a refused upgrade is an answer; libcurl calls it an error
        answer = slot.answer(code, words)
        if request.url.startswith("https:") or request.url.startswith("wss:"):
            self._name(slot, request, answer)
        else:
            self.emit(request, answer)
        self.free[request.certificate, request.trusted].append(slot)

    def _name(self, slot: _Slot, request: Request, answer: Answer) -> None:
        """Gives the answer its connection's certificate, or lets it wait for the transfer that knows it."""
        connection = slot.curl.getinfo(pycurl.CONN_ID)
        for item in (slot.curl.getinfo(pycurl.INFO_CERTINFO) or [])[:1]:
            pem = next((value for name, value in item if name == "Cert"), "")
            if pem not in self.pem:
                self.pem[pem] = fingerprint(pem)
            self.certificates[connection] = self.pem[pem]
            for other, answered in self.nameless.pop(connection, []):
                answered.certificate = self.pem[pem]
                self.emit(other, answered)
        known = self.certificates.get(connection)
        if known is None and not answer.error:
            self.nameless.setdefault(connection, []).append((request, answer))
            return
        answer.certificate = known or ""
        self.emit(request, answer)

    # -- WebSocket: libcurl upgrades; we send one message and take the first frame that comes back ---------------------
    def _websocket_header(self, slot: _Slot, line: bytes) -> None:
        slot.lines.append(line)
        if line == b"\r\n" and slot.lines[0].split(b" ", 2)[1:2] == [b"101"]:
            self.upgraded.append(slot)

    def _websocket_frame(self, slot: _Slot, data: bytes) -> None:
        meta = slot.curl.ws_meta()
        if meta is not None and meta.flags & (pycurl.WS_PING | pycurl.WS_PONG):
            return
        slot.chunks.append(data)
        self.spoken.append(slot)

    def _websockets(self) -> int:
        """Sends to who is newly upgraded, ends those that answered or that have waited enough. Returns how many."""
        while self.upgraded:
            slot = self.upgraded.popleft()
            self.listening[slot.curl] = time.monotonic() + min(ECHO_WAIT, self.timeout)
            try:
                slot.curl.ws_send(slot.request.body or GREETING, pycurl.WS_TEXT)
            except pycurl.error:  # closed right after the upgrade: the transfer's own end will say so
                pass
        now = time.monotonic()
        done = {slot.curl: slot for slot in self.spoken if slot.curl in self.listening}
        self.spoken.clear()
        for curl, until in list(self.listening.items()):
            if now >= until:
                done[curl] = self.slots[curl]
        for curl, slot in done.items():
            self.loop.remove(curl)
            self._finish(slot, 0, "")
        return len(done)


def interleave(requests: t.Iterable[Request], width: int) -> t.Iterator[Request]:
    """The same requests in an order in which connections are made once and used by one request at a time.

    Requests that can share a connection (host, address, protocol, certificates) are groups that take turns; when one is
    used up the next one takes its place. width: requests at once. Twice as many groups take turns, as many as
    connections are kept: with just `width` of them a group's next request would come while its last one may still be
    under way.
    """
    groups: dict[t.Any, deque[Request]] = {}
    for request in requests:
        origin = request.url.split("/", 3)[2]
        group = (origin, request.address, request.protocol, request.certificate, request.trusted)
        groups.setdefault(group, deque()).append(request)
    waiting = deque(groups.values())
    turning: deque[deque[Request]] = deque()
    while waiting or turning:
        while waiting and len(turning) < 2 * width:
            turning.append(waiting.popleft())
        turn = turning.popleft()
        yield turn.popleft()
        if turn:
            turning.append(turn)


def ask(
    requests: t.Iterable[Request], emit: t.Callable[[Request, Answer], None], *,
    concurrency: int = 64, timeout: float = 10.0, ca_file: str | None = None, proxy_protocol: bool = False,
) -> None:  # fmt: skip
    """Sends every request, at most `concurrency` at once, and calls emit(request, answer) once for each.

    requests is consumed as slots become free, so it may be a long generator; its order decides how well connections are
    reused, see interleave(). Answers come in no particular order. timeout: seconds for one request, connection
    included. With ca_file certificates are verified, unless a request does without; otherwise only reported.
    proxy_protocol: begin each connection with a PROXY protocol v1 line, as the balancer would. Raises nothing for an
    unreachable server: that is an Answer.
    """
    engine = _Engine(emit, max(1, concurrency), timeout, ca_file, proxy_protocol)
    try:
        engine.run(requests)
    finally:
        engine.close()


def ask_tcp(request: Request, timeout: float, ca_file: str | None, proxy_protocol: bool = False) -> Answer:
    """Connects (with TLS for tls://), sends nothing, and sees for half a second what the other side does.

    Returns status 1 with what it said as the body; header `peer` is `open` or `closed`.
    """
    scheme, _sep, rest = request.url.partition("://")
    name = rest.split("/")[0]
    host, _sep, port = request.address.rpartition(":")
    started = time.monotonic()
    answer = Answer()
    stage = "local"
    try:
        target = (host.strip("[]"), int(port))
        context = _context(request, ca_file) if scheme == "tls" else None
        stage = "unreachable"
        with socket.create_connection(target, timeout=timeout) as plain:
            stage = "tls"
            connection: t.Any = plain
            if proxy_protocol:
                plain.sendall(_proxy_line(plain))
            if context is not None:
                connection = context.wrap_socket(plain, server_hostname=name)
                answer.certificate = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
            stage = "closed"
            answer.status = 1
            connection.settimeout(min(0.5, timeout))
            try:
                answer.body = connection.recv(1024)
                peer = "open" if answer.body else "closed"
            except TimeoutError:
                peer = "open"
            except ConnectionError:
                peer = "closed"
            answer.headers = [("peer", peer)]
    except ssl.SSLCertVerificationError as exc:
        answer.error, answer.detail = "untrusted", str(exc)
    except TimeoutError as exc:  # in the handshake, too
        answer.error, answer.detail = "unreachable", str(exc)
    except OSError as exc:
        answer.error, answer.detail = stage, str(exc)
    except (ValueError, OverflowError) as exc:  # a name or a port that can't be
        answer.error, answer.detail = "local", str(exc)
    answer.seconds = time.monotonic() - started
    return answer


def _context(request: Request, ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    if not ca_file:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if request.certificate[0]:
        context.load_cert_chain(*request.certificate)
    return context


def _proxy_line(connection: socket.socket) -> bytes:
    """PROXY protocol version 1: who connects, as if there were no balancer between."""
    (source, source_port), (target, target_port) = connection.getsockname()[:2], connection.getpeername()[:2]
    family = "TCP6" if connection.family == socket.AF_INET6 else "TCP4"
    return f"PROXY {family} {source} {target} {source_port} {target_port}\r\n".encode()
