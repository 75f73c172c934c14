# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes what resource_keep has done: the guard, the annotations on live objects, the edit of Helm's record."""

from __future__ import annotations

import shlex
import typing as t

from .._deletion_guard import KEPT_BY, policy_name
from ._command import Book, Command, edited, on, plain_kind

POLICY = "helm.sh/resource-policy"
UNDO = "bluegreen.mesh/kept-undo"  # on a kept object: what its annotation was
RELEASED = (
    f'(.metadata.annotations["{UNDO}"] // "{{}}" | fromjson) as $was'
    f' | if ($was | has("live") | not) then . elif $was.live == null then del(.metadata.annotations["{POLICY}"])'
    f' else .metadata.annotations["{POLICY}"] = $was.live end'
    f' | del(.metadata.annotations["{KEPT_BY}"], .metadata.annotations["{UNDO}"])'
)


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    if params["state"] == "kept":
        return [Command(f"{step['key']} was released; what protected it is not put back by hand", ":")]
    if step["op"] == "helm_record":
        return [record(step, book)]
    policy = shlex.quote(policy_name(params["migration"]))
    found = []
    if params.get("guard_written_by") != "others":  # else it goes with its commit
        what = "remove the guard, so that what was kept can be deleted again"
        run = f"k delete validatingadmissionpolicybinding,validatingadmissionpolicy {policy} --ignore-not-found"
        found.append(Command(what, run))
    for ref in params.get("resources") or []:
        namespace = ref.get("namespace") or ""
        run = edited(plain_kind(ref), namespace, ref["name"], RELEASED)
        found.append(Command(f"let go of {ref['kind']} {namespace}/{ref['name']}", run))
    return found


def record(step: dict[str, t.Any], book: Book) -> Command:
    """Helm's record, as it was before it was edited, from the journal's backup: the text in Helm's own base64."""
    kind, _space, where = step["key"].partition(" ")
    namespace, _slash, name = where.partition("/")
    value = ".data.release | @base64" if kind == "Secret" else ".data.release"
    patch = f"patch-{step['id']}.json"
    return Command(
        f"put back Helm's record in {step['key']}",
        f"k get {on('secret', book.namespace, step['backup'])} -o json | jq -c '{{data: {{release: ({value})}}}}'"
        f" > {patch} && k patch {on(kind.lower(), namespace, name)} --type=merge --patch-file {patch}; rm -f {patch}",
    )
