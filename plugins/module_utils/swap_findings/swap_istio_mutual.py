# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DestinationRule tells sidecars to send Istio's mutual TLS, whether the pods they call still take it or not."""

from __future__ import annotations

from .._inventory import ERROR, Finding, full_host, named, service_of
from .._mesh_mtls import mutual_fields
from .._mesh_swap import Mesh
from .._objects import Object, ref_of

CODE = "swap_istio_mutual"
ENDINGS = ("svc.cluster.local", "svc")


def check(mesh: Mesh) -> list[Finding]:
    return [
        Finding(
            CODE, ERROR, named(rule), "trafficPolicy.tls",
            f"sidecars send {rule['spec']['host']} Istio's mutual TLS",
            "Let them find out by themselves: mesh_mtls takes these settings away before the first wave.",
        )
        for rule in mesh["destinationrules"]
        if mutual_fields(rule) and concerns(mesh, rule)
    ]  # fmt: skip


def concerns(mesh: Mesh, rule: Object) -> bool:
    """Whether it is for a Service of the namespaces to be swapped, or for a pattern that may hold one."""
    host = full_host((rule.get("spec") or {}).get("host") or "", ref_of(rule)[0])
    own = service_of(host)
    if host.startswith("*"):
        return any(host == "*" or any(f"x.{n}.{end}".endswith(host[1:]) for end in ENDINGS) for n in mesh.namespaces)
    return own is not None and own[0] in mesh.namespaces
