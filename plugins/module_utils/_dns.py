# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are blue's and which are green's, by their records, and which records have to change. Asks nobody.

A host is what one owner name says in A, AAAA and CNAME records together. It moves whole or not at all.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import math
import re
import typing as t

from ._module import Refusal

TYPES = ("A", "AAAA", "CNAME")
COLOURS = ("blue", "green")
ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclasses.dataclass(frozen=True)
class RRset:
    name: str
    type: str
    ttl: int
    values: tuple[str, ...]  # sorted

    @property
    def title(self) -> str:
        return f"{self.name} {self.type}"

    def plain(self) -> dict[str, t.Any]:
        return {"name": self.name, "type": self.type, "ttl": self.ttl, "values": list(self.values)}


Side = dict[str, tuple[str, ...]]  # type -> values


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where clients of some hosts are sent: blue's records, and green's in their place."""

    blue: Side
    green: Side


@dataclasses.dataclass(frozen=True)
class Host:
    """One owner name. colour: blue, green, or "" when its records are neither's. hosts: the names asked for that it
    answers; more than itself only for a wildcard."""

    name: str
    zone: str
    rrsets: tuple[RRset, ...]
    colour: str
    endpoint: Endpoint | None
    hosts: tuple[str, ...]

    def found(self) -> str:
        return ", ".join(f"{rrset.type} {' '.join(rrset.values)}" for rrset in self.rrsets) or "no address"


@dataclasses.dataclass(frozen=True)
class Key:
    name: str
    algorithm: str
    secret: bytes = dataclasses.field(repr=False)


class Change(t.NamedTuple):
    """All of one host: `before` also has what stays, since a prerequisite is made of each."""

    host: Host
    before: tuple[RRset, ...]
    after: tuple[RRset, ...]


# -- options ---------------------------------------------------------------------------------------------------------
def host_name(field: str, text: str) -> str:
    """Lower case, without the dot at the end. Raises Refusal(bad_option)."""
    name = text.lower().removesuffix(".")
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise Refusal("bad_option", f"{field}: {text!r} is not a host name, nor a wildcard like *.apps.example.com.")
    return name


def zone_of(name: str, zones: t.Iterable[str]) -> str | None:
    """The innermost of these zones that has the name."""
    fitting = [zone for zone in zones if f".{name}".endswith(f".{zone}")]
    return max(fitting, key=len, default=None)


def ancestors(name: str, zone: str) -> list[str]:
    """The wildcards that may answer for a name, innermost first."""
    found = []
    while name != zone:
        name = name.partition(".")[2]
        found.append(f"*.{name}")
    return found


def address(field: str, text: str, port: int = 53) -> tuple[str, int]:
    """Of HOST, HOST:PORT, IPv6 or [IPv6]:PORT. Raises Refusal(bad_option)."""
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:\s]+)(?::(\d+))?", text)
    try:
        host, number = str(ipaddress.IPv6Address(text)), port
    except ValueError:
        if not match:
            raise Refusal("bad_option", f"{field}: {text!r} is not HOST, HOST:PORT or [IPV6]:PORT.") from None
        host, number = match[1] or match[3], int(match[2] or match[4] or port)
    if not 0 < number < 65536:
        raise Refusal("bad_option", f"{field}: {text!r} has no port between 1 and 65535.")
    return host, number


def side(field: str, values: t.Sequence[str]) -> Side:
    """Addresses by type, or one name. Raises Refusal(bad_option)."""
    found: dict[str, list[str]] = {}
    for value in values:
        try:
            one = ipaddress.ip_address(value)
            found.setdefault("A" if one.version == 4 else "AAAA", []).append(str(one))
        except ValueError:
            found.setdefault("CNAME", []).append(host_name(field, value) + ".")
    if not found or ("CNAME" in found and (len(found) > 1 or len(found["CNAME"]) > 1)):
        raise Refusal("bad_option", f"{field}: expected addresses, or one name for a CNAME; found {list(values)}.")
    return {kind: tuple(sorted(set(known))) for kind, known in found.items()}


def endpoints_of(options: t.Sequence[dict[str, t.Any]]) -> list[Endpoint]:
    """Raises Refusal(bad_option) unless a record can tell where it belongs."""
    found, seen = [], {}
    for index, option in enumerate(options):
        where = f"endpoints[{index}]"
        sides = {colour: side(f"{where}.{colour}", option[colour]) for colour in COLOURS}
        if sides["blue"].keys() != sides["green"].keys():
            kinds = {colour: "/".join(one) for colour, one in sides.items()}
            raise Refusal(
                "bad_option",
                f"{where}: blue has {kinds['blue']} and green has {kinds['green']}. Some clients would find nothing, or"
                " a name would have to be both address and CNAME: give both the same types.",
            )
        for colour, one in sides.items():
            for kind, values in one.items():
                other = seen.setdefault((kind, values), f"{where}.{colour}")
                if other != f"{where}.{colour}":
                    raise Refusal(
                        "bad_option",
                        f"{where}.{colour}: {kind} {' '.join(values)} is {other} too, so that a record does not say"
                        " whose it is. Give each side an address of its own.",
                    )
        found.append(Endpoint(**sides))
    if not found:
        raise Refusal("bad_option", "endpoints is empty; name blue's and green's addresses.")
    return found


def read_key(name: str | None, algorithm: str, secret: str | None, text: str | None, path: str | None) -> Key | None:
    """text: what the file at `path` holds, as tsig-keygen writes it, or as `[ALGORITHM:]NAME:SECRET`, which keymgr -t
    writes in its first line. Raises Refusal(bad_key), which says nothing of what was found."""
    if text is not None:
        block = re.search(r'\bkey\s+"?([^\s"{]+)"?\s*\{(.*?)\}', text, re.DOTALL)
        line = re.search(r"^#?\s*(?:([\w-]+):)?([\w.-]+):([\w+/]+=*)\s*$", text, re.MULTILINE)
        if block:
            parts = dict(re.findall(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;', block[2]))
            name, algorithm, secret = block[1], parts.get("algorithm", ""), parts.get("secret")
        elif line:
            algorithm, name, secret = line[1] or "hmac-sha256", line[2], line[3]
        if not name or not secret:
            raise Refusal(
                "bad_key", f"key_file {path}: no TSIG key in it; expected what tsig-keygen or keymgr -t writes."
            )
    if secret is None:
        return None
    where = f"key_file {path}" if text is not None else "key_secret"
    algorithm = algorithm.lower().removesuffix(".")
    if algorithm not in ALGORITHMS:
        raise Refusal("bad_key", f"{where}: algorithm {algorithm!r}; expected one of {', '.join(ALGORITHMS)}.")
    try:
        return Key(str(name), algorithm, base64.b64decode(secret, validate=True))
    except binascii.Error as exc:
        raise Refusal("bad_key", f"{where}: the secret of key {name} is not Base64.") from exc


# -- what is there ---------------------------------------------------------------------------------------------------
def colour_of(rrsets: t.Sequence[RRset], endpoints: t.Sequence[Endpoint]) -> tuple[str, Endpoint | None]:
    """Blue's or green's if every type that the host has is that side's, of one endpoint."""
    for endpoint in endpoints:
        for colour, one in (("blue", endpoint.blue), ("green", endpoint.green)):
            if rrsets and all(one.get(rrset.type) == rrset.values for rrset in rrsets):
                return colour, endpoint
    return "", None


