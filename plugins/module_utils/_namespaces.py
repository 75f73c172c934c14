# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces that were made for green, and go again once nothing of others' is in them.

Deleting a namespace deletes whatever is in it, of kinds nobody here has heard of. So every kind that the API server
serves is asked for, and what can't be listed is not taken for absent.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._client import ApiError, Cluster, ClusterError, path_of
from ._objects import annotations_of, labels_of, ref_of

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "bluegreen.mesh"
SHOWN = 5  # objects that are named of those that keep a namespace
# What comes and goes with others or by itself: nobody's own. Kinds by plural name.
PASSING = frozenset({"events", "endpoints", "endpointslices", "replicasets", "controllerrevisions", "leases"})
# What a control plane puts into every namespace, as (plural, name).
GIVEN = frozenset({
    ("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt"), ("configmaps", "istio-ca-root-cert"),
    ("configmaps", "istio-ca-crl"), ("configmaps", "openshift-service-ca.crt"),
})  # fmt: skip
Object = dict[str, t.Any]


@dataclasses.dataclass
class Step:
    """One namespace, and what is to become of it. state: created, unchanged, foreign (not made by us), removed, absent,
    kept (of our making, and with something in it that is not). inside: what keeps it."""

    name: str
    state: str
    before: Object | None = None
    inside: list[str] = dataclasses.field(default_factory=list)

    @property
    def object(self) -> str:
        return f"Namespace {self.name}"

    @property
    def acts(self) -> bool:
        return self.state in ("created", "removed")


def path(name: str | None = None) -> str:
    return path_of("v1", "namespaces", name=name)


def body(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {MANAGED_BY: MANAGER}}}


def ours(item: Object) -> bool:
    return labels_of(item).get(MANAGED_BY) == MANAGER


def plan_present(cluster: Cluster, names: t.Sequence[str]) -> list[Step]:
    steps = []
    for name, found in zip(names, read(cluster, names)):
        state = "created" if found is None else "unchanged" if ours(found) else "foreign"
        steps.append(Step(name, state, found))
    return steps


def plan_absent(cluster: Cluster, names: t.Sequence[str]) -> list[Step]:
    steps = []
    kinds: list[tuple[str, str]] | None = None
    unknown = ""
    for name, found in zip(names, read(cluster, names)):
        if found is None or found["metadata"].get("deletionTimestamp"):
            steps.append(Step(name, "absent", found))
        elif not ours(found):
            steps.append(Step(name, "foreign", found))
        else:
            try:
                kinds = listable(cluster) if kinds is None and not unknown else kinds
            except ClusterError as exc:
                unknown = f"not known: {exc}"
            inside = [unknown] if unknown else content(cluster, name, kinds or [])
            steps.append(Step(name, "kept" if inside else "removed", found, inside))
    return steps


def read(cluster: Cluster, names: t.Sequence[str]) -> list[Object | None]:
    found = cluster.parallel(lambda name: cluster.find(path(name)), names)
    for item in found:
        if isinstance(item, Exception):
            raise item
    return found


def listable(cluster: Cluster) -> list[tuple[str, str]]:
    """(group and version, plural) of every namespaced kind that can be listed, one version of each group.

    Raises ApiError where a group does not say what it has (an aggregated API server that is down): then nobody can say
    that a namespace is empty, and the API server could not empty it either.
    """
    versions = ["v1"]
    versions += [group["preferredVersion"]["groupVersion"] for group in cluster.get("/apis").get("groups") or []]
    answers = cluster.parallel(lambda gv: cluster.get("/api/v1" if gv == "v1" else f"/apis/{gv}"), versions)
    found = []
    for version, answer in zip(versions, answers):
        if isinstance(answer, Exception):
            raise answer
        for kind in answer.get("resources") or []:
            if kind.get("namespaced") and "/" not in kind["name"] and "list" in (kind.get("verbs") or []):
                found.append((version, kind["name"]))
    # The kubelets' figures of pods, which are asked for themselves.
    return [(version, plural) for version, plural in found if not version.startswith("metrics.k8s.io/")]


def content(cluster: Cluster, namespace: str, kinds: t.Sequence[tuple[str, str]]) -> list[str]:
    """What of others' is in a namespace, as text; at most SHOWN, and how many more there are."""
    asked = [(version, plural) for version, plural in kinds if plural not in PASSING]
    answers = cluster.parallel(lambda kind: cluster.list(path_of(*kind, namespace)), asked)
    found = []
    for (version, plural), answer in zip(asked, answers):
        if isinstance(answer, ApiError) and answer.status in (404, 405):
            continue
        if isinstance(answer, Exception):
            allowed = not isinstance(answer, ApiError) or answer.status != 403
            found.append(f"{plural} ({'not known: ' + str(answer) if allowed else 'may not be listed'})")
            continue
        found += [f"{item['kind'] or plural} {ref_of(item)[1]}" for item in answer if counts(plural, item)]
    more = len(found) - SHOWN
    return [*found[:SHOWN], f"{more} more"] if more > 0 else found


def counts(plural: str, item: Object) -> bool:
    """Whether an object is somebody's own: not given, not going, and not there for another object in the namespace,
    which counts for itself."""
    meta = item["metadata"]
    if (plural, meta["name"]) in GIVEN or meta.get("deletionTimestamp") or meta.get("ownerReferences"):
        return False
    account = annotations_of(item).get("kubernetes.io/service-account.name")
    return not (plural == "secrets" and account == "default")


def inverse(step: Step) -> dict[str, t.Any]:
    return {"module": "gateway_namespace", "params": {"state": "absent", "names": [step.name]}}


def apply(cluster: Cluster, step: Step, dry_run: bool) -> None:
    """Raises ApiError: 409 where it is not as it was read."""
    if step.state == "created":
        cluster.create(path(), body(step.name), dry_run=dry_run)
    else:
        cluster.delete(path(step.name), uid=step.before["metadata"]["uid"], dry_run=dry_run)
