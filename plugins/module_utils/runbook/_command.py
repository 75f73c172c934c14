# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of the runbook, and what all of them stand on."""

from __future__ import annotations

import json
import shlex
import typing as t


class Command(t.NamedTuple):
    """what: one line for people; run: what a POSIX shell runs, where k is kubectl with this cluster's context."""

    what: str
    run: str


class Book(t.NamedTuple):
    """Whose runbook it is: the migration, and the namespace of its journal."""

    migration: str
    namespace: str


def on(kind: str, namespace: str, name: str) -> str:
    """'KIND NAME -n NAMESPACE', as kubectl takes it."""
    where = f" -n {shlex.quote(namespace)}" if namespace else ""
    return f"{shlex.quote(kind)} {shlex.quote(name)}{where}"


def plain_kind(ref: dict[str, t.Any]) -> str:
    """KIND.GROUP, as kubectl takes it, of {"api_version", "kind"}."""
    group = ref["api_version"].rpartition("/")[0]
    return f"{ref['kind'].lower()}.{group}" if group else ref["kind"].lower()


# The patch that makes of an object what a jq filter has made of it, and of no other: the version must be the one that
# was read. Not `kubectl replace`: that writes the annotation from which the owner's next `kubectl apply` works, with the
# version in it, and that apply is then refused.
PATCH = (
    '[{op: "test", path: "/metadata/resourceVersion", value: .metadata.resourceVersion},'
    ' {op: "add", path: "/metadata/annotations", value: (.metadata.annotations // {})}]'
    ' + (if has("spec") then [{op: "replace", path: "/spec", value: .spec}] else [] end)'
)
TAKES = "--type=json --patch-file=/dev/stdin"


def edited(kind: str, namespace: str, name: str, jq: str) -> str:
    """Reads an object, edits its spec and annotations by a jq filter, and writes them back if nobody else has changed
    it meanwhile."""
    where = on(kind, namespace, name)
    return f"k get {where} -o json | jq {shlex.quote(f'{jq} | {PATCH}')} | k patch {where} {TAKES}"


def edited_all(kind: str, namespace: str, wanted: str, jq: str) -> str:
    """The same for each object of a kind for which the filter `wanted` is true. namespace: empty for all."""
    each = f".items[] | select({wanted}) | {jq} | .metadata.namespace, .metadata.name, ({PATCH} | tojson)"
    where = f"-n {shlex.quote(namespace)}" if namespace else "-A"
    return (
        f"k get {shlex.quote(kind)} {where} -o json | jq -r {shlex.quote(each)} |\n"
        f"while read -r ns && read -r name && read -r patch; do\n"
        f'  printf %s "$patch" | k patch {shlex.quote(kind)} "$name" -n "$ns" {TAKES}\ndone'
    )


def literal(value: t.Any) -> str:
    """A value in a jq filter."""
    return json.dumps(value)
