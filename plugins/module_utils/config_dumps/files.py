# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that the user made, of what /config_dump on the pod's port 15000 returns. Gzip or not."""

from __future__ import annotations

import gzip
import json
import typing as t

from .unavailable import Unavailable

NAME = "file"


def read(side: dict[str, t.Any], _options: dict[str, t.Any]) -> t.Any:
    path = side.get("file")
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            data = file.read()
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, EOFError, ValueError) as exc:
        raise Unavailable(f"{path}: {exc}") from exc
