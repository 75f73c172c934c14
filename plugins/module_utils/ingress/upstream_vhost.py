# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upstream-vhost: the Host header that the backend sees."""

from __future__ import annotations

import re

from ._model import Source, World

CODE = "upstream_vhost"
ANNOTATIONS = {"upstream-vhost": "rewrite.authority"}


def apply(source: Source, world: World) -> None:
    host = source.get("upstream-vhost")
    if host is None:
        return
    if not host:
        source.not_needed("upstream-vhost", "it is empty")
        return
    for route in source.routes:
        if route.backend is None:
            continue
        known = {
            "namespace": source.namespace, "ingress_name": source.key.partition("/")[2],
            "service_name": route.backend.service, "service_port": route.backend.written, "location_path": route.path,
        }  # fmt: skip
        filled = re.sub(r"\$(\w+)", lambda match: known.get(match[1], match[0]), host)
        if "$" in filled:
            source.refuse(
                "upstream-vhost", "it has variables of nginx that differ by request", "Write the name itself."
            )
            return
        route.http["rewrite"] = {**route.http.get("rewrite", {}), "authority": filled}
    source.translated("upstream-vhost", "the backend is asked for that name")
