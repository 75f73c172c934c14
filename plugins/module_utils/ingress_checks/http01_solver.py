# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ACME issuer that solves HTTP-01 by an Ingress of the old class: once clients are on green, no challenge is
answered."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "http01_solver"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    classes = {target.class_name for target in world.targets}
    found = []
    for issuer in world.issuers:
        meta = issuer["metadata"]
        name = (
            f"{issuer['kind']} {meta['namespace']}/{meta['name']}"
            if meta.get("namespace")
            else f"{issuer['kind']} {meta['name']}"
        )
        for i, solver in enumerate(((issuer.get("spec") or {}).get("acme") or {}).get("solvers") or ()):
            ingress = (solver.get("http01") or {}).get("ingress")
            if ingress is None:
                continue
            written = ingress.get("ingressClassName") or ingress.get("class")
            if written is None or written in classes:
                found.append(
                    Finding(
                        CODE, WARNING, name, f"spec.acme.solvers[{i}].http01.ingress",
                        f"challenges are answered by an Ingress of class {written or '(any)'}, which is going to be"
                        f" replaced",
                        "Solve by DNS-01, or by HTTP-01 through the gateway (gatewayHTTPRoute, or an Ingress of class"
                        " istio), before clients are moved.",
                    )
                )  # fmt: skip
    return found
