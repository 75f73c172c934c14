# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""use-regex: paths are regular expressions that match the beginning and ignore case, for the whole host (_order.py)."""

from __future__ import annotations

from ._model import Source, World

CODE = "use_regex"
ANNOTATIONS = {"use-regex": "uri.regex `(?i)PATH.*`, for every path of the host, as on blue"}


def apply(source: Source, world: World) -> None:
    flag = source.flag("use-regex")
    if flag:
        for route in source.routes:
            route.regex = route.regex or not route.first
        source.translated("use-regex", "its paths match the beginning of a path, and ignore case")
    elif flag is not None:
        source.not_needed("use-regex", "it is off")
