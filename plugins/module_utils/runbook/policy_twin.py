# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes what policy_twin has made: green's copies of what is bound to blue."""

from __future__ import annotations

import typing as t

from .._policies import COPIED, VERSIONS
from ._command import Book, Command, on


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for copy in params["copies"]:
        kind, _space, ref = copy.partition(" ")
        group_version, plural = VERSIONS[COPIED[kind].name][0]
        namespace, _slash, name = ref.partition("/")
        resource = f"{plural}.{group_version.partition('/')[0]}"
        found.append(Command(f"remove the copy {copy}", f"k delete {on(resource, namespace, name)} --ignore-not-found"))
    return found
