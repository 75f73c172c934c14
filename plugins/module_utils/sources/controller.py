# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An owning controller: ownerReferences name the object that it makes VirtualServices from."""

from __future__ import annotations

import typing as t

from .. import _virtual_services as vs
from . import base

CODE = "controller"
EFFECT = "its controller may put the gateways back"


def of(body: base.Object) -> base.Source | None:
    reference = _owner(body)
    if reference is None:
        return None
    name = f"{body['metadata']['namespace']}/{reference['name']}"
    return base.Source(CODE, f"{reference['kind']}/{name}", f"{reference['kind']} {name}")


def desired(
    source: base.Source, body: base.Object, evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    """The owner's spec tells when it names gateways in so many words, and nothing of blue."""
    try:
        spec = _spec(source, body, evidence)
    except base.Unreadable as exc:
        return base.Desired(None, str(exc))
    namespace = body["metadata"]["namespace"]
    named, places = [], []
    for pair in pairs:
        for side, other in ((pair.blue, pair.green), (pair.green, pair.blue)):
            found = base.references(spec, namespace, [vs.Pair(side, other)])
            named += [side] if found else []
            places += [f"spec.{base.dotted(reference.path)}" for reference in found]
    if not named:
        return base.Desired(None, f"{source.title} does not name gateways, so its controller decides")
    return base.Desired({vs.TOP: named}, f"{source.title} at {', '.join(places)}")


def puts_back(source: base.Source, _body: base.Object, _evidence: base.Evidence) -> str:
    return f"nobody but the controller of {source.title} knows whether it corrects what others change"


fights = base.never


def overrides(
    source: base.Source, wishes: t.Sequence[base.Wish], evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    """A merge patch of the owner, where its spec names blue."""
    body = wishes[0].body
    try:
        found = base.references(_spec(source, body, evidence), body["metadata"]["namespace"], pairs)
    except base.Unreadable:
        found = []
    if not found:
        return []
    reference = t.cast(dict[str, str], _owner(body))
    content = {
        "apiVersion": reference["apiVersion"],
        "kind": reference["kind"],
        "metadata": {"name": reference["name"], "namespace": body["metadata"]["namespace"]},
        "spec": base.nested(found),
    }
    how = f"{source.title}: kubectl patch --type=merge --patch-file THIS_FILE, and the same where it comes from."
    name = f"controller/{source.name.replace('/', '.')}.yaml"
    return [base.Override(name, (how,), content, tuple(wish.key for wish in wishes))]


def _owner(body: base.Object) -> dict[str, t.Any] | None:
    return next((r for r in body["metadata"].get("ownerReferences") or () if r.get("controller")), None)


def _spec(source: base.Source, body: base.Object, evidence: base.Evidence) -> t.Any:
    reference = t.cast(dict[str, str], _owner(body))
    key = source.name.partition("/")[2]
    owner = evidence.owner(reference["apiVersion"], reference["kind"], key)
    if owner is None:
        raise base.Unreadable(f"{source.title} is not there")
    return owner.get("spec")
