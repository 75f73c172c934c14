# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what was copied from blue, or gives it its former content."""

from __future__ import annotations

import json
import shlex
import typing as t

from .._resources import group_of
from ._command import Book, Command, on


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for item in params["objects"]:
        group = group_of(item["api_version"])
        kind = item["kind"].lower() + (f".{group}" if group else "")
        title = f"{item['kind']} {item['namespace']}/{item['name']}"
        target = on(kind, item["namespace"], item["name"])
        if params["state"] == "absent":
            found.append(Command(f"remove {title}", f"k delete {target} --ignore-not-found"))
        else:
            patch = json.dumps(
                [{"op": "add", "path": f"/{key}", "value": value} for key, value in item["body"].items()]
            )
            found.append(
                Command(f"give {title} its former content", f"k patch {target} --type=json -p {shlex.quote(patch)}")
            )
    return found
