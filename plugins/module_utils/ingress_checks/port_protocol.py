# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio takes the backend's protocol from the Service's port: appProtocol, or the beginning of its name.

ingress-nginx speaks HTTP/1.1 to it unless told otherwise. So a port called `grpc` or `http2` gets HTTP/2 from green
that got HTTP/1.1 from blue; one without a known name is TCP in the mesh, though gateways speak HTTP to it. A canary is
spoken to as its main Ingress says, by a port of its own.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding
from ..ingress._model import Backend, Object, Route, World
from ..ingress._order import Table
from ..ingress.backend_protocol import declared
from ..ingress.canary import variants

CODE = "port_protocol"
H2 = frozenset(("grpc", "grpc-web", "http2", "h2c", "kubernetes.io/h2c"))
PLAIN = frozenset(("http", "kubernetes.io/ws", "ws"))


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found: dict[tuple[str, str], Finding] = {}
    for table in tables:
        for location in table.locations:
            for backend, ingress in reached(world, table, location.route):
                port = world.port_of(backend)
                finding = judged(location.route, backend, ingress, port) if port else None
                if finding and (finding.severity == ERROR or (finding.object, finding.field) not in found):
                    found[(finding.object, finding.field)] = finding
    return list(found.values())


def judged(route: Route, backend: Backend, ingress: str, port: Object) -> Finding | None:
    """What is wrong with a port that a route leads to. ingress: which names the backend."""
    said, wanted = declared(port), (route.source.get("backend-protocol") or "HTTP").upper()
    field = f"spec.ports[{port.get('name') or port['port']}]"
    name = f"Service {backend.namespace}/{backend.service}"
    if said in H2 and not wanted.startswith("GRPC"):
        return Finding(
            CODE, ERROR, name, field, f"its name or appProtocol says {said}: Istio speaks HTTP/2 to it, where"
            f" Ingress {ingress} has HTTP/1.1",
            "If it understands HTTP/2 in plain text, waive this; else name it http-...",
        )  # fmt: skip
    if wanted.startswith("GRPC") and said not in H2:
        # A rule is made for what the main Ingress' own port needs; where that needs none, the canary's gets none.
        upgraded = "h2UpgradePolicy" in ((route.traffic.get("connectionPool") or {}).get("http") or {})
        return Finding(
            CODE, WARNING if upgraded else ERROR, name, field,
            f"it says {said or 'nothing'}, and Ingress {ingress} speaks {wanted} to it; "
            + ("a DestinationRule upgrades it at the gateways only" if upgraded else "Istio would speak HTTP/1.1"),
            "Set appProtocol: grpc, or name it grpc-...",
        )  # fmt: skip
    if said not in H2 | PLAIN | {"https", "grpcs", "kubernetes.io/wss"}:
        return Finding(
            CODE, WARNING, name, field,
            f"it says {said or 'nothing'}, from which Istio can't tell that it is HTTP: the mesh"
            " guesses, and has no HTTP metrics for what it takes for TCP",
            "Set appProtocol: http, or name it http-...",
        )  # fmt: skip
    return None


def reached(world: World, table: Table, route: Route) -> t.Iterator[tuple[Backend, str]]:
    """The backends of a route, each with the Ingress that names it; a canary's where some request reaches it."""
    if route.backend is None:
        return
    yield route.backend, route.source.key
    canary = world.canaries.get((table.target.name, route.backend))
    shares = [share for _headers, some in variants(canary, route.backend) for share in some]
    if canary and canary.backend in dict(shares):
        yield canary.backend, canary.source.key
