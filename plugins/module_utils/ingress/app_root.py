# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""app-root: whoever asks for `/` is sent to the application's path, on every host of the Ingress, before all else."""

from __future__ import annotations

from ._model import EXACT, Route, Source, World

CODE = "app_root"
ANNOTATIONS = {"app-root": "exact `/` is redirected with 302"}


def apply(source: Source, world: World) -> None:
    path = source.get("app-root")
    if path is None:
        return
    if not path.startswith("/") or "$" in path:
        source.refuse("app-root", f"{path!r} is no path", "Write a path that begins with a slash.", "warning")
        return
    for host in dict.fromkeys(route.host for route in source.routes):
        redirect = {"redirect": {"uri": path, "redirectCode": 302}}
        source.routes.append(Route(source, "app-root", host, "/", EXACT, None, instead=redirect, first=True))
    source.translated("app-root", f"/ is redirected to {path}")
