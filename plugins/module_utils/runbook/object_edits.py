# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes what object_edits undoes: removes what was made, gives fields back, makes again what was removed."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command, on, plain_kind


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for body in params.get("create") or ():
        name = f"{body['kind']} {body['metadata'].get('namespace', '')}/{body['metadata']['name']}"
        found.append(Command(f"make {name} again", f"echo {shlex.quote(json.dumps(body))} | k create -f -"))
    for entry in params.get("edits") or ():
        where = on(plain_kind(entry), entry.get("namespace") or "", entry["name"])
        patch = [operation for pointer, change in entry["fields"].items() for operation in _patch(pointer, change)]
        found.append(
            Command(
                f"give {entry['kind']} {entry.get('namespace') or ''}/{entry['name']} its fields back; refused if"
                " others have changed them since",
                f"k patch {where} --type=json -p {shlex.quote(json.dumps(patch))}",
            )
        )
    for entry in params.get("remove") or ():
        where = on(plain_kind(entry), entry.get("namespace") or "", entry["name"])
        found.append(Command(f"remove {entry['kind']} {entry['name']}", f"k delete {where} --ignore-not-found"))
    return found


def _patch(pointer: str, change: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    test = [] if change["from"] is None else [{"op": "test", "path": pointer, "value": change["from"]}]
    if change["to"] is None:
        return [*test, {"op": "remove", "path": pointer}]
    return [*test, {"op": "replace" if test else "add", "path": pointer, "value": change["to"]}]
