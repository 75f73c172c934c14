# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stub resolver of one server, which keeps what it was told for its TTL and not longer."""

from __future__ import annotations

import socket
import time

try:
    import dns.exception
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype

    IMPORT_ERROR = None
except ImportError:  # reported by the modules, as ansible-test asks
    import traceback

    IMPORT_ERROR = traceback.format_exc()

CHAIN = 8  # aliases that are followed
ATTEMPTS = 2  # a datagram may be lost: the default of resolv.conf(5)


class Resolver:
    def __init__(self, host: str, port: int, timeout: float = 1.0) -> None:
        self.ip = str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
        self.port, self.timeout = port, timeout
        self.known: dict[str, tuple[str, float]] = {}

    def address(self, name: str) -> str:
        """The first address of a name, IPv4 before IPv6. Raises LookupError with the reason."""
        now = time.monotonic()
        known = self.known.get(name)
        if known and now < known[1]:
            return known[0]
        for kind in ("A", "AAAA"):
            if found := self._ask(name, kind):
                address, ttl = found
                self.known[name] = (address, now + ttl)
                return address
        raise LookupError(f"{name} has no address")

    def _ask(self, name: str, kind: str) -> tuple[str, int] | None:
        """(address, lowest TTL on the way to it)."""
        owner, ttls = dns.name.from_text(name), []
        wanted = dns.rdatatype.from_text(kind)
        for _step in range(CHAIN):
            answer = self._answer(name, dns.message.make_query(owner, kind))
            if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                raise LookupError(f"{name}: {dns.rcode.to_text(answer.rcode())}")
            asked = owner
            by_owner = {(rrset.name, rrset.rdtype): rrset for rrset in answer.answer}
            while alias := by_owner.get((owner, dns.rdatatype.CNAME)):
                ttls.append(alias.ttl)
                owner = alias[0].target
                if len(ttls) > CHAIN:
                    raise LookupError(f"{name}: more than {CHAIN} aliases")
            if found := by_owner.get((owner, wanted)):
                return found[0].address, min([found.ttl, *ttls])
            if owner == asked:
                return None
        raise LookupError(f"{name}: more than {CHAIN} aliases")

    def _answer(self, name: str, query: dns.message.Message) -> dns.message.Message:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return dns.query.udp_with_fallback(query, self.ip, timeout=self.timeout, port=self.port)[0]
            except (dns.exception.DNSException, OSError, EOFError) as exc:
                if attempt == ATTEMPTS or not isinstance(exc, dns.exception.Timeout):
                    raise LookupError(f"{name}: {str(exc) or type(exc).__name__}") from exc
        raise AssertionError("unreachable")
