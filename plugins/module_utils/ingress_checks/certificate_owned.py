# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cert-manager made the Certificate for an Ingress, and it goes with it: from then on nobody renews what green shows."""

from __future__ import annotations

import typing as t

from .._inventory import ERROR, Finding
from .._objects import ref_of
from ..ingress._model import Object, Source, World
from ..ingress._order import Table
from ..ingress._tls import credential

CODE = "certificate_owned"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    made = {(o["metadata"]["namespace"], o["spec"]["secretName"]) for o in objects if o["kind"] == "Certificate"}
    filled = {(ref_of(c)[0], (c.get("spec") or {}).get("secretName")): c for c in world.certificates}
    sources = {ref_of(source.body): source for source in world.sources}
    found = {}
    for table in tables:
        certificate = filled.get(table.secret) if table.secret else None
        if table.secret is None or certificate is None:
            continue
        here = (table.target.workload_namespace, credential(table.target, table.secret))
        owner = _owner(certificate, sources)
        if owner is None or here in made:
            continue
        reads = "which green reads" if here == table.secret else f"of which green reads the copy {'/'.join(here)}"
        found[table.secret] = Finding(
            CODE, ERROR, f"Certificate {'/'.join(ref_of(certificate))}", "metadata.ownerReferences",
            f"it goes with Ingress {owner.key}, and renews Secret {'/'.join(table.secret)}, {reads}",
            "Write a Certificate of your own for that Secret's names and let green's pods have it, or take the owner"
            " reference away, so that it outlives the Ingress. Until then the certificate expires some time after"
            " cleanup.",
        )  # fmt: skip
    return list(found.values())


def _owner(certificate: Object, sources: dict[tuple[str, str], Source]) -> Source | None:
    """The Ingress, of those that are converted, with which it is deleted."""
    for owner in certificate["metadata"].get("ownerReferences") or ():
        source = sources.get((ref_of(certificate)[0], owner.get("name") or ""))
        if owner.get("kind") == "Ingress" and source:
            return source
    return None
