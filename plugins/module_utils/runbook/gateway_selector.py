# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets blue's Gateways select as before."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command, on
from .gateway_twin import GATEWAY


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for entry in params["restore"]:
        namespace, _slash, name = entry["gateway"].partition("/")
        patch = json.dumps([{"op": "add", "path": "/spec/selector", "value": entry["selector"]}])
        run = f"k patch {on(GATEWAY, namespace, name)} --type=json -p {shlex.quote(patch)}"
        found.append(Command(f"give Gateway {entry['gateway']} its former selector", run))
    return found
