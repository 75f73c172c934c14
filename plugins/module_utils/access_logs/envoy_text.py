# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's default text format and Istio's (accessLogEncoding TEXT), which begin and end alike:

    [time] "METHOD path PROTOCOL" status ... "authority" "upstream host"
    and, Istio's only: cluster local_address downstream_local downstream_remote sni route_name

What clients choose freely (user agent, X-Forwarded-For) lies between and may hold quotes, so a line is read from both
ends. Whatever stands before the time, as container runtimes and kubectl write it, is skipped.
"""

from __future__ import annotations

from .record import NOT_HTTP, Record

NAME = "envoy"


def parse(line: str) -> Record | None:
    begin = line.find('] "')
    end = line.rsplit('"', 4)  # ..., authority, blank, upstream host, what Istio has behind it
    if begin < 0 or len(end) != 5 or end[2] != " " or line.find("[", 0, begin) < 0:
        return None
    words = line[begin + 3 :].split(" ", 4)
    if len(words) != 5 or not words[2].endswith('"'):
        return None
    method, target, protocol, status, _rest = words
    if method == "-":
        return NOT_HTTP
    if not status.isdecimal() or not protocol.startswith("HTTP"):
        return None
    tail = end[4].split()
    tls = tail[4] != "-" if len(tail) >= 6 else None
    authority = end[1] if end[1] != "-" else ""
    return Record(method, authority, target, int(status), protocol[:-1], tls)
