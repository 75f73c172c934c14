# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be kept or released: the objects, who claims them, and what is noted on them."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import _blue_needs
from . import _helm_release as helm
from ._client import Cluster
from ._deletion_guard import KEPT_BY
from ._frozen import Freeze
from ._gateways import list_pods
from ._helm_storage import RELEASE_NAME, RELEASE_NAMESPACE, Record
from ._objects import labels_of, ref_of, selector_of, selects
from ._resources import Ref, Resources, read_all

# What was there before us, as JSON, and only of what we changed: {"live": former value or null, "record": the same,
# "annotations": {key: [former, ours]}, "labels": {key: former}}; besides, "shared": true of what others need, too.
UNDO = "bluegreen.mesh/kept-undo"
UID = "bluegreen.mesh/kept-uid"  # of the object when it was kept: one that was made anew is not the one that was kept
OURS = (KEPT_BY, UNDO, UID)
GATEWAY_VERSIONS = ("networking.istio.io/v1", "networking.istio.io/v1beta1")

# The modules' options that name what is kept (documented in doc_fragments/kept).
REF_SPEC: dict[str, t.Any] = {
    "api_version": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
}
TARGETS_SPEC: dict[str, t.Any] = {
    "gateways": {"type": "list", "elements": "str"},
    "secrets_namespace": {"type": "str", "no_log": False},
    "needs": {"type": "bool", "default": False},
    "resources": {"type": "list", "elements": "dict", "options": REF_SPEC},
}

RECORD_REASONS = {
    "kept": "the stored manifest keeps it",
    "no_owner": "no Helm release has it in its manifest, and it names none",
    "no_record": "it names a Helm release of which nothing is stored: uninstalled, or stored elsewhere (SQL driver)",
    "not_in_manifest": "the highest revision of its release does not have it, so uninstall does not touch it",
    "hook": "it is a Helm hook, which uninstall leaves to its own delete policy",
    "in_list": "it is an item of a List, where Helm reads no annotation",
    "not_kept": "the stored manifest does not keep it",
    "umbrella": "its release renders HelmReleases and is upgraded to deploy green; that goes by the live annotation",
    "not_asked": "helm_record is false",
}


@dataclasses.dataclass
class Claim:
    """What one owner would do to one object, and what keeps it from that.

    owner: name of its file in owners; name: the owner in words. safe: whether the object outlives the owner's removal
    as things are; reason: why. annotations, labels, freezes: what makes it safe where it is not, namely annotations
    that the object must carry, labels that it must not, and other objects to hold still first. mendable: whether all
    that makes it safe. source: whether the owner is there, so that it would make the object again. going:
    whether it is on its way out or has the object no more, so that it deletes what is not safe without being asked.
    """

    owner: str
    name: str
    safe: bool
    reason: str
    annotations: dict[str, str] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    mendable: bool = True
    source: bool = False
    going: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        return {"owner": self.owner, "name": self.name, "safe": self.safe, "source": self.source}


