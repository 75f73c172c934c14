# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An EnvoyFilter names blue's Gateway: match.routeConfiguration.gateway is NAMESPACE/NAME of the object, and the name
of a route configuration may end in both, the other way round (https.8443.https.public.istio-system).

Green's routes come from another Gateway, so the patch is not applied to them, and nothing says so.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, Inventory, named
from .._policies import SECURE_ROUTE
from .._twin import title

CODE = "envoy_filter_gateway"


def check(inventory: Inventory) -> list[Finding]:
    named_ones = [(f, field, gateway) for f in inventory["envoy_filters"] for field, gateway in _gateways(f)]
    twins = {title(pair.blue): title(pair.green) for pair in inventory.pairs}
    given = {gateway for _filter, _field, gateway in named_ones}
    return [
        Finding(
            CODE, ERROR, named(envoy_filter), field,
            f"{gateway} is blue's Gateway, and no filter names {twins[gateway]}",
            "Add the same patch for green's Gateway.",
        )
        for envoy_filter, field, gateway in named_ones
        if gateway in twins and twins[gateway] not in given
    ]  # fmt: skip


def _gateways(envoy_filter: dict[str, t.Any]) -> t.Iterator[tuple[str, str]]:
    for number, patch in enumerate((envoy_filter.get("spec") or {}).get("configPatches") or ()):
        routes = ((patch or {}).get("match") or {}).get("routeConfiguration") or {}
        field = f"spec.configPatches[{number}].match.routeConfiguration"
        if routes.get("gateway"):
            yield f"{field}.gateway", routes["gateway"]
        secure = SECURE_ROUTE.fullmatch(routes.get("name") or "")
        if secure:
            yield f"{field}.name", f"{secure[4]}/{secure[3]}"
