# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other conditions of a match, none of which an Ingress knows; some of them mean nothing at a gateway."""

from __future__ import annotations

from ._route import NOT_NEEDED, Route

FIELDS = (
    "match.method", "match.queryParams", "match.withoutHeaders", "match.scheme", "match.port", "match.sourceLabels",
    "match.sourceNamespace", "match.gateways", "match.name", "match.statPrefix",
)  # fmt: skip
REFUSED = ("match.method", "match.queryParams", "match.withoutHeaders")
MEANINGLESS = {
    "match.gateways": "the route was looked at on the Gateways that are named",
    "match.sourceNamespace": "it is that of the old gateway, whose route this is",
    "match.sourceLabels": "they are those of the old gateway, whose route this is",
    "match.port": "the route was looked at on this port",
    "match.name": "it names the match in Istio's own telemetry",
    "match.statPrefix": "it names the route in Envoy's own statistics",
}


def convert(route: Route) -> None:
    for field in REFUSED:
        if route.has(field):
            route.refuse(
                field,
                "an Ingress can't match by it. Let the application decide, or use a route of the controller's own"
                " kind.",
            )
    scheme = route.has("match.scheme")
    if scheme == {"exact": "https"}:
        route.say("match.scheme", NOT_NEEDED, "plain HTTP is redirected, or served alike")
    elif scheme:
        route.refuse("match.scheme", f"an Ingress can't match by scheme ({scheme}). Use the redirect to HTTPS instead.")
    for field, why in MEANINGLESS.items():
        if route.has(field):
            route.say(field, NOT_NEEDED, why)
