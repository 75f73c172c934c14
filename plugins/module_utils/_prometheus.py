# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One query to Prometheus' HTTP API (/api/v1/query), which Thanos, Mimir and others have as well, and its one number.

A query that returns nothing is no data, and not a zero: a counter that has no sample yet may as well be one that nobody
scrapes. Who knows better writes `or vector(0)`. `setting` is what messages call the place of the options.
"""

from __future__ import annotations

import json
import math
import typing as t
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from ansible.module_utils.urls import open_url

from ._module import Refusal

OPTIONS: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "token_file": {"type": "path"},
    "ca_file": {"type": "path"},
    "timeout": {"type": "float", "default": 10.0},
}


def check_url(setting: str, url: str) -> None:
    """Raises Refusal(bad_option)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("bad_option", f"{setting}.url: expected http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.username or parts.query:
        raise Refusal("bad_option", f"{setting}.url: has a user, a password or a query in it. Use token_file")


def value_of(setting: str, name: str, query: str, answer: t.Any) -> float | None:
    """The one number of an answer; None where there is none. Raises Refusal(bad_query, unexpected_answer)."""
    where = f"{setting}.{name} ({query})"
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


def token(setting: str, path: str | None) -> str:
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as exc:
        raise Refusal("unreadable", f"{setting}.token_file: {path} can't be read: {exc.strerror}") from exc


def ask(setting: str, options: dict[str, t.Any], query: str, bearer: str) -> t.Any:
    """Raises Refusal(unreadable)."""
    url = f"{options['url'].rstrip('/')}/api/v1/query?query={quote(query)}"
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
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
            f"{options['url']} ({setting}.url) did not answer {query}: {exc}. Check that this host may reach it,"
            " ca_file for https, and that it is Prometheus",
        ) from exc
