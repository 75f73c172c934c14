# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply by anybody who leaves no other mark. managedFields tell that he set the gateways, not to what."""

from __future__ import annotations

import typing as t

from .. import _field_owners
from .. import _virtual_services as vs
from . import base

CODE = "applied"
EFFECT = "its next apply puts the gateways back"


def of(body: base.Object) -> base.Source | None:
    manager = _field_owners.applier(body)
    return base.Source(CODE, manager, f"server-side apply by {manager}") if manager else None


def desired(
    source: base.Source, _body: base.Object, _evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    return base.Desired(None, f"only {source.name} knows what it applies; the cluster does not keep it")


puts_back = base.never
fights = base.never


def overrides(
    _source: base.Source, wishes: t.Sequence[base.Wish], _evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    return base.component(wishes, "Build what is applied with the component in this folder, or change it there.")
