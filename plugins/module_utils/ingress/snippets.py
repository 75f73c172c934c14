# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration in nginx's own language. It can mean anything, so it is never guessed at, and never shown: it may
hold a secret."""

from __future__ import annotations

from ._model import Source, World

CODE = "snippet"
TODO = (
    "Say by Istio's own means what it does (headers, redirects, AuthorizationPolicy, EnvoyFilter), in an object of its"
    " own. If it guards something, do so before green has clients. Then waive this."
)
ANNOTATIONS = dict.fromkeys(
    ("configuration-snippet", "server-snippet", "stream-snippet", "location-snippet"),
    "refused: it is nginx's own language",
)


def apply(source: Source, world: World) -> None:
    for name in ANNOTATIONS:
        value = source.get(name)
        if value:
            source.refuse(name, f"{len(value.splitlines())} line(s) of nginx configuration", TODO)
        else:
            source.not_needed(name, "it is empty")
