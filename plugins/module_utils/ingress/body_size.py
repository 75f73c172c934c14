# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxy-body-size: how large a request may be. Istio has no field for it."""

from __future__ import annotations

from ._model import Source, World

CODE = "body_size"
ANNOTATIONS = {"proxy-body-size": "0 is what Istio does; else an EnvoyFilter of your own"}


def apply(source: Source, world: World) -> None:
    size = source.get("proxy-body-size")
    if size in ("0", ""):
        source.not_needed("proxy-body-size", "Istio has no limit")
    elif size is not None:
        source.refuse(
            "proxy-body-size", f"Istio has no limit, and no field for one; blue refuses more than {size} with 413",
            "Let the application refuse it, or add an EnvoyFilter with Envoy's buffer filter (max_request_bytes) for"
            " these routes.", "warning",
        )  # fmt: skip
