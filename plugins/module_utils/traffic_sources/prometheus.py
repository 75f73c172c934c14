# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own queries for each side, by Prometheus' HTTP API."""

from __future__ import annotations

import math
import re
import typing as t

from .. import _prometheus
from .._module import Refusal
from ._source import COLOURS, Measured, Tally, Tools, Window

NAME = "prometheus"
SETTING = "mesh_traffic.prometheus"  # what messages call its options
REAL = True
COUNTS_PROBES = False  # who asks for the gateways' own counters there, knows so
UNSEEN = ("what its queries do not ask for, and what was not scraped yet",)
QUERIES = ("requests", "failed", "p99_ms")
OPTIONS = {
    "requests": {"type": "str", "required": True},
    "failed": {"type": "str", "required": True},
    "p99_ms": {"type": "str"},
    "blue": {"type": "str", "default": "blue"},
    "green": {"type": "str", "default": "green"},
    **_prometheus.OPTIONS,
}
MINIMUM = 30  # seconds that $window is at least: a rate needs two scrapes


def begin(options: dict[str, t.Any], tools: Tools) -> dict[str, t.Any]:
    """Asks once, so that what can't be read is known before the step and not after it."""
    _check(options)
    measure(options, {}, Window(0, 0), tools)
    return {}


def measure(options: dict[str, t.Any], _begun: dict[str, t.Any], window: Window, _tools: Tools) -> Measured:
    token = _prometheus.token(SETTING, options["token_file"])
    found: dict[str, dict[str, float | None]] = {colour: {} for colour in COLOURS}
    notes = []
    for colour in COLOURS:
        for name in QUERIES:
            if options[name]:
                query = filled(options[name], options[colour], window)
                value = found[colour][name] = _value(options, name, query, token)
                if value is None:
                    notes.append(f"{SETTING}.{name} returned no data for {colour}: {query}")
    return Measured(
        *(_tally(found[colour]) for colour in COLOURS), notes=tuple(notes), latency=bool(options["p99_ms"])
    )


def _value(options: dict[str, t.Any], name: str, query: str, token: str) -> float | None:
    return _prometheus.value_of(SETTING, name, query, _prometheus.ask(SETTING, options, query, token))


def filled(query: str, colour: str, window: Window) -> str:
    """$colour and $window are replaced, and no other $: PromQL's regular expressions have it too."""
    words = {"colour": colour, "window": f"{max(MINIMUM, window.seconds)}s"}
    return re.sub(r"\$(colour|window)\b", lambda match: words[match[1]], query)


def _tally(values: dict[str, float | None]) -> Tally:
    """Prometheus extrapolates, so that a count of requests may be a fraction."""
    requests, failed = values["requests"], values["failed"]
    return Tally(
        None if requests is None else round(requests),
        # Rounded up: a failure that was extrapolated to less than one was one.
        None if failed is None else math.ceil(round(failed, 6)),
        values.get("p99_ms"),
    )


def _check(options: dict[str, t.Any]) -> None:
    _prometheus.check_url(SETTING, options["url"])
    for name in QUERIES:
        if options[name] and "$colour" not in options[name]:
            raise Refusal(
                "bad_option",
                f"{SETTING}.{name}: has no $colour in it, and so can't tell blue from green: {options[name]}",
            )
