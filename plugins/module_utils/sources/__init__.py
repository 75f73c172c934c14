# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where VirtualServices come from: one file for each kind of source, each with the same names.

    CODE               its name in reports and waivers
    EFFECT             what comes of a patch of an object that is made from it, as far as the object tells
    of(body)           the Source that an object names, or None
    desired(source, body, evidence, pairs)     what it will make of the object at its next run
    puts_back(source, body, evidence)          why it undoes a patch by itself; '' where somebody has to make it
    fights(source, body, evidence)             why it can't live with an admission policy that adds to what it applies
    overrides(source, wishes, evidence, pairs) the files that make its objects green

To add one: a file here, its name in both lists below, a test in tests/unit/sources, and a row in docs/sources.md. The
imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

from . import applied, argocd, controller, flux_helm, flux_kustomize, helm, last_applied
from .base import Desired, Evidence, Object, Override, Source, Unreadable, Wish, concerned, is_green, joined, wish_of

KINDS = (argocd, flux_kustomize, flux_helm, helm, controller, applied, last_applied)  # the outermost first
CODES = tuple(kind.CODE for kind in KINDS)
BY_CODE = {kind.CODE: kind for kind in KINDS}
# How one source writes is no second source.
MEANS = {
    argocd.CODE: {applied.CODE, last_applied.CODE},
    flux_kustomize.CODE: {applied.CODE, last_applied.CODE},
    flux_helm.CODE: {applied.CODE, helm.CODE},
    helm.CODE: {applied.CODE},
    controller.CODE: {applied.CODE, last_applied.CODE},
}

__all__ = (
    "BY_CODE", "CODES", "KINDS", "Desired", "Evidence", "Object", "Override", "Source", "Unreadable", "Wish",
    "concerned", "effect", "is_green", "joined", "last_applied", "of", "wish_of",
)  # fmt: skip


def of(body: Object) -> list[Source]:
    """Every source that an object names, the outermost first."""
    found = [source for source in (kind.of(body) for kind in KINDS) if source]
    means = set().union(*(MEANS.get(source.kind, set()) for source in found))
    return [source for source in found if source.kind not in means]


def effect(source: Source) -> str:
    """What comes of a patch."""
    return BY_CODE[source.kind].EFFECT