def ordered(hosts: t.Sequence[Host], order: str) -> list[Host]:
    """names: by name, wildcards last, as one of them may carry many hosts. listed: as they come."""
    return sorted(hosts, key=lambda host: (host.name.startswith("*"), host.name)) if order == "names" else list(hosts)


def count_for(percent: float, number: int) -> int:
    """How many hosts a share means, rounded up; a share that share() gave means as many as it was made of."""
    return min(number, math.ceil(percent * number / 100 - number * 1e-6))


def share(hosts: t.Sequence[Host]) -> float | None:
    """Green's share of hosts, in percent. None if one of them is neither's."""
    if not hosts or any(not host.colour for host in hosts):
        return None
    return round(100 * sum(host.colour == "green" for host in hosts) / len(hosts), 4)


def check_neither(hosts: t.Sequence[Host]) -> None:
    wrong = [f"{host.name} has {host.found()}" for host in hosts if not host.colour]
    if wrong:
        raise Refusal(
            "foreign_record",
            f"Neither blue's nor green's: {'; '.join(wrong)}. Nothing was changed. Find out who set it; put it right,"
            " add it to endpoints, or leave the host out of hosts.",
            records=wrong,
        )


def check_expected(hosts: t.Sequence[Host], percent: float, wanted: float | None) -> None:
    """Raises Refusal(foreign_change) unless as many hosts are green as expected, or as wanted already: that is where a
    run that was killed left them."""
    green = [host.name for host in hosts if host.colour == "green"]
    accepted = {count_for(share_, len(hosts)) for share_ in (percent, wanted) if share_ is not None}
    if len(green) not in accepted:
        raise Refusal(
            "foreign_change",
            f"Somebody else moved hosts: expected {count_for(percent, len(hosts))} of {len(hosts)} on green"
            f" ({percent:g} %), found {len(green)}: {', '.join(green) or 'none'}. Nothing was changed. Find out who,"
            " then go on from what is there.",
            green=green,
        )


