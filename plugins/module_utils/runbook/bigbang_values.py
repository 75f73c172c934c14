# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what to take out of Big Bang's values file: a person's own file is edited by a person."""

from __future__ import annotations

import json
import typing as t

from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    lines = [
        f"{'.'.join(change['path'])}: "
        + ("remove" if change["before"] is None else f"set {json.dumps(change['before'])}")
        for change in params["changes"]
    ]
    told = [f"in {params['path']}, then deploy Big Bang with it:", *lines]
    return [Command("\n".join(told), ":")]
