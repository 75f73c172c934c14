# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cert-manager.io/*: a Certificate of our own where the gateway's pods read it.

The one that cert-manager makes for an Ingress belongs to the Ingress, and is deleted with it. It also writes the Secret
beside the Ingress, where the gateway can't read it; where it can, there is nothing of our own to make, and
certificate_owned says that it goes.
"""

from __future__ import annotations

import re
import typing as t

from ._model import ANY, Object, Source, World
from ._order import Table
from ._tls import credential

CODE = "cert_manager"
PREFIX = "cert-manager.io/"
# annotation -> field of the Certificate's spec, and how its value is read
FIELDS: dict[str, tuple[str, t.Callable[[str], t.Any]]] = {
    "common-name": ("commonName", str),
    "duration": ("duration", str),
    "renew-before": ("renewBefore", str),
    "usages": ("usages", lambda text: [part.strip() for part in text.split(",")]),
    "revision-history-limit": ("revisionHistoryLimit", int),
    "private-key-algorithm": ("privateKey.algorithm", str),
    "private-key-size": ("privateKey.size", int),
    "private-key-encoding": ("privateKey.encoding", str),
    "private-key-rotation-policy": ("privateKey.rotationPolicy", str),
}
ANNOTATIONS = {
    f"{PREFIX}cluster-issuer": "a Certificate in the namespace of the gateway's pods",
    f"{PREFIX}issuer": "refused where it is an Issuer: that is of one namespace only",
    f"{PREFIX}issuer-kind": "issuerRef.kind",
    f"{PREFIX}issuer-group": "issuerRef.group",
    **{f"{PREFIX}{name}": field for name, (field, _read) in FIELDS.items()},
    "kubernetes.io/tls-acme": "refused: which issuer it means is a setting of cert-manager",
    "acme.cert-manager.io/http01-ingress-class": "refused: its solver is the old controller",
    "acme.cert-manager.io/http01-ingress-ingressclassname": "refused: its solver is the old controller",
    "acme.cert-manager.io/http01-edit-in-place": "refused: its solver is the old Ingress",
    "acme.cert-manager.io/http01-override-ingress-name": "refused: its solver is the old Ingress",
}


def issuer(source: Source) -> Object | None:
    """issuerRef of a Certificate that may be in another namespace; None where the Ingress names no such issuer."""
    notes = source.annotations
    kind = notes.get(f"{PREFIX}issuer-kind") or "Issuer"
    name = notes.get(f"{PREFIX}cluster-issuer")
    if name:
        kind = "ClusterIssuer"
    elif kind != "Issuer":
        name = notes.get(f"{PREFIX}issuer")
    group = notes.get(f"{PREFIX}issuer-group") or "cert-manager.io"
    return {"name": name, "kind": kind, "group": group} if name else None


def apply(source: Source, world: World) -> None:
    notes = source.annotations
    for name in ANNOTATIONS:
        if name.startswith("acme.") and name in notes:
            source.refuse(
                name, "HTTP-01 challenges would be answered by the old Ingress controller, which is going to be gone",
                "Let the issuer solve by DNS-01, or by HTTP-01 through Istio (solver gatewayHTTPRoute, or class"
                " istio).",
                "warning",
            )  # fmt: skip
    if notes.get("kubernetes.io/tls-acme") and not (
        notes.get(f"{PREFIX}cluster-issuer") or notes.get(f"{PREFIX}issuer")
    ):
        source.refuse(
            "kubernetes.io/tls-acme", "the issuer is the default of cert-manager's own settings",
            "Name it: cert-manager.io/cluster-issuer.", "warning",
        )  # fmt: skip
    source.not_needed("kubernetes.io/tls-acme", "the issuer is named")
    if not source.spec.get("tls"):
        for name in ANNOTATIONS:
            source.not_needed(name, "the Ingress has no tls, so cert-manager makes nothing of it")
        return
    if source.target.workload_namespace == source.namespace:
        for name in ANNOTATIONS:
            source.not_needed(name, "the gateway's pods read the Secret that cert-manager fills for this Ingress itself")
        return
    if issuer(source) is None:
        source.refuse(
            f"{PREFIX}issuer",
            "an Issuer makes certificates in its own namespace only, and the gateway's pods are elsewhere",
            "Make it a ClusterIssuer, or an Issuer in the pods' namespace with a Certificate. Until then the Secret has"
            " to be copied, and again after each renewal.", "warning",
        )  # fmt: skip
        for name in ANNOTATIONS:
            source.not_needed(name, "there is no issuer for the gateway's namespace")
        return
    for name in ANNOTATIONS:
        source.translated(name, "in the Certificate beside the gateway's pods")


def objects(world: World, tables: t.Sequence[Table]) -> list[Object]:
    asking: dict[tuple[str, str, str], list[tuple[Source, Object, list[str]]]] = {}
    for source in world.sources:
        reference = issuer(source)
        if reference is None or source.target.workload_namespace == source.namespace:
            continue
        for entry in source.spec.get("tls") or ():
            where = (source.target.name, source.namespace, entry.get("secretName") or "")
            asking.setdefault(where, []).append((source, reference, entry.get("hosts") or []))
    made: dict[tuple[str, str], Object] = {}
    for table in tables:
        for source, reference, hosts in asking.get((table.target.name, *(table.secret or ("", ""))), ()):
            name = credential(table.target, t.cast("tuple[str, str]", table.secret))
            key = (table.target.workload_namespace, name)
            if key not in made:
                made[key] = _certificate(table, name, source, reference, world)
            spec = made[key]["spec"]
            named = hosts or [host for host in table.hosts if host != ANY]
            spec["dnsNames"] = sorted({*spec["dnsNames"], *named})
    return [made[key] for key in sorted(made)]


def _certificate(table: Table, name: str, source: Source, reference: Object, world: World) -> Object:
    spec: Object = {"secretName": name, "dnsNames": [], "issuerRef": reference}
    for annotation, (field, read) in FIELDS.items():
        value = source.annotations.get(PREFIX + annotation)
        if not value or (read is int and not re.fullmatch(r"\d+", value)):
            continue
        outer, _dot, inner = field.partition(".")
        if inner:
            spec.setdefault(outer, {})[inner] = read(value)
        else:
            spec[outer] = read(value)
    return {
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"namespace": table.target.workload_namespace, "name": name, "labels": dict(world.marks)},
        "spec": spec,
    }  # fmt: skip