# -- what has to change ----------------------------------------------------------------------------------------------
def move(hosts: t.Sequence[Host], percent: float) -> list[Change]:
    """Gives green its share. No host goes there and back: going up, the first blue ones join those that are green;
    going down, the last green ones leave."""
    known = [host for host in hosts if host.colour]
    green = [host for host in known if host.colour == "green"]
    more = count_for(percent, len(known)) - len(green)
    blue = [host for host in known if host.colour == "blue"]
    going, colour = (blue[:more], "green") if more > 0 else (green[len(green) + more :], "blue")
    return [
        Change(host, host.rrsets, tuple(
            dataclasses.replace(rrset, values=getattr(host.endpoint, colour)[rrset.type]) for rrset in host.rrsets
        ))
        for host in going
    ]  # fmt: skip


def lower(hosts: t.Sequence[Host], ttl: int) -> list[Change]:
    """No TTL above this one. Values stay."""
    changes = [
        Change(host, host.rrsets, tuple(dataclasses.replace(rrset, ttl=min(ttl, rrset.ttl)) for rrset in host.rrsets))
        for host in hosts
        if host.colour
    ]
    return [change for change in changes if change.before != change.after]


def restore(hosts: t.Sequence[Host], records: t.Sequence[dict[str, t.Any]]) -> list[Change]:
    """As these records say; one without values keeps those that are there. A type that a host has got since goes with
    the others."""
    given = {(one["name"], one["type"]): one for one in records}
    changes = []
    for host in hosts:
        if not host.endpoint:
            continue
        known = [rrset.type for rrset in host.rrsets if given.get((host.name, rrset.type), {}).get("values")]
        said = {kind: tuple(sorted(given[host.name, kind]["values"])) for kind in known}
        colour = next((c for c in COLOURS if all(getattr(host.endpoint, c)[k] == said[k] for k in known)), host.colour)
        after = []
        for rrset in host.rrsets:
            ttl = given.get((host.name, rrset.type), {}).get("ttl") or rrset.ttl
            other = getattr(host.endpoint, colour)[rrset.type] if known else rrset.values
            after.append(dataclasses.replace(rrset, ttl=ttl, values=said.get(rrset.type, other)))
        if tuple(after) != host.rrsets:
            changes.append(Change(host, host.rrsets, tuple(after)))
    return changes


