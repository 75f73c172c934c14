# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients really ask, from access logs: safe probes for each route, routes without traffic, traffic without route.

Memory does not grow with the log. Of each route the N requests with the smallest digests are kept: an even choice among
the distinct requests, whatever their order, and the same one each time the same log is read. Secrets are masked before
anything is kept; a request that would reach another route once masked is not used.
"""

from __future__ import annotations

import bisect
import gzip
import itertools
import math
import re
import typing as t
import zlib
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from ._probe import USER_AGENT
from ._routes import Ask, Entry, Table, virtual_host_of, winner
from .access_logs import FORMATS
from .access_logs.record import NOT_HTTP, Record

MASK = "masked"
# GET, and yet it ends a session or does what a link in a mail is for.
EXCLUDED = (
    r"(?i)(log|sign)[-_]?(out|off)", r"(?i)unsubscribe|opt[-_]?out", r"(?i)/(de)?activate|/confirm|/verify[-_]?e?mail",
    r"(?i)/(delete|remove|destroy|purge|revoke|shutdown|restart|reset)\b", r"(?i)/(oauth2?|oidc|saml2?|callback|acs)\b",
)  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?i)token|key(?!word)|pass(word|wd|phrase)?$|pwd|secret|sig(nature)?$|^code$|_code$|sess|^sid$|auth|cred|jwt|otp|^pin$|"
    r"ticket|assertion|saml|hmac|hash|nonce|^state$|csrf|xsrf|cookie|e-?mail|phone|^ssn$|user(name)?$"
)
_SECRET_VALUE = re.compile(r"@|^eyJ|://[^/]*:|^-----")
_WORDS = r"(?:[A-Za-z]?[a-z]{0,19}|[A-Z]{0,12})"
_WORDY = re.compile(_WORDS + r"(?:[-_.~,:+]" + _WORDS + r")*\Z")  # words and what joins them, no digits
_CONTROL = re.compile(r"[\x00-\x20\x7f\ufffd]")
LINE_LIMIT = 1 << 16  # characters of a line; longer ones are read in pieces, which no parser takes for a request
TARGET_LIMIT = 2048
CACHED = 1 << 17  # distinct requests whose route is remembered
PLACES = 1000  # of (host, path) that hit no route, counted each for itself


# -- secrets -----------------------------------------------------------------------------------------------------------
def secretive(text: str) -> bool:
    """Whether a value may be a secret by its looks: long and not made of words, an address, a JWT, a digest."""
    if _SECRET_VALUE.search(text):
        return True
    if len(text) < 16 or _WORDY.match(text):
        return len(text) > 64
    return text.isalnum() or len(text) >= 32 or _entropy(text) > 3.5


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def mask_path(path: str) -> str:
    """The path with each segment masked that looks like a secret; a UUID does not: it names things, as numbers do."""
    if len(path) < 16:  # the usual case
        return path
    parts = path.split("/")
    return "/".join(MASK if secretive(unquote(part)) and not _UUID.match(part) else part for part in parts)


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def mask_query(query: str) -> dict[str, str]:
    """Parameters by name, with the values masked that are secrets by name or looks."""
    found = parse_qsl(query, keep_blank_values=True, errors="replace")
    return {
        (MASK if secretive(name) else name): MASK if value and (_SECRET_NAME.search(name) or secretive(value)) else value
        for name, value in found
    }


# -- routes ------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Seen:
    """A route, and what was asked of it. kept: (negated digest, sample), the largest digest first."""

    id: str
    table: Table
    host: str
    entry: Entry | None
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unsafe: int = 0
    kept: list[tuple[int, str, dict[str, t.Any]]] = field(default_factory=list)

    def offer(self, digest: int, name: str, sample: dict[str, t.Any], limit: int) -> None:
        """Keeps the `limit` names of the smallest digests; a name has the smallest of those that it was offered with."""
        for index, (negated, kept, _sample) in enumerate(self.kept):
            if kept == name:
                if digest < -negated:
                    self.kept[index] = (-digest, name, sample)
                    self.kept.sort()
                return
        bisect.insort(self.kept, (-digest, name, sample))
        del self.kept[: max(0, len(self.kept) - limit)]

    def samples(self) -> list[dict[str, t.Any]]:
        return [sample for _digest, _name, sample in reversed(self.kept)]


@dataclass(slots=True)
class Place:
    """Where requests went that no route takes. host and path are the client's words, masked."""

    host: str
    path: str
    reason: str
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class Tally:
    """Counts requests by route. limit: samples of a route; excluded: patterns of paths that are not to be probed."""

    def __init__(self, tables: t.Sequence[Table], limit: int, excluded: t.Sequence[re.Pattern[str]] = ()) -> None:
        self.limit = limit
        self.excluded = excluded
        self.routes: list[Seen] = []
        self.by_entry: dict[tuple[int, str, int], Seen] = {}
        self.begins: dict[tuple[int, str], list[tuple[str, Entry]]] = {}
        self.queried = any(
            (entry.match or {}).get("queryParams") for one in tables for entries in one.hosts.values() for entry in entries
        )
        self.tables = list(tables)
        for number, table in enumerate(self.tables):
            for host, entries in table.hosts.items():
                self.begins[number, host] = [(_beginning(entry), entry) for entry in entries]
                for entry in [None] if table.redirect else entries:
                    seen = Seen(_id(table, host, entry), table, host, entry)
                    self.routes.append(seen)
                    self.by_entry[number, host, id(entry)] = seen
        self.places: dict[tuple[str, str, str], Place] = {}
        self.elsewhere = 0
        self._hosts: dict[tuple[str, bool | None], list[tuple[int, str]]] = {}
        self._known: dict[t.Any, tuple[Seen | Place | None, bool]] = {}

    def add(self, record: Record) -> None:
        method, authority, target, status, protocol, tls = record
        key = (authority, target, method, tls, protocol, status == 101)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= CACHED:
                self._known.clear()
            known = self._known[key] = self._classify(record)
        where, safe = known
        if where is None:
            self.elsewhere += 1
            return
        where.requests += 1
        where.statuses[status] += 1
        if not safe and isinstance(where, Seen):
            where.unsafe += 1

    def _classify(self, record: Record) -> tuple[Seen | Place | None, bool]:
        safe = record.method in ("GET", "HEAD")
        name = _name(record.authority)
        path, _mark, query = record.target.partition("?")
        if not name:
            return self._place("", path, "no_host"), safe
        found = self._find(name, path, query, record)
        if isinstance(found, str):
            return self._place(name, path, found), safe
        if safe and found.entry is not None:
            self._offer(found, name, path, query, record)
        return found, safe

    def _find(self, name: str, path: str, query: str, record: Record) -> Seen | str:
        """The route that took it, or why there is none."""
        candidates = self._candidates(name, record.tls)
        if not candidates:
            return "unknown_host"
        wanted = query and self.queried
        parameters = dict(parse_qsl(query, keep_blank_values=True, errors="replace")) if wanted else {}
        for number, host in candidates:
            table = self.tables[number]
            if table.redirect:
                return self.by_entry[number, host, id(None)]
            # Most routes are told apart by how the path begins, which is quick to see.
            fitting = [entry for beginning, entry in self.begins[number, host] if path.startswith(beginning)]
            entry = winner(fitting, Ask(path, record.method, {}, parameters, name, table.scheme))
            if entry is not None:
                return self.by_entry[number, host, id(entry)]
        return "no_route"

    def _candidates(self, name: str, tls: bool | None) -> list[tuple[int, str]]:
        """Virtual hosts for a name, the closest first; those of the scheme that it came by, if that is logged."""
        found = self._hosts.get((name, tls))
        if found is None:
            if len(self._hosts) >= CACHED:
                self._hosts.clear()
            found = []
            for number, table in enumerate(self.tables):
                host = virtual_host_of(table.hosts, name)
                if host is not None:
                    found.append((number, host))
            if tls is not None:
                matching = [one for one in found if tls == (self.tables[one[0]].scheme == "https")]
                found = matching if matching or tls else found  # without SNI, TLS looks like none
            serving = [one for one in found if not self.tables[one[0]].redirect]
            found = serving or found
            found.sort(key=lambda one: (one[1].startswith("*"), -len(one[1]), self.tables[one[0]].scheme == "http"))
            self._hosts[name, tls] = found
        return found

    def _place(self, host: str, path: str, reason: str) -> Place | None:
        """The path is told by its first part only: clients without a route are mostly not clients."""
        first, rest = path[1:].partition("/")[::2] if path.startswith("/") else (path, "")
        shown = MASK if secretive(unquote(first)) else first[:64]
        key = (host[:253], "/" + shown + ("/*" if rest else ""), reason)
        place = self.places.get(key)
        if place is None:
            if len(self.places) >= PLACES:
                return None
            place = self.places[key] = Place(*key)
        return place

    def _offer(self, seen: Seen, name: str, path: str, query: str, record: Record) -> None:
        digest = zlib.crc32(f"{record.method} {name} {record.target}".encode("utf-8", "replace"))
        if len(seen.kept) >= self.limit and digest > -seen.kept[0][0]:
            return
        if not path.startswith("/") or len(record.target) > TARGET_LIMIT or _CONTROL.search(record.target):
            return
        if any(pattern.search(path) for pattern in self.excluded):
            return
        masked, parameters = mask_path(path), mask_query(query) if query else {}
        table = seen.table
        ask = Ask(masked, record.method, {}, parameters, name, table.scheme)
        if winner(table.hosts[seen.host], ask) is not seen.entry:
            return
        sample = {
            "host": name, "path": masked, "method": record.method, "query": parameters, "protocol": "",
            "gateway": table.gateway, "port": table.port,
        }  # fmt: skip
        if record.status == 101:
            sample["protocol"] = "websocket"
        elif table.scheme == "https" and record.protocol.startswith("HTTP/1"):
            sample["protocol"] = "http1"
        label = f"{record.method} {name} {masked} {sorted(parameters.items())}"
        seen.offer(digest, label, sample, self.limit)


