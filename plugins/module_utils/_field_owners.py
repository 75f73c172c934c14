# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns the fields of an object's spec, by server-side apply, and giving them back after a patch of ours. Pure.

A write that is no apply takes the fields that it changes from everybody. The next server-side apply of the one who had
them (Helm 4, Argo CD, Flux, kubectl) then fails with a conflict, whatever it sets them to. So after our write a second
one restores metadata.managedFields: it changes no value, and the API server accepts it as written.
"""

from __future__ import annotations

import copy
import typing as t

Fields = dict[str, t.Any]  # FieldsV1: nested; {} is a leaf


def appliers(body: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The entries of managedFields by which somebody applies something of the spec."""
    entries = body["metadata"].get("managedFields") or ()
    return [e for e in entries if e.get("operation") == "Apply" and "f:spec" in (e.get("fieldsV1") or {})]


def applier(body: dict[str, t.Any]) -> str:
    """The first manager among them, or ''."""
    return next((entry.get("manager", "?") for entry in appliers(body)), "")


def given_back(
    before: t.Sequence[dict[str, t.Any]], now: dict[str, t.Any], manager: str
) -> list[dict[str, t.Any]] | None:
    """managedFields of the object `now` in which the appliers of `before` own again what `manager` took from them by an
    update; None where it took nothing. What others took meanwhile stays theirs."""
    if not before:
        return None
    entries = copy.deepcopy(now["metadata"].get("managedFields") or [])
    ours = [e for e in entries if (e.get("manager"), e.get("operation")) == (manager, "Update")]
    given: Fields = {}
    for entry in before:
        held = _same(entries, entry)
        lost = _without(entry["fieldsV1"], (held or {}).get("fieldsV1") or {})
        for own in ours:
            back = _common(lost, own["fieldsV1"])
            if not back:
                continue
            if held is None:
                held = {**entry, "fieldsV1": {}}
                entries.append(held)
            held["fieldsV1"] = _joined(held["fieldsV1"], back)
            given = _joined(given, back)
    for own in ours:
        own["fieldsV1"] = _without(own["fieldsV1"], given)
    return [entry for entry in entries if entry not in ours or entry["fieldsV1"]] if given else None


def _same(entries: list[dict[str, t.Any]], wanted: dict[str, t.Any]) -> dict[str, t.Any] | None:
    keys = ("manager", "operation", "apiVersion", "subresource")
    return next((e for e in entries if all(e.get(key) == wanted.get(key) for key in keys)), None)


def _joined(left: Fields, right: Fields) -> Fields:
    return {
        key: _joined(left.get(key, {}), right.get(key, {})) for key in [*left, *(k for k in right if k not in left)]
    }


def _without(left: Fields, right: Fields) -> Fields:
    """left minus right; a parent of which nothing is left goes too."""
    rest = {}
    for key, below in left.items():
        if key not in right:
            rest[key] = below
        elif below:
            remaining = _without(below, right[key])
            if remaining:
                rest[key] = remaining
    return rest


def _common(left: Fields, right: Fields) -> Fields:
    both = {}
    for key in left:
        if key in right:
            below = _common(left[key], right[key])
            if below or not left[key] or not right[key]:
                both[key] = below
    return both
