# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""affinity by cookie, session-cookie-*, upstream-hash-by: DestinationRule consistentHash, for the backend's port.

The cookie's value means another pod than on blue: every session moves once, when its client comes to green.
"""

from __future__ import annotations

import re

from ._model import Source, World

CODE = "affinity"
ANNOTATIONS = {
    "affinity": "consistentHash.httpCookie",
    "affinity-mode": "balanced is what Istio does; persistent is not translated",
    "affinity-canary-behavior": "not translated",
    "session-cookie-name": "its name",
    "session-cookie-path": "its path",
    "session-cookie-max-age": "its ttl",
    "session-cookie-expires": "its ttl, where max-age is not given",
    "session-cookie-domain": "not translated",
    "session-cookie-samesite": "not translated",
    "session-cookie-secure": "not translated",
    "session-cookie-conditional-samesite-none": "not translated",
    "session-cookie-change-on-failure": "not translated",
    "upstream-hash-by": "consistentHash by address, header or query parameter; other variables are refused",
    "load-balance": "round_robin; others are refused",
}
HASHES = (
    (r"\$(?:remote_addr|binary_remote_addr|the_real_ip)", lambda name: {"useSourceIp": True}),
    (r"\$http_(\w+)", lambda name: {"httpHeaderName": name.replace("_", "-")}),
    (r"\$arg_(\w+)", lambda name: {"httpQueryParameterName": name}),
)


def apply(source: Source, world: World) -> None:
    _hash_by(source)
    kind = source.get("affinity")
    cookie = [name for name in ANNOTATIONS if "affinity" in name or name.startswith("session-cookie")]
    if kind != "cookie":
        for name in cookie:
            source.not_needed(name, "affinity is not `cookie`, the only kind there is")
        return
    age = source.number("session-cookie-max-age")
    age = source.number("session-cookie-expires") if age is None else age
    policy = {
        "name": source.get("session-cookie-name") or "INGRESSCOOKIE",
        "path": source.get("session-cookie-path") or "/",
        "ttl": f"{age or 0}s",  # 0: a cookie that ends with the browser's session
    }
    for route in source.routes:
        route.traffic["loadBalancer"] = {"consistentHash": {"httpCookie": policy}}
    for name in (
        "affinity",
        "session-cookie-name",
        "session-cookie-path",
        "session-cookie-max-age",
        "session-cookie-expires",
    ):
        source.translated(name, "every session moves to another pod once")
    if source.get("affinity-mode") == "persistent":
        source.refuse(
            "affinity-mode",
            "Istio's hash moves some sessions when pods come and go",
            "Share sessions, or accept it.",
            "warning",
        )
    source.not_needed("affinity-mode", "it is what Istio does")
    for name in cookie:
        if source.get(name) is not None and full_name(name) not in source.entries:
            source.refuse(
                name,
                "Istio's cookie has a name, a path and an age only",
                "Accept it, or let the application set its own cookie.",
                "warning",
            )


def full_name(name: str) -> str:
    return f"nginx.ingress.kubernetes.io/{name}"


def _hash_by(source: Source) -> None:
    by, balance = source.get("upstream-hash-by"), source.get("load-balance")
    if balance is not None:
        if balance in ("", "round_robin"):
            source.not_needed("load-balance", "Istio's default is as good")
        else:
            source.refuse(
                "load-balance", f"Istio has no {balance}", "Set trafficPolicy.loadBalancer by hand.", "warning"
            )
    if by is None:
        return
    for pattern, policy in HASHES:
        match = re.fullmatch(pattern, by)
        if match:
            for route in source.routes:
                route.traffic["loadBalancer"] = {"consistentHash": policy(match[1] if match.groups() else "")}
            source.translated("upstream-hash-by", "by another hash: clients move to another pod once")
            return
    source.refuse(
        "upstream-hash-by", f"Istio can't hash by {by}", "Choose a header, a query parameter or the address.", "warning"
    )
