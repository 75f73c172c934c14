# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding an owner still: a field of another object that is set for as long as something is kept on its account.

A HelmRelease is suspended, an operator's Deployment scaled to 0. What was there before, and for whom it is held, is
noted on that object (FROZEN), so that it is set in motion again when the last of what it was held for is released, by
whichever run. What was so already is nobody's to undo, and not noted.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import typing as t

from ._resources import Ref

FROZEN = "bluegreen.mesh/frozen"  # JSON: {"for": ["MIGRATION GROUP/KIND/NAMESPACE/NAME"], "fields": [[path, former]]}
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Freeze:
    """One field of one object. body: that object as it was read; path: the field; value: what it is to be."""

    ref: Ref
    body: dict[str, t.Any] = dataclasses.field(compare=False, hash=False)
    path: Path
    value: t.Any = dataclasses.field(compare=False, hash=False)

    @property
    def in_place(self) -> bool:
        return value_at(self.body, self.path) == self.value


@dataclasses.dataclass(frozen=True)
class Note:
    """What FROZEN says. A damaged one says nothing."""

    held_for: frozenset[str]
    fields: tuple[tuple[Path, t.Any], ...]

    @classmethod
    def of(cls, body: dict[str, t.Any]) -> Note:
        try:
            found = json.loads((body["metadata"].get("annotations") or {}).get(FROZEN, "{}"))
            fields = tuple((tuple(path), former) for path, former in found.get("fields") or [])
            return cls(frozenset(found.get("for") or []), fields)
        except (ValueError, TypeError, AttributeError):
            return cls(frozenset(), ())

    def dump(self) -> str:
        fields = [[list(path), former] for path, former in self.fields]
        return json.dumps({"for": sorted(self.held_for), "fields": fields}, separators=(",", ":"))


def value_at(body: dict[str, t.Any], path: Path) -> t.Any:
    value: t.Any = body
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def freeze_patch(
    body: dict[str, t.Any], fields: t.Sequence[tuple[Path, t.Any]], holders: t.Iterable[str]
) -> dict[str, t.Any]:
    """The merge patch that sets these fields for these holders; empty where nothing has to change."""
    note = Note.of(body)
    noted = {path for path, _former in note.fields}
    changed = [(path, value) for path, value in fields if value_at(body, path) != value]
    former = [(path, value_at(body, path)) for path, _value in changed if path not in noted]
    if not former and not note.fields:
        return {}  # it is so already, and not by us
    new = Note(note.held_for | frozenset(holders), note.fields + tuple(former))
    return _patch(body, changed, new if new != note else None, note)


def thaw_patch(
    body: dict[str, t.Any], holders: t.Container[str], ours: t.Callable[[t.Any], bool],
    former: t.Sequence[tuple[Path, t.Any]] = (),
) -> dict[str, t.Any]:  # fmt: skip
    """The merge patch that takes these holders off, and with the last of them sets the fields as they were.

    Empty where nothing is held. ours: whether an item of a list was added by us; others' items stay. former: what the
    journal has, for an object from which somebody took the note.
    """
    note = Note.of(body)
    if not note.fields and former and FROZEN not in (body["metadata"].get("annotations") or {}):
        note = Note(frozenset(), tuple(former))
    if not note.fields:
        return {}
    left = frozenset(holder for holder in note.held_for if holder not in holders)
    if left:
        return _patch(body, [], Note(left, note.fields), note) if left != note.held_for else {}
    back = [(path, _thawed(value_at(body, path), was, ours)) for path, was in note.fields]
    changed = [(path, value) for path, value in back if value_at(body, path) != value]
    return _patch(body, changed, Note(frozenset(), ()), Note.of(body))


def _thawed(now: t.Any, former: t.Any, ours: t.Callable[[t.Any], bool]) -> t.Any:
    if isinstance(now, list):
        left = [item for item in now if not ours(item)]
        return left if left or former is not None else None
    return former


def _patch(
    body: dict[str, t.Any], fields: t.Sequence[tuple[Path, t.Any]], note: Note | None, before: Note
) -> dict[str, t.Any]:
    patch: dict[str, t.Any] = {}
    for path, value in fields:
        inner = patch
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = copy.deepcopy(value)
    if note is not None and note != before:
        annotations = patch.setdefault("metadata", {}).setdefault("annotations", {})
        annotations[FROZEN] = note.dump() if note.fields else None
    if patch:
        patch.setdefault("metadata", {})["resourceVersion"] = body["metadata"]["resourceVersion"]
    return patch
