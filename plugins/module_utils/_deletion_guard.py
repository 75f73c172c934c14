# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admission policy that refuses the deletion of what a migration keeps, whoever asks for it.

A ValidatingAdmissionPolicy (v1 since Kubernetes 1.30) on DELETE, whose matchCondition is an annotation of ours on the
object itself: nothing that lacks it is ever concerned. It holds against Helm, Flux, Argo CD, operators, the garbage
collector, the deletion of the namespace, and people. It does not hold against edits or scaling. The policy lists what
is kept in an annotation, so that it can be removed with the last of it without searching the cluster.
"""

from __future__ import annotations

import json
import time
import typing as t

from ._client import ApiError, Cluster, path_of
from ._module import Refusal
from ._resources import Ref, Resources

API = "admissionregistration.k8s.io/v1"
POLICIES = "validatingadmissionpolicies"
BINDINGS = "validatingadmissionpolicybindings"
KEPT_BY = "bluegreen.mesh/kept-by"  # on a kept object: the migration
KEPT = "bluegreen.mesh/kept"  # on the policy: what is kept, as JSON
LABELS = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
TRIES = 5
# (group, plural) that the policy covers from the start, so that it seldom changes: all that Gateways may need
# (_blue_needs). Others join when they are kept.
COVERED = frozenset({
    ("", "configmaps"), ("", "namespaces"), ("", "secrets"), ("", "serviceaccounts"), ("", "services"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"), ("apps", "daemonsets"), ("apps", "deployments"),
    ("autoscaling", "horizontalpodautoscalers"), ("install.istio.io", "istiooperators"),
    ("networking.istio.io", "gateways"), ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"), ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"), ("rbac.authorization.k8s.io", "roles"),
})  # fmt: skip


# -- the two objects -------------------------------------------------------------------------------------------------
def policy_name(migration: str) -> str:
    return f"bluegreen-mesh-keep-{migration}"


def policy(migration: str, covered: t.Iterable[tuple[str, str]], kept: t.Iterable[str]) -> dict[str, t.Any]:
    """The policy, with every default written out, so that what the API server returns can be compared with it.

    covered: (group, plural) pairs; kept: objects, as entry() names them.
    """
    by_group: dict[str, list[str]] = {}
    for group, plural in covered:
        by_group.setdefault(group, []).append(plural)
    annotation = f"'{KEPT_BY}'"
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {
            "name": policy_name(migration), "labels": dict(LABELS),
            "annotations": {KEPT: json.dumps(sorted(set(kept)), separators=(",", ":"))},
        },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [
                    {
                        "apiGroups": [group], "apiVersions": ["*"], "operations": ["DELETE"],
                        "resources": sorted(set(by_group[group])), "scope": "*",
                    }
                    for group in sorted(by_group)
                ],
            },
            "matchConditions": [
                {
                    "name": "kept",
                    "expression": "oldObject != null && has(oldObject.metadata.annotations)"
                    f" && {annotation} in oldObject.metadata.annotations"
                    f" && oldObject.metadata.annotations[{annotation}] == '{migration}'",
                }
            ],
            "validations": [
                {
                    "expression": "false",
                    "reason": "Forbidden",
                    "message": f"this is kept by migration {migration}",
                    "messageExpression": f"oldObject.metadata.name + ' is kept by migration {migration}: the gateway that"
                    " still serves needs it. If an owner deletes it (helm uninstall, Flux, Argo CD, an operator), leave"
                    " it failing, nothing is lost; its next try goes through once this is released. To be done with"
                    " the old gateway run migrate.yml -t cleanup, to go back run it with -t rollback; to release this"
                    " object alone run bluegreen.mesh.resource_keep with state=released on it, or take its annotation"
                    f" {KEPT_BY} off'",
                }
            ],
        },
    }  # fmt: skip


def binding(migration: str) -> dict[str, t.Any]:
    name = policy_name(migration)
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": dict(LABELS)},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }


def entry(ref: Ref) -> str:
    """How the policy's annotation names an object. Without version: an object has several."""
    return f"{ref.group}/{ref.kind}/{ref.namespace}/{ref.name}"


