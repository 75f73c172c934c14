# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's JSON format (accessLogEncoding JSON). Whatever stands before the first brace is skipped."""

from __future__ import annotations

import json

from .record import NOT_HTTP, Record

NAME = "istio_json"


def parse(line: str) -> Record | None:
    begin = line.find("{")
    if begin < 0:
        return None
    try:
        found = json.loads(line[begin:])
        if "response_code" not in found and "requested_server_name" not in found:
            return None
        method = found.get("method")
        if not method or method == "-":
            return NOT_HTTP
        target, authority = found.get("path"), found.get("authority")
        if not isinstance(method, str) or not isinstance(target, str):
            return None
        sni = found.get("requested_server_name", "")
        return Record(
            method, authority if isinstance(authority, str) and authority != "-" else "", target,
            int(found["response_code"]), str(found.get("protocol") or ""), None if sni == "" else sni not in (None, "-"),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
