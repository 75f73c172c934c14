# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what a migration still needs, and releasing it again.

Keep has two halves. Each owner's own way, so that its removal goes through (owners): for Helm the annotation on the
live object and in the stored manifest, for Argo CD and Flux annotations, for an IstioOperator labels; and what would
undo that is held still first (_frozen). And a guard against everything else (_deletion_guard), so that a mistake in the
first half is an error message and not an outage.

What we changed is written on the object itself (UNDO), so that releasing needs no other record and takes away nothing
that was there before. That note is written before the stored manifest is touched: a run that is killed in between is
finished, or undone, by the next one.
"""

from __future__ import annotations

import base64
import dataclasses
import glob
import hashlib
import json
import os
import typing as t

from . import owners
from . import _helm_release as helm
from ._client import ApiError, Cluster
from ._deletion_guard import KEPT_BY, Guard, entry
from ._frozen import FROZEN, Path, freeze_patch, thaw_patch, value_at
from ._helm_storage import Record, read_storage, write_body
from ._journal import NAME, ROLLBACK, Journal, Store
from ._keep_target import OURS, Mark, Target, keep_mark, read_targets, release_mark, shown
from ._look import Look
from ._module import Refusal
from ._resources import Ref, Resources, parse_namespaced, read_all
from .owners import flux_helm_release, istio_operator
from .owners.helm import backup_stem, kept_record, raw, released_record, restores, save_backup

TRIES = 5
Former = tuple[tuple[Path, t.Any], ...]


# -- what is wished --------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Wish:
    """The modules' options, validated. frozen: other objects to set in motion again, with what they were."""

    gateways: tuple[tuple[str, str], ...]
    secrets_namespace: str | None
    resources: tuple[Ref, ...]
    needs: bool
    migration: str = ""
    helm_record: bool = True
    flux_method: str = "suspend"
    live_annotation: bool = True
    guard: str = "none"
    guard_written_by: str = "module"
    guard_timeout: int = 0
    owner_timeout: int = 0
    owner_deletes: str = "refuse"
    thaw: bool = True
    backup_dir: str | None = None
    frozen: tuple[tuple[Ref, Former], ...] = ()


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
    frozen = tuple((_ref_of(item), _former_of(item)) for item in params.get("frozen") or [])
    same = (
        "helm_record", "flux_method", "live_annotation", "guard", "guard_written_by", "guard_timeout", "owner_timeout",
        "owner_deletes", "thaw",
    )  # fmt: skip
    given = {name: params[name] for name in same}
    return Wish(*references(params), migration=migration, frozen=frozen, backup_dir=backup_dir, **given)


def references(params: dict[str, t.Any]) -> tuple[tuple[tuple[str, str], ...], str | None, tuple[Ref, ...], bool]:
    """(gateways, secrets_namespace, resources, needs) of the options. Raises Refusal malformed_reference."""
    gateways = tuple(dict.fromkeys(parse_namespaced(text, "gateways") for text in params.get("gateways") or []))
    resources = tuple(dict.fromkeys(_ref_of(item) for item in params.get("resources") or []))
    return gateways, params.get("secrets_namespace"), resources, bool(params.get("needs"))


def _ref_of(item: dict[str, t.Any]) -> Ref:
    return Ref(item["api_version"], item["kind"], item.get("namespace") or "", item["name"])


def _former_of(item: dict[str, t.Any]) -> Former:
    return tuple((tuple(former["path"]), former.get("value")) for former in item.get("former") or [])


# -- one run ---------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Held:
    """An object to hold still. fields: (path, value) to set; holders: for whom; patch: what has to be written."""

    ref: Ref
    body: dict[str, t.Any]
    fields: dict[Path, t.Any]
    holders: dict[str, None]

    @property
    def patch(self) -> dict[str, t.Any]:
        return freeze_patch(self.body, list(self.fields.items()), self.holders)

    def inverse(self) -> dict[str, t.Any]:
        former = [{"path": list(path), "value": value_at(self.body, path)} for path in self.fields]
        return {**self.ref.as_dict(), "former": former}


