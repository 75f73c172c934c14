# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's release records in the cluster: which there are, which one counts, which one holds an object.

Helm finds its records by label only, and so do we: owner=helm,name=RELEASE on Secrets or, with that driver, ConfigMaps.
The namespace of storage may be another than the release's (Flux), and only the decoded record names the latter.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import typing as t

from . import _helm_release as helm
from ._client import Cluster, path_of
from ._module import Refusal
from ._resources import Ref

RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Record:
    """One revision of one release, as stored. kind: Secret or ConfigMap; stored: its value, as helm.decode() takes it;
    other_bytes: size of what else the object holds."""

    kind: str
    namespace: str
    name: str
    resource_version: str
    immutable: bool
    stored: str
    other_bytes: int
    payload: helm.Payload

    @property
    def where(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        return path_of("v1", "secrets" if self.kind == "Secret" else "configmaps", self.namespace, self.name)

    @property
    def release(self) -> str:
        return self.payload.release["name"]

    @property
    def release_namespace(self) -> str:
        return self.payload.release.get("namespace") or ""

    @property
    def revision(self) -> int:
        return self.payload.release.get("version") or 0

    @property
    def status(self) -> str:
        return (self.payload.release.get("info") or {}).get("status") or "unknown"

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "release": self.release, "namespace": self.release_namespace, "revision": self.revision,
            "status": self.status, "storage": self.where,
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Broken:
    """A record that can't be decoded. release and revision are what its labels say (revision None: no number)."""

    kind: str
    namespace: str
    name: str
    release: str
    revision: int | None
    reason: str

    @property
    def where(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Storage:
    """Records by series: (kind, storage namespace, release name), that is all revisions of one release."""

    def __init__(self, records: t.Iterable[Record], broken: t.Iterable[Broken]) -> None:
        self.series: dict[tuple[str, str, str], list[Record]] = {}
        for record in records:
            self.series.setdefault((record.kind, record.namespace, record.release), []).append(record)
        for revisions in self.series.values():
            revisions.sort(key=lambda record: record.revision)
        self.broken = list(broken)

    def latest(self) -> list[Record]:
        """The highest revision of each release, whatever its status: the one that `helm uninstall` goes by."""
        return [revisions[-1] for revisions in self.series.values()]

    def of(self, release: str, namespace: str) -> list[Record]:
        """The highest revision of this release in each place where it is stored: more than one is a fault.

        Raises Refusal undecodable_release where the highest revision is one that can't be decoded: Helm would silently
        go by the one before it.
        """
        found = [r for r in self.latest() if (r.release, r.release_namespace) == (release, namespace)]
        for broken in self.broken:
            if broken.release != release:
                continue
            series = self.series.get((broken.kind, broken.namespace, release))
            if series is None:
                concerned = not found  # its namespace is unknown; it may well be this one
            else:
                concerned = series[-1] in found and (broken.revision is None or broken.revision > series[-1].revision)
            if concerned:
                raise Refusal(
                    "undecodable_release",
                    f"{broken.where} holds a revision of Helm release {release} that can't be decoded"
                    f" ({broken.reason}). Helm skips such a revision silently and goes by an older one. Restore it, or"
                    f" remove it when `helm history {release} -n {namespace}` shows that the older one is meant.",
                    storage=broken.where,
                )
        return found

    def holding(self, ref: Ref) -> list[tuple[Record, helm.Found]]:
        """The releases whose highest revision has this object in its manifest, and where. Uninstalled ones, that Helm
        keeps for their history, do not count. Raises Refusal undecodable_manifest or ambiguous_manifest."""
        found = []
        for record in self.latest():
            if record.status == "uninstalled":
                continue
            try:
                at = helm.locate(record.payload.manifest, ref, record.release_namespace)
            except helm.ReleaseError as exc:
                raise explained(exc, record, ref) from exc
            if at is not None:
                found.append((record, at))
        return found


def explained(exc: helm.ReleaseError, record: Record, ref: Ref) -> Refusal:
    """A ReleaseError with the names of record and object, and what to do."""
    advice = {
        "in_list": "helm uninstall would delete it. Leave the record alone (helm_record=false) and rely on the guard,"
        " or make the chart render it as a document of its own",
        "ambiguous_manifest": "Correct the chart, and upgrade the release",
    }.get(exc.code, "Look at it with helm get manifest; with helm_record=false the record is left alone")
    return Refusal(
        exc.code,
        f"{ref}: the manifest of Helm release {record.release_namespace}/{record.release}, revision {record.revision}"
        f" ({record.where}): {exc}. {advice}.",
        storage=record.where, resource=ref.as_dict(),
    )  # fmt: skip


def read_storage(cluster: Cluster, claimed: t.Iterable[str]) -> Storage:
    """Every release's current records, and every revision of the releases named in `claimed`.

    A superseded revision is asked for only of claimed releases: it is the highest one only after a crash, and a cluster
    holds ten times as many superseded records as current ones.
    """
    selectors = ["owner=helm,status!=superseded"]
    names = sorted(name for name in set(claimed) if LABEL_VALUE.fullmatch(name))
    if names:
        selectors.append(f"owner=helm,name in ({','.join(names)})")
    asked = [(plural, selector) for plural in ("secrets", "configmaps") for selector in selectors]
    answers = cluster.parallel(lambda q: cluster.list(path_of("v1", q[0]), {"labelSelector": q[1]}), asked)
    seen: dict[tuple[str, str, str], dict[str, t.Any]] = {}
    for (plural, _selector), answer in zip(asked, answers):
        if isinstance(answer, Exception):
            raise answer
        kind = "Secret" if plural == "secrets" else "ConfigMap"
        seen.update({(kind, item["metadata"]["namespace"], item["metadata"]["name"]): item for item in answer})
    parsed = [parse(kind, item) for (kind, _namespace, _name), item in seen.items()]
    return Storage([p for p in parsed if isinstance(p, Record)], [p for p in parsed if isinstance(p, Broken)])


def parse(kind: str, item: dict[str, t.Any]) -> Record | Broken:
    """A Secret or ConfigMap with Helm's labels. kind: what it is, as lists may leave it out."""
    meta, data = item["metadata"], item.get("data") or {}
    labels = meta.get("labels") or {}
    try:
        stored = data["release"]
        if kind == "Secret":
            stored = base64.b64decode(stored).decode("ascii")
        payload = helm.decode(stored)
    except (KeyError, binascii.Error, UnicodeError, helm.ReleaseError) as exc:
        reason = "it has no key `release`" if isinstance(exc, KeyError) else str(exc)
        version = labels.get("version", "")
        revision = int(version) if version.isdecimal() else None
        return Broken(kind, meta["namespace"], meta["name"], labels.get("name", ""), revision, reason)
    other = sum(_size(kind, value) for key, value in data.items() if key != "release")
    return Record(
        kind,
        meta["namespace"],
        meta["name"],
        meta["resourceVersion"],
        bool(item.get("immutable")),
        stored,
        other,
        payload,
    )


def _size(kind: str, value: str) -> int:
    return len(value) * 3 // 4 if kind == "Secret" else len(value.encode())


def write_body(record: Record, stored: str) -> dict[str, t.Any]:
    """The merge patch that stores another value in a record, if nobody has written it since it was read.

    Raises Refusal: record_immutable, record_too_big.
    """
    if record.immutable:
        raise Refusal(
            "record_immutable",
            f"{record.where} (Helm release {record.release_namespace}/{record.release}) is immutable, so what"
            " uninstall keeps can't be changed there. Upgrade the release with the annotation in its chart, or leave"
            " the record alone (helm_record=false) and rely on the guard.",
            storage=record.where,
        )
    size = record.other_bytes + len(stored)
    if size > helm.SIZE_LIMIT:
        raise Refusal(
            "record_too_big",
            f"{record.where}: with the annotation it would hold {size} bytes; the API server takes {helm.SIZE_LIMIT}."
            " Upgrade the release with fewer values or files in its chart, or leave the record alone"
            " (helm_record=false) and rely on the guard.",
            storage=record.where, found=size, expected=helm.SIZE_LIMIT,
        )  # fmt: skip
    value = base64.b64encode(stored.encode()).decode() if record.kind == "Secret" else stored
    return {"metadata": {"resourceVersion": record.resource_version}, "data": {"release": value}}
