# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's HTTP format (option httplog, httpslog).

    frontend~ backend/server times status bytes cookies termination counts queues {captured} "METHOD target PROTOCOL"

The host is that of a target in absolute form, as HTTP/2 requests are logged, else the first captured request header
(`capture request header Host len 128` as the first capture). HAProxy writes its own separators inside of values as #XX.
"""

from __future__ import annotations

import re

from .record import NOT_HTTP, Record

NAME = "haproxy"
# Up to the times, a TCP line is the same; it has three of them, and no status before the bytes.
_LINE = re.compile(
    r" (?P<frontend>[^ ~]+)(?P<tls>~?) [^ /]+/[^ ]+ [-+\d]+(?:/[-+\d]+){2,4} "
    r"(?:(?P<status>-?\d+) \+?\d+ \S+ \S+ [A-Za-z-]{4} [\d/+]+ [\d/]+ ?(?P<captured>\{.*\} )?\""
    r"(?P<request>[^\"]*)\"|\+?\d+ [A-Za-z-]{2} [\d/+]+ [\d/]+)"
)
_ESCAPED = re.compile(r"#([0-9A-F]{2})")


def parse(line: str) -> Record | None:
    found = _LINE.search(line)
    if found is None:
        return None
    words = (found["request"] or "").split(" ")
    if len(words) < 3:  # TCP, <BADREQ>, or cut off
        return NOT_HTTP
    method, target, protocol = words[0], _plain(words[1]), words[2]
    authority = ""
    if found["captured"]:
        authority = _plain(found["captured"][1:].partition("}")[0].partition("|")[0])
    if target.startswith(("http://", "https://")):
        _scheme, _sep, rest = target.partition("://")
        authority, slash, path = rest.partition("/")
        target = slash + path if slash else "/"
    return Record(method, authority, target, int(found["status"]), protocol, bool(found["tls"]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "#" in text else text
