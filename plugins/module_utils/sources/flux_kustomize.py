# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Flux Kustomization. It applies server-side, with force, at every interval: what others set goes.

Flux's helper objects say how: suspended, or an annotation on the object that keeps the controller off.
"""

from __future__ import annotations

import typing as t

from .. import _virtual_services as vs
from .._objects import annotations_of, labels_of
from . import base

CODE = "flux_kustomize"
EFFECT = "its next reconcile puts the gateways back"
GROUP, VERSIONS, PLURAL = "kustomize.toolkit.fluxcd.io", ("v1", "v1beta2"), "kustomizations"


def of(body: base.Object) -> base.Source | None:
    labels = labels_of(body)
    if not labels.get(f"{GROUP}/name"):
        return None
    name = f"{labels.get(f'{GROUP}/namespace', '?')}/{labels[f'{GROUP}/name']}"
    return base.Source(CODE, name, f"Flux Kustomization {name}")


def desired(
    source: base.Source, body: base.Object, evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    """The cluster has no rendered manifests, only patches that are written into the Kustomization itself."""
    try:
        spec = _spec(source, evidence)
    except base.Unreadable as exc:
        return base.Desired(None, str(exc))
    lists = base.patched(spec.get("patches"), body, pairs)
    if lists is None:
        return base.Desired(None, "what it renders is not kept in the cluster, and its spec.patches do not say")
    return base.Desired(lists, "its spec.patches")


def puts_back(source: base.Source, body: base.Object, evidence: base.Evidence) -> str:
    given = annotations_of(body)
    if given.get(f"{GROUP}/reconcile") == "disabled" or given.get(f"{GROUP}/ssa") in ("Ignore", "IfNotPresent"):
        return ""
    try:
        suspended = _spec(source, evidence).get("suspend")
    except base.Unreadable as exc:
        return f"whether it is suspended is not known: {exc}"
    return "" if suspended else "it applies what its source has at every interval"


fights = base.never  # it compares by a dry run, in which admission has its way with both sides


def overrides(
    source: base.Source, wishes: t.Sequence[base.Wish], evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    try:
        spec = _spec(source, evidence)
    except base.Unreadable:
        spec = {}
    content = base.appended({"spec": spec}, "/spec/patches", base.kustomize_patches(wishes))
    how = base.json_patch_of(source)
    path = f"flux/Kustomization.{base.file_name(source.name)}.yaml"
    return [base.Override(path, (how,), content, tuple(wish.key for wish in wishes))] if content else []


def _spec(source: base.Source, evidence: base.Evidence) -> base.Object:
    holder = evidence.objects(GROUP, VERSIONS, PLURAL).get(source.name)
    if holder is None:
        raise base.Unreadable(f"{source.title} is not in this cluster")
    return holder.get("spec") or {}
