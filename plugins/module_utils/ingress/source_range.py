# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""whitelist-source-range and its likes: an AuthorizationPolicy for the gateway's pods that denies all others.

It counts for the paths of the Ingress, less those that a longer path of another one takes. A regular expression can't
be said there, so such a host needs the same ranges for all of its paths. A Host header may have a port: a name is
written with and without one, and a wildcard, which can't be written with one, by the names that are not meant.
"""

from __future__ import annotations

import hashlib
import ipaddress
import typing as t

from ._model import ANY, Object, Source, World
from ._order import Location, Table

CODE = "source_range"
ANNOTATIONS = {
    "whitelist-source-range": "AuthorizationPolicy DENY for all other addresses",
    "allowlist-source-range": "the same; counts before whitelist-source-range",
    "denylist-source-range": "refused",
}


def apply(source: Source, world: World) -> None:
    name = "allowlist-source-range" if source.get("allowlist-source-range") else "whitelist-source-range"
    written = source.get(name)
    if source.get("denylist-source-range"):
        source.refuse(
            "denylist-source-range", "only the list of those who may is translated",
            "Write an AuthorizationPolicy with action DENY and remoteIpBlocks for the gateway.",
        )  # fmt: skip
    source.not_needed("denylist-source-range", "it is empty")
    if not written:
        for either in ("whitelist-source-range", "allowlist-source-range"):
            source.not_needed(either, "it is empty")
        return
    ranges = [part.strip() for part in written.split(",") if part.strip()]
    try:
        for one in ranges:
            ipaddress.ip_network(one, strict=False)
    except ValueError as exc:
        source.refuse(name, f"{exc}", "Write addresses, or networks as ADDRESS/BITS.")
        return
    for route in source.routes:
        if not route.first:
            route.ranges = tuple(ranges)
    source.translated(name, "others get 403; the client's address must reach the gateway")
    source.not_needed("whitelist-source-range", "allowlist-source-range counts before it")
    source.warn(
        "client_address", f"metadata.annotations[nginx.ingress.kubernetes.io/{name}]",
        "it goes by the client's address, which the gateway must know",
        "Set externalTrafficPolicy: Local, or numTrustedProxies, or PROXY protocol, as blue has it.",
    )  # fmt: skip


def objects(world: World, tables: t.Sequence[Table]) -> list[Object]:
    found = []
    for table in tables:
        groups: dict[tuple[str, ...], list[Location]] = {}
        for location in table.locations:
            if location.route.ranges:
                groups.setdefault(location.route.ranges, []).append(location)
        if not groups:
            continue
        if table.host.startswith("*") and _names(world, table) is None:
            _refuse(groups, f"{table.host} can't be told from the rule without host", "Name the hosts.")
            continue
        whole = len(groups) == 1 and all(entry.route.ranges for entry in table.locations)
        for ranges, locations in sorted(groups.items()):
            if whole:
                found.append(_policy(table, ranges, None, None, world))
            elif table.regex:
                _refuse(
                    {ranges: locations}, f"paths of {table.host} are regular expressions, and only some are restricted",
                    "Restrict all paths of the host, or give these a host of their own.",
                )  # fmt: skip
            else:
                paths = [_path(location) for location in locations]
                more = [
                    _path(location) for location in table.locations
                    if location.route.ranges != ranges and any(mine.takes(location.value) for mine in locations)
                ]  # fmt: skip
                found.append(_policy(table, ranges, paths, more, world))
    return found


def _refuse(groups: dict[tuple[str, ...], list[Location]], why: str, todo: str) -> None:
    sources = {
        location.route.source.key: location.route.source for locations in groups.values() for location in locations
    }
    for source in sources.values():
        source.feature = CODE
        source.refuse(
            "allowlist-source-range" if source.get("allowlist-source-range") else "whitelist-source-range", why, todo
        )


def _names(world: World, table: Table) -> list[str] | None:
    """Every other host at the same pods, of ours and of other Gateways; None where one of them is any host at all."""
    servers = [
        server for gateway in world.gateways for server in (gateway.get("spec") or {}).get("servers") or ()
        if ((gateway.get("spec") or {}).get("selector") or {}).items() <= table.target.selector.items()
    ]  # fmt: skip
    found = {entry.rpartition("/")[2] for server in servers for entry in server.get("hosts") or ()}
    found |= {
        route.host
        for source in world.sources
        if source.target.selector == table.target.selector
        for route in source.routes
    }
    found |= {alias for (_gateway, alias) in world.aliases}
    found -= {table.host}
    return None if ANY in found else sorted(found)


def _path(location: Location) -> str:
    return location.value if location.kind == "exact" else f"{location.value}*"


def _policy(
    table: Table, ranges: tuple[str, ...], paths: list[str] | None, others: list[str] | None, world: World
) -> Object:
    operation: Object = {}
    if table.host.startswith("*"):
        names = [
            name
            for host in _names(world, table) or ()
            for name in ((host,) if host.startswith("*") else (host, f"{host}:*"))
        ]
        if names:
            operation["notHosts"] = names
    else:
        operation["hosts"] = [name for host in table.hosts for name in (host, f"{host}:*")]
    if paths:
        operation["paths"] = sorted(paths)
    if others:
        operation["notPaths"] = sorted(others)
    digest = hashlib.sha256(f"{table.host} {ranges}".encode()).hexdigest()[:8]
    name = f"{table.target.gateway[1]}-source-range-{digest}"
    rule: Object = {"from": [{"source": {"notRemoteIpBlocks": list(ranges)}}]}
    if operation:
        rule["to"] = [{"operation": operation}]
    return {
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"namespace": table.target.workload_namespace, "name": name, "labels": dict(world.marks)},
        "spec": {"selector": {"matchLabels": dict(table.target.selector)}, "action": "DENY", "rules": [rule]},
    }  # fmt: skip
