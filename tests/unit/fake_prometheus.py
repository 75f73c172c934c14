# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Prometheus on loopback that answers queries by what they contain."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import typing as t
import urllib.parse


def vector(*values: t.Any) -> dict[str, t.Any]:
    result = [{"metric": {"n": str(n)}, "value": [1.0, str(value)]} for n, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


class FakePrometheus(http.server.ThreadingHTTPServer):
    """answers: what a query's part leads to, the first that fits; asked: (query, Authorization) of each."""

    daemon_threads = True

    def __init__(self, answers: dict[str, t.Any], context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answers, self.asked = answers, []
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FakePrometheus

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query).get("query", [""])[0]
        self.server.asked.append((query, self.headers.get("Authorization")))
        told = next((value for part, value in self.server.answers.items() if part in query), vector())
        status, body = told if isinstance(told, tuple) else (200, told)
        self.send_response(status if url.path == "/api/v1/query" else 404)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *_args: t.Any) -> None:
        pass
