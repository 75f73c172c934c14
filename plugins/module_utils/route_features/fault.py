# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fault: delays and errors on purpose."""

from __future__ import annotations

from ._route import Route

FIELDS = ("fault",)


def convert(route: Route) -> None:
    if route.has("fault"):
        route.refuse("fault", "an Ingress injects no faults. Take it out, or let it end with the experiment.")
