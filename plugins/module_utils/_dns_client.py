# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authoritative servers: what they say, and RFC 2136 updates of them. The one place that knows dnspython.

An update carries a prerequisite for every type of every host that it changes, so that the server itself refuses all of
it when a record is not as it was read. It is sent by TCP, for its size; queries go by UDP, and again by TCP when they
are cut off.
"""

from __future__ import annotations

import dataclasses
import socket
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from . import _dns
from ._module import Refusal

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype
    import dns.serial
    import dns.tsig
    import dns.update

    IMPORT_ERROR = None
except ImportError:  # reported by the modules, as ansible-test asks
    import traceback

    IMPORT_ERROR = traceback.format_exc()

AT_ONCE = 8  # queries under way
POLL = 0.25  # seconds between two looks at a secondary
NOT_AS_EXPECTED = ("YXDOMAIN", "NXDOMAIN", "YXRRSET", "NXRRSET")  # answers to prerequisites


class Server:
    """One server. Raises Refusal: unreachable, bad_answer, refused, not_authoritative, key_refused, foreign_change."""

    def __init__(self, host: str, port: int, timeout: float, key: _dns.Key | None = None) -> None:
        self.title = f"{host} port {port}"
        self.port, self.timeout = port, timeout
        self.key = None
        if key:
            name = dns.name.from_text(key.name)
            self.key = dns.tsig.Key(name, key.secret, key.algorithm)
        try:
            self.ip = str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
        except OSError as exc:
            raise Refusal("unreachable", f"DNS server {self.title}: {exc}.") from exc

    def _send(self, message: t.Any, by: t.Callable[..., t.Any]) -> t.Any:
        if self.key:
            message.use_tsig(self.key)
        try:
            return by(message)
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime) as exc:
            raise Refusal(
                "key_refused",
                f"DNS server {self.title} does not take the TSIG key {self.key.name if self.key else ''}"
                f" ({type(exc).__name__}). Compare its name, algorithm and secret, and both clocks.",
            ) from exc
        except dns.exception.FormError as exc:
            if not self.key:
                raise Refusal("bad_answer", f"DNS server {self.title}: {exc}.") from exc
            raise Refusal(  # that is how a server answers that refuses before it looks at the key
                "refused",
                f"DNS server {self.title}: {exc}. It has no such zone, or it does not know the key {self.key.name}.",
            ) from exc
        except (dns.exception.Timeout, OSError, EOFError) as exc:
            raise Refusal("unreachable", f"DNS server {self.title}: {str(exc) or type(exc).__name__}.") from exc
        except dns.message.Truncated as exc:
            raise Refusal("bad_answer", f"DNS server {self.title}: its answer is cut off, by TCP too.") from exc
        except (dns.exception.DNSException, ValueError) as exc:
            raise Refusal("bad_answer", f"DNS server {self.title}: {type(exc).__name__}: {exc}.") from exc

    def ask(self, name: str, kind: str) -> t.Any:
        message = dns.message.make_query(name + ".", kind, use_edns=0, payload=1232)
        message.flags &= ~dns.flags.RD

        def by(query: t.Any) -> t.Any:
            where = {"timeout": self.timeout, "port": self.port}
            return dns.query.udp_with_fallback(query, self.ip, **where)[0]

        answer = self._send(message, by)
        code = dns.rcode.to_text(answer.rcode())
        if code not in ("NOERROR", "NXDOMAIN"):
            raise Refusal("refused", f"DNS server {self.title}: asked for {name} {kind}, it says {code}.", rcode=code)
        if not answer.flags & dns.flags.AA:
            raise Refusal(
                "not_authoritative",
                f"DNS server {self.title} is not authoritative for {name}: a resolver, or the name is in a zone of its"
                " own. Name the zone's primary, and the zone that the name is in.",
            )
        return answer

    def rrset(self, name: str, kind: str) -> _dns.RRset | None:
        """What it says about a name; an alias is not followed."""
        owner = dns.name.from_text(name)
        for found in self.ask(name, kind).answer:
            if found.name == owner and found.rdtype == dns.rdatatype.from_text(kind):
                values = tuple(sorted(item.to_text().lower() for item in found))
                return _dns.RRset(name, kind, found.ttl, values)
        return None

    def rrsets(self, name: str) -> tuple[_dns.RRset, ...]:
        alias = self.rrset(name, "CNAME")
        found = [alias] if alias else [self.rrset(name, kind) for kind in ("A", "AAAA")]
        return tuple(rrset for rrset in found if rrset)

    def serial(self, zone: str) -> int:
        owner = dns.name.from_text(zone)
        for found in self.ask(zone, "SOA").answer:
            if found.name == owner and found.rdtype == dns.rdatatype.SOA:
                return int(found[0].serial)
        raise Refusal("no_such_zone", f"DNS server {self.title} has no zone {zone}: it gives no SOA record for it.")

    def owns(self, name: str, zone: str) -> bool:
        """Whether the name has records of its own, and not only a wildcard's: an update of nothing but the question."""
        message = dns.update.UpdateMessage(zone)
        message.absent(dns.name.from_text(name))
        return self._update(message) != "NOERROR"

    def update(self, zone: str, changes: t.Sequence[_dns.Change]) -> None:
        """All of them or none. Raises Refusal(foreign_change) when the server finds a record other than it was read."""
        message = update_of(zone, changes)
        code = self._update(message)
        if code != "NOERROR":
            names = ", ".join(change.host.name for change in changes)
            raise Refusal(
                "foreign_change",
                f"DNS server {self.title} refused to change {names} in zone {zone}: {code}. Somebody else changed one"
                " of them since it was read. Nothing was changed in this zone; look again.",
                rcode=code, zone=zone,
            )  # fmt: skip

    def _update(self, message: t.Any) -> str:
        def by(query: t.Any) -> t.Any:
            return dns.query.tcp(query, self.ip, timeout=self.timeout, port=self.port)

        answer = self._send(message, by)
        code = dns.rcode.to_text(answer.rcode())
        if code != "NOERROR" and code not in NOT_AS_EXPECTED:
            raise Refusal(
                "refused",
                f"DNS server {self.title} refused an update: {code}. It must be the zone's primary, and its policy must"
                " allow this key, from here, to update the zone.",
                rcode=code,
            )
        return code


