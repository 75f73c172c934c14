# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Helm release, of Helm 3 or 4, stored in Secrets or ConfigMaps of any namespace.

`helm uninstall` decides from the manifest stored with the highest revision, an upgrade or a rollback that drops an
object from the live annotation (see _helm_release). So the stored manifest is edited, as text, in the one document of
the object; the bytes that were there before are saved first, and are what releasing puts back.

Not that of an umbrella, a release of Flux's that renders HelmReleases: it is upgraded to deploy green, and
helm-controller would have to be held still for as long as its record is edited. Its upgrade leaves what the live
annotation keeps.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import typing as t

from .. import _helm_release as helm
from .._helm_storage import Record, Storage, explained
from .._keep_target import RECORD_REASONS, Claim, Target
from .._look import Look
from .._module import Refusal
from . import flux_helm_release

NAME = "helm"
SAFE = ("kept", "not_in_manifest", "hook")  # keys of RECORD_REASONS with which uninstall leaves the object


def find(targets: t.Sequence[Target], look: Look) -> None:
    """Fills in record, found and why of each target besides its claims.

    Raises Refusal: two_owners, undecodable_release, undecodable_manifest, ambiguous_manifest.
    """
    if look.storage is not None:
        _find_records(targets, look.storage, look.note)
    for target in targets:
        owner = target.owner()
        if owner is None:
            continue
        # Of what we edited ourselves, a record that is gone was uninstalled, and the object outlived it.
        safe = target.why in SAFE or (target.why == "no_record" and "record" in target.undo)
        name = f"Helm release {owner['namespace']}/{owner['release']}"
        if target.why in ("not_kept", "in_list", "umbrella") and flux_helm_release.of_umbrella(target, look):
            target.why, safe = "umbrella", target.annotations.get(helm.POLICY) == helm.KEEP
        target.claims.append(
            Claim(
                NAME, name, safe, RECORD_REASONS[target.why], mendable=target.why in ("not_kept", "umbrella"),
                annotations={helm.POLICY: helm.KEEP} if target.why == "umbrella" else {},
            )
        )  # fmt: skip


def _find_records(targets: t.Sequence[Target], storage: Storage, warn: t.Callable[[str], None]) -> None:
    for target in targets:
        holding = storage.holding(target.ref)
        if len(holding) > 1:
            names = " and ".join(f"{r.release_namespace}/{r.release} ({r.where})" for r, _at in holding)
            raise Refusal(
                "two_owners",
                f"{target.ref} is in the manifests of {len(holding)} Helm releases: {names}. Expected one."
                " Uninstalling any of them deletes it: take it out of all but one by an upgrade, or remove the record"
                " that is left over.",
                resource=target.ref.as_dict(), owners=[r.as_dict() for r, _at in holding],
            )  # fmt: skip
        claimed = storage.of(*target.claim) if target.claim else []
        if not holding:
            target.record = claimed[0] if claimed else None
            target.why = "not_in_manifest" if claimed else "no_record" if target.claim else "no_owner"
            continue
        target.record, target.found = holding[0]
        this = target.found.head
        target.why = (
            "in_list"
            if target.found.in_list
            else "hook" if this.hook else "kept" if helm.keeps(this.policy) else "not_kept"
        )
        if target.claim and target.claim != (target.record.release, target.record.release_namespace):
            warn(
                f"{target.ref} says that it belongs to Helm release {target.claim[1]}/{target.claim[0]}, but it is in"
                f" the manifest of {target.record.release_namespace}/{target.record.release} ({target.record.where})."
            )
    for broken in storage.broken:
        warn(f"{broken.where} has Helm's labels and can't be decoded ({broken.reason}); not looked through for owners.")


def kept_record(record: Record, targets: t.Sequence[Target]) -> str:
    """The stored value of a record that keeps these targets. Raises Refusal as explained() says."""
    manifest = record.payload.manifest
    for target in targets:
        try:
            manifest = helm.set_policy(manifest, target.ref, record.release_namespace)
        except helm.ReleaseError as exc:
            raise explained(exc, record, target.ref) from exc
    return _encoded(record, manifest)


def released_record(record: Record, targets: t.Sequence[Target]) -> str:
    """The stored value of a record without the annotations that UNDO says are ours."""
    manifest = record.payload.manifest
    for target in targets:
        former = target.undo.get("record")
        try:
            if former is None:
                manifest = helm.unset_policy(manifest, target.ref, record.release_namespace)
            else:
                manifest = helm.set_policy(manifest, target.ref, record.release_namespace, former)
        except helm.ReleaseError as exc:
            raise explained(exc, record, target.ref) from exc
    return _encoded(record, manifest)


def restores(backup: str, record: Record, targets: t.Sequence[Target]) -> bool:
    """Whether the record is exactly the backup with the edits for these targets."""
    try:
        old = helm.decode(backup)
        manifest = old.manifest
        for target in targets:
            manifest = helm.set_policy(manifest, target.ref, record.release_namespace)
        return helm.with_manifest(old, manifest).text == record.payload.text
    except helm.ReleaseError:
        return False


def _encoded(record: Record, manifest: str) -> str:
    """Encodes, and decodes again: what Helm will read must be this manifest and everything else as it was."""
    stored = helm.encode(helm.with_manifest(record.payload, manifest))
    again = helm.decode(stored)
    if again.manifest != manifest or {**again.release, "manifest": ""} != {**record.payload.release, "manifest": ""}:
        raise Refusal(
            "uneditable_manifest", f"{record.where}: decoded again, the edited record is not what it should be."
        )
    return stored


def raw(record: Record) -> bytes:
    """The bytes inside the base64: three quarters of the size, so that the backup of the largest record fits too."""
    try:
        return base64.b64decode(record.stored)
    except binascii.Error:
        return record.stored.encode()


def backup_stem(record: Record) -> str:
    return f"{record.kind.lower()}.{record.namespace}.{record.name}"


def save_backup(folder: str, record: Record) -> str:
    """Writes the record as found to a new file of mode 0600 and returns its path. One that is there already is kept:
    the resourceVersion in its name says that it is the same."""
    path = os.path.join(folder, f"{backup_stem(record)}.{re.sub(r'[^A-Za-z0-9]', '_', record.resource_version)}.json")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    except OSError as exc:
        raise Refusal(
            "no_backup", f"backup_dir: {path} can't be written: {exc.strerror}. Nothing has been changed."
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"record": record.as_dict(), "release": record.stored}, file)
        file.flush()
        os.fsync(file.fileno())
    return path
