# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local rate limit at a gateway's pods: each proxy has a bucket of its own, so the limit is as many times as large as
there are pods. While both sides serve, clients may have twice as much; with other numbers of pods on green, another."""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding, Inventory, Object, Workload, named
from .._policies import COPIED, applies
from .._sizes import count

CODE = "local_rate_limit"
FILTERS = ("local_ratelimit", "local_rate_limit")


def check(inventory: Inventory) -> list[Finding]:
    found = []
    for envoy_filter in inventory["envoy_filters"]:
        fields = [
            f"spec.configPatches[{number}].patch.value"
            for number, patch in enumerate((envoy_filter.get("spec") or {}).get("configPatches") or ())
            if _names_one((patch or {}).get("patch") or {})
        ]
        if not fields:
            continue
        for workload in inventory.workloads:
            if _applies(inventory, workload, envoy_filter):
                found.append(
                    Finding(
                        CODE, WARNING, named(envoy_filter), fields[0],
                        f"a local rate limit, which each proxy counts by itself: {count(inventory, workload).in_all()}"
                        f" (workload {workload.name})",
                        "If it protects something behind the gateways, lower it while both sides serve, or use a global"
                        " rate limit. Set it anew if green is to have another number of pods.",
                    )
                )  # fmt: skip
    return found


def _applies(inventory: Inventory, workload: Workload, envoy_filter: Object) -> bool:
    """To blue's pods or to green's."""
    reaches = COPIED["EnvoyFilter"].reaches
    sides = [(workload.blue[0], labels) for labels in inventory.blue_labels(workload)]
    sides.append((workload.green[0], workload.green_labels))
    return any(applies(envoy_filter, namespace, labels, inventory, reaches) for namespace, labels in sides)


def _names_one(patch: Object) -> bool:
    value = patch.get("value") or {}
    return any(word in text for text in _words(value) for word in FILTERS)


def _words(value: t.Any) -> t.Iterator[str]:
    """Names and types anywhere in a patch; not its other texts, such as a header that says local_rate_limit."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("name", "@type", "type_url", "typeUrl") and isinstance(inner, str):
                yield inner
            elif key == "typed_per_filter_config" and isinstance(inner, dict):
                yield from inner
                yield from _words(inner)
            else:
                yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