@dataclasses.dataclass
class Target:
    """One object that is to be kept or released, and who owns it.

    origin: why it is concerned; body: the live object, None where there is none; record, found: the Helm release that
    has it, and where in its manifest; why: a key of RECORD_REASONS; claims: of every owner; shared: whether more than
    blue needs it, so that it stays when blue goes.
    """

    ref: Ref
    origin: str
    body: dict[str, t.Any] | None
    record: Record | None = None
    found: helm.Found | None = None
    why: str = "not_asked"
    claims: list[Claim] = dataclasses.field(default_factory=list)
    shared: bool = False

    @property
    def meta(self) -> dict[str, t.Any]:
        return (self.body or {}).get("metadata") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.meta.get("annotations") or {}

    @property
    def labels(self) -> dict[str, str]:
        return self.meta.get("labels") or {}

    @property
    def claim(self) -> tuple[str, str] | None:
        """(release, namespace) of Helm's own annotations."""
        name, namespace = self.annotations.get(RELEASE_NAME), self.annotations.get(RELEASE_NAMESPACE)
        return (name, namespace) if name and namespace else None

    @property
    def undo(self) -> dict[str, t.Any]:
        """What UNDO says. A damaged note says nothing."""
        try:
            found = json.loads(self.annotations.get(UNDO, "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def intact(self) -> bool:
        """Whether it is the object that was kept, and not on its way out."""
        uid = self.annotations.get(UID)
        return uid is not None and uid == self.meta.get("uid") and not self.meta.get("deletionTimestamp")

    def before(self) -> dict[str, str]:
        """Its labels as they were before we kept it."""
        return {**self.labels, **(self.undo.get("labels") or {})}

    def owner(self) -> dict[str, t.Any] | None:
        if self.record is not None:
            return self.record.as_dict()
        if self.claim is None:
            return None
        return {"release": self.claim[0], "namespace": self.claim[1], "revision": None, "status": None, "storage": None}

    def report(self, live: bool, record: bool, guard: bool, mended: bool = False) -> dict[str, t.Any]:
        """mended: whether everything that the claims ask for is in place now."""
        claims = [{**c.as_dict(), "safe": c.safe or (mended and c.mendable)} for c in self.claims]
        return {
            **self.ref.as_dict(), "origin": self.origin, "owner": self.owner(), "live": live, "record": record,
            "guard": guard, "record_reason": RECORD_REASONS[self.why], "claims": claims,
            "safe": all(c["safe"] for c in claims), "shared": self.shared,
        }  # fmt: skip


# -- what is noted on it ---------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Mark:
    """The annotations and labels that an object is to have, all of them."""

    annotations: dict[str, str]
    labels: dict[str, str]

    def patch(self, target: Target) -> dict[str, t.Any]:
        """The merge patch that makes them so; empty where they are."""
        changes = {
            field: _difference(have, wanted)
            for field, have, wanted in (
                ("annotations", target.annotations, self.annotations), ("labels", target.labels, self.labels)
            )
        }  # fmt: skip
        return {field: change for field, change in changes.items() if change}


def _difference(have: dict[str, str], wanted: dict[str, str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {key: value for key, value in wanted.items() if have.get(key) != value}
    return {**changes, **{key: None for key in have if key not in wanted}}


def keep_mark(target: Target, migration: str, live: bool, record_edited: bool) -> Mark:
    """What a kept object carries. What that replaces is noted once, in UNDO.

    An upgrade keeps for exactly `keep`, in this spelling (pkg/kube/client.go), so that `Keep ` is replaced here.
    """
    undo = dict(target.undo)
    annotations, labels = dict(target.annotations), dict(target.labels)
    if live and annotations.get(helm.POLICY) != helm.KEEP:
        undo.setdefault("live", annotations.get(helm.POLICY))
        annotations[helm.POLICY] = helm.KEEP
    if record_edited and target.found is not None:
        undo.setdefault("record", target.found.head.policy)
    for claim in target.claims:
        for key, value in claim.annotations.items():
            if annotations.get(key) != value:
                noted = undo.setdefault("annotations", {})
                noted[key] = [noted[key][0] if key in noted else annotations.get(key), value]
                annotations[key] = value
        for key in claim.labels:
            if key in labels:
                undo.setdefault("labels", {}).setdefault(key, labels.pop(key))
                labels.pop(key, None)
    if target.shared:
        undo["shared"] = True
    annotations[KEPT_BY] = migration
    annotations[UID] = target.meta["uid"]
    annotations[UNDO] = json.dumps(undo, sort_keys=True, separators=(",", ":"))
    return Mark(annotations, labels)


def release_mark(target: Target) -> Mark:
    """The inverse of keep_mark(); what somebody has changed since is left as it is."""
    undo = target.undo
    annotations = {k: v for k, v in target.annotations.items() if k not in OURS}
    replaced = dict(undo.get("annotations") or {})
    if "live" in undo:
        replaced[helm.POLICY] = [undo["live"], helm.KEEP]
    for key, (former, ours) in replaced.items():
        if annotations.get(key) == ours:
            annotations.pop(key) if former is None else annotations.update({key: former})
    return Mark(annotations, target.before())


def shown(annotations: dict[str, str], labels: dict[str, str], noted: t.Iterable[str]) -> dict[str, str]:
    """What we deal with of them: others may hold what is nobody's business (last-applied-configuration)."""
    return {key: value for key, value in {**labels, **annotations}.items() if key in noted}


# -- reading ---------------------------------------------------------------------------------------------------------
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


def read_targets(
    cluster: Cluster, resources: Resources, gateways: t.Sequence[tuple[str, str]], secrets_namespace: str | None,
    others: t.Sequence[Ref], needs: bool = False,
) -> list[Target]:  # fmt: skip
    """The Gateways, the Secrets they name, and the other resources, each once; body None for what is not there.
    secrets_namespace: where the Secrets are; if not given, where the pods are that a Gateway selects, and beside the
    Gateway if there is none. needs: what else those Gateways can't serve without, too.

    What may be absent and is has no Target. Raises Refusal: unknown_kind, malformed_reference.
    """
    targets: dict[Ref, Target] = {}
    wanted: dict[Ref, str] = {}
    shared: set[Ref] = set()
    found = _read_gateways(cluster, gateways)
    served = [] if secrets_namespace else [body for body in found if tls_secrets(body or {}, "")]
    pods = list_pods(cluster, served)
    for (namespace, name), body in zip(gateways, found):
        ref = Ref((body or {}).get("apiVersion", GATEWAY_VERSIONS[0]), "Gateway", namespace, name)
        targets[ref] = Target(ref, "gateway", body)
        near = {ref_of(pod)[0] for pod in pods if selects(selector_of(body), labels_of(pod))}
        for at in [secrets_namespace] if secrets_namespace else sorted(near) or [namespace]:
            for where, secret, field in tls_secrets(body or {}, at):
                this = Ref("v1", "Secret", where, secret)
                wanted[this] = wanted.get(this) or (f"{field} of Gateway {namespace}/{name}" if field else "")
    for ref in others:
        if ref not in targets:
            wanted[ref] = wanted.get(ref) or "resources"
    optional = {ref: "CA of a Gateway" for ref, origin in wanted.items() if not origin}
    if needs:
        there = [body for body in found if body is not None]
        spaces = [*([secrets_namespace] if secrets_namespace else []), *(namespace for namespace, _name in gateways)]
        for need in _blue_needs.blue_needs(_blue_needs.read(cluster, there, spaces)):
            if need.shared:
                shared.add(need.ref)
            if need.ref not in targets and need.ref not in wanted:
                wanted[need.ref] = ""
                optional[need.ref] = need.why
    paths = [resources.path(ref) for ref in wanted]
    for (ref, origin), body in zip(wanted.items(), read_all(cluster, paths)):
        if body is not None or origin:
            targets[ref] = Target(ref, origin or optional[ref], body)
            targets[ref].shared = ref in shared or bool(targets[ref].undo.get("shared"))
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
