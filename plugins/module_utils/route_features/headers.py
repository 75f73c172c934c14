# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""headers of the route, and of its one destination: request and response, set, add and remove."""

from __future__ import annotations

from ._route import Route

FIELDS = ("headers",)


def convert(route: Route) -> None:
    changes = [("headers", route.has("headers"))]
    entries = route.has("route") or ()
    changes += [("route", (entry or {}).get("headers")) for entry in entries]
    if len(entries) > 1 and any(change for _field, change in changes[1:]):
        route.refuse("route", "its destinations change headers each in their own way. Finish the canary first.")
        changes = changes[:1]
    for field, change in changes:
        for side in ("request", "response"):
            own = (change or {}).get(side) or {}
            plain = {"set": own.get("set") or {}, "add": own.get("add") or {}, "remove": own.get("remove") or []}
            if not any(plain.values()):
                continue
            host = next((v for k, v in plain["set"].items() if k.lower() in ("host", ":authority")), None)
            if side == "request" and host and len(plain["set"]) == 1 and not plain["add"] and not plain["remove"]:
                route.use(field, lambda value=host: route.dialect.rewrite_host(value))
            elif any("%" in value for value in [*plain["set"].values(), *plain["add"].values()]):
                route.refuse(field, f"{side} headers have Envoy's own variables (%...%). Let the application do it.")
            else:
                say = route.dialect.request_headers if side == "request" else route.dialect.response_headers
                route.use(field, lambda say=say, plain=plain: say(plain))
    if route.has("headers") and "headers" not in route.said:
        route.say("headers", "not_needed", "it changes nothing")
