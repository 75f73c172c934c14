# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what led requests with a header from blue's gateway to green."""

from __future__ import annotations

import typing as t

from .._objects import PREVIEW_OF
from ._command import Book, Command, literal


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    namespace, found = params["service"].split("/")[0], []
    for kind in ("virtualservices", "destinationrules"):
        resource = f"{kind}.networking.istio.io"
        wanted = f".metadata.annotations[{literal(PREVIEW_OF)}]? == {literal(params['gateway'])}"
        jq = f".items[] | select({wanted}) | .metadata.name"
        run = (
            f"for name in $(k -n {namespace} get {resource} -o json | jq -r '{jq}'); do"
            f' k -n {namespace} delete {resource} "$name"; done'
        )
        found.append(Command(f"the preview's {kind} of Gateway {params['gateway']}", run))
    return found
