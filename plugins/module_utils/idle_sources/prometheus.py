# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own queries, by Prometheus' HTTP API: for what is open now, and for counts that must stand still.

A count is the sum of counters itself, and not a rate or an increase over some time: so nothing between two looks is
missed.
"""

from __future__ import annotations

import math
import typing as t

from .. import _prometheus
from .._idle import TOLD, Look, Meter
from .._module import Refusal
from ._source import Tools

NAME = "prometheus"
SETTING = "sources.prometheus"  # what messages call its options
TELLS = TOLD
UNSEEN = ("what its queries do not ask for, and what was not scraped yet",)
OPTIONS: dict[str, t.Any] = {**{name: {"type": "str"} for name in TOLD}, "colour": {"type": "str"}, **_prometheus.OPTIONS}


def check(options: dict[str, t.Any]) -> None:
    _prometheus.check_url(SETTING, options["url"])
    if not any(options[name] for name in TOLD):
        raise Refusal("bad_option", f"{SETTING}: expected a query, one of {', '.join(TOLD)}; found none.")
    for name in TOLD:
        if "$colour" in (options[name] or "") and options["colour"] is None:
            raise Refusal("bad_option", f"{SETTING}.colour: needed, since {name} has $colour in it.")


def look(options: dict[str, t.Any], _tools: Tools) -> Look:
    token = _prometheus.token(SETTING, options["token_file"])
    asked = {name: options[name].replace("$colour", options["colour"] or "") for name in TOLD if options[name]}
    meter = Meter(options["url"], " ".join(asked.values()), tuple(asked))
    for name, query in asked.items():
        value = _prometheus.value_of(SETTING, name, query, _prometheus.ask(SETTING, options, query, token))
        if value is None:
            meter.unknown.append(
                f"{SETTING}.{name} returned no data: {query}. Write `or vector(0)` where that means none"
            )
        else:
            # Rounded up: a part of a connection is one.
            setattr(meter, name, math.ceil(value) if name == "open_connections" else value)
            meter.sources[name] = query
    return Look([meter])