def update_of(zone: str, changes: t.Sequence[_dns.Change]) -> t.Any:
    message = dns.update.UpdateMessage(zone)
    for change in changes:
        owner = dns.name.from_text(change.host.name)
        there = {rrset.type: rrset for rrset in change.before}
        for kind in _dns.TYPES:
            if kind in there:
                message.present(owner, kind, *there[kind].values)
            else:
                message.absent(owner, kind)
        for old, new in zip(change.before, change.after):
            if old != new:
                message.replace(owner, new.ttl, new.type, *new.values)
    try:
        message.to_wire(max_size=65000)  # 65,535 is TCP's limit; the rest is for the signature
    except dns.exception.TooBig as exc:
        raise Refusal(
            "too_many", f"Zone {zone}: {len(changes)} hosts do not fit into one update. Take smaller steps.", zone=zone
        ) from exc
    return message


class Servers:
    """The primary, to which updates go, and secondaries, which have to catch up."""

    def __init__(
        self, primary: Server, secondaries: t.Sequence[Server], zones: t.Sequence[str], deadline: float
    ) -> None:
        self.primary, self.secondaries, self.zones, self.deadline = primary, secondaries, zones, deadline

    def read(
        self, hosts: t.Sequence[str], endpoints: t.Sequence[_dns.Endpoint], missing: str
    ) -> tuple[list[_dns.Host], list[str]]:
        """The hosts, each by the owner name that answers for it, and those without a record.

        missing: refuse or skip. Raises Refusal(no_record), or as Server."""
        for zone in self.zones:
            self.primary.serial(zone)
        inside = {host: zone for host in hosts if (zone := _dns.zone_of(host, self.zones))}
        wild = {host: [] if host.startswith("*") else _dns.ancestors(host, zone) for host, zone in inside.items()}
        names = list(dict.fromkeys([*inside, *(name for names in wild.values() for name in names)]))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            known = dict(zip(names, pool.map(self.primary.rrsets, names)))

            def owner(host: str) -> str:
                """The wildcard, where the host has nothing of its own and is answered as the wildcard is."""
                like = next((name for name in wild[host] if known[name]), "")
                said = [(rrset.type, rrset.values) for rrset in known[host]]
                same = like and said == [(rrset.type, rrset.values) for rrset in known[like]]
                return like if same and not self.primary.owns(host, inside[host]) else host

            present = [host for host in inside if known[host]]
            owners = dict(zip(present, pool.map(owner, present)))
        without = [host for host in hosts if host not in owners]
        if without and missing == "refuse":
            raise Refusal(
                "no_record",
                f"No A, AAAA or CNAME record in {', '.join(self.zones)} for {', '.join(without)}. Nothing was changed."
                " Leave these out of hosts, or add their zone to zones.",
                hosts=without,
            )
        found = []
        for name in dict.fromkeys(owners.values()):
            colour, endpoint = _dns.colour_of(known[name], endpoints)
            answered = tuple(host for host in owners if owners[host] == name)
            found.append(_dns.Host(name, inside[answered[0]], known[name], colour, endpoint, answered))
        return found, without

    def apply(self, changes: t.Sequence[_dns.Change]) -> None:
        """One update a zone, read back. When one is refused, those of other zones are taken back."""
        done: list[tuple[str, list[_dns.Change]]] = []
        for zone in sorted({change.host.zone for change in changes}):
            mine = [change for change in changes if change.host.zone == zone]
            try:
                self._write(zone, mine)
            except Refusal as exc:
                if not done:
                    raise
                raise Refusal(exc.code, f"{exc} {self._take_back(done)}", **exc.details) from exc
            done.append((zone, mine))

    def _write(self, zone: str, changes: t.Sequence[_dns.Change]) -> None:
        lost: Refusal | None = None
        try:
            self.primary.update(zone, changes)
        except Refusal as exc:
            if exc.code not in ("unreachable", "bad_answer"):
                raise
            lost = exc  # the answer may be what was lost, and not the update
        with ThreadPoolExecutor(AT_ONCE) as pool:
            now = list(pool.map(self.primary.rrsets, [change.host.name for change in changes]))
        wrong = [change.host.name for change, found in zip(changes, now) if found != change.after]
        if wrong and lost:
            raise lost
        if wrong:
            raise Refusal(
                "set_failed",
                f"DNS server {self.primary.title} took the update of zone {zone}, and then gave other records for"
                f" {', '.join(wrong)}. Somebody else changes them at the same time, or it answers from elsewhere.",
                hosts=wrong,
            )

    def _take_back(self, done: t.Sequence[tuple[str, list[_dns.Change]]]) -> str:
        said = []
        for zone, changes in done:
            back = [dataclasses.replace(change.host, rrsets=change.after) for change in changes]
            reverse = [_dns.Change(host, change.after, change.before) for host, change in zip(back, changes)]
            try:
                self._write(zone, reverse)
                said.append(f"Zone {zone} has its records of before again.")
            except Refusal as exc:
                said.append(f"Zone {zone} could NOT be put back, do that by hand: {exc}")
        return " ".join(said)

    def agree(self, zones: t.Iterable[str]) -> None:
        """Returns when every secondary has the primary's serial or a newer one. Raises Refusal(secondary_behind)."""
        wanted = {zone: self.primary.serial(zone) for zone in sorted(set(zones))}
        end = time.monotonic() + self.deadline
        waiting = [(server, zone) for server in self.secondaries for zone in wanted]
        while waiting:
            waiting = [(server, zone) for server, zone in waiting if not newer(server.serial(zone), wanted[zone])]
            if waiting and time.monotonic() > end:
                names = ", ".join(f"{server.title} (zone {zone})" for server, zone in waiting)
                raise Refusal(
                    "secondary_behind",
                    f"After {self.deadline:g} s these still give the records of before: {names}. The primary has the"
                    " new ones. See why they do not transfer, then run this again.",
                )
            if waiting:
                time.sleep(POLL)


def newer(found: int, wanted: int) -> bool:
    """Whether a serial is this one or a later one (RFC 1982)."""
    return bool(dns.serial.Serial(found) >= dns.serial.Serial(wanted))