def kept_entries(stored: dict[str, t.Any] | None) -> set[str]:
    """What a stored policy lists. Empty for none, and for an annotation that was damaged."""
    try:
        found = json.loads(((stored or {}).get("metadata", {}).get("annotations") or {}).get(KEPT, "[]"))
    except ValueError:
        return set()
    return {item for item in found if isinstance(item, str)} if isinstance(found, list) else set()


def covered_by(stored: dict[str, t.Any] | None) -> set[tuple[str, str]]:
    """(group, plural) pairs that a stored policy covers."""
    rules = ((stored or {}).get("spec", {}).get("matchConstraints") or {}).get("resourceRules") or []
    return {(g, p) for rule in rules for g in rule.get("apiGroups") or [] for p in rule.get("resources") or []}


def _is_as(stored: dict[str, t.Any], wanted: dict[str, t.Any]) -> bool:
    """Whether it says what it is to; more annotations and labels are no difference."""
    annotations = stored["metadata"].get("annotations") or {}
    mine = (wanted["metadata"].get("annotations") or {}).items()
    return all(annotations.get(key) == value for key, value in mine) and stored.get("spec") == wanted["spec"]


# -- in the cluster --------------------------------------------------------------------------------------------------
class Guard:
    """One migration's policy and binding. Raises ClusterError, and Refusal as its methods say."""

    def __init__(self, cluster: Cluster, resources: Resources, migration: str) -> None:
        self._cluster = cluster
        self._resources = resources
        self._migration = migration
        self.name = policy_name(migration)
        self.before: dict[str, list[str]] = {}  # for a diff, what ensure() found and wrote
        self.after: dict[str, list[str]] = {}
        self.wanted: list[dict[str, t.Any]] = []  # policy and binding, as ensure() wants them
        self._policy_path = path_of(API, POLICIES, name=self.name)
        self._binding_path = path_of(API, BINDINGS, name=self.name)

    def read(self) -> tuple[dict[str, t.Any] | None, dict[str, t.Any] | None]:
        """The stored policy and binding."""
        return self._cluster.find(self._policy_path), self._cluster.find(self._binding_path)

    def available(self) -> bool:
        """Whether the API server has this kind of policy (Kubernetes 1.30 and later)."""
        return self._resources.served(API, POLICIES)

    def ensure(self, refs: t.Sequence[Ref], dry_run: bool = False, others: bool = False) -> bool:
        """Makes the policy cover and list refs. Returns whether anything had to change.

        others: somebody else writes policy and binding, and they have to be there already. Raises Refusal: conflict,
        foreign_policy, not_as_written, and what Resources.path() raises.
        """
        for _attempt in range(TRIES):
            stored, bound = self.read()
            covered = COVERED | covered_by(stored) | {(r.group, self._plural(r)) for r in refs}
            kept = kept_entries(stored) | {entry(r) for r in refs}
            wanted = policy(self._migration, covered, kept)
            self.wanted = [wanted, binding(self._migration)]
            self.before = {} if stored is None else {"refuses to delete": sorted(kept_entries(stored))}
            self.after = {"refuses to delete": sorted(kept)}
            if others:
                return self._left_to_others(dry_run, stored, bound)
            try:
                changed = self._put(POLICIES, self._policy_path, stored, self.wanted[0], dry_run)
                return self._put(BINDINGS, self._binding_path, bound, self.wanted[1], dry_run) or changed
            except ApiError as exc:
                if exc.status != 409:
                    raise
        raise self._conflict()

    def withdraw(self, refs: t.Sequence[Ref], dry_run: bool = False) -> bool:
        """Takes refs off the policy's list, and removes policy and binding when nothing is left on it. Returns and
        raises as ensure() does."""
        for _attempt in range(TRIES):
            stored, bound = self.read()
            for found in (stored, bound):
                self._check_ours(found)
            left = kept_entries(stored) - {entry(r) for r in refs}
            try:
                if stored is not None and left:
                    wanted = policy(self._migration, COVERED | covered_by(stored), left)
                    return self._put(POLICIES, self._policy_path, stored, wanted, dry_run)
                for path, found in ((self._binding_path, bound), (self._policy_path, stored)):
                    if found is not None:
                        meta = found["metadata"]
                        self._cluster.delete(path, meta.get("uid"), meta.get("resourceVersion"), dry_run)
                return stored is not None or bound is not None
            except ApiError as exc:
                if exc.status not in (404, 409):
                    raise
        raise self._conflict()

    def refuses(self, ref: Ref, uid: str) -> bool:
        """Whether the API server refuses now to delete this object, and for this policy's sake: by a dry run of it."""
        try:
            self._cluster.delete(self._resources.path(ref), uid=uid, dry_run=True)
        except ApiError as exc:
            if self.name in exc.text:
                return True
            raise
        return False

    def await_active(
        self, objects: t.Sequence[tuple[Ref, str]], timeout: float, unasked: t.Container[Ref] = ()
    ) -> None:
        """Returns when the deletion of each (ref, uid) is refused: a policy takes a second or two to become active.

        timeout: seconds. unasked: what this user need not be allowed to delete, so that the API server may refuse to
        say. Raises Refusal guard_inactive.
        """
        deadline = time.monotonic() + timeout
        pause = 0.1
        waiting = list(objects)
        for ref, _uid in waiting:
            self._resources.path(ref)  # discovery is not for several threads at once
        while waiting:
            answers = self._cluster.parallel(lambda item: self.refuses(*item), waiting)
            left = []
            for (ref, uid), answer in zip(waiting, answers):
                if isinstance(answer, ApiError) and answer.status == 403 and ref in unasked:
                    continue
                if isinstance(answer, Exception):
                    raise answer
                if not answer:
                    left.append((ref, uid))
            waiting = left
            if not waiting:
                return
            if time.monotonic() > deadline:
                names = ", ".join(str(ref) for ref, _uid in waiting)
                raise Refusal(
                    "guard_inactive",
                    f"ValidatingAdmissionPolicy {self.name}: after {timeout:g} s the API server would still delete"
                    f" {names}. Look at the policy's status and at other API servers of this cluster; with guard=none"
                    " the deletion guard is left out.",
                    objects=[ref.as_dict() for ref, _uid in waiting],
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def _plural(self, ref: Ref) -> str:
        self._resources.path(ref)  # refuses a kind that is not served
        found = self._resources.find(ref.api_version, ref.kind)
        return found[0] if found else ""

    def _put(
        self, plural: str, path: str, stored: dict[str, t.Any] | None, wanted: dict[str, t.Any], dry_run: bool
    ) -> bool:
        if stored is None:
            self._cluster.create(path_of(API, plural), wanted, dry_run)
            return True
        self._check_ours(stored)
        if _is_as(stored, wanted):
            return False
        meta = stored["metadata"]
        annotations = wanted["metadata"].get("annotations") or {}
        metadata = {**meta, "annotations": {**(meta.get("annotations") or {}), **annotations}}
        self._cluster.replace(path, {**wanted, "metadata": metadata}, dry_run)
        return True

    def _left_to_others(self, dry_run: bool, *stored: dict[str, t.Any] | None) -> bool:
        wrong = [
            f"{wanted['kind']} {'is not as it should be' if found else 'is not there'}"
            for found, wanted in zip(stored, self.wanted)
            if not found or not _is_as(found, wanted)
        ]
        if wrong and not dry_run:
            raise Refusal(
                "not_as_written",
                f"{self.name}: {', '.join(wrong)}, and others write it (guard_written_by). See what applies it; nothing"
                " was changed.",
            )
        return bool(wrong)

    def _check_ours(self, stored: dict[str, t.Any] | None) -> None:
        labels = (stored or {}).get("metadata", {}).get("labels") or {}
        if stored is not None and labels.get("app.kubernetes.io/managed-by") != LABELS["app.kubernetes.io/managed-by"]:
            raise Refusal(
                "foreign_policy",
                f"{stored.get('kind', 'Policy')} {self.name} exists and is not ours (no label"
                " app.kubernetes.io/managed-by: bluegreen.mesh). Remove it, or name the migration otherwise.",
            )

    def _conflict(self) -> Refusal:
        return Refusal(
            "conflict",
            f"ValidatingAdmissionPolicy {self.name} was changed by others during each of {TRIES} tries to write it."
            " Is another run active?",
        )
