# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio takes the backend's protocol from the Service's port: appProtocol, or the beginning of its name.

ingress-nginx speaks HTTP/1.1 to it unless told otherwise. So a port called `grpc` or `http2` gets HTTP/2 from green
that got HTTP/1.1 from blue; one without a known name is TCP in the mesh, though gateways speak HTTP to it.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table
from ..ingress.backend_protocol import declared

CODE = "port_protocol"
H2 = frozenset(("grpc", "grpc-web", "http2", "h2c", "kubernetes.io/h2c"))
PLAIN = frozenset(("http", "kubernetes.io/ws", "ws"))


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = {}
    for table in tables:
        for location in table.locations:
            route = location.route
            port = world.port_of(route.backend) if route.backend else None
            if port is None:
                continue
            said, source = declared(port), route.source
            wanted = (source.get("backend-protocol") or "HTTP").upper()
            field = f"spec.ports[{port.get('name') or port['port']}]"
            name = f"Service {route.backend.namespace}/{route.backend.service}"
            if said in H2 and not wanted.startswith("GRPC"):
                found[(name, field)] = Finding(
                    CODE, ERROR, name, field, f"its name or appProtocol says {said}: Istio speaks HTTP/2 to it, where"
                    f" Ingress {source.key} has HTTP/1.1",
                    "If it understands HTTP/2 in plain text, waive this; else name it http-...",
                )  # fmt: skip
            elif wanted.startswith("GRPC") and said not in H2:
                found[(name, field)] = Finding(
                    CODE, WARNING, name, field,
                    f"it says {said or 'nothing'}, and Ingress {source.key} speaks {wanted} to it; a"
                    " DestinationRule upgrades it at the gateways only", "Set appProtocol: grpc, or name it grpc-...",
                )  # fmt: skip
            elif said not in H2 | PLAIN | {"https", "grpcs", "kubernetes.io/wss"}:
                found.setdefault((name, field), Finding(
                    CODE, WARNING, name, field,
                    f"it says {said or 'nothing'}, from which Istio can't tell that it is HTTP: the mesh"
                    " guesses, and has no HTTP metrics for what it takes for TCP",
                    "Set appProtocol: http, or name it http-...",
                ))  # fmt: skip
    return list(found.values())
