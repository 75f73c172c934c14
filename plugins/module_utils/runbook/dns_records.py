# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS records by nsupdate: those of before, and all to blue. The TSIG key is only named, by its file."""

from __future__ import annotations

import shlex
import typing as t

from .. import _dns
from ._command import Book, Command

RRsets = list[tuple[str, str, int, list[str]]]  # name, type, TTL, values


def nsupdate(server: str, zone: str, rrsets: RRsets, key: str) -> str:
    """One message: the server carries out all of it or nothing. key: the option that names it, or empty."""
    host, port = _dns.address("server", server)
    lines = [f"server {host} {port}", f"zone {zone}."]
    for name, kind, ttl, values in rrsets:
        lines.append(f"update delete {name}. {kind}")
        lines += [f"update add {name}. {ttl} {kind} {value}" for value in values]
    return f"printf '%s\\n' {' '.join(map(shlex.quote, [*lines, 'send']))} | nsupdate -v{key}"


def key_option(key_file: str | None, key_name: str | None = None) -> str:
    if key_file:
        return f" -k {shlex.quote(key_file)}"
    return f' -k "${{TSIG_KEY_FILE:?file with the TSIG key {key_name}}}"' if key_name else ""


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    key = key_option(params.get("key_file"), params.get("key_name"))
    found = []
    for zone in params["zones"]:
        mine = [one for one in params["records"] if _dns.zone_of(one["name"], params["zones"]) == zone]
        rrsets = [(one["name"], one["type"], one["ttl"], one["values"]) for one in mine]
        if rrsets:
            run = nsupdate(params["server"], zone, rrsets, key)
            found.append(Command(f"records and TTL of {len(rrsets)} hosts in zone {zone} as they were", run))
    return found


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    """servers: as dns_records returns them."""
    found = []
    for server, zone, file in sorted({(s["dns_server"], s["zone"], s["key_file"]) for s in servers}):
        rrsets: dict[tuple[str, str, int], list[str]] = {}
        for s in servers:
            if (s["dns_server"], s["zone"], s["colour"]) == (server, zone, "blue"):
                rrsets.setdefault((s["backend"], s["type"], s["ttl"]), []).append(s["server"])
        key = key_option(file, "of the zone")
        run = nsupdate(server, zone, [(*which, values) for which, values in rrsets.items()], key)
        found.append(Command(f"zone {zone}: give blue all hosts", run))
    if servers:
        longest = max(s["ttl"] for s in servers)
        found.append(Command("and wait until caches have let go of green", f"sleep {longest}"))
    return found + show(servers)


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    found = []
    for server in sorted({s["dns_server"] for s in servers}):
        host, port = _dns.address("server", server)
        asked = dict.fromkeys((s["backend"], s["type"]) for s in servers if s["dns_server"] == server)
        names = " ".join(f"{shlex.quote(name)} {kind}" for name, kind in asked)
        run = f"dig +norecurse +noall +answer @{shlex.quote(host)} -p {port} {names}"
        found.append(Command(f"records that {server} has now", run))
    return found
