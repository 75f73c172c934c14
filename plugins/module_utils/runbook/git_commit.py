# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes back what was committed, and says how it gets where the cluster reads it."""

from __future__ import annotations

import shlex
import typing as t

from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    repo = shlex.quote(params["repo"])
    log = f"git -C {repo} log --format=%H --fixed-strings --grep={shlex.quote(params['marker'])}"
    follow = "; go on once the cluster has followed" if params.get("awaited") else ""
    found = [
        Command(
            f"take the commits back in {params['repo']}, branch {params['branch']}{follow}",
            f"git -C {repo} revert --no-edit $({log} {shlex.quote(params['branch'])})",
        )
    ]
    if params.get("command"):
        found.append(Command("hand them on", f"(cd {repo} && {shlex.join(params['command'])})"))
    return found
