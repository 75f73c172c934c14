# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's own counters of one side's servers, by its runtime API: scur (open sessions) and stot (sessions since start).

Its health checks are no sessions. In mode http a session is a request: HAProxy gives the next one to another server. How
old sessions are is told by `show sess`, which needs `level operator`; it lists those of all servers.
"""

from __future__ import annotations

import csv
import re
import typing as t

from .. import _haproxy
from .._idle import Look, Meter
from .._module import Refusal
from ._source import Tools

NAME = "haproxy"
TELLS = ("connections", "open_connections")
UNSEEN = ("clients that reach the nodes past it", "sessions of a process from before a reload, which lives on until they end")
OPTIONS: dict[str, t.Any] = {
    "runtime_apis": {"type": "list", "elements": "str", "required": True},
    "backends": {"type": "list", "elements": "str", "required": True},
    "servers": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5.0},
}
_SESSION = re.compile(r"\bbe=(\S+) srv=(\S+) .*?\bage=((?:\d+[dhms])+)")
_PARTS = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def check(options: dict[str, t.Any]) -> None:
    for name in ("runtime_apis", "backends"):
        if not options[name]:
            raise Refusal("bad_option", f"sources.haproxy.{name}: expected at least one; found none.")
    for address in options["runtime_apis"]:
        _haproxy.parse_address(address)
    _haproxy.expression("sources.haproxy.servers", options["servers"])


def look(options: dict[str, t.Any], _tools: Tools) -> Look:
    servers = _haproxy.expression("sources.haproxy.servers", options["servers"])
    meters = []
    for address in options["runtime_apis"]:
        stat, info = _haproxy.RuntimeApi(address, options["timeout"]).ask(["show stat -1 6 -1", "show info"])
        meters += parse(address, stat, info, options["backends"], servers)
    return Look(meters)


def parse(instance: str, stat: str, info: str, backends: t.Sequence[str], servers: re.Pattern[str]) -> list[Meter]:
    """A meter for each server of these backends. Raises Refusal(unexpected_answer, no_such_backend, no_such_server)."""
    rows = list(csv.DictReader(stat.removeprefix("# ").splitlines()))
    if not rows or "svname" not in rows[0]:
        raise Refusal("unexpected_answer", f"{instance}: `show stat` did not answer with a table: {stat[:200]!r}")
    known = {row["pxname"] for row in rows}
    uptime = _haproxy.UPTIME.search(info)
    found = []
    for backend in backends:
        if backend not in known:
            raise Refusal("no_such_backend", f"{instance} has no backend {backend}. It has: {', '.join(sorted(known))}.")
        mine = [row for row in rows if row["pxname"] == backend and row["svname"] not in ("FRONTEND", "BACKEND")]
        chosen = [row for row in mine if servers.search(row["svname"])]
        if not chosen:
            raise Refusal(
                "no_such_server",
                f"{instance}, backend {backend}: servers ({servers.pattern}) matches none of its servers:"
                f" {', '.join(row['svname'] for row in mine) or 'none'}.",
            )
        found += [_meter(instance, row, int(uptime[1]) if uptime else None) for row in chosen]
    return found


def _meter(instance: str, row: dict[str, str], uptime: int | None) -> Meter:
    title = f"{row['pxname']}/{row['svname']}"
    meter = Meter(f"{title} of HAProxy {instance}", f"{instance} {title}", TELLS, uptime=uptime)
    for field, column in (("connections", "stot"), ("open_connections", "scur")):
        if row.get(column):
            setattr(meter, field, int(row[column]))
            meter.sources[field] = column
        else:
            meter.unknown.append(f"{meter.name}: {field}: `show stat` has no {column} of it")
    if not meter.unknown:
        meter.turnover = (int(row["stot"]), int(row["scur"]))
    return meter


def tell_ages(options: dict[str, t.Any], look: Look) -> None:
    for address in options["runtime_apis"]:
        if not any(meter.open_connections for meter in look.meters if meter.id.startswith(f"{address} ")):
            continue
        try:
            (text,) = _haproxy.RuntimeApi(address, options["timeout"]).ask(["show sess"])
        except Refusal:
            continue  # the counters' lower bounds remain
        ages = ages_of(text)
        for meter in look.meters:
            if meter.id.startswith(f"{address} ") and meter.open_connections and meter.id.partition(" ")[2] in ages:
                meter.ages = ages[meter.id.partition(" ")[2]]


def ages_of(text: str) -> dict[str, list[int]]:
    """'BACKEND/SERVER' -> seconds of each session, from `show sess`."""
    found: dict[str, list[int]] = {}
    for line in text.splitlines():
        if match := _SESSION.search(line):
            seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PARTS.findall(match[3]))
            found.setdefault(f"{match[1]}/{match[2]}", []).append(seconds)
    return found
