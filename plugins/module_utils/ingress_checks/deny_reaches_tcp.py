# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source range denies by host and path, which TCP has not: there Istio leaves those conditions out, and denies more.

So TLS that is passed through, and TCP servers at the same pods, would be refused to everybody outside of the range
(istioctl validate says so of the policy).
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding
from .._objects import key_of
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "deny_reaches_tcp"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    gateways = [*(o for o in objects if o["kind"] == "Gateway"), *world.gateways]
    for policy in (o for o in objects if o["kind"] == "AuthorizationPolicy"):
        labels = policy["spec"]["selector"]["matchLabels"].items()
        for gateway in gateways:
            spec = gateway.get("spec") or {}
            raw = [
                server["port"].get("name") or str(server["port"]["number"])
                for server in spec.get("servers") or ()
                if str(server["port"].get("protocol")).upper() in ("TCP", "TLS", "MONGO")
                or "PASSTHROUGH" in ((server.get("tls") or {}).get("mode") or "")
            ]
            if raw and (spec.get("selector") or {}).items() <= labels:
                found.append(
                    Finding(
                        CODE, ERROR, f"AuthorizationPolicy {key_of(policy)}", "spec.rules",
                        f"server {', '.join(raw)} of Gateway {key_of(gateway)} is TCP at the same pods, and would be"
                        " denied to all outside of the range",
                        "Keep the two at pods of their own, or give the policy the ports of HTTP and waive this.",
                    )
                )  # fmt: skip
    return found
