# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Flux Kustomization: kustomize-controller prunes what leaves its source, and all of it when it goes itself.

It reads `kustomize.toolkit.fluxcd.io/prune: disabled` from the live object. Its next apply would take off again what
kubectl annotated, so that `reconcile: disabled` goes with it.
"""

from __future__ import annotations

import typing as t

from .._keep_target import Claim, Target
from .._look import Look

NAME = "flux_kustomization"
GROUP = "kustomize.toolkit.fluxcd.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta2")
PRUNE, RECONCILE = f"{GROUP}/prune", f"{GROUP}/reconcile"
DISABLED = "disabled"


def find(targets: t.Sequence[Target], look: Look) -> None:
    for target in targets:
        owner = owner_of(target.labels)
        if owner:
            body = look.find(VERSIONS, "kustomizations", *owner)
            target.claims.append(_claim(target, owner, body))


def owner_of(labels: dict[str, str]) -> tuple[str, str] | None:
    """(namespace, name) of the Kustomization that these labels name."""
    name, namespace = labels.get(f"{GROUP}/name"), labels.get(f"{GROUP}/namespace")
    return (namespace, name) if name and namespace else None


def disabled(target: Target, key: str) -> bool:
    """As the controller reads it: from annotation or label, in any case (fluxcd/pkg/ssa, AnyInMetadata)."""
    return any((where.get(key) or "").lower() == DISABLED for where in (target.annotations, target.labels))


def _claim(target: Target, owner: tuple[str, str], body: dict[str, t.Any] | None) -> Claim:
    name = f"Kustomization {owner[0]}/{owner[1]}"
    if body is None:
        return Claim(NAME, name, True, "its Kustomization is gone")
    wanted = {PRUNE: DISABLED, RECONCILE: DISABLED}
    source = applies(body, target)
    if disabled(target, PRUNE) and disabled(target, RECONCILE):
        return Claim(NAME, name, True, f"{PRUNE} is disabled on it", annotations=wanted, source=source)
    reason = (
        f"its next apply may take {PRUNE} off again"
        if disabled(target, PRUNE)
        else "kustomize-controller prunes what leaves its source, or all of it when it goes"
    )
    spec = body.get("spec") or {}
    going = bool(body["metadata"].get("deletionTimestamp") and spec.get("prune") and not spec.get("suspend"))
    return Claim(NAME, name, False, reason, annotations=wanted, source=source, going=going)


def applies(body: dict[str, t.Any], target: Target) -> bool:
    """Whether its source has the object still: its inventory is what it has built last (NAMESPACE_NAME_GROUP_KIND,
    fluxcd/cli-utils/pkg/object). What it may not prune leaves that list, and keeps the labels. Without a list, it does."""
    inventory = (body.get("status") or {}).get("inventory")
    ref = target.ref
    own = "_".join((ref.namespace, ref.name.replace(":", "__"), ref.group, ref.kind))
    return inventory is None or own in {entry.get("id") for entry in inventory.get("entries") or []}
