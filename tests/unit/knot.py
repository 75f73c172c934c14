# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Knot on loopback, as a child process with its own folder.

    with Knot(folder, {"shop.test": ["www 60 A 192.0.2.1"]}) as primary, Knot(other, {...}, primary=primary) as second:
        primary.port, primary.query("www.shop.test", "A")
"""

from __future__ import annotations

import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

import dns.message
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.update

KEY, SECRET = "mover", "c2VjcmV0IG9mIHRoZSB1bml0IHRlc3RzLCAzMiBieXQ="
PROGRAM = shutil.which("knotd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/sbin:/bin")


def free_port() -> int:
    """Free for UDP and TCP just now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


class Knot:
    """zones: name -> lines of a zone file, without SOA and NS. A secondary of another has the same zones, empty."""

    def __init__(self, folder: pathlib.Path, zones: dict[str, list[str]], primary: Knot | None = None) -> None:
        self.folder, self.zones, self.primary, self.port = folder, zones, primary, free_port()
        folder.mkdir(parents=True)

    def config(self) -> str:
        lines = [
            "server:", f"    listen: 127.0.0.1@{self.port}", f"    rundir: {self.folder}",
            "    udp-workers: 1", "    tcp-workers: 1", "    background-workers: 1",
            "database:", f"    storage: {self.folder}",
            "key:", f"  - id: {KEY}", "    algorithm: hmac-sha256", f"    secret: {SECRET}",
            "acl:", "  - id: mover", f"    key: {KEY}", "    action: update",
            "  - id: anyone", "    address: 127.0.0.1", "    action: [transfer, notify]",
        ]  # fmt: skip
        if self.primary:
            lines += ["remote:", "  - id: primary", f"    address: 127.0.0.1@{self.primary.port}"]
        lines += ["zone:"]
        for zone in self.zones:
            lines += [f"  - domain: {zone}", f"    storage: {self.folder}", "    acl: [mover, anyone]"]
            lines += ["    master: primary"] if self.primary else [f"    file: {zone}.zone", "    zonefile-sync: -1"]
        return "\n".join([*lines, "log:", "  - target: stderr", "    any: info", ""])

    def __enter__(self) -> Knot:
        (self.folder / "knot.conf").write_text(self.config(), encoding="utf-8")
        for zone, lines in self.zones.items():
            head = [f"$ORIGIN {zone}.", "$TTL 60", "@ SOA ns hostmaster 1 1 1 3600 60", "@ NS ns", "ns A 127.0.0.1"]
            text = "\n".join([*head, *lines]) + "\n"
            if not self.primary:
                (self.folder / f"{zone}.zone").write_text(text, encoding="utf-8")
        with open(self.folder / "knot.log", "wb") as log:
            command = [PROGRAM, "-c", str(self.folder / "knot.conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            for zone in self.zones:
                self._await(zone)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: t.Any) -> None:
        self.process.terminate()
        self.process.wait(20)

    def _await(self, zone: str) -> None:
        end = time.monotonic() + 20
        while True:
            try:
                if self.serial(zone, 0.1):
                    return
            except (OSError, dns.exception.DNSException):
                pass
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "knot.log").read_text()
            time.sleep(0.05)

    def query(self, name: str, kind: str, timeout: float = 5.0) -> tuple[int, set[str]] | None:
        """TTL and values, past our own code."""
        answer = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=timeout, port=self.port)
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.from_text(kind):
                return rrset.ttl, {item.to_text() for item in rrset}
        return None

    def serial(self, zone: str, timeout: float = 5.0) -> int:
        found = self.query(zone, "SOA", timeout)
        return int(min(found[1]).split()[2]) if found else 0

    def edit(self, zone: str, name: str, ttl: int, kind: str, *values: str) -> None:
        """Somebody else's change, without a prerequisite. No values: the records go."""
        message = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({KEY: SECRET}), keyname=KEY,
                                           keyalgorithm="hmac-sha256")  # fmt: skip
        message.replace(name + ".", ttl, kind, *values) if values else message.delete(name + ".", kind)
        assert dns.query.tcp(message, "127.0.0.1", timeout=5, port=self.port).rcode() == 0
