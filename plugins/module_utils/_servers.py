# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of all Gateways that meet at one workload, on blue's side and on green's.

istiod merges the Gateways that select the same pods (pilot/pkg/model/gateway.go, mergeGateways): oldest first, by the
port on which the pods listen. What does not fit beside what is there already is left out; only istiod's log says so.
Green's side is what it will be: a green Gateway that does not exist yet is taken for the twin of blue's.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._gateways import credential_names, reach
from ._inventory import Inventory, Object, Workload, named, ref_of
from ._objects import configures
from ._twin import Ref

PLAIN = {"HTTP": "http", "HTTP2": "http", "GRPC": "http", "GRPC-WEB": "http"}
PASSING = ("PASSTHROUGH", "AUTO_PASSTHROUGH")


@dataclasses.dataclass(frozen=True)
class Server:
    """One entry of a Gateway's spec.servers. origin: the Gateway, by blue's name if it is a pair's; number: its port;
    listening: the pods' port for it; kind: http, tls or tcp; hosts: without namespaces; age: the oldest is first."""

    origin: Ref
    gateway: str
    field: str
    age: tuple[str, str]
    number: int
    listening: int
    bind: str
    kind: str
    mode: str
    has_tls: bool
    hosts: tuple[str, ...]
    credentials: tuple[str, ...]
    reached: bool

    @property
    def listener(self) -> tuple[int, str]:
        return self.listening, self.bind


def on_blue(inventory: Inventory, workload: Workload) -> list[Server]:
    """Oldest Gateway first."""
    service = inventory.find("services", workload.blue)
    pods = inventory.blue_pods(workload)
    gateways = [(g, ref_of(g), {}) for g in inventory["gateways"] if workload in inventory.on_blue(g)]
    return _servers(gateways, service, pods)


def on_green(inventory: Inventory, workload: Workload) -> list[Server]:
    """Oldest Gateway first; twins that are still to be written are the youngest."""
    origins = {pair.green: pair.blue for pair in inventory.pairs}
    blues = set(origins.values())
    gateways: list[tuple[Object, Ref, dict[int, int]]] = [
        (g, origins.get(ref_of(g), ref_of(g)), {})
        for g in inventory["gateways"]
        if ref_of(g) not in blues and configures(g, workload.green_labels)
    ]
    for pair in inventory.pairs:
        blue = inventory.find("gateways", pair.blue)
        if pair.workload == workload and blue and not inventory.find("gateways", pair.green):
            namespace, name = pair.green
            meta = {"namespace": namespace, "name": name, "creationTimestamp": "~"}  # after every date
            gateways.append(({"kind": "Gateway", "metadata": meta, "spec": blue.get("spec")}, pair.blue, pair.ports))
    return _servers(gateways, service_on_green(inventory, workload), inventory.green_pods(workload))


def service_on_green(inventory: Inventory, workload: Workload) -> Object | None:
    """Green's Service; before it is there, with the ports that the chart's values give it, or else blue's."""
    blue, green = (inventory.find("services", ref) for ref in (workload.blue, workload.green))
    if green or not blue:
        return green
    return {**blue, "spec": {**(blue.get("spec") or {}), **workload.chart_service}}


def _servers(
    gateways: list[tuple[Object, Ref, dict[int, int]]], service: Object | None, pods: list[Object]
) -> list[Server]:
    services = [service] if service else []
    found = []
    for gateway, origin, ports in gateways:
        for position, server in enumerate((gateway.get("spec") or {}).get("servers") or ()):
            port, tls = server.get("port") or {}, server.get("tls") or {}
            number = ports.get(port.get("number"), port.get("number"))
            protocol = (port.get("protocol") or "").upper()
            mode = tls.get("mode") or ("SIMPLE" if tls.get("credentialName") else "")
            if protocol == "TLS" and not mode:
                mode = "PASSTHROUGH"
            kind = "tls" if mode or protocol in ("HTTPS", "TLS") else PLAIN.get(protocol, "tcp")
            listening, reached = reach(number, services, pods)
            found.append(
                Server(
                    origin, named(gateway), f"spec.servers[{position}]",
                    (gateway["metadata"].get("creationTimestamp") or "", named(gateway)), number, listening,
                    server.get("bind") or "", kind, mode, bool(tls),
                    tuple(entry.rpartition("/")[2] for entry in server.get("hosts") or ()),
                    tuple(n.removeprefix("kubernetes://") for n in credential_names(server)), bool(reached),
                )
            )  # fmt: skip
    return sorted(found, key=lambda s: s.age)


def meeting(servers: t.Sequence[Server]) -> t.Iterator[tuple[Server, Server]]:
    """Every two servers at one listener, the older first."""
    for later, server in enumerate(servers):
        for older in servers[:later]:
            if older.listener == server.listener:
                yield older, server


def narrower(host: str, wide: str) -> bool:
    """Whether `wide` is a wildcard that takes `host` in, and is not the same."""
    return host != wide and wide.startswith("*") and (wide == "*" or host.endswith(wide[1:]))


def overlap(one: Server, other: Server) -> list[str]:
    """Hosts of either that a wildcard of the other takes in."""
    pairs = [*((h, w) for h in one.hosts for w in other.hosts), *((h, w) for h in other.hosts for w in one.hosts)]
    return sorted({host for host, wide in pairs if narrower(host, wide)})
