# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until the proxies go by a canary's last write: by its scouts, and where it can be asked by istiod's word.

A scout is asked on a connection of its own each time, again and again, until it has answered so often in a row that no
pod of the gateway is likely to have been left out: of n pods, one is missed by k answers with probability (1 - 1/n)^k.
Sidecars can't be asked by scouts from outside; istiod knows of them as well.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
import typing as t
from urllib.error import HTTPError
from urllib.parse import quote

from ansible.module_utils.urls import open_url

from . import _probe
from ._canary import HEADER
from ._module import Refusal

POLL_SECONDS = 0.3
LOOKS = 2  # of istiod in a row: it notes what it is about to send just before it sends it
TIMEOUT = 20.0
# Sent with every scout; an application that shows what it was asked (an echo) lets us see what became of them.
TRACE = {
    "traceparent": "00-b1ee9c0ffee0000000000000000ca9a7-00c0ffee00ca9a70-01",
    "b3": "b1ee9c0ffee0000000000000000ca9a7-00c0ffee00ca9a70-1",
    "x-request-id": "b1ee9c0f-fee0-4000-8000-000000c0ffee",
}
Ask = t.Callable[..., None]


@dataclasses.dataclass
class Expected:
    """marker: of the write that is to be in force; subsets: those whose scouts must be served ('' for what was before
    the canary); host: in full."""

    marker: str
    subsets: tuple[str, ...]
    host: str


def requests_of(options: dict[str, t.Any], expected: Expected) -> list[_probe.Request]:
    """One for each URL, address and subset."""
    found = []
    for url in options["urls"]:
        for address in options["connect_to"] or [""]:
            for subset in expected.subsets:
                headers = {HEADER: f"{expected.marker}.{subset}", "Connection": "close", **TRACE}
                found.append(_probe.Request((url, address, subset), url, address, headers=tuple(headers.items())))
    return found


def wrong(answer: _probe.Answer, marker: str) -> str:
    """Why an answer is not the scout's, or ''."""
    if answer.error:
        return f"{answer.error}: {answer.detail}"
    found = dict(answer.headers).get(HEADER)
    if found != marker:
        return f"status {answer.status}, {HEADER} is {found or 'not there'}: an earlier write answers, or another route"
    return f"status {answer.status}" if answer.status >= 500 else ""


def kept(body: str) -> dict[str, bool | None]:
    """What became of the trace headers, as far as an answer that shows the request tells: whether the trace is the one
    that we sent. None where the answer does not show it. A proxy that traces makes a span of its own within the trace;
    a gateway at the edge gives a request an id of its own, so that any id will do."""
    if not re.search(rf"(?i){HEADER}\W", body):  # which was sent with the same request, and which it would show
        return dict.fromkeys(TRACE)
    trace = TRACE["b3"].partition("-")[0]
    return {
        "traceparent": bool(re.search(rf"(?i)traceparent\W+\d\d-{trace}-", body)),
        "b3": bool(re.search(rf"(?i)\bb3\W+{trace}-|x-b3-traceid\W+{trace}", body)),
        "x-request-id": bool(re.search(r"(?i)x-request-id\W+\w", body)),
    }


class Scouts:
    """By probes. done(): whether each has answered often enough in a row."""

    def __init__(self, options: dict[str, t.Any], expected: Expected, ask: Ask = _probe.ask) -> None:
        self.options, self.expected, self.ask = options, expected, ask
        self.requests = requests_of(options, expected)
        self.row = {request.key: 0 for request in self.requests}
        self.last: dict[t.Any, str] = {}
        self.trace: dict[str, dict[str, bool | None]] = {}

    def done(self) -> bool:
        open_ = [request for request in self.requests if self.row[request.key] < self.options["answers"]]
        rounds = [request for request in open_ for _n in range(min(5, self.options["answers"]))]
        options = {"concurrency": 8, "timeout": self.options["timeout"], "ca_file": self.options["ca_file"] or None}
        self.ask(rounds, self._arrived, **options)
        return all(row >= self.options["answers"] for row in self.row.values())

    def _arrived(self, request: _probe.Request, answer: _probe.Answer) -> None:
        why = wrong(answer, self.expected.marker)
        self.row[request.key] = 0 if why else self.row[request.key] + 1
        self.last[request.key] = why
        if not why:
            self.trace[request.key[2]] = kept(answer.body.decode("utf-8", "replace"))

    def lacking(self) -> list[str]:
        return [
            f"{url}{f' at {address}' if address else ''} for {subset or 'the route of before'}:"
            f" {self.last.get((url, address, subset)) or 'too few answers in a row'}"
            for (url, address, subset), row in self.row.items()
            if row < self.options["answers"]
        ]


