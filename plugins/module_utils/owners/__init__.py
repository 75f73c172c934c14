# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every owner that a kept object may have: one file each, with one function, find(targets, look).

It appends a Claim to each target that this owner claims, from the live object and from what `look` reads: what its
removal would do to the object, and what keeps it from that. An object may have several owners.

To add one: a file here, its name in both lists below, a test in tests/unit/owners, and a row in docs/keep.md. The
imports are written out because Ansible ships to the target only what it can see imported. Helm comes first: others
remove by way of Helm, and go by what it found.
"""

from __future__ import annotations

import typing as t

from .._keep_target import Target
from .._look import Look
from . import argo_cd, flux_helm_release, flux_kustomization, helm, istio_operator, zarf

OWNERS = (helm, zarf, flux_helm_release, flux_kustomization, argo_cd, istio_operator)


def find(targets: t.Sequence[Target], look: Look) -> None:
    """Fills in each target's claims. Raises Refusal as helm.find() says."""
    there = [target for target in targets if target.body is not None]
    for owner in OWNERS:
        owner.find(there, look)


def would_delete(targets: t.Iterable[Target], unasked: bool = False) -> list[dict[str, t.Any]]:
    """What each owner would delete now if it was removed, of these objects: the gate before anything is. unasked: only
    what it deletes as things are, without anybody removing it: the gate before anything is released."""
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    for target in targets:
        for claim in target.claims:
            if not claim.safe and (claim.going or not unasked):
                entry = found.setdefault(
                    (claim.owner, claim.name), {"owner": claim.owner, "name": claim.name, "objects": []}
                )
                entry["objects"].append({**target.ref.as_dict(), "reason": claim.reason})
    return list(found.values())
