# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An EnvoyFilter that names a listener or route of blue's by a port that green does not listen on: it stops matching.

The old ingress chart maps 80 to 8080; Istio's gateway chart has 80 for both, so listener 8080 and route http.8080 go.
A patch that differs by green's ports alone, in any filter that applies to green, mends it.
"""

from __future__ import annotations

import copy
import re

from .._inventory import ERROR, Finding, Inventory, Object, Workload, named
from .._policies import SECURE_ROUTE, applies, copy_of
from .._twin import title

CODE = "envoy_filter_port"
NAMED = re.compile(r"(?:^http\.|_|^https\.)([0-9]+)(?:$|\.)")  # in the name of a listener or of a route configuration
VHOST = re.compile(r":([0-9]+)$")


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for workload in inventory.workloads:
        gone = _gone(inventory, workload)
        at_green = _at_green(inventory, workload) if gone else []
        for envoy_filter in inventory["envoy_filters"] if gone else ():
            if copy_of(inventory, workload, envoy_filter):
                continue  # green has it with its own ports
            for number, patch in enumerate(_patches(envoy_filter)):
                for field, port in _ports(patch).items():
                    if port in gone and not _mended(inventory, patch, gone, at_green):
                        found.append(
                            Finding(
                                CODE, ERROR, named(envoy_filter), f"spec.configPatches[{number}].match.{field}",
                                f"port {port} is one of blue's ({workload.name}); green has"
                                f" {', '.join(map(str, sorted(gone[port])))}",
                                "Add a patch for green's port, or keep blue's ports on green.",
                            )
                        )  # fmt: skip
    return found


def _gone(inventory: Inventory, workload: Workload) -> dict[int, set[int]]:
    """Blue's listener port -> what green has instead."""
    gone = {
        old: {new}
        for pair in inventory.pairs
        if pair.workload == workload
        for old, new in pair.ports.items()
        if old != new
    }
    blue, green = (_targets(inventory, ref) for ref in (workload.blue, workload.green))
    if green:
        gone |= {port: green for port in blue - green}
    return gone


def _targets(inventory: Inventory, ref: tuple[str, str]) -> set[int]:
    service = inventory.find("services", ref) or {}
    ports = (service.get("spec") or {}).get("ports") or ()
    return {p.get("targetPort") or p["port"] for p in ports if isinstance(p.get("targetPort") or p["port"], int)}


def _patches(envoy_filter: Object) -> list[Object]:
    return [patch or {} for patch in (envoy_filter.get("spec") or {}).get("configPatches") or ()]


def _ports(patch: Object) -> dict[str, int]:
    """Field below match -> the port that it names."""
    found = {}
    for kind in ("listener", "routeConfiguration"):
        part = (patch.get("match") or {}).get(kind) or {}
        if part.get("portNumber"):
            found[f"{kind}.portNumber"] = int(part["portNumber"])
        for field, name in ((f"{kind}.name", part.get("name")), (f"{kind}.vhost.name", (part.get("vhost") or {}).get("name"))):
            port = (VHOST if "vhost" in field else NAMED).search(name or "")
            if port:
                found[field] = int(port[1])
    return found


# -- green's like ------------------------------------------------------------------------------------------------------
def _at_green(inventory: Inventory, workload: Workload) -> list[tuple[dict[str, int], Object]]:
    """Of every patch that applies to green: the ports that it names, and the rest of it."""
    return [
        (_ports(patch), _plain(inventory, patch)) for envoy_filter in inventory["envoy_filters"]
        if applies(envoy_filter, workload.green[0], workload.green_labels, inventory, reaches=True)
        for patch in _patches(envoy_filter)
    ]  # fmt: skip


def _mended(
    inventory: Inventory, patch: Object, gone: dict[int, set[int]], others: list[tuple[dict[str, int], Object]]
) -> bool:
    """Whether another patch says the same of green's ports, and names no port that green has not."""
    ports, plain = _ports(patch), _plain(inventory, patch)
    return any(
        other == plain and all(theirs.get(at) in gone.get(port, {port}) for at, port in ports.items())
        for theirs, other in others
    )


def _plain(inventory: Inventory, patch: Object) -> Object:
    """A patch without the ports it names, and as if blue's Gateways were green's."""
    plain = copy.deepcopy(patch)
    twins = {title(pair.blue): title(pair.green) for pair in inventory.pairs}
    for field in _ports(patch):
        kind, *_vhost, last = field.split(".")
        part = plain["match"][kind]
        if last == "portNumber":
            part["portNumber"] = 0
        elif "vhost" in field:
            part["vhost"]["name"] = VHOST.sub(":0", part["vhost"]["name"])
        else:
            secure = SECURE_ROUTE.fullmatch(part["name"])
            if secure:
                gateway = f"{secure[4]}/{secure[3]}"
                part["name"] = f"https.{secure[2]}.{twins.get(gateway, gateway)}"
            else:
                part["name"] = NAMED.sub(lambda found: found[0].replace(found[1], "0"), part["name"])
    routes = (plain.get("match") or {}).get("routeConfiguration") or {}
    if routes.get("gateway") in twins:
        routes["gateway"] = twins[routes["gateway"]]
    return plain
