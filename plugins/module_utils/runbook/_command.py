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


def edited(kind: str, namespace: str, name: str, jq: str) -> str:
    """Reads an object, edits it by a jq filter, and writes it back if nobody else has changed it meanwhile."""
    return f"k get {on(kind, namespace, name)} -o json | jq {shlex.quote(jq)} | k replace -f -"


def literal(value: t.Any) -> str:
    """A value in a jq filter."""
    return json.dumps(value)
