# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes an installation by Helm, or an upgrade of a release that was there before."""

from __future__ import annotations

import shlex
import typing as t

from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    name, namespace = params["release_name"], params["release_namespace"]
    if params.get("revision"):  # 0 is no revision
        what = f"put {namespace}/{name} back to its revision {params['revision']}"
        run = f"h rollback {shlex.quote(name)} {int(params['revision'])} -n {shlex.quote(namespace)} --wait"
        return [Command(what, run)]
    run = f"h uninstall {shlex.quote(name)} -n {shlex.quote(namespace)} --wait --ignore-not-found"
    return [Command(f"uninstall {namespace}/{name}", run)]
