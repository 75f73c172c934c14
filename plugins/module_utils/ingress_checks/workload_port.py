# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Service of the gateway's pods has no port for a server: clients can't reach it."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding
from .._objects import key_of, labels_of, selects
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "workload_port"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    for made in (o for o in objects if o["kind"] == "Gateway"):
        target = next(
            target for target in world.targets
            if target.gateway[0] == made["metadata"]["namespace"] and target.selector == made["spec"]["selector"]
        )  # fmt: skip
        labels = [
            labels_of(pod) for pod in world.pods
            if selects(target.selector, labels_of(pod)) and pod["metadata"]["namespace"] == target.workload_namespace
        ]  # fmt: skip
        services = [
            s for s in world.services
            if s["metadata"]["namespace"] == target.workload_namespace
            and any(selects((s.get("spec") or {}).get("selector"), own) for own in labels)
        ]  # fmt: skip
        if not services:
            continue  # which workload_missing speaks of, or it is reached without a Service
        open_ports = {
            n for s in services for p in s["spec"].get("ports") or () for n in (p["port"], p.get("targetPort"))
        }
        for number in sorted({server["port"]["number"] for server in made["spec"]["servers"]} - open_ports):
            found.append(
                Finding(
                    CODE, ERROR, f"Service {key_of(services[0])}", "spec.ports",
                    f"it has no port {number}, on which Gateway {key_of(made)} is to serve",
                    "Open the port, or give http_port and https_port of the class as the Service has them.",
                )
            )  # fmt: skip
    return found
