# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istiod's debug endpoint: what it would send to a gateway now, secrets included as certificates without keys.

It answers loopback (so a port-forward) and, elsewhere, who shows a token of a service account in its namespace with
audience istio-ca. Each replica of istiod knows only the proxies that are connected to it.
"""

from __future__ import annotations

import json
import typing as t
from urllib.error import HTTPError
from urllib.parse import quote

from ansible.module_utils.urls import open_url

from .unavailable import Unavailable

NAME = "istiod"
TIMEOUT = 20


def read(side: dict[str, t.Any], options: dict[str, t.Any]) -> t.Any:
    url = (options.get("url") or "").rstrip("/")
    if not url:
        return None
    if not side.get("proxies"):
        raise Unavailable("there are no pods to ask istiod about")
    reasons = []
    for proxy in side["proxies"]:
        wanted = f"{url}/debug/config_dump?proxyID={quote(proxy)}"
        try:
            with open_url(wanted, headers=dict(options["headers"]), timeout=TIMEOUT, use_proxy=False) as answer:
                return json.load(answer)
        except HTTPError as exc:
            reasons.append(f"{proxy}: {_why(exc)}")
        except (OSError, ValueError) as exc:
            reasons.append(f"{proxy}: {exc}")
    raise Unavailable(f"{url} gave no configuration ({'; '.join(reasons)})")


def _why(exc: HTTPError) -> str:
    if exc.code in (401, 403):
        return f"status {exc.code}; use a port-forward, or a token with audience istio-ca of istiod's namespace"
    if exc.code == 404:
        return "status 404; it is not connected to this istiod (ask another replica)"
    return f"status {exc.code}"
