# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Istio's sidecars insist on mutual TLS, on either end, and how both let go of it. Pure.

A client without a sidecar, or with Linkerd's, can't answer a sidecar that takes mutual TLS alone (PeerAuthentication
STRICT), and a sidecar that is told to send it (DestinationRule ISTIO_MUTUAL) can't reach a pod without one. Left to
itself a sidecar sends it to those alone who take it, and takes both: so STRICT becomes PERMISSIVE, and ISTIO_MUTUAL
goes.

Rules of Istio (security/v1 PeerAuthentication): a policy with a selector is for these pods, one without for its
namespace, one without in the root namespace for the mesh; the oldest of its kind wins; UNSET is the parent's; none is
PERMISSIVE.
"""

from __future__ import annotations

import typing as t

from ._edits import pointer
from ._objects import Object, ref_of

STRICT, PERMISSIVE, UNSET = "STRICT", "PERMISSIVE", "UNSET"
MUTUAL = "ISTIO_MUTUAL"


def mode_for(
    policies: t.Sequence[Object], root: str, namespace: str, labels: t.Mapping[str, str], port: int | None = None
) -> tuple[str, Object | None]:
    """(mode, the policy that says so) for pods with these labels; port: on which they listen."""
    ordered = sorted(policies, key=lambda p: (p["metadata"].get("creationTimestamp") or "", ref_of(p)))
    own = [p for p in ordered if ref_of(p)[0] == namespace]
    picked = [p for p in own if selector(p) and selector(p).items() <= labels.items()][:1]
    if picked and port is not None:
        by_port = ((picked[0].get("spec") or {}).get("portLevelMtls") or {}).get(str(port)) or {}
        if (by_port.get("mode") or UNSET) != UNSET:
            return by_port["mode"], picked[0]
    chain = [*picked, *[p for p in own if not selector(p)][:1]]
    chain += [p for p in ordered if ref_of(p)[0] == root and not selector(p) and namespace != root][:1]
    for policy in chain:
        mode = ((policy.get("spec") or {}).get("mtls") or {}).get("mode") or UNSET
        if mode != UNSET:
            return mode, policy
    return PERMISSIVE, None


def selector(policy: Object) -> dict[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def strict_fields(policy: Object) -> dict[str, str]:
    """Pointers of all that says STRICT in a PeerAuthentication -> PERMISSIVE."""
    spec = policy.get("spec") or {}
    found = {}
    if (spec.get("mtls") or {}).get("mode") == STRICT:
        found["/spec/mtls/mode"] = PERMISSIVE
    for port, own in (spec.get("portLevelMtls") or {}).items():
        if (own or {}).get("mode") == STRICT:
            found[pointer("spec", "portLevelMtls", port, "mode")] = PERMISSIVE
    return found


def mutual_fields(rule: Object) -> dict[str, None]:
    """Pointers of every tls in a DestinationRule that says ISTIO_MUTUAL -> nothing, so that sidecars find out by
    themselves."""
    spec = rule.get("spec") or {}
    found: dict[str, None] = {}

    def look(policy: Object | None, *where: str | int) -> None:
        if ((policy or {}).get("tls") or {}).get("mode") == MUTUAL:
            found[pointer(*where, "tls")] = None
        for number, own in enumerate((policy or {}).get("portLevelSettings") or ()):
            if ((own or {}).get("tls") or {}).get("mode") == MUTUAL:
                found[pointer(*where, "portLevelSettings", number, "tls")] = None

    look(spec.get("trafficPolicy"), "spec", "trafficPolicy")
    for number, subset in enumerate(spec.get("subsets") or ()):
        look((subset or {}).get("trafficPolicy"), "spec", "subsets", number, "trafficPolicy")
    return found