def _beginning(entry: Entry) -> str:
    """What the path of each request that the route takes begins with."""
    match = entry.match or {}
    uri = match.get("uri") or {}
    return "" if match.get("ignoreUriCase") else uri.get("exact") or uri.get("prefix") or ""


def _id(table: Table, host: str, entry: Entry | None) -> str:
    route = f"{entry.virtual_service} {entry.label}" if entry else "httpsRedirect"
    return f"{table.gateway}:{table.port} {host} {route}"


def _name(authority: str) -> str:
    """The host of an authority, lower case, without port; "" when it is none."""
    name, colon, port = authority.rpartition(":")
    name = (name if colon and port.isdecimal() else authority).lower().rstrip(".")
    return "" if name.startswith(("*", "[")) or _CONTROL.search(name) else name


def by_headers(entry: Entry | None) -> bool:
    """Whether headers decide on a route. Logs don't have them: whether it saw traffic can't be told."""
    return bool(entry and entry.match and (entry.match.get("headers") or entry.match.get("withoutHeaders")))


# -- reading -----------------------------------------------------------------------------------------------------------
@dataclass
class Lines:
    """How many there were: of requests, of probes of our own, without a request (TCP), and of no format."""

    lines: int = 0
    requests: int = 0
    own: int = 0
    not_http: int = 0
    log: int = 0
    unreadable: int = 0


