# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's runtime API on a UNIX socket, with the faults that a real one can't be made to have on demand.

The texts of its answers are those of HAProxy 2.6; test_haproxy.py runs the same cases against a real one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest


@dataclasses.dataclass
class FakeServer:
    backend: str
    name: str
    weight: int
    up: bool = True
    admin: int = 0  # srv_admin_state
    checked: bool = True
    backup: bool = False
    configured: int = 1


class FakeHaproxy(socketserver.ThreadingUnixStreamServer):
    """servers: list of FakeServer. refuse: {'b/s': text}. ignore: 'b/s' whose writes are lost. log: commands seen.

    close_on: text in a line at which the connection is closed without an answer. drop: times that happens.
    """

    daemon_threads = True

    def __init__(
        self, path: str, servers: list[FakeServer], level: str = "admin", algorithm: str = "roundrobin"
    ) -> None:
        super().__init__(path, _Handler)
        self.address_text = f"unix:{path}"
        self.servers = servers
        self.level = level
        self.algorithm = algorithm
        self.refuse: dict[str, str] = {}
        self.ignore: set[str] = set()
        self.close_on = ""
        self.uptime = 1000  # seconds
        self.log: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def weights(self) -> dict[str, int]:
        return {f"{s.backend}/{s.name}": s.weight for s in self.servers}

    def set_all(self, weights: dict[str, int]) -> None:
        for server in self.servers:
            server.weight = weights.get(f"{server.backend}/{server.name}", server.weight)

    @property
    def sets(self) -> list[str]:
        return [command for command in self.log if command.startswith("set ")]

    def answer(self, command: str) -> str:
        self.log.append(command)
        if command == "show cli level":
            return self.level + "\n"
        if command == "show info":
            return f"Name: HAProxy\nUptime: 0d 0h00m{self.uptime}s\nUptime_sec: {self.uptime}\n"
        if command.startswith("show stat"):
            return self._stat()
        if command == "show servers state":
            return self._state()
        if command.startswith("set server "):
            return self._set(*command.split()[2::2])
        return f"Unknown command: '{command}', but maybe one of the following ones is a better match:\n  help\n"

    def _set(self, target: str, weight: str) -> str:
        if self.level != "admin":
            return "Permission denied\n"
        if target in self.refuse:
            return self.refuse[target] + "\n"
        if not 0 <= int(weight) <= 256:
            return "Absolute weight can only be between 0 and 256 inclusive.\n"
        if target not in self.ignore:
            self.set_all({target: int(weight)})
        return ""

    def _stat(self) -> str:
        lines = ["# pxname,svname,scur,stot,rate,econ,eresp,status,weight,bck,tracked,last_chk,algo,"]
        algorithm = self.algorithm if self.level != "user" else ""
        for backend in dict.fromkeys(s.backend for s in self.servers):
            for s in self.servers:
                if s.backend == backend:
                    status = "MAINT" if s.admin & 1 else "no check" if not s.checked else "UP" if s.up else "DOWN"
                    status = "DRAIN" if s.admin & 8 and status == "UP" else status
                    check = "" if not s.checked else '"Layer4 check passed, fine"' if s.up else "Layer4 timeout"
                    lines.append(f"{backend},{s.name},3,40,2,1,0,{status},{s.weight},{int(s.backup)},,{check},,")
            lines.append(f"{backend},BACKEND,3,40,2,1,0,UP,1,0,,,{algorithm},")
        return "\n".join(lines) + "\n"

    def _state(self) -> str:
        lines = [
            "1",
            "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
            " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state"
            " srv_agent_state",
        ]
        for s in self.servers:
            up = 2 if s.up and not s.admin & 1 else 0
            lines.append(
                f"2 {s.backend} 1 {s.name} 127.0.0.1 {up} {s.admin} {s.weight} {s.configured} 0 6 3 4 {6 * s.checked} 0"
            )
        return "\n".join(lines) + "\n"


class Counting(FakeHaproxy):
    """counts: server -> (stot, econ)."""

    counts: t.ClassVar[dict[str, tuple[int, int]]] = {}

    def _stat(self) -> str:
        told = super()._stat()
        for name, (total, econ) in self.counts.items():
            told = re.sub(rf"(?m)^(\w+,{name}),3,40,2,1,", rf"\g<1>,3,{total},2,{econ},", told)
        return told


class _Handler(socketserver.StreamRequestHandler):
    server: FakeHaproxy

    def handle(self) -> None:
        line = self.rfile.readline().decode().rstrip("\n")
        if self.server.close_on and self.server.close_on in line:
            return
        self.wfile.write("".join(self.server.answer(c) + "\n" for c in line.split(";")).encode())


def pair(backends: t.Sequence[str] = ("http", "https"), blue: int = 2, green: int = 2) -> list[FakeServer]:
    """Servers of a balancer that gives all to blue: weights as a configuration might have them."""
    return [
        FakeServer(
            backend, f"node-{n}-{colour}", 100 if colour == "blue" else 0, configured=100 if colour == "blue" else 0
        )
        for backend in backends
        for colour, count in (("blue", blue), ("green", green))
        for n in range(1, count + 1)
    ]


# -- a real one -------------------------------------------------------------------------------------------------------
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def real_haproxy(folder: Path, lines: list[str]) -> t.Iterator[str]:
    """Yields its runtime API's address."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not program:
        pytest.skip("no haproxy here")
    api = folder / "api.sock"
    config = ["global", f"    stats socket unix@{api} mode 600 level admin", "defaults", *lines]
    (folder / "haproxy.cfg").write_text("\n".join(config) + "\n", encoding="utf-8")
    process = subprocess.Popen([program, "-db", "-q", "-f", str(folder / "haproxy.cfg")])
    try:
        until(lambda: api.exists() and process.poll() is None)
        yield f"unix:{api}"
    finally:
        process.kill()
        process.wait()


def until(condition: t.Callable[[], t.Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
