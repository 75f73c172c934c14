# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small server on loopback for tests of probes: HTTP/1.1 and WebSocket, with and without TLS.

    with Server(tls=certificate_files(folder)) as server:
        server.address, server.requests, server.connections

client_ca asks clients for a certificate, and server.clients has its common name for each request. proxied expects a PROXY
protocol line first on each connection; server.lines has them.

Paths say what to do: /status/404, /redirect, /slow/2, /cookie, /interim, /close, /half (half a body, then the end),
/noise (no HTTP), /stall/LABEL (the head alone, if the server is of that label, until the client goes), anything else is
echoed with the client's name of the host. WebSocket: an answer for each message; /once closes after the first, /second
ends at the second message without an answer, /mute never answers.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import itertools
import socket
import ssl
import threading
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def make_certificate(names: t.Sequence[str], days: int = 1) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private


def certificate_files(folder: t.Any, *names: str) -> tuple[str, str]:
    certificate, key = make_certificate(names or ("shop.test",))
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    return str(folder / "tls.crt"), str(folder / "tls.key")


class Server:
    def __init__(
        self, tls: tuple[str, str] | None = None, label: str = "blue", client_ca: str = "", proxied: bool = False
    ) -> None:
        self.label = label
        self.proxied = proxied
        self.lines: list[str] = []
        self.clients: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.names: list[str | None] = []
        self.connections = 0
        self.refused: tuple[str, ...] = ("unknown.test",)  # names that end the handshake
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
            self._context.sni_callback = self._sni
            if client_ca:
                self._context.load_verify_locations(client_ca)
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: t.Any) -> None:
        self._socket.close()
        for connection in list(self._open):
            connection.close()

    def _sni(self, _connection: t.Any, name: str | None, _context: t.Any) -> int | None:
        self.names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name in self.refused else None

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.proxied:
                self.lines.append(self._proxy_line(connection))
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            with connection, connection.makefile("rb") as lines:
                while self._answer(connection, lines):
                    pass
        except (OSError, ValueError):
            connection.close()

    @staticmethod
    def _proxy_line(connection: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            byte = connection.recv(1)
            if not byte or not b"PROXY ".startswith(line[:6]):
                raise ValueError("no PROXY protocol")
            line += byte
        return line.decode().strip()

    def _answer(self, connection: t.Any, lines: t.Any) -> bool:
        start = lines.readline().decode().split()
        if len(start) != 3:
            return False
        method, path, _version = start
        headers: dict[str, str] = {}
        while line := lines.readline().strip().decode():
            name, _colon, value = line.partition(":")
            headers[name.lower()] = value.strip()
        lines.read(int(headers.get("content-length", 0)))
        self.requests.append((method, path, headers))
        subject = (getattr(connection, "getpeercert", dict)() or {}).get("subject", ())
        self.clients.append(next((value for part in subject for name, value in part if name == "commonName"), ""))
        if path == "/noise":
            connection.sendall(b"220 ready\r\n\r\n")
            return False
        if "sec-websocket-key" in headers and not path.startswith("/status"):
            self._websocket(connection, lines, path, headers["sec-websocket-key"])
            return False
        if path == "/close":
            return False
        if path.startswith("/slow/"):
            threading.Event().wait(float(path.rpartition("/")[2]))
        status = path.rpartition("/")[2] if path.startswith("/status/") else "200"
        body = f"{self.label} {method} {path} host={headers.get('host')}\n".encode()
        extra = ""
        if path == "/redirect":
            status, extra = "301", "Location: https://shop.test/there\r\n"
        if path == "/cookie":
            extra = "Set-Cookie: sid=1; Path=/\r\nSet-Cookie: b=2\r\n"
        if path == "/interim":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nServer: {self.label}\r\n{extra}"
        head += f"Content-Length: {len(body) * 2 if path == '/half' else len(body)}\r\n\r\n"
        if path == f"/stall/{self.label}":
            connection.sendall(head.encode())
            lines.read(1)
            return False
        connection.sendall(head.encode() + (b"" if method == "HEAD" else body))
        return path != "/half"

    def _websocket(self, connection: t.Any, lines: t.Any, path: str, key: str) -> None:
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        for number in itertools.count(1):
            first = lines.read(2)
            if len(first) < 2 or first[0] & 15 == 8 or (path == "/second" and number == 2):
                return
            mask = lines.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(lines.read(first[1] & 127)))
            if path == "/mute":
                continue
            data = self.label.encode() + b" " + data
            connection.sendall(bytes([0x81, len(data)]) + data)
            if path == "/once":
                return
