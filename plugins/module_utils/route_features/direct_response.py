# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""directResponse: the gateway answers by itself."""

from __future__ import annotations

from ._route import Route

FIELDS = ("directResponse",)


def convert(route: Route) -> None:
    response = route.has("directResponse")
    if response:
        route.refuse(
            "directResponse",
            f"an Ingress always has a backend. Let a small Service answer with {response.get('status')}.",
        )
