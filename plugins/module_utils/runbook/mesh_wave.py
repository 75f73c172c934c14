# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a wave back to Istio's mesh: the namespaces' switches first, then the workloads, whose pods are made anew by it.
What was there is in an annotation of each."""

from __future__ import annotations

import shlex
import typing as t

from .._mesh_swap import INJECTION, LINKERD, POD_INJECT, REVISION, WAS, WAVE
from ._command import PATCH, TAKES, Book, Command, edited_all, literal

KINDS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps")
NOTED = f".metadata.annotations[{literal(WAS)}]"
SWITCHES = (
    f"({NOTED} | fromjson) as $was"
    f" | .metadata.labels |= ((. // {{}}) | del(.[{literal(INJECTION)}], .[{literal(REVISION)}]) + $was)"
    f" | del({NOTED}, .metadata.annotations[{literal(LINKERD)}])"
)


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for name in () if params.get("workloads") else params["namespaces"]:
        whole = '[{op: "add", path: "/metadata/labels", value: .metadata.labels}] + (del(.spec) | ' + PATCH + ")"
        run = (
            f"k get namespace {shlex.quote(name)} -o json | jq {shlex.quote(f'{SWITCHES} | {whole}')} |"
            f" k patch namespace {shlex.quote(name)} {TAKES}"
        )
        found.append(Command(f"Istio's injection on in {name} again, and Linkerd's off", run))
    for name in params["namespaces"]:
        wanted = f"{NOTED} != null"
        if params.get("workloads"):
            own = [text.partition(" ")[2].partition("/")[2] for text in params["workloads"] if f" {name}/" in text]
            wanted += f" and (.metadata.name as $n | {literal(own)} | index($n))"
        for kind in KINDS:
            what = f"{kind.partition('.')[0]} of {name} as they were, whose pods are made anew; wait for each rollout"
            found.append(Command(what, edited_all(kind, name, wanted, template(f"{params['name']}-back"))))
    return found


def template(wave: str) -> str:
    """A filter of a workload that gives its pods' template back what it said of either mesh."""
    where = ".spec.template.metadata"

    def given_back(part: str, *keys: str) -> str:
        gone = ", ".join(f".[{literal(key)}]" for key in keys)
        prefix = literal(f"{part} ")
        was = f"($was | with_entries(select(.key | startswith({prefix})) | .key |= ltrimstr({prefix})))"
        return f"{where}.{part}s |= ((. // {{}}) | del({gone}) + {was})"

    return (
        f"({NOTED} | fromjson) as $was | {given_back('label', POD_INJECT, REVISION)}"
        f" | {given_back('annotation', POD_INJECT, LINKERD)}"
        f" | {where}.annotations[{literal(WAVE)}] = {literal(wave)} | del({NOTED})"
    )