def with_changes(hosts: t.Sequence[Host], changes: t.Sequence[Change], endpoints: t.Sequence[Endpoint]) -> list[Host]:
    """The hosts as they will be."""
    after = {change.host.name: change.after for change in changes}
    found = []
    for host in hosts:
        rrsets = after.get(host.name, host.rrsets)
        colour, endpoint = colour_of(rrsets, endpoints)
        found.append(dataclasses.replace(host, rrsets=rrsets, colour=colour, endpoint=endpoint))
    return found


def stale_for(changes: t.Sequence[Change]) -> int:
    """Seconds for which caches may keep giving out what is changed. A TTL that only rises makes nothing stale."""
    return max(
        (old.ttl for change in changes for old, new in zip(change.before, change.after)
         if old.values != new.values or new.ttl < old.ttl),
        default=0,
    )  # fmt: skip


def diff(changes: t.Sequence[Change]) -> dict[str, t.Any]:
    """{before, after}: {"DNS record NAME TYPE": {ttl, values}}."""
    return {
        when: {
            f"DNS record {rrset.title}": {"ttl": rrset.ttl, "values": list(rrset.values)}
            for change in changes
            for rrset in getattr(change, when)
        }
        for when in ("before", "after")
    }


# -- what caches still hold ------------------------------------------------------------------------------------------
# In the journal's fact `dns`, by kind of change and zone: {"ttl": seconds for which what was changed may live on in
# caches, "at": when all servers had the new records, as UNIX time}. `at` is None from just before the change until that
# is known, so that a run that goes on after another was killed in between waits from when it has made sure itself.
Fact = dict[str, t.Any]


def left(fact: Fact | None, now: float) -> float:
    """Seconds until caches that honour the TTL have let go."""
    if not fact:
        return 0.0
    return float(fact["ttl"]) if fact["at"] is None else max(0.0, fact["at"] + fact["ttl"] - now)


def begun(fact: Fact | None, ttl: int, now: float) -> Fact:
    """Before a change. What is left of an earlier one still counts."""
    return {"ttl": max(ttl, math.ceil(left(fact, now))), "at": None}


def made(fact: Fact, now: float) -> Fact:
    """Every server has what was changed."""
    return fact if fact["at"] is not None else {**fact, "at": round(now, 3)}


# -- what is told ----------------------------------------------------------------------------------------------------
def shares(hosts: t.Sequence[Host]) -> list[dict[str, t.Any]]:
    found = []
    for zone in sorted({host.zone for host in hosts}):
        mine = [host for host in hosts if host.zone == zone]
        names = {colour: [host.name for host in mine if host.colour == colour] for colour in (*COLOURS, "")}
        found.append(
            {"zone": zone, "green_percent": share(mine), "blue": names["blue"], "green": names["green"],
             "neither": names[""]}
        )  # fmt: skip
    return found


def backends(hosts: t.Sequence[Host]) -> list[dict[str, t.Any]]:
    """Each host with both sides' addresses, as the seam of the balancers wants servers. DNS counts no sessions."""
    return [
        {
            "backend": host.name, "server": value, "colour": colour, "admin": "ready", "health": "UNCHECKED",
            "scur": None, "active": colour == host.colour, "zone": host.zone, "type": rrset.type, "ttl": rrset.ttl,
        }
        for host in hosts
        if host.endpoint
        for rrset in host.rrsets
        for colour in COLOURS
        for value in getattr(host.endpoint, colour)[rrset.type]
    ]  # fmt: skip


def weights(hosts: t.Sequence[Host]) -> list[dict[str, t.Any]]:
    """The records in force, as infrastructure_files takes them."""
    return [
        {"kind": "dns", "name": rrset.name, "record_type": rrset.type, "ttl": rrset.ttl, "targets": [
            {"name": value, "weight": 1, **({"colour": host.colour} if host.colour else {})} for value in rrset.values
        ]}
        for host in hosts
        for rrset in host.rrsets
    ]  # fmt: skip