class Run:
    """What one invocation reads, decides and writes. Writes carry the resourceVersion that was read; after a 409 all of
    it is done again from a fresh read, and what is already as wished is then left alone."""

    def __init__(self, module: t.Any, cluster: Cluster) -> None:
        self.cluster = cluster
        self.check = module.check_mode
        self.warn = module.warn
        self.wish = wish_of(module.params)
        self.keep = module.params["state"] == "kept"
        self.everything = self.wish.needs and not self.keep
        self.others = self.wish.guard_written_by == "others"
        self.journal = Journal.load(cluster, module.params["journal"])
        self.resources = Resources(cluster)
        self.guard = Guard(cluster, self.resources, self.wish.migration)
        self.changed = False
        self.awaited: set[Ref] = set()  # owners that have come to rest as we asked
        self.steps: dict[str, None] = {}  # of the journal, in order; also those of a try that ended in a conflict
        self.warnings: dict[str, None] = {}
        self.before: dict[str, t.Any] = {}
        self.after: dict[str, t.Any] = {}

    def run(self) -> dict[str, t.Any]:
        conflict: ApiError | None = None
        for _attempt in range(TRIES):
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
        self.warnings = {}
        if self.journal and not self.check:
            self.journal.check()
        recorded = kept_by_journal(self.journal.store, self.resources) if self.journal and self.everything else []
        targets = read_targets(
            self.cluster, self.resources, wish.gateways, wish.secrets_namespace, [*wish.resources, *recorded],
            wish.needs,
        )  # fmt: skip
        targets = [target for target in targets if not self._of_other_migration(target)]
        look = find_claims(self.cluster, targets, wish, self._note)
        return self._keep(targets) if self.keep else self._release(targets, look)

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
        guard, refs = self._guard_wanted(), [target.ref for target in targets]
        guard_changed = guard and self.others and self.guard.ensure(refs, self.check, others=True)
        rendered = [target for target in targets if target.why == "not_kept" and _renderer(target)]
        by_record = [t for t in targets if t.why in ("not_kept", "in_list") and t not in rendered]
        edits = self._record_edits(by_record, keep=True)
        edited = {target.ref for _record, of_record, _payload in edits for target in of_record}
        held = self._held(targets)
        marks = []
        for target in targets:
            mark = keep_mark(target, self.wish.migration, self.wish.live_annotation, target.ref in edited)
            if mark.patch(target):
                marks.append((target, mark))
        self._record_steps(edits, marks, held)
        if self._hold(held, rendered):
            return self._once()  # from what is there now that they are still
        if guard and not self.others:
            guard_changed = self.guard.ensure(refs, self.check)
        if guard_changed:
            self.changed = True
            name = f"ValidatingAdmissionPolicy {self.guard.name}"
            self.before.setdefault(name, self.guard.before)
            self.after[name] = self.guard.after
        unmarked = self._write_marks(marks)
        targets = [target for target in targets if target.ref not in unmarked]
        if guard and not (self.check and (guard_changed or marks)):
            objects = [(target.ref, target.meta["uid"]) for target in targets]
            # Who goes back by the journal is given names alone, and not why each was kept.
            back = self.journal is not None and self.journal.phase == ROLLBACK
            unasked = {target.ref for target in targets if target.shared or back}
            self.guard.await_active(objects, self.wish.guard_timeout, unasked=unasked)
        self._write_records(edits)
        if self.journal and not self.check:
            self.journal.done(*self.steps)
        for target in targets:
            if target.ref in edited or target in rendered:
                target.why = "kept"
        return {
            "protected": [
                target.report(
                    live=self.wish.live_annotation or target.annotations.get(helm.POLICY) == helm.KEEP,
                    record=target.why == "kept", guard=guard, mended=True,
                )
                for target in targets
            ],
            "frozen": [item.ref.as_dict() for item in held],
            "guard": self._guard_word(guard, bool(guard_changed or marks)),
            "guard_manifests": self.guard.wanted,
        }  # fmt: skip

    def _guard_wanted(self) -> bool:
        if self.wish.guard == "none":
            return False
        if self.guard.available():
            return True
        text = "This API server has no ValidatingAdmissionPolicy v1 (Kubernetes 1.30 and later have it)"
        if self.wish.guard == "required":
            raise Refusal("guard_unavailable", f"{text}: nothing would refuse the deletion of what is kept.")
        self._note(f"{text}: kept objects are protected from their owners only, not from other deletions.")
        return False

    def _guard_word(self, guard: bool, pending: bool) -> str:
        if not guard:
            return "none" if self.wish.guard == "none" else "unavailable"
        return "pending" if self.check and pending else "active"

    # -- holding owners still ----------------------------------------------------------------------------------------
    def _held(self, targets: t.Sequence[Target]) -> list[Held]:
        """What to hold still, parents first, each object once."""
        found: dict[Ref, Held] = {}
        for target in targets:
            for freeze in (freeze for claim in target.claims for freeze in claim.freezes):
                item = found.setdefault(freeze.ref, Held(freeze.ref, freeze.body, {}, {}))
                item.fields[freeze.path] = freeze.value
                item.holders[self._holder(target.ref)] = None
        return list(found.values())

    def _holder(self, ref: Ref) -> str:
        return f"{self.wish.migration} {entry(ref)}"

    def _hold(self, held: list[Held], rendered: list[Target]) -> bool:
        """Holds them still, and waits until they are. Returns whether everything has to be read anew."""
        pending = [(item, patch) for item in held if (patch := item.patch)]
        for item, patch in pending:
            self.cluster.patch(self.resources.path(item.ref), patch, dry_run=self.check)
            self.changed = True
            for path, value in item.fields.items():
                name = f"{item.ref}: {'.'.join(path)}"
                self.before.setdefault(name, value_at(item.body, path))
                self.after[name] = value
        if self.check:
            return False
        unread = bool(pending)
        for item in held:
            renders = flux_helm_release.RENDERERS in item.fields and bool(rendered)
            if item.ref in self.awaited or not (renders or istio_operator.REPLICAS in item.fields):
                continue
            wait = flux_helm_release.await_ready if renders else istio_operator.await_stopped
            wait(self.cluster, item.ref, self.wish.owner_timeout)
            self.awaited.add(item.ref)
            unread |= renders
        if rendered and not unread:
            raise Refusal(
                "owner_ineffective",
                f"{rendered[0].ref}: helm-controller has made a release with our post-renderers, and its manifest"
                " still does not keep it. Use flux_method=suspend.",
                resources=[target.ref.as_dict() for target in rendered],
            )
        return unread

    def _thaw(self, targets: t.Sequence[Target]) -> bool:
        """Sets in motion again what was held for none but these. Returns whether everything has to be read anew."""
        thawed = False
        former: dict[Ref, Former] = {}
        if self.journal is not None:
            former.update(frozen_by_journal(self.journal.store))
        former.update(self.wish.frozen)
        for freeze in (f for target in targets for claim in target.claims for f in claim.freezes):
            former.setdefault(freeze.ref, ())
        former = {ref: was for ref, was in former.items() if self.resources.find(ref.api_version, ref.kind)}
        holders = {self._holder(target.ref) for target in targets}
        for ref, body in zip(former, read_all(self.cluster, [self.resources.path(ref) for ref in former])):
            noted = former[ref] if ref in dict(self.wish.frozen) else ()
            patch = thaw_patch(body, holders, flux_helm_release.is_ours, noted) if body else {}
            if not patch:
                continue
            self.cluster.patch(self.resources.path(ref), patch, dry_run=self.check)
            self.changed = thawed = True
            name = f"{ref}: metadata.annotations.{FROZEN}"
            self.before[name] = (body["metadata"].get("annotations") or {}).get(FROZEN)
            self.after[name] = patch["metadata"].get("annotations", {}).get(FROZEN)
            if "postRenderers" in patch.get("spec", {}) and not self.check:
                try:
                    flux_helm_release.await_ready(self.cluster, ref, self.wish.owner_timeout)
                except Refusal as exc:  # that it goes on being its own is all that is asked for
                    self._note(str(exc))
        return thawed and not self.check

    # -- releasing ---------------------------------------------------------------------------------------------------
    def _release(self, targets: list[Target], look: Look) -> dict[str, t.Any]:
        """The guard holds for as long as an object carries our mark. So owners are set in motion while all marks are
        on, and asked what they are about to delete, and only then the marks come off, and last the policy."""
        ours = [target for target in targets if target.annotations.get(KEPT_BY) == self.wish.migration]
        edits = self._record_edits([t for t in ours if "record" in t.undo and t.why == "kept"], keep=False)
        marks = [(target, release_mark(target)) for target in ours]
        self._refuse_deletion(marks, look)
        self._record_steps(edits, marks, [])
        self._write_records(edits)
        if self.wish.thaw and self._thaw(targets):
            return self._once()  # from what is there now that they move, and asked again
        self._write_marks(marks)
        if self.wish.guard != "none" and not self.others:
            self.changed |= self.guard.withdraw([target.ref for target in targets], self.check)
        if self.journal and not self.check:
            self.journal.done(*self.steps)
        released = {target.ref for _record, of_record, _payload in edits for target in of_record}
        for target in targets:
            if target.ref in released:
                target.why = "not_kept"
        annotations = {target.ref: mark.annotations for target, mark in marks}
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
    def _refuse_deletion(self, marks: t.Sequence[tuple[Target, Mark]], look: Look) -> None:
        """Refuses to release what an owner would delete then without being asked."""
        if self.wish.owner_deletes == "accept":
            return
        after = []
        for target, mark in marks:
            metadata = {**target.meta, "annotations": mark.annotations, "labels": mark.labels}
            why = "not_kept" if "record" in target.undo and target.why == "kept" else target.why
            body = {**(target.body or {}), "metadata": metadata}
            after.append(dataclasses.replace(target, body=body, why=why, claims=[]))
        owners.find(after, look.without_storage())
        doomed = owners.would_delete(after, unasked=True)
        if doomed:
            names = "; ".join(
                f"{entry['name']} would delete {', '.join(o['kind'] + ' ' + o['name'] for o in entry['objects'])}"
                for entry in doomed
            )
            raise Refusal(
                "owner_deletes",
                f"Once these are released, {names}: it is being deleted itself, or its source has them no more. They"
                " stay kept, and the guard stays. Make the owner leave them (its source, its finalizer, its prune"
                " setting), or give owner_deletes: accept if they are to go.",
                would_delete=doomed,
            )  # fmt: skip

    def _of_other_migration(self, target: Target) -> bool:
        """Whether another migration keeps it already, and this one may leave it to that. Raises Refusal kept_by_other
        for what only one of them can have."""
        other = target.annotations.get(KEPT_BY)
        if other in (None, self.wish.migration):
            return False
        if target.shared:
            self._note(f"{target.ref} ({target.origin}) is kept by migration {other} already, and left to that.")
            return True
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
        """Flux's helm-controller undoes an edit of what it stored unless it is held still."""
        for claim in target.claims:
            if claim.owner == flux_helm_release.NAME and not (claim.safe or claim.freezes):
                raise Refusal(
                    "owner_reconciles",
                    f"{target.ref} belongs to Flux {claim.name}, which is not suspended: helm-controller would take"
                    f" an edit of {record.where} for drift and upgrade from source. Let it be suspended or have"
                    " post-renderers (flux_method), or suspend it yourself (flux suspend helmrelease).",
                    resource=target.ref.as_dict(), helm_release=claim.name,
                )  # fmt: skip

    # -- records -----------------------------------------------------------------------------------------------------
    def _record_edits(self, targets: list[Target], keep: bool) -> list[tuple[Record, list[Target], dict[str, t.Any]]]:
        """(record, its targets, patch) for each record to write. Everything that can be refused is refused here."""
        by_record: dict[str, list[Target]] = {}
        for target in targets:
            if target.record is not None:
                by_record.setdefault(target.record.where, []).append(target)
        edits = []
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
            for target in of_record if keep else []:
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
            pattern = os.path.join(glob.escape(self.wish.backup_dir), glob.escape(backup_stem(record)) + ".*.json")
            for path in sorted(glob.glob(pattern), key=os.path.getmtime, reverse=True):
                with open(path, encoding="utf-8") as file:
                    yield json.load(file)["release"]

    def _record_steps(
        self, edits: list[tuple[Record, list[Target], dict[str, t.Any]]], marks: list[tuple[Target, Mark]],
        held: list[Held],
    ) -> None:  # fmt: skip
        """Backups and inverses, before anything is written."""
        held = [item for item in held if item.patch]
        if self.check or not (edits or marks or held):
            return
        if self.keep and self.wish.backup_dir:
            for record, _targets, _patch in edits:
                save_backup(self.wish.backup_dir, record)
        if self.journal is None:
            return
        steps: list[tuple[t.Any, ...]] = [
            ("owner_frozen", str(item.ref), self._inverse([], [item.inverse()]), False, None) for item in held
        ]
        if self.keep:
            steps += [
                (
                    "helm_record", record.where, self._inverse([target.ref for target in of_record]), False,
                    {"release": raw(record), "record.json": json.dumps(record.as_dict())},
                )
                for record, of_record, _patch in edits
            ]  # fmt: skip
        refs = sorted({target.ref for target, _mark in marks})
        if refs:
            digest = hashlib.sha256("\n".join(str(ref) for ref in refs).encode()).hexdigest()[:8]
            key = str(refs[0]) + (f" and {len(refs) - 1} more ({digest})" if len(refs) > 1 else "")
            steps.append(("resource_keep" if self.keep else "resource_release", key, self._inverse(refs), False, None))
        self.steps.update(dict.fromkeys(self.journal.record_all(steps)))

    def _inverse(self, refs: t.Sequence[Ref], frozen: t.Sequence[dict[str, t.Any]] = ()) -> dict[str, t.Any]:
        params = {
            "state": "released" if self.keep else "kept", "migration": self.wish.migration,
            "resources": [ref.as_dict() for ref in refs], "helm_record": self.wish.helm_record,
            "flux_method": self.wish.flux_method, "live_annotation": self.wish.live_annotation,
            "guard": self.wish.guard, "guard_written_by": self.wish.guard_written_by,
            **({"frozen": list(frozen)} if frozen else {}),
        }  # fmt: skip
        return {"module": "resource_keep", "params": params}

    # -- writing -----------------------------------------------------------------------------------------------------
    def _write_marks(self, marks: list[tuple[Target, Mark]]) -> set[Ref]:
        """Returns what could not be marked for want of permission, and is shared: annotating istiod's ClusterRoles takes
        all that they allow, which who moves a gateway need not have."""
        unmarked: set[Ref] = set()

        def write(item: tuple[Target, Mark]) -> None:
            target, mark = item
            patch = {"metadata": {"resourceVersion": target.meta["resourceVersion"], **mark.patch(target)}}
            self.cluster.patch(self.resources.path(target.ref), patch, dry_run=self.check)

        for target, _mark in marks:
            self.resources.path(target.ref)  # discovery is not for several threads at once
        answers = self.cluster.parallel(write, marks)
        for (target, mark), answer in zip(marks, answers):
            if not isinstance(answer, Exception):
                self.changed = True
                noted = {*OURS, helm.POLICY, *(key for claim in target.claims for key in claim.annotations)}
                noted |= {key for claim in target.claims for key in claim.labels} | target.undo.get("labels", {}).keys()
                noted |= target.undo.get("annotations", {}).keys()
                self.before.setdefault(str(target.ref), shown(target.annotations, target.labels, noted))
                self.after[str(target.ref)] = shown(mark.annotations, mark.labels, noted)
            elif target.shared and isinstance(answer, ApiError) and answer.status == 403:
                unmarked.add(target.ref)
                self._note(f"{target.ref} ({target.origin}) is not kept: {answer.explain()}")
        for (target, _mark), answer in zip(marks, answers):
            if isinstance(answer, Exception) and target.ref not in unmarked:
                raise answer
        return unmarked

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


