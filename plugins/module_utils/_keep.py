# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what a migration still needs, and releasing it again.

Keep has two halves. Where Helm owns an object, Helm's own way, so that the owner's removal goes through: the annotation
on the live object, for an upgrade that drops it, and in the stored manifest, for uninstall. And a guard against
everything else (_deletion_guard), so that a mistake in the first half is an error message and not an outage.

What we changed is written on the object itself (UNDO), so that releasing needs no other record and takes away nothing
that was there before. That note is written before the stored manifest is touched: a run that is killed in between is
finished, or undone, by the next one.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import glob
import hashlib
import json
import os
import re
import typing as t

from . import _helm_release as helm
from ._client import ApiError, Cluster
from ._deletion_guard import KEPT_BY, Guard
from ._helm_storage import (
    RELEASE_NAME,
    RELEASE_NAMESPACE,
    Record,
    Storage,
    explained,
    read_storage,
    write_body,
)
from ._journal import NAME, Journal
from ._module import Refusal
from ._resources import Ref, Resources, parse_namespaced, read_all

UNDO = "bluegreen.mesh/kept-undo"  # JSON: {"live": former value or null, "record": the same}, only for what we changed
GATEWAY_VERSIONS = ("networking.istio.io/v1", "networking.istio.io/v1beta1")
FLUX_VERSIONS = ("v2", "v2beta2", "v2beta1")
FLUX_NAME = "helm.toolkit.fluxcd.io/name"
FLUX_NAMESPACE = "helm.toolkit.fluxcd.io/namespace"
TRIES = 5

RECORD_REASONS = {
    "kept": "the stored manifest keeps it",
    "no_owner": "no Helm release has it in its manifest, and it names none",
    "no_record": "it names a Helm release of which nothing is stored: uninstalled, or stored elsewhere (SQL driver)",
    "not_in_manifest": "the highest revision of its release does not have it, so uninstall does not touch it",
    "hook": "it is a Helm hook, which uninstall leaves to its own delete policy",
    "in_list": "it is an item of a List, where Helm reads no annotation",
    "not_kept": "the stored manifest does not keep it",
    "not_asked": "helm_record is false",
}


# -- what is wished --------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Wish:
    """The module's options, validated."""

    migration: str
    gateways: tuple[tuple[str, str], ...]
    secrets_namespace: str | None
    resources: tuple[Ref, ...]
    helm_record: bool
    live_annotation: bool
    guard: str
    guard_timeout: int
    backup_dir: str | None


def wish_of(params: dict[str, t.Any]) -> Wish:
    """Raises Refusal: bad_name, malformed_reference, no_backup_dir."""
    migration = params.get("migration") or (params.get("journal") or {}).get("name") or ""
    if not NAME.fullmatch(migration):
        raise Refusal(
            "bad_name",
            f"migration: {migration!r} is not a name of lower-case letters, digits and dashes, at most 40 long. It is"
            " needed where no journal is given.",
        )
    backup_dir = params.get("backup_dir")
    if backup_dir and not os.path.isdir(backup_dir):
        raise Refusal("no_backup_dir", f"backup_dir: {backup_dir} is not a directory. Create it (mode 0700) first.")
    return Wish(
        migration, *references(params), params["helm_record"], params["live_annotation"], params["guard"],
        params["guard_timeout"], backup_dir,
    )  # fmt: skip


def references(params: dict[str, t.Any]) -> tuple[tuple[tuple[str, str], ...], str | None, tuple[Ref, ...]]:
    """(gateways, secrets_namespace, resources) of the options. Raises Refusal malformed_reference."""
    gateways = tuple(dict.fromkeys(parse_namespaced(text, "gateways") for text in params.get("gateways") or []))
    resources = tuple(
        dict.fromkeys(
            Ref(r["api_version"], r["kind"], r.get("namespace") or "", r["name"]) for r in params.get("resources") or []
        )
    )
    return gateways, params.get("secrets_namespace"), resources


