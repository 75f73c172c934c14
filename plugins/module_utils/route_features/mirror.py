# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mirror, mirrors and their shares: copies of requests that nobody waits for."""

from __future__ import annotations

from ._route import Route

FIELDS = ("mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "mirror_percent")


def convert(route: Route) -> None:
    for field in FIELDS:
        if route.has(field):
            route.refuse(
                field,
                "requests are not copied by an Ingress. Stop mirroring before this host is moved, or use a route of the"
                " controller's own kind.",
            )
