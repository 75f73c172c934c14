# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes a namespace that was made for green. A person has to see that it is empty: it takes everything with it."""

from __future__ import annotations

import shlex
import typing as t

from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for name in params["names"]:
        kinds = "$(k api-resources --verbs=list --namespaced -o name | paste -sd, -)"
        run = f'k -n {shlex.quote(name)} get "{kinds}" --ignore-not-found --show-kind'
        what = f"what is in namespace {name}: if others have something there, leave it at that"
        found.append(Command(what, run))
        found.append(
            Command(
                f"remove namespace {name} with everything in it: take the # away if nothing of others' was listed",
                f": # k delete namespace {shlex.quote(name)}",
            )
        )
    return found