# What a gateway's container writes beside it, and kubectl logs with it: Istio's agent, Envoy, Go's standard logger. An
# entry may go on for lines that begin with nothing of the kind, such as the agent's configuration.
PROXY_LOG = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z\t(debug|info|warn|error|fatal)\t|\[\d{4}-\d\d-\d\d [\d:.]+\]\[\d+\]\[\w+\]"
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
)
HEAD = 1000  # lines in which a format must be found: an agent writes a hundred before the first request


def sniff(lines: t.Iterable[str]) -> str | None:
    """The format that reads the first readable line, or None."""
    for line in lines:
        for name, parse in FORMATS.items():
            if parse(line) is not None:
                return name
    return None


def lines_of(path: str) -> t.Iterator[str]:
    """A file's lines, gzip or not by what it begins with. Raises OSError (gzip.BadGzipFile too) and EOFError."""
    with open(path, "rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        with gzip.open(raw) if packed else raw as file:
            while line := file.readline(LINE_LIMIT):
                yield line.decode("utf-8", "replace")


def count(lines: t.Iterable[str], wanted: str, tally: Tally) -> Lines:
    """Adds all lines to the tally. wanted: a format, or "auto"."""
    found = Lines()
    source = iter(lines)
    head: list[str] = []
    if wanted == "auto":
        while len(head) < HEAD and (line := next(source, None)) is not None:
            head.append(line)
        wanted = sniff(head) or next(iter(FORMATS))
    for kind, line, record in told_apart(itertools.chain(head, source), FORMATS[wanted]):
        found.lines += 1
        if kind == "request" and USER_AGENT in line:
            found.own += 1
        elif kind == "request":
            found.requests += 1
            tally.add(record)
        elif kind != "blank":
            setattr(found, kind, getattr(found, kind) + 1)
    return found


def told_apart(
    lines: t.Iterable[str], parse: t.Callable[[str], Record | None]
) -> t.Iterator[tuple[str, str, Record | None]]:
    """(kind, line, record) of each: request, not_http, log (the proxy's own), blank, or unreadable."""
    in_log = False
    for line in lines:
        record = parse(line)
        if record is not None:
            in_log = False
            yield "not_http" if record is NOT_HTTP else "request", line, record
            continue
        in_log = in_log or PROXY_LOG.search(line) is not None
        yield "log" if in_log else "unreadable" if line.strip() else "blank", line, None


def summary(tally: Tally, shown: int) -> dict[str, t.Any]:
    """The tally as plain data; see access_log_routes_info's RETURN. shown: places at most."""
    places = sorted(tally.places.values(), key=lambda one: (-one.requests, one.host, one.path))
    lost = sum(place.requests for place in places) + tally.elsewhere
    return {
        "samples": [sample for seen in tally.routes for sample in seen.samples()],
        "routes": [
            {
                "id": seen.id, "gateway": seen.table.gateway, "port": seen.table.port, "host": seen.host,
                "virtual_service": seen.entry.virtual_service if seen.entry else None,
                "route": seen.entry.label if seen.entry else "httpsRedirect", "requests": seen.requests,
                "statuses": _statuses(seen.statuses), "unsafe": seen.unsafe, "samples": len(seen.kept),
            }
            for seen in tally.routes
        ],
        "silent": [seen.id for seen in tally.routes if not seen.requests and not by_headers(seen.entry)],
        "undecided": [seen.id for seen in tally.routes if not seen.requests and by_headers(seen.entry)],
        "unmatched": [
            {"host": one.host, "path": one.path, "reason": one.reason, "requests": one.requests,
             "statuses": _statuses(one.statuses)}
            for one in places[:shown]
        ],
        "unmatched_requests": lost,
    }  # fmt: skip


def _statuses(statuses: Counter[int]) -> dict[str, int]:
    return {str(status): number for status, number in sorted(statuses.items())}
