# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend whose Service, or port, is not there: blue answers 503 for it, and so will green. But for an ExternalName:
ingress-nginx goes to its name by the Ingress' own number (endpointslices.go, externalNamePorts), and Istio by a port of
the Service alone."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "service_missing"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = {}
    routes = [location.route for table in tables for location in table.locations]
    for route in [*routes, *(r for s in world.sources if s.canary or s.passthrough for r in s.routes)]:
        backend = route.backend
        if backend is None or world.port_of(backend):
            continue
        service = world.service_by_ref.get((backend.namespace, backend.service))
        spec = (service or {}).get("spec") or {}
        severity, fix = WARNING, "Correct it, or remove the path."
        text = f"Service {backend.namespace}/{backend.service} does not exist"
        if service:
            text = f"Service {backend.namespace}/{backend.service} has no port {backend.written}"
        if spec.get("type") == "ExternalName":
            text += f": blue goes to {spec.get('externalName')} all the same, and green answers 503"
            severity, fix = ERROR, f"Give the Service the port {backend.written}, which changes nothing on blue."
        found[(route.source.key, route.field)] = Finding(
            CODE, severity, f"Ingress {route.source.key}",
            f"{route.field}.backend" if "paths" in route.field else route.field, text, fix,
        )  # fmt: skip
    return list(found.values())
