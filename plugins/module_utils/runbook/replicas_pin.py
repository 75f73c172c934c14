# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives autoscalers and Deployments their former numbers."""

from __future__ import annotations

import json
import shlex
import typing as t

from .._replicas import PINNED
from ._command import Book, Command, on


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for entry in params["restore"]:
        patch: dict[str, t.Any] = {"spec": entry["spec"]}
        if entry["mark"] != "":
            patch["metadata"] = {"annotations": {PINNED: entry["mark"]}}
        run = f"k patch {on(entry['kind'].lower(), entry['namespace'], entry['name'])} --type=merge"
        title = f"{entry['kind']} {entry['namespace']}/{entry['name']}"
        found.append(Command(f"give {title} its former numbers", f"{run} -p {shlex.quote(json.dumps(patch))}"))
    return found