class Istiod:
    """By istiod's debug port: every proxy that is to have the write was sent it, and has acknowledged it.

    /debug/config_dump?proxyID= is made of what was last pushed to that proxy (its LastPushContext), and /debug/syncz
    has what was sent and what was acknowledged. Proxies that know nothing of the host are not concerned.
    """

    def __init__(
        self, options: dict[str, t.Any], expected: Expected, get: t.Callable[[str], t.Any] | None = None
    ) -> None:
        self.options, self.expected = options, expected
        self.get = get or self._get
        self.looks = 0
        self.behind: list[str] = ["it was not asked yet"]

    def done(self) -> bool:
        try:
            self.behind = self._behind()
        except (OSError, ValueError) as exc:
            code = f"status {exc.code}" if isinstance(exc, HTTPError) else str(exc)
            self.behind = [f"{self.options['istiod_url']} can't be asked: {code}"]
        self.looks = 0 if self.behind else self.looks + 1
        return self.looks >= LOOKS

    def _behind(self) -> list[str]:
        found, concerned = [], 0
        for status in self.get("/debug/syncz"):
            proxy = status.get("proxy") or ""
            late = [kind for kind in ("cluster", "route") if status.get(f"{kind}_sent") != status.get(f"{kind}_acked")]
            dump = json.dumps(self.get(f"/debug/config_dump?proxyID={quote(proxy)}"))
            if f"{self.expected.host}" not in dump:
                continue
            routed = any(f"|{name}|{self.expected.host}" in dump for name in self.expected.subsets if name)
            if self.expected.marker not in dump and not routed and f"{HEADER}" not in dump:
                continue  # it has clusters of the host, and none of the routes: a gateway that does not serve them
            concerned += 1
            if self.expected.marker not in dump:
                found.append(f"{proxy} has not been sent the write")
            elif late:
                found.append(f"{proxy} has not acknowledged its {' and '.join(late)}s")
        return found if concerned else ["no proxy that is connected to it has a route of ours"]

    def lacking(self) -> list[str]:
        return [] if self.looks >= LOOKS else [f"istiod: {one}" for one in self.behind or ["it was asked too seldom"]]

    def _get(self, path: str) -> t.Any:
        headers = {}
        if self.options["istiod_token_file"]:
            with open(self.options["istiod_token_file"], encoding="utf-8") as file:
                headers["Authorization"] = f"Bearer {file.read().strip()}"
        url = self.options["istiod_url"].rstrip("/") + path
        with open_url(url, headers=headers, timeout=TIMEOUT, use_proxy=False) as answer:
            return json.load(answer)


def witnesses(options: dict[str, t.Any], expected: Expected) -> list[t.Any]:
    found: list[t.Any] = []
    if options["urls"]:
        if _probe.IMPORT_ERROR:
            raise Refusal(
                "no_pycurl", "settle.urls: probing needs the Python library pycurl on the host that runs this module."
            )
        found.append(Scouts(options, expected))
    if options["istiod_url"]:
        found.append(Istiod(options, expected))
    return found


def check(options: dict[str, t.Any]) -> None:
    """Raises Refusal bad_option."""
    if not options["urls"] and not options["istiod_url"]:
        raise Refusal("bad_option", "settle: names neither urls nor istiod_url, so that nothing could be known.")
    for url in options["urls"]:
        if not re.match(r"https?://[^/]+", url):
            raise Refusal("bad_option", f"settle.urls: {url!r} is no URL of http or https.")


def wait(options: dict[str, t.Any], expected: Expected, who: list[t.Any] | None = None) -> dict[str, t.Any]:
    """Returns {"seconds", "trace"} once all agree. Raises Refusal not_settled."""
    begin = time.monotonic()
    asked = witnesses(options, expected) if who is None else who
    while True:
        pending = [one for one in asked if not one.done()]
        seconds = time.monotonic() - begin
        if not pending:
            trace: dict[str, t.Any] = {}
            for one in asked:
                trace |= getattr(one, "trace", {})
            return {"seconds": round(seconds, 1), "trace": trace}
        if seconds > options["deadline"]:
            reasons = [text for one in pending for text in one.lacking()]
            raise Refusal(
                "not_settled",
                f"After {options['deadline']:g} s the proxies do not go by what was written: {'; '.join(reasons[:5])}."
                " Is the URL one that the routes to the host take, and does its gateway serve them?",
                lacking=reasons,
            )
        time.sleep(POLL_SECONDS)
