# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what was made of Ingresses, or gives it its former content. The Ingresses themselves were never touched."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command, on, plain_kind


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for item in params["objects"]:
        title = f"{item['kind']} {item['namespace']}/{item['name']}"
        target = on(plain_kind(item), item["namespace"], item["name"])
        if params["state"] == "absent":
            found.append(Command(f"remove {title}", f"k delete {target} --ignore-not-found"))
        elif "labels" in item:
            meta = {key: item[key] for key in ("namespace", "name", "labels", "annotations")}
            body = {"apiVersion": item["api_version"], "kind": item["kind"], "metadata": meta, "spec": item["spec"]}
            found.append(Command(f"make {title} again", f"printf %s {shlex.quote(json.dumps(body))} | k create -f -"))
        else:
            patch = json.dumps([{"op": "add", "path": "/spec", "value": item["spec"]}])
            found.append(
                Command(f"give {title} its former content", f"k patch {target} --type=json -p {shlex.quote(patch)}")
            )
    return found
