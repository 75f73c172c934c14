"""The one thing that the API server asks a kubelet for here: the log of a container."""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from . import settings as s


def log_of(path: str, folder: Path) -> bytes | None:
    """What is answered to GET /containerLogs/NAMESPACE/POD/CONTAINER; None where there is nothing."""
    asked = urlsplit(path)
    parts = asked.path.strip("/").split("/")
    if len(parts) != 4 or parts[0] != "containerLogs" or ".." in parts:
        return None
    file = folder / f"{parts[1]}_{parts[2]}.log"
    if not file.is_file():
        return None
    text = file.read_bytes()
    tail = parse_qs(asked.query).get("tailLines")
    return b"".join(text.splitlines(keepends=True)[-int(tail[0]) :]) if tail else text


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802: the base class calls it so
        text = log_of(self.path, s.LOGS / "pods")
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text or b"")))
        self.end_headers()
        self.wfile.write(text or b"")


def serve() -> None:
    """On this node. The API server does not check our certificate, as it is not told by whom it would be signed."""
    server = ThreadingHTTPServer(("", s.KUBELET_PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(s.STATE / "pki" / "apiserver.crt", s.STATE / "pki" / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
