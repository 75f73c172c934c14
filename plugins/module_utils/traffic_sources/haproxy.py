# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's own counters, per server, by its runtime API: what became of the connections of real clients.

Counters are since HAProxy's start, so a window is two readings. Of a server:
  econ     connections that were given up; wredis  those that were given to another server instead (option redispatch):
           the client may have been served, and this server has failed all the same
  eresp    (mode http) answers that broke off; hrsp_5xx  (mode http) answers of the class 5xx
A balancer at layer 4 sees no requests: a session that carried a hundred answers of 503 was a good one. Its eresp counts
connections that a gateway ends by a reset, as it may any that is idle, and in the window in which they end, not begin.
"""

from __future__ import annotations

import csv
import re
import typing as t

from .. import _haproxy
from .._module import Refusal
from ._source import Measured, Tally, Tools, Window

NAME = "haproxy"
REAL = True
COUNTS_PROBES = False  # our probes go to the nodes, past the balancer
UNSEEN = ("latency", "in mode tcp: what was answered; it counts connections, not requests")
OPTIONS = {
    "runtime_apis": {"type": "list", "elements": "str", "required": True},
    "backends": {"type": "list", "elements": "str", "required": True},
    "blue_servers": {"type": "str", "required": True},
    "green_servers": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5.0},
}
ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
GIVEN_UP = ("econ", "wredis")
FAILURES = (*GIVEN_UP, "eresp")
Counters = dict[str, dict[str, int]]  # 'INSTANCE BACKEND/SERVER' -> counter -> value


def begin(options: dict[str, t.Any], _tools: Tools) -> dict[str, t.Any]:
    return {"counters": _read(options)}


def measure(options: dict[str, t.Any], begun: dict[str, t.Any], _window: Window, _tools: Tools) -> Measured:
    now = _read(options)
    return Measured(
        *(difference(begun["counters"], now, re.compile(options[f"{colour}_servers"])) for colour in ("blue", "green"))
    )


def _read(options: dict[str, t.Any]) -> Counters:
    # As the module that moves the weights checks them: expressions, names, and that every backend has both colours.
    _haproxy.Balancer(
        options["runtime_apis"], options["backends"], options["blue_servers"], options["green_servers"],
        options["timeout"],
    ).read()  # fmt: skip
    found: Counters = {}
    for address in options["runtime_apis"]:
        (stat,) = _haproxy.RuntimeApi(address, options["timeout"]).ask(["show stat -1 4 -1"])
        found |= parse(address, stat, options["backends"])
    return found


def parse(instance: str, stat: str, backends: t.Collection[str]) -> Counters:
    """The counters of the servers of these backends. What a mode does not count is left out."""
    rows = csv.DictReader(stat.removeprefix("# ").splitlines())
    return {
        f"{instance} {row['pxname']}/{row['svname']}": {
            name: int(row[name]) for name in ("stot", *FAILURES, *ANSWERS) if row.get(name)
        }
        for row in rows
        if row.get("pxname") in backends and row["svname"] not in ("FRONTEND", "BACKEND")
    }


def difference(before: Counters, now: Counters, servers: re.Pattern[str]) -> Tally:
    """One colour's traffic between two readings. Raises Refusal(reloaded)."""
    requests = failed = 0
    for title, counters in now.items():
        if not servers.search(title.rpartition("/")[2]):
            continue
        since = before.get(title, {})
        delta = {name: value - since.get(name, 0) for name, value in counters.items()}
        if title not in before or any(value < 0 for value in delta.values()):
            raise Refusal(
                "reloaded",
                f"{title}: its counters began anew, so HAProxy was reloaded, and its weights may be those of the"
                " configuration again. Run the step again",
            )
        http = any(name in counters for name in ANSWERS)
        bad = sum(delta.get(name, 0) for name in (FAILURES if http else GIVEN_UP))
        answered = sum(delta.get(name, 0) for name in ANSWERS)
        # A session is counted before it is known how it ends; one in mode http may carry many requests, or none.
        requests += answered + bad if http else max(delta.get("stot", 0), bad)
        failed += bad + delta.get("hrsp_5xx", 0)
    return Tally(requests, min(failed, requests))
