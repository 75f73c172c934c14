# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`kubectl apply` without --server-side: the annotation holds what was applied last, and the next apply, by hand or
from a pipeline, sets what differs from it in the file that is applied."""

from __future__ import annotations

import typing as t

from .. import _virtual_services as vs
from .._objects import annotations_of
from . import applied, base

CODE = "last_applied"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
EFFECT = "the next apply of what it was made from puts the gateways back"


def of(body: base.Object) -> base.Source | None:
    return base.Source(CODE, "", "kubectl apply") if ANNOTATION in annotations_of(body) else None


def desired(
    _source: base.Source, body: base.Object, _evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    return lists(body)


def lists(body: base.Object) -> base.Desired:
    """What was applied last, for every source that applies in this way."""
    try:
        found = base.parsed(annotations_of(body).get(ANNOTATION, ""))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return base.Desired(None, f"its annotation {ANNOTATION} can't be read")
    return base.Desired(vs.lists_of(found), f"its annotation {ANNOTATION}")


puts_back = base.never
fights = base.never
overrides = applied.overrides