def _renderer(target: Target) -> bool:
    """Whether helm-controller is to write the annotation into its record, and not we."""
    return any(f.path == flux_helm_release.RENDERERS for claim in target.claims for f in claim.freezes)


def kept_by_journal(store: Store, resources: Resources) -> list[Ref]:
    """What a journal has as kept and not undone: also what nothing leads to any more."""
    state = store.read()
    steps = [s for s in (state.steps if state else []) if s["op"] == "resource_keep" and s["state"] != "undone"]
    refs = [_ref_of(item) for step in steps for item in store.inverse(step)["params"]["resources"]]
    return list(dict.fromkeys(ref for ref in refs if resources.find(ref.api_version, ref.kind)))


def frozen_by_journal(store: Store) -> dict[Ref, Former]:
    """What a journal has as held still and not undone, and what was there before."""
    state = store.read()
    steps = [s for s in (state.steps if state else []) if s["op"] == "owner_frozen" and s["state"] != "undone"]
    return {_ref_of(item): _former_of(item) for s in steps for item in store.inverse(s)["params"]["frozen"]}


def find_claims(cluster: Cluster, targets: t.Sequence[Target], wish: Wish, note: t.Callable[[str], None]) -> Look:
    """Fills in who claims each target; returns what it was seen by. Raises Refusal as owners.find() says."""
    storage = read_storage(cluster, [t.claim[0] for t in targets if t.claim]) if wish.helm_record else None
    look = Look(cluster, storage, wish.flux_method, note)
    owners.find(targets, look)
    return look


# -- the module's operation ------------------------------------------------------------------------------------------
def operate(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    return Run(module, cluster).run()
