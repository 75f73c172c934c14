# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes a deletion: makes the objects of an archive again."""

from __future__ import annotations

import shlex
import typing as t

from .. import _archive
from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    given = ", ".join(f".metadata.{name}" for name in (*_archive.GIVEN, "ownerReferences"))
    jq = (
        f"map(del({given}, .status) | if .type == {_quoted(_archive.TOKEN)}"
        f" then del(.data, .metadata.annotations[{_quoted(_archive.TOKEN_UID)}]) else . end)"
        ' | {apiVersion: "v1", kind: "List", items: .}'
    )
    return [
        Command(
            f"make again what was deleted (archive {params['key']}); what is there already is said, and left alone",
            f"k -n {shlex.quote(book.namespace)} get secret {shlex.quote(step['backup'])} -o json"
            " | jq -r '.data[\"objects.json.gz\"]' | base64 -d | gunzip"
            f" | jq {shlex.quote(jq)} | k create -f - || true",
        )
    ]


def _quoted(text: str) -> str:
    return f'"{text}"'
