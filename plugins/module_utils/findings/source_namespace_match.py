# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A match on sourceNamespace or sourceLabels that blue meets and green does not.

For requests that come in by a gateway these are the namespace and labels of the gateway's own pods. Tried:
sourceNamespace: istio-system answers 200 on blue and 404 on green. One match is enough: entries of a route are
alternatives.
"""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding, GatewayPair, Inventory, named, namespaces_of
from .._virtual_services import alike

CODE = "source_namespace_match"
KEYS = ("sourceNamespace", "sourceLabels")


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for vs, pairs in inventory.routed:
        for kind in ("http", "tcp", "tls"):
            for i, route in enumerate((vs.get("spec") or {}).get(kind) or ()):
                matches = (route or {}).get("match") or ()
                for j, match in enumerate(matches):
                    others = alike(matches, match or {}, KEYS)
                    left = [pair for pair in pairs if not any(_met(pair, other) for other in others)]
                    for key, value in _lost(inventory, match or {}, left):
                        found.append(
                            Finding(
                                CODE, ERROR, named(vs), f"spec.{kind}[{i}].match[{j}].{key}",
                                f"{value} is met by blue's pods and not by green's",
                                "Add a match for green's, or drop this condition: a gateway's routes are told apart by"
                                " match.gateways.",
                            )
                        )  # fmt: skip
    return found


def _met(pair: GatewayPair, match: dict[str, t.Any]) -> bool:
    """Whether green's pods meet what a match says of where a request comes from."""
    labels = pair.workload.green_labels if pair.workload else {}
    return (
        match.get("sourceNamespace") in (None, "", namespaces_of(pair)[1])
        and (match.get("sourceLabels") or {}).items() <= labels.items()
    )


def _lost(inventory: Inventory, match: dict[str, t.Any], pairs: list[GatewayPair]) -> t.Iterator[tuple[str, t.Any]]:
    namespace, labels = match.get("sourceNamespace"), match.get("sourceLabels")
    sides = [namespaces_of(pair) for pair in pairs]
    if namespace and any(namespace == b != g for b, g in sides):
        yield "sourceNamespace", namespace
    for pair in pairs:
        if labels and pair.workload:
            at_blue = any(labels.items() <= given.items() for given in inventory.blue_labels(pair.workload))
            if at_blue and not labels.items() <= pair.workload.green_labels.items():
                yield "sourceLabels", labels
                return