def tls_secrets(gateway: dict[str, t.Any], namespace: str) -> list[tuple[str, str, str]]:
    """The Secrets by which a Gateway's servers get certificates: (namespace, name, field), field '' for one that may be
    absent.

    namespace: the workload's, where istiod looks for a name without one (pilot/pkg/model/credentials,
    ParseResourceName). A CA may be in the Secret itself or in NAME-cacert. What is not a Kubernetes Secret
    (configmap://, builtin://) and what the mode does not use is left out.
    """
    found: dict[tuple[str, str], str] = {}
    for index, server in enumerate((gateway.get("spec") or {}).get("servers") or []):
        tls = server.get("tls") or {}
        mode = tls.get("mode") or "PASSTHROUGH"  # the API's zero value
        if mode not in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"):
            continue
        named = [(tls.get("credentialName"), f"spec.servers[{index}].tls.credentialName")]
        named += [(name, f"spec.servers[{index}].tls.credentialNames") for name in tls.get("credentialNames") or []]
        if mode != "SIMPLE":
            named += [(name and name + "-cacert", "") for name, _field in named]
            named.append((tls.get("caCertCredentialName"), ""))  # a Secret or a ConfigMap
        for name, field in named:
            if not name or ("://" in name and not name.startswith("kubernetes://")):
                continue
            where, _slash, what = name.removeprefix("kubernetes://").rpartition("/")
            key = (where or namespace, what)
            found[key] = found.get(key) or field
    return [(where, name, field) for (where, name), field in found.items()]


