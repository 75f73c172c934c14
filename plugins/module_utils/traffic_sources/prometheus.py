# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own queries, by Prometheus' HTTP API (/api/v1/query), which Thanos, Mimir and others have as well.

A query that returns nothing is no data, and not a zero: a counter that has no sample yet may as well be one that nobody
scrapes. Who knows better writes `or vector(0)`.
"""

from __future__ import annotations

import json
import math
import re
import typing as t
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from ansible.module_utils.urls import open_url

from .._module import Refusal
from ._source import COLOURS, Measured, Tally, Tools, Window

NAME = "prometheus"
REAL = True
COUNTS_PROBES = False  # who asks for the gateways' own counters there, knows so
UNSEEN = ("what its queries do not ask for, and what was not scraped yet",)
QUERIES = ("requests", "failed", "p99_ms")
OPTIONS = {
    "url": {"type": "str", "required": True},
    "requests": {"type": "str", "required": True},
    "failed": {"type": "str", "required": True},
    "p99_ms": {"type": "str"},
    "blue": {"type": "str", "default": "blue"},
    "green": {"type": "str", "default": "green"},
    "token_file": {"type": "path"},
    "ca_file": {"type": "path"},
    "timeout": {"type": "float", "default": 10.0},
}
MINIMUM = 30  # seconds that $window is at least: a rate needs two scrapes


def begin(options: dict[str, t.Any], tools: Tools) -> dict[str, t.Any]:
    """Asks once, so that what can't be read is known before the step and not after it."""
    _check(options)
    measure(options, {}, Window(0, 0), tools)
    return {}


def measure(options: dict[str, t.Any], _begun: dict[str, t.Any], window: Window, _tools: Tools) -> Measured:
    token = _token(options["token_file"])
    found: dict[str, dict[str, float | None]] = {colour: {} for colour in COLOURS}
    notes = []
    for colour in COLOURS:
        for name in QUERIES:
            if options[name]:
                query = filled(options[name], options[colour], window)
                value = found[colour][name] = value_of(name, query, _ask(options, query, token))
                if value is None:
                    notes.append(f"mesh_traffic.prometheus.{name} returned no data for {colour}: {query}")
    return Measured(*(_tally(found[colour]) for colour in COLOURS), notes=tuple(notes))


def filled(query: str, colour: str, window: Window) -> str:
    """$colour and $window are replaced, and no other $: PromQL's regular expressions have it too."""
    words = {"colour": colour, "window": f"{max(MINIMUM, window.seconds)}s"}
    return re.sub(r"\$(colour|window)\b", lambda match: words[match[1]], query)


def value_of(name: str, query: str, answer: t.Any) -> float | None:
    """The one number of an answer; None where there is none. Raises Refusal(bad_query, unexpected_answer)."""
    where = f"mesh_traffic.prometheus.{name} ({query})"
    data = answer.get("data") if isinstance(answer, dict) and answer.get("status") == "success" else None
    if not isinstance(data, dict) or "result" not in data:
        raise Refusal("unexpected_answer", f"{where}: {str(answer)[:200]!r} is no answer of Prometheus' HTTP API")
    if data.get("resultType") == "scalar":
        samples = [data["result"]]
    elif data.get("resultType") == "vector":
        samples = [item["value"] for item in data["result"]]
    else:
        raise Refusal("bad_query", f"{where} returns a {data.get('resultType')}; write one that returns one number")
    if len(samples) > 1:
        raise Refusal("bad_query", f"{where} returns {len(samples)} numbers; put sum() around it")
    value = float(samples[0][1]) if samples else math.nan
    return value if math.isfinite(value) else None


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
    parts = urlsplit(options["url"])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("bad_option", "mesh_traffic.prometheus.url: expected http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.username or parts.query:
        raise Refusal(
            "bad_option", "mesh_traffic.prometheus.url: has a user, a password or a query in it. Use token_file"
        )
    for name in QUERIES:
        if options[name] and "$colour" not in options[name]:
            raise Refusal(
                "bad_option",
                f"mesh_traffic.prometheus.{name}: has no $colour in it, and so can't tell blue from green: {options[name]}",
            )


def _token(path: str | None) -> str:
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as exc:
        raise Refusal(
            "unreadable", f"mesh_traffic.prometheus.token_file: {path} can't be read: {exc.strerror}"
        ) from exc


def _ask(options: dict[str, t.Any], query: str, token: str) -> t.Any:
    url = f"{options['url'].rstrip('/')}/api/v1/query?query={quote(query)}"
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        answer = open_url(
            url, headers=headers, ca_path=options["ca_file"], timeout=options["timeout"], follow_redirects="none"
        )
        return json.loads(answer.read())
    except HTTPError as exc:
        said = exc.read(300).decode("utf-8", "replace")
        hint = " Check token_file" if exc.code in (401, 403) else " Check the query" if exc.code == 400 else ""
        raise Refusal(
            "unreadable", f"{options['url']} answered {exc.code} to {query}: {said}.{hint or ' Check the url'}"
        ) from exc
    except (OSError, ValueError) as exc:
        raise Refusal(
            "unreadable",
            f"{options['url']} (mesh_traffic.prometheus.url) did not answer {query}: {exc}. Check that this host may"
            " reach it, ca_file for https, and that it is Prometheus",
        ) from exc
