# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Helm release that people or pipelines upgrade. The manifest in its record is what the next upgrade starts from.

Helm 4 applies server-side where the release says so (apply_method, or managedFields that name an Apply manager). A
patch then takes the fields from it, and its next upgrade fails with a conflict, unless they are given back.
"""

from __future__ import annotations

import typing as t

from .. import _field_owners, _helm_storage
from .. import _helm_release as records
from .. import _virtual_services as vs
from .._objects import annotations_of
from .._resources import Ref
from . import base

CODE = "helm"
EFFECT = "its next upgrade puts the gateways back"


def of(body: base.Object) -> base.Source | None:
    annotations = annotations_of(body)
    release = annotations.get(_helm_storage.RELEASE_NAME)
    if not release:
        return None
    name = f"{annotations.get(_helm_storage.RELEASE_NAMESPACE, '?')}/{release}"
    return base.Source(CODE, name, f"Helm release {name}")


def desired(
    source: base.Source, body: base.Object, evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    return lists(source.name, body, evidence)


def lists(key: str, body: base.Object, evidence: base.Evidence) -> base.Desired:
    """What the release's record renders for this object, for every source that ends in a release."""
    try:
        record = _record(key, evidence)
        document = _document(record, body)
    except base.Unreadable as exc:
        return base.Desired(None, str(exc))
    told_by = f"{record.where}, revision {record.revision} ({record.status}{_method(record, body)})"
    return base.Desired(vs.lists_of(document), told_by)


puts_back = base.never
fights = base.never


def overrides(
    source: base.Source, wishes: t.Sequence[base.Wish], evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    found = values(source.name, wishes, evidence, pairs)
    if not found:
        return base.component(
            wishes, f"{source.title}: its values do not name the gateways. Use the component as a post-renderer."
        )
    how = (
        f"{source.title}: chart values, for helm upgrade --values THIS_FILE after the other ones.",
        f"Blue is named there at {', '.join(base.dotted(reference.path) for reference in found)}.",
    )
    keys = tuple(wish.key for wish in wishes)
    return [base.Override(f"helm/{base.file_name(source.name)}.yaml", how, base.nested(found), keys)]


def values(
    key: str, wishes: t.Sequence[base.Wish], evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> list[base.Reference]:
    """Where the values of a release name blue, given ones before the chart's own. The values of subcharts that nobody
    has overridden are not in the record."""
    try:
        release = _record(key, evidence).payload.release
    except base.Unreadable:
        return []
    found: dict[tuple[str, ...], base.Reference] = {}
    chart = release.get("chart") or {}
    for wish in wishes:
        namespace = wish.body["metadata"]["namespace"]
        merged = _coalesced(chart.get("values") or {}, release.get("config") or {})
        found.update({reference.path: reference for reference in base.references(merged, namespace, pairs)})
    return list(found.values())


def _coalesced(chart: t.Any, given: t.Any) -> t.Any:
    """Helm's merge of given values over the chart's; a null removes the chart's value."""
    if not isinstance(chart, dict) or not isinstance(given, dict):
        return given
    merged = {name: _coalesced(chart.get(name), value) for name, value in given.items() if value is not None}
    return {name: value for name, value in chart.items() if name not in given} | merged


def _record(key: str, evidence: base.Evidence) -> _helm_storage.Record:
    namespace, _slash, name = key.partition("/")
    record = evidence.release(namespace, name)
    if record is None:
        raise base.Unreadable(f"there is no record of Helm release {key}")
    return record


def _document(record: _helm_storage.Record, body: base.Object) -> base.Object:
    meta = body["metadata"]
    ref = Ref(f"{base.GROUP}/v1", base.KIND, meta["namespace"], meta["name"])
    manifest = record.payload.manifest
    try:
        found = records.locate(manifest, ref, record.release_namespace)
        document = base.parsed(manifest[found.start : found.end]) if found else None
    except (records.ReleaseError, ValueError) as exc:
        raise base.Unreadable(f"the manifest in {record.where} can't be read: {exc}") from exc
    if found and found.in_list:
        named = [i for i in document["items"] if i["kind"] == base.KIND and i["metadata"]["name"] == meta["name"]]
        document = named[0] if named else None
    if not document:
        raise base.Unreadable(f"the manifest in {record.where} does not have it")
    return document


def _method(record: _helm_storage.Record, body: base.Object) -> str:
    method = record.payload.release.get("apply_method") or ("ssa" if _field_owners.applier(body) else "")
    return {"ssa": ", applied server-side", "server-side": ", applied server-side"}.get(method, "")
