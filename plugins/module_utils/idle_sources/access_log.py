# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that are added to access logs: each is a request, or a connection without one, that has ended.

The probes of verify and health checks are told by their user agent. A line of no known format may be anything: it is
unknown. So is what a log had last when it is rotated. What was in the log before the first look is not read.
"""

from __future__ import annotations

import os
import re
import typing as t

from .. import _access_log
from .._idle import COUNTED, Look, Meter
from .._module import Refusal
from .._probe import USER_AGENT
from ..access_logs import FORMATS
from ._source import Tools

NAME = "access_log"
TELLS = COUNTED
UNSEEN = ("open connections, and requests that have not ended", "lines that were not written yet", "what is logged elsewhere")
HEALTH_CHECKS = ['"kube-probe/', "ELB-HealthChecker/", "GoogleHC/"]
OPTIONS: dict[str, t.Any] = {
    "files": {"type": "list", "elements": "path", "required": True},
    "format": {"type": "str", "choices": ["auto", *FORMATS], "default": "auto"},
    "only": {"type": "str"},
    "ignore": {"type": "list", "elements": "str", "default": HEALTH_CHECKS},
}
# As a whole field: a client may well write it into a path. The traffic probe is another one: it comes by the balancer, as
# clients do.
_OWN = r'["|{]' + re.escape(USER_AGENT) + r'["|}]'


def check(options: dict[str, t.Any]) -> None:
    if not options["files"]:
        raise Refusal("bad_option", "sources.access_log.files: expected at least one; found none.")
    _patterns(options)


def _patterns(options: dict[str, t.Any]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a line must have, and what it must not."""
    for name, texts in (("only", [options["only"] or ""]), ("ignore", options["ignore"])):
        for text in texts:
            try:
                re.compile(text)
            except re.error as exc:
                raise Refusal("bad_option", f"sources.access_log.{name}: {text!r} is no regular expression: {exc}.") from exc
    return re.compile(options["only"] or ""), re.compile("|".join(f"(?:{one})" for one in (_OWN, *options["ignore"])))


def look(options: dict[str, t.Any], tools: Tools) -> Look:
    only, ignored = _patterns(options)
    found = Look()
    for path in options["files"]:
        meter = Meter(path, path, TELLS)
        try:
            found.state[path] = _follow(path, options["format"], only, ignored, tools.state.get(path), meter)
        except OSError as exc:
            meter.unknown.append(f"{path}: can't be read: {exc.strerror}")
            found.state.update({path: tools.state[path]} if path in tools.state else {})
        found.meters.append(meter)
    return found


def _follow(
    path: str, wanted: str, only: re.Pattern[str], ignored: re.Pattern[str], before: dict[str, t.Any] | None, meter: Meter
) -> dict[str, t.Any]:
    """Counts what was added since the last look, and returns where to go on."""
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise Refusal("bad_option", f"sources.access_log.files: {path} is compressed: nothing is added to it.")
        status = os.fstat(file.fileno())
        state = dict(before) if before else {"format": None, "offset": _last_line(file), "requests": 0, "connections": 0}
        if before and (before["file"] != status.st_ino or before["offset"] > status.st_size):
            meter.unknown.append(f"{path}: was rotated since the last look, and what it had last with it")
            state["offset"] = 0
        state["file"] = status.st_ino
        file.seek(0)
        head = (line.decode("utf-8", "replace") for _number, line in zip(range(_access_log.HEAD), file))
        state["format"] = wanted if wanted != "auto" else state["format"] or _access_log.sniff(head)
        file.seek(state["offset"])
        lines = _Added(file)
        unreadable = 0
        for kind, line, _record in _access_log.told_apart(lines, FORMATS[state["format"] or next(iter(FORMATS))]):
            if not only.search(line) or ignored.search(line):
                continue
            state["requests"] += kind == "request"
            state["connections"] += kind == "not_http"
            unreadable += kind == "unreadable"
        state["offset"] += lines.length
    if unreadable:
        meter.unknown.append(f"{path}: {unreadable} line(s) of no known format were added. Give its format, or ignore them")
    meter.requests, meter.connections = state["requests"], state["connections"]
    return state


def _last_line(file: t.BinaryIO) -> int:
    """Where the last line ends, or the one begins that is being written."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _access_log.LINE_LIMIT))
    tail = file.read()
    return end - (len(tail) - tail.rfind(b"\n") - 1)


class _Added:
    """Whole lines from where the file stands; length: of them, in bytes."""

    def __init__(self, file: t.BinaryIO) -> None:
        self.file, self.length = file, 0

    def __iter__(self) -> t.Iterator[str]:
        while line := self.file.readline(_access_log.LINE_LIMIT):
            if not line.endswith(b"\n") and len(line) < _access_log.LINE_LIMIT:
                return
            self.length += len(line)
            yield line.decode("utf-8", "replace")