# -- what is there ---------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Target:
    """One object that is to be kept or released, and who owns it.

    origin: why it is concerned; body: the live object, None where there is none; record, found: the Helm release that
    has it, and where in its manifest; why: a key of RECORD_REASONS.
    """

    ref: Ref
    origin: str
    body: dict[str, t.Any] | None
    record: Record | None = None
    found: helm.Found | None = None
    why: str = "not_asked"

    @property
    def meta(self) -> dict[str, t.Any]:
        return (self.body or {}).get("metadata") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.meta.get("annotations") or {}

    @property
    def claim(self) -> tuple[str, str] | None:
        """(release, namespace) of Helm's own annotations."""
        name, namespace = self.annotations.get(RELEASE_NAME), self.annotations.get(RELEASE_NAMESPACE)
        return (name, namespace) if name and namespace else None

    @property
    def undo(self) -> dict[str, str | None]:
        """What UNDO says. A damaged note says nothing."""
        try:
            found = json.loads(self.annotations.get(UNDO, "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def owner(self) -> dict[str, t.Any] | None:
        if self.record is not None:
            return self.record.as_dict()
        if self.claim is None:
            return None
        return {"release": self.claim[0], "namespace": self.claim[1], "revision": None, "status": None, "storage": None}

    def report(self, live: bool, record: bool, guard: bool) -> dict[str, t.Any]:
        return {
            **self.ref.as_dict(), "origin": self.origin, "owner": self.owner(), "live": live, "record": record,
            "guard": guard, "record_reason": RECORD_REASONS[self.why],
        }  # fmt: skip


def read_targets(
    cluster: Cluster, resources: Resources, gateways: t.Sequence[tuple[str, str]], secrets_namespace: str | None,
    others: t.Sequence[Ref],
) -> list[Target]:  # fmt: skip
    """The Gateways, the Secrets they name, and the other resources, each once; body None for what is not there.

    A Secret that may be absent and is has no Target. Raises Refusal: unknown_kind, malformed_reference.
    """
    targets: dict[Ref, Target] = {}
    wanted: dict[Ref, str] = {}
    for (namespace, name), body in zip(gateways, _read_gateways(cluster, gateways)):
        ref = Ref((body or {}).get("apiVersion", GATEWAY_VERSIONS[0]), "Gateway", namespace, name)
        targets[ref] = Target(ref, "gateway", body)
        for where, secret, field in tls_secrets(body or {}, secrets_namespace or namespace):
            this = Ref("v1", "Secret", where, secret)
            wanted[this] = wanted.get(this) or (f"{field} of Gateway {namespace}/{name}" if field else "")
    for ref in others:
        if ref not in targets:
            wanted[ref] = wanted.get(ref) or "resources"
    paths = [resources.path(ref) for ref in wanted]
    for (ref, origin), body in zip(wanted.items(), read_all(cluster, paths)):
        if body is not None or origin:
            targets[ref] = Target(ref, origin or "CA of a Gateway", body)
    return list(targets.values())


def _read_gateways(cluster: Cluster, gateways: t.Sequence[tuple[str, str]]) -> list[dict[str, t.Any] | None]:
    """Istio before 1.22 serves v1beta1 only."""
    resources = Resources(cluster)
    found: list[dict[str, t.Any] | None] = [None] * len(gateways)
    for version in GATEWAY_VERSIONS:
        missing = [index for index, body in enumerate(found) if body is None]
        paths = [resources.path(Ref(version, "Gateway", *gateways[index])) for index in missing]
        for index, body in zip(missing, read_all(cluster, paths)):
            found[index] = body and {**body, "apiVersion": version}
    return found


def find_owners(targets: t.Sequence[Target], storage: Storage, warn: t.Callable[[str], None]) -> None:
    """Fills in record, found and why of each target.

    Raises Refusal: two_owners, undecodable_release, undecodable_manifest, ambiguous_manifest.
    """
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


# -- one run ---------------------------------------------------------------------------------------------------------
class Run:
    """What one invocation reads, decides and writes. Writes carry the resourceVersion that was read; after a 409 all of
    it is done again from a fresh read, and what is already as wished is then left alone."""

    def __init__(self, module: t.Any, cluster: Cluster) -> None:
        self.cluster = cluster
        self.check = module.check_mode
        self.warn = module.warn
        self.wish = wish_of(module.params)
        self.keep = module.params["state"] == "kept"
        self.journal = Journal.load(cluster, module.params["journal"])
        self.resources = Resources(cluster)
        self.guard = Guard(cluster, self.resources, self.wish.migration)
        self.changed = False
        self.steps: dict[str, None] = {}  # of the journal, in order; also those of a try that ended in a conflict
        self.warnings: dict[str, None] = {}
        self.before: dict[str, t.Any] = {}
        self.after: dict[str, t.Any] = {}

    def run(self) -> dict[str, t.Any]:
        conflict: ApiError | None = None
        for _attempt in range(TRIES):
            self.warnings = {}
            try:
                result = self._once()
            except ApiError as exc:
                if exc.status != 409:
                    raise
                conflict = exc
                continue
            for text in self.warnings:
                self.warn(text)
            return {"changed": self.changed, **result, "diff": {"before": self.before, "after": self.after}}
        raise Refusal(
            "conflict",
            f"{conflict.path if conflict else '?'} was changed by others during each of {TRIES} tries to write it."
            " Find out who does, and run again.",
        )

    def _once(self) -> dict[str, t.Any]:
        wish = self.wish
        if self.journal and not self.check:
            self.journal.check()
        targets = read_targets(self.cluster, self.resources, wish.gateways, wish.secrets_namespace, wish.resources)
        for target in targets:
            self._refuse_other_migration(target)
        if wish.helm_record:
            find_owners(targets, read_storage(self.cluster, [t.claim[0] for t in targets if t.claim]), self._note)
        return self._keep(targets) if self.keep else self._release(targets)

    def _note(self, text: str) -> None:
        self.warnings[text] = None

    # -- keeping -----------------------------------------------------------------------------------------------------
    def _keep(self, targets: list[Target]) -> dict[str, t.Any]:
        for target in targets:
            if target.body is None:
                raise self._missing(target)
            if target.meta.get("deletionTimestamp"):
                raise Refusal(
                    "being_deleted",
                    f"{target.ref} is being deleted since {target.meta['deletionTimestamp']}: that can't be taken"
                    " back, it only waits for its finalizers. Recreate it from its source before migrating.",
                    resource=target.ref.as_dict(),
                )  # fmt: skip
        guard = self._guard_wanted()
        edits = self._record_edits([t for t in targets if t.why in ("not_kept", "in_list")], keep=True)
        edited = {target.ref for _record, of_record, _payload in edits for target in of_record}
        marks = []
        for target in targets:
            annotations = keep_annotations(target, self.wish, target.ref in edited)
            if annotations != target.annotations:
                marks.append((target, annotations))
        self._record_steps(edits, marks)
        guard_changed = guard and self.guard.ensure([target.ref for target in targets], self.check)
        self.changed |= bool(guard_changed)
        self._write_marks(marks)
        if guard and not (self.check and (guard_changed or marks)):
            objects = [(target.ref, target.meta["uid"]) for target in targets]
            self.guard.await_active(objects, self.wish.guard_timeout)
        self._write_records(edits)
        if self.journal and not self.check:
            self.journal.done(*self.steps)
        for target in targets:
            if target.ref in edited:
                target.why = "kept"
        return {
            "protected": [
                target.report(
                    live=self.wish.live_annotation or target.annotations.get(helm.POLICY) == helm.KEEP,
                    record=target.why == "kept", guard=guard,
                )
                for target in targets
            ],
            "guard": self._guard_word(guard, bool(guard_changed or marks)),
        }  # fmt: skip

    def _guard_wanted(self) -> bool:
        if self.wish.guard == "none":
            return False
        if self.guard.available():
            return True
        text = "This API server has no ValidatingAdmissionPolicy v1 (Kubernetes 1.30 and later have it)"
        if self.wish.guard == "required":
            raise Refusal("guard_unavailable", f"{text}: nothing would refuse the deletion of what is kept.")
        self._note(f"{text}: kept objects are protected from Helm only, not from other deletions.")
        return False

    def _guard_word(self, guard: bool, pending: bool) -> str:
        if not guard:
            return "none" if self.wish.guard == "none" else "unavailable"
        return "pending" if self.check and pending else "active"

    # -- releasing ---------------------------------------------------------------------------------------------------
    def _release(self, targets: list[Target]) -> dict[str, t.Any]:
        ours = [target for target in targets if target.annotations.get(KEPT_BY) == self.wish.migration]
        edits = self._record_edits([t for t in ours if "record" in t.undo and t.why == "kept"], keep=False)
        marks = [(target, release_annotations(target)) for target in ours]
        self._record_steps(edits, marks)
        self._write_records(edits)
        self._write_marks(marks)
        if self.wish.guard != "none":
            self.changed |= self.guard.withdraw([target.ref for target in targets], self.check)
        if self.journal and not self.check:
            self.journal.done(*self.steps)
        released = {target.ref for _record, of_record, _payload in edits for target in of_record}
        for target in targets:
            if target.ref in released:
                target.why = "not_kept"
        annotations = {target.ref: after for target, after in marks}
        return {
            "protected": [
                target.report(
                    live=annotations.get(target.ref, target.annotations).get(helm.POLICY) == helm.KEEP,
                    record=target.why == "kept", guard=False,
                )
                for target in targets if target.body is not None
            ],
            "missing": [target.ref.as_dict() for target in targets if target.body is None],
            "guard": "none",
        }  # fmt: skip

    # -- refusals ----------------------------------------------------------------------------------------------------
    def _refuse_other_migration(self, target: Target) -> None:
        other = target.annotations.get(KEPT_BY)
        if other not in (None, self.wish.migration):
            raise Refusal(
                "kept_by_other",
                f"{target.ref} is kept by migration {other}; this one is {self.wish.migration}. Release it there"
                " first.",
                resource=target.ref.as_dict(), found=other, expected=self.wish.migration,
            )  # fmt: skip

    def _missing(self, target: Target) -> Refusal:
        if target.origin == "gateway":
            advice = "Check the name (kubectl get gateways.networking.istio.io -A)."
        elif target.origin == "resources":
            advice = "Check kind, namespace and name."
        else:
            advice = (
                "Istio reads it from the namespace of the gateway's pods: set secrets_namespace if that is another one"
                " than the Gateway's."
            )
        code = "no_gateway" if target.origin == "gateway" else "not_found"
        return Refusal(code, f"{target.ref} ({target.origin}) does not exist. {advice}", resource=target.ref.as_dict())

    def _refuse_reconciled(self, target: Target, record: Record) -> None:
        """Flux's helm-controller keeps a digest of the stored manifest: an edit of a HelmRelease that is not suspended
        is drift to it, and is undone by an upgrade from source."""
        labels = target.meta.get("labels") or {}
        name, namespace = labels.get(FLUX_NAME), labels.get(FLUX_NAMESPACE)
        if not name or not namespace:
            return
        for version in FLUX_VERSIONS:
            body = self.cluster.find(
                f"/apis/helm.toolkit.fluxcd.io/{version}/namespaces/{namespace}/helmreleases/{name}"
            )
            if body is not None:
                break
        else:
            self._note(f"{target.ref} is labelled as of Flux HelmRelease {namespace}/{name}, which does not exist.")
            return
        if not (body.get("spec") or {}).get("suspend"):
            raise Refusal(
                "owner_reconciles",
                f"{target.ref} belongs to Flux HelmRelease {namespace}/{name}, which is not suspended: helm-controller"
                f" would take an edit of {record.where} for drift and upgrade from source. Suspend it first (flux"
                f" suspend helmrelease {name} -n {namespace}), or add the annotation in its spec.postRenderers.",
                resource=target.ref.as_dict(), helm_release=f"{namespace}/{name}",
            )  # fmt: skip

    # -- records -----------------------------------------------------------------------------------------------------
    def _record_edits(self, targets: list[Target], keep: bool) -> list[tuple[Record, list[Target], dict[str, t.Any]]]:
        """(record, its targets, patch) for each record to write. Everything that can be refused is refused here."""
        by_record: dict[str, list[Target]] = {}
        for target in targets:
            if target.record is not None:
                by_record.setdefault(target.record.where, []).append(target)
        edits = []
        flux_seen: set[tuple[str | None, str | None]] = set()
        for of_record in by_record.values():
            record = t.cast(Record, of_record[0].record)
            if record.status in helm.BUSY:
                raise Refusal(
                    "owner_busy",
                    f"Helm release {record.release_namespace}/{record.release} is {record.status} (revision"
                    f" {record.revision}, {record.where}): an operation on it is under way, or was killed. Wait for it"
                    " or repair it (helm rollback, or helm uninstall once more) and run again.",
                    storage=record.where, found=record.status,
                )  # fmt: skip
            for target in of_record:
                labels = target.meta.get("labels") or {}
                flux = (labels.get(FLUX_NAME), labels.get(FLUX_NAMESPACE))
                if flux not in flux_seen:
                    flux_seen.add(flux)
                    self._refuse_reconciled(target, record)
            stored = kept_record(record, of_record) if keep else self._released_record(record, of_record)
            edits.append((record, of_record, write_body(record, stored)))
            if keep and self.journal is None and not self.wish.backup_dir:
                text = (
                    f"{record.where} must be edited so that helm uninstall keeps"
                    f" {', '.join(str(target.ref) for target in of_record)}. Give a journal or a backup_dir to save it"
                    " to first."
                )
                if not self.check:  # a preview is asked for before there is a journal
                    raise Refusal("no_backup", text, storage=record.where)
                self._note(text)
        return edits

    def _released_record(self, record: Record, targets: list[Target]) -> str:
        """The record as it was before we edited it, byte for byte, where a backup shows that nothing else has changed;
        else the present one without our annotations."""
        for backup in self._backups(record):
            if restores(backup, record, targets):
                return backup
        return released_record(record, targets)

    def _backups(self, record: Record) -> t.Iterator[str]:
        if self.journal is not None:
            state = self.journal.store.read()
            for step in reversed(state.steps if state else []):
                if step["op"] == "helm_record" and step["key"] == record.where and step.get("backup"):
                    content = self.journal.store.backup(step)
                    if "release" in content:
                        yield base64.b64encode(content["release"]).decode()
        if self.wish.backup_dir:
            pattern = os.path.join(glob.escape(self.wish.backup_dir), glob.escape(_backup_stem(record)) + ".*.json")
            for path in sorted(glob.glob(pattern), key=os.path.getmtime, reverse=True):
                with open(path, encoding="utf-8") as file:
                    yield json.load(file)["release"]

    def _record_steps(
        self, edits: list[tuple[Record, list[Target], dict[str, t.Any]]], marks: list[tuple[Target, dict[str, str]]]
    ) -> None:
        """Backups and inverses, before anything is written."""
        if self.check or not (edits or marks):
            return
        if self.keep and self.wish.backup_dir:
            for record, _targets, _patch in edits:
                save_backup(self.wish.backup_dir, record)
        if self.journal is None:
            return
        steps = []
        if self.keep:
            steps += [
                (
                    "helm_record", record.where, self._inverse([target.ref for target in of_record]), False,
                    {"release": _raw(record), "record.json": json.dumps(record.as_dict())},
                )
                for record, of_record, _patch in edits
            ]  # fmt: skip
        refs = sorted({target.ref for target, _annotations in marks})
        if refs:
            digest = hashlib.sha256("\n".join(str(ref) for ref in refs).encode()).hexdigest()[:8]
            key = str(refs[0]) + (f" and {len(refs) - 1} more ({digest})" if len(refs) > 1 else "")
            steps.append(("resource_keep" if self.keep else "resource_release", key, self._inverse(refs), False, None))
        self.steps.update(dict.fromkeys(self.journal.record_all(steps)))

    def _inverse(self, refs: t.Sequence[Ref]) -> dict[str, t.Any]:
        params = {
            "state": "released" if self.keep else "kept", "migration": self.wish.migration,
            "resources": [ref.as_dict() for ref in refs], "helm_record": self.wish.helm_record,
            "live_annotation": self.wish.live_annotation, "guard": self.wish.guard,
        }  # fmt: skip
        return {"module": "resource_keep", "params": params}

    # -- writing -----------------------------------------------------------------------------------------------------
    def _write_marks(self, marks: list[tuple[Target, dict[str, str]]]) -> None:
        def write(item: tuple[Target, dict[str, str]]) -> None:
            target, wanted = item
            changes: dict[str, str | None] = {k: v for k, v in wanted.items() if target.annotations.get(k) != v}
            changes.update({key: None for key in target.annotations if key not in wanted})
            patch = {"metadata": {"resourceVersion": target.meta["resourceVersion"], "annotations": changes}}
            self.cluster.patch(self.resources.path(target.ref), patch, dry_run=self.check)

        for target, _wanted in marks:
            self.resources.path(target.ref)  # discovery is not for several threads at once
        answers = self.cluster.parallel(write, marks)
        for (target, wanted), answer in zip(marks, answers):
            if not isinstance(answer, Exception):
                self.changed = True
                self.before.setdefault(str(target.ref), _shown(target.annotations))
                self.after[str(target.ref)] = _shown(wanted)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    def _write_records(self, edits: list[tuple[Record, list[Target], dict[str, t.Any]]]) -> None:
        for record, of_record, patch in edits:
            self.cluster.patch(record.path, patch, dry_run=self.check)
            self.changed = True
            name = f"{record.where} (Helm release {record.release_namespace}/{record.release})"
            found = {str(t.ref): t.found.head.policy if t.found else None for t in of_record}
            self.before.setdefault(name, found)
            self.after[name] = {
                key: helm.KEEP if self.keep else t.undo.get("record") for key, t in zip(found, of_record)
            }


# -- pure parts of it ------------------------------------------------------------------------------------------------
def keep_annotations(target: Target, wish: Wish, record_edited: bool) -> dict[str, str]:
    """The annotations that a kept object carries. What they replace is noted once, in UNDO.

    An upgrade keeps for exactly `keep`, in this spelling (pkg/kube/client.go), so that `Keep ` is replaced here.
    """
    undo = dict(target.undo)
    annotations = dict(target.annotations)
    if wish.live_annotation and annotations.get(helm.POLICY) != helm.KEEP:
        undo.setdefault("live", annotations.get(helm.POLICY))
        annotations[helm.POLICY] = helm.KEEP
    if record_edited and target.found is not None:
        undo.setdefault("record", target.found.head.policy)
    annotations[KEPT_BY] = wish.migration
    annotations[UNDO] = json.dumps(undo, sort_keys=True, separators=(",", ":"))
    return annotations


def release_annotations(target: Target) -> dict[str, str]:
    """The inverse of keep_annotations(); a policy that somebody has changed since is left as it is."""
    annotations = {k: v for k, v in target.annotations.items() if k not in (KEPT_BY, UNDO)}
    if "live" in target.undo and annotations.get(helm.POLICY) == helm.KEEP:
        former = target.undo["live"]
        if former is None:
            del annotations[helm.POLICY]
        else:
            annotations[helm.POLICY] = former
    return annotations


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


def _raw(record: Record) -> bytes:
    """The bytes inside the base64: three quarters of the size, so that the backup of the largest record fits too."""
    try:
        return base64.b64decode(record.stored)
    except binascii.Error:
        return record.stored.encode()


def _backup_stem(record: Record) -> str:
    return f"{record.kind.lower()}.{record.namespace}.{record.name}"


def save_backup(folder: str, record: Record) -> str:
    """Writes the record as found to a new file of mode 0600 and returns its path. One that is there already is kept:
    the resourceVersion in its name says that it is the same."""
    path = os.path.join(folder, f"{_backup_stem(record)}.{re.sub(r'[^A-Za-z0-9]', '_', record.resource_version)}.json")
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


def _shown(annotations: dict[str, str]) -> dict[str, str]:
    """The annotations that we deal with: others may hold what is nobody's business (last-applied-configuration)."""
    return {key: annotations[key] for key in (helm.POLICY, KEPT_BY, UNDO) if key in annotations}


# -- the modules' operations -----------------------------------------------------------------------------------------
def operate(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    return Run(module, cluster).run()


def inform(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    resources = Resources(cluster)
    wanted = module.params.get("release")
    if wanted:
        return _inform_release(cluster, resources, wanted["name"], wanted["namespace"])
    gateways, secrets_namespace, others = references(module.params)
    targets = read_targets(cluster, resources, gateways, secrets_namespace, others)
    find_owners(targets, read_storage(cluster, [t.claim[0] for t in targets if t.claim]), module.warn)
    return {
        "changed": False,
        "owners": [
            {
                **target.report(
                    live=target.annotations.get(helm.POLICY) == helm.KEEP,
                    record=target.why == "kept", guard=KEPT_BY in target.annotations,
                ),
                "kept_by": target.annotations.get(KEPT_BY),
            }
            for target in targets if target.body is not None
        ],
        "missing": [target.ref.as_dict() for target in targets if target.body is None],
    }  # fmt: skip


def _inform_release(cluster: Cluster, resources: Resources, name: str, namespace: str) -> dict[str, t.Any]:
    storage = read_storage(cluster, [name])
    found = storage.of(name, namespace)
    if not found:
        others = sorted({r.release_namespace for r in storage.latest() if r.release == name})
        hint = f"There is one of that name in: {', '.join(others)}." if others else "helm list -A shows what there is."
        raise Refusal("not_found", f"No Helm release {name} in namespace {namespace} is stored in this cluster. {hint}")
    if len(found) > 1:
        raise Refusal(
            "two_owners",
            f"Helm release {namespace}/{name} is stored more than once: {', '.join(r.where for r in found)}. Which one"
            " counts depends on HELM_DRIVER and on Flux's storage namespace; remove the one that is left over.",
            owners=[r.as_dict() for r in found],
        )
    record = found[0]

    def namespaced(api_version: str, kind: str) -> bool:
        served = resources.find(api_version, kind)
        return served[1] if served else True

    try:
        plan = helm.uninstall_plan(record.payload.release, namespaced)
    except helm.ReleaseError as exc:
        raise Refusal(
            exc.code,
            f"Helm release {namespace}/{name}, revision {record.revision} ({record.where}): {exc}. helm uninstall"
            " would give up there and delete nothing.",
            storage=record.where,
        ) from exc
    return {
        "changed": False, "release": record.as_dict(),
        "storage": [r.where for r in storage.series[(record.kind, record.namespace, record.release)]],
        **plan, "dropped": _dropped(cluster, resources, plan),
    }  # fmt: skip


def _dropped(
    cluster: Cluster, resources: Resources, plan: dict[str, list[dict[str, t.Any]]]
) -> dict[str, list[dict[str, t.Any]]]:
    """What an upgrade or a rollback without these objects would do to them: it goes by the live annotation."""
    dropped: dict[str, list[dict[str, t.Any]]] = {"keep": [], "delete": [], "missing": []}
    entries = []
    for item in plan["keep"] + plan["delete"] + plan["neither"]:
        ref = Ref(item["api_version"], item["kind"], item["namespace"], item["name"])
        if resources.find(ref.api_version, ref.kind) is None:
            dropped["missing"].append(ref.as_dict())
        else:
            entries.append(ref)
    for ref, body in zip(entries, read_all(cluster, [resources.path(ref) for ref in entries])):
        policy = ((body or {}).get("metadata", {}).get("annotations") or {}).get(helm.POLICY)
        where = "missing" if body is None else "keep" if policy == helm.KEEP else "delete"
        dropped[where].append(ref.as_dict())
    return dropped
