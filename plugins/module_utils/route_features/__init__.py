# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every feature of an HTTP route of Istio's, and what an Ingress makes of it: one file each.

    FIELDS      fields of HTTPRoute that it speaks for, and of its matches as match.NAME
    convert(route)   says of each of them that is there what becomes of it: route.say(field, verdict, why)

To add one: a file here, its name in both lists below, a row in docs/virtual_service_ingress.md, and a test in
tests/unit/test_route_features.py. What no feature speaks for is reported as not translated, so nothing is lost in
silence. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

from . import (
    authority, cors, delegate, destination, direct_response, fault, headers, match_header, match_other, mirror, name, path,
    redirect, retries, rewrite, timeout, weights,
)  # fmt: skip
from ._route import BLOCKING, NOT_NEEDED, NOT_TRANSLATED, TRANSLATED, Known, Route

# Paths and destinations first: others build on them.
FEATURES = (
    path, destination, weights, authority, match_header, match_other, rewrite, redirect, direct_response, timeout, retries,
    cors, headers, mirror, fault, delegate, name,
)  # fmt: skip

__all__ = ("BLOCKING", "FEATURES", "NOT_NEEDED", "NOT_TRANSLATED", "TRANSLATED", "Known", "Route", "convert")


def convert(route: Route) -> None:
    """Lets every feature speak, and says of the rest that nobody knows it."""
    for feature in FEATURES:
        feature.convert(route)
    for field in sorted(route.fields() - route.said.keys()):
        route.refuse(field, "this version does not know the field. Write the Ingress by hand, or leave the host.")
