# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kyverno's MutatingPolicy, which takes the same CEL as the API server's own policies; where Kyverno is too old for it,
ClusterPolicy."""

from __future__ import annotations

import typing as t

from .._resources import Resources
from .._virtual_services import Bound
from . import cel, kyverno_cluster_policy

NAME = "kyverno"
KINDS = tuple((f"policies.kyverno.io/{version}", "MutatingPolicy") for version in ("v1", "v1beta1", "v1alpha1"))
REPORTS = kyverno_cluster_policy.REPORTS
WHERE = "Kyverno"


def available(resources: Resources) -> str:
    """What of it the API server serves, or ''."""
    kind = _kind(resources)
    return f"Kyverno has {kind[1]} {kind[0]}" if kind else kyverno_cluster_policy.available(resources)


def objects(resources: Resources, name: str, rule: Bound) -> list[dict[str, t.Any]]:
    """Without our labels and annotations, in the order in which to write them."""
    kind = _kind(resources)
    if not kind:
        return kyverno_cluster_policy.objects(resources, name, rule)
    return [{"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": name}, "spec": cel.rules(rule)}]


def _kind(resources: Resources) -> tuple[str, str] | None:
    return next((kind for kind in KINDS if resources.find(*kind)), None)
