# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Flux HelmRelease: when it goes, helm-controller uninstalls its release as Helm does, from the stored manifest.

Not if it is suspended: then the finalizer is taken off and everything stays, Helm's records too. helm-controller keeps
a digest of the stored manifest, so that an edit under a HelmRelease that is not suspended is drift, and an upgrade from
source undoes it. Two ways, therefore: `suspend` holds it still, and the record can be edited; `post_renderers` has
helm-controller itself write the annotation into its next revision, by a patch in spec.postRenderers.

Names (api/v2, GetReleaseName): the release is spec.releaseName, or TARGETNAMESPACE-NAME, or NAME, shortened at 53; it
is stored in spec.storageNamespace or the HelmRelease's own. So Big Bang's HelmRelease bigbang/istio with
targetNamespace istio-system is release istio-system-istio in istio-system, stored in bigbang.

An umbrella, whose release renders HelmReleases, is not held still: it is what deploys green. Its upgrade leaves what
the live annotation keeps, and nobody removes it on the way.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import typing as t

from .. import _helm_release as helm
from .._client import Cluster
from .._frozen import Freeze, Path, value_at
from .._helm_storage import Record
from .._keep_target import Claim, Target
from .._look import Look
from .._module import Refusal
from .._resources import Ref
from . import flux_kustomization

NAME = "flux_helm_release"
GROUP = "helm.toolkit.fluxcd.io"
VERSIONS = (f"{GROUP}/v2", f"{GROUP}/v2beta2", f"{GROUP}/v2beta1")
PLURAL = "helmreleases"
SUSPEND, RENDERERS = ("spec", "suspend"), ("spec", "postRenderers")
RECONCILE = ("metadata", "annotations", flux_kustomization.RECONCILE)
OURS = "# written by bluegreen.mesh"  # first line of each of our patches; YAML to Flux, our mark to us
RENDERS = re.compile(r"^kind: *[\"']?HelmRelease\b", re.MULTILINE)
METHODS = ("suspend", "post_renderers", "none")
Object = dict[str, t.Any]


def find(targets: t.Sequence[Target], look: Look) -> None:
    owned: dict[str, tuple[Object, list[Target]]] = {}
    for target in targets:
        body = _owner(target, look)
        if body is not None:
            owned.setdefault(title(body), (body, []))[1].append(target)
        elif named := labelled(target.labels):
            look.note(f"{target.ref} is labelled as of Flux HelmRelease {'/'.join(named)}, which does not exist.")
            reason = "its HelmRelease is gone"
            target.claims.append(Claim(NAME, f"HelmRelease {'/'.join(named)}", True, reason))
    for body, of_it in owned.values():
        _claim(body, of_it, look)


# -- names -----------------------------------------------------------------------------------------------------------
def labelled(labels: dict[str, str]) -> tuple[str, str] | None:
    """(namespace, name) of the HelmRelease that these labels name; helm-controller labels all that it renders."""
    name, namespace = labels.get(f"{GROUP}/name"), labels.get(f"{GROUP}/namespace")
    return (namespace, name) if name and namespace else None


def title(body: Object) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def release_of(body: Object) -> tuple[str, str, str]:
    """(release, its namespace, namespace of its storage)."""
    meta, spec = body["metadata"], body.get("spec") or {}
    target = spec.get("targetNamespace")
    name = spec.get("releaseName") or (f"{target}-{meta['name']}" if target else meta["name"])
    if len(name) > 53:
        name = f"{name[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name, target or meta["namespace"], spec.get("storageNamespace") or meta["namespace"]


def _owner(target: Target, look: Look) -> Object | None:
    named = labelled(target.labels)
    return look.find(VERSIONS, PLURAL, *named) if named else _by_record(target.record, look)


def of_umbrella(target: Target, look: Look) -> bool:
    """Whether the release that has it in its manifest renders HelmReleases, and is one of Flux's itself."""
    manifest = target.record.payload.manifest if target.record else ""
    return bool(RENDERS.search(manifest)) and _owner(target, look) is not None


def _by_record(record: Record | None, look: Look) -> Object | None:
    """An object that lacks the labels (a hook, or older than Flux) is found by the record that holds it."""
    if record is None:
        return None
    wanted = (record.release, record.release_namespace, record.namespace)
    return next((body for body in look.list(VERSIONS, PLURAL) if release_of(body) == wanted), None)


# -- what it would do ------------------------------------------------------------------------------------------------
def _claim(body: Object, targets: t.Sequence[Target], look: Look) -> None:
    ref = Ref(body["apiVersion"], "HelmRelease", body["metadata"]["namespace"], body["metadata"]["name"])
    suspended = bool(value_at(body, SUSPEND))
    leaving = bool(body["metadata"].get("deletionTimestamp"))
    rendered = renderers(body, targets) if look.flux_method == "post_renderers" and not suspended else None
    freezes = [*above(body, ref, SUSPEND, look)]
    if rendered is not None:
        freezes.append(Freeze(ref, body, RENDERERS, rendered or value_at(body, RENDERERS)))
    elif suspended or look.flux_method == "suspend":
        freezes.append(Freeze(ref, body, SUSPEND, True))
    else:
        freezes = []
    for target in targets:
        needed = True
        if target.why in ("hook", "not_in_manifest"):
            safe, reason, needed = True, "the release's manifest does not have it, or as a hook", False
        elif target.why == "kept" and not by_edit(target):
            # rendered by the chart, or by helm-controller for us
            safe, reason, needed = True, "the release keeps it, as it was rendered", rendered is not None
        elif target.why == "umbrella":
            safe = not leaving and target.annotations.get(helm.POLICY) == helm.KEEP
            reason, needed = "it is an umbrella, whose upgrade goes by the live annotation", False
        elif suspended:
            safe, reason = True, "it is suspended: helm-controller then uninstalls nothing"
        else:
            safe, reason = False, "helm-controller uninstalls the release when its HelmRelease goes"
        target.claims.append(
            Claim(
                NAME, f"HelmRelease {title(body)}", safe, reason, freezes=tuple(freezes) if needed else (),
                mendable=bool(freezes) or target.why == "umbrella", going=leaving,
                source=not leaving and target.why != "not_in_manifest",
            )
        )  # fmt: skip


def by_edit(target: Target) -> bool:
    """Whether the record keeps it because we edited it: helm-controller undoes that once it is at work again."""
    return "record" in target.undo


def above(
    body: Object, ref: Ref, path: Path, look: Look, below: frozenset[tuple[str, str]] = frozenset()
) -> t.Iterator[Freeze]:
    """What would undo a change of this field, the topmost first: the HelmRelease that renders it, where that one
    corrects drift (else Helm leaves what its chart does not change), and the Kustomization that applies the object."""
    labels = body["metadata"].get("labels") or {}
    named = labelled(labels)
    parent = look.find(VERSIONS, PLURAL, *named) if named and named not in below else None
    drifts = parent is not None and value_at(parent, ("spec", "driftDetection", "mode")) == "enabled"
    if named and parent is not None and drifts and _renders(parent, ref, path, look):
        this = Ref(parent["apiVersion"], "HelmRelease", *named)
        yield from above(parent, this, SUSPEND, look, below | {named})
        yield Freeze(this, parent, SUSPEND, True)
    if flux_kustomization.owner_of(labels):
        yield Freeze(ref, body, RECONCILE, flux_kustomization.DISABLED)


def _renders(parent: Object, ref: Ref, path: Path, look: Look) -> bool:
    """Whether the manifest has that field: drift is what a dry run of applying it would change (fluxcd/pkg, jsondiff),
    so that what it does not name is none. Not known is yes; so is a key of that name elsewhere in the object."""
    stored = look.storage.latest() if look.storage else []
    record = next((r for r in stored if (r.release, r.release_namespace, r.namespace) == release_of(parent)), None)
    try:
        found = helm.locate(record.payload.manifest, ref, record.release_namespace) if record else None
    except helm.ReleaseError:
        return True
    if record is None or found is None:
        return True
    return bool(re.search(rf"\b{path[-1]}[\"']?\s*:", record.payload.manifest[found.start : found.end]))


# -- post-renderers --------------------------------------------------------------------------------------------------
def renderers(body: Object, targets: t.Sequence[Target]) -> list[Object]:
    """spec.postRenderers with one entry of ours at the end, which adds the annotation to what the release would not
    keep otherwise."""
    stored = value_at(body, RENDERERS) or []
    patches = [patch for item in stored if is_ours(item) for patch in item["kustomize"]["patches"]]
    patches += [_patch(target.found.head) for target in targets if target.why == "not_kept" and target.found]
    unique = {json.dumps(patch["target"], sort_keys=True): patch for patch in patches}
    others = [item for item in stored if not is_ours(item)]
    return [*others, {"kustomize": {"patches": [unique[key] for key in sorted(unique)]}}] if unique else others


def is_ours(item: t.Any) -> bool:
    """Whether an entry of spec.postRenderers was written by us."""
    patches = ((item or {}).get("kustomize") or {}).get("patches") if isinstance(item, dict) else None
    return bool(patches) and all(str(patch.get("patch", "")).startswith(OURS) for patch in patches)


def _patch(head: helm.Head) -> Object:
    group, _slash, version = head.api_version.rpartition("/")
    metadata: Object = {"name": head.name, "annotations": {helm.POLICY: helm.KEEP}}
    target = {"version": version, "kind": head.kind, "name": re.escape(head.name).replace("\\-", "-")}
    if group:
        target["group"] = group
    if head.namespace:
        target["namespace"] = metadata["namespace"] = head.namespace
    text = json.dumps({"apiVersion": head.api_version, "kind": head.kind, "metadata": metadata})
    return {"target": target, "patch": f"{OURS}\n{text}\n"}


def await_ready(cluster: Cluster, ref: Ref, timeout: float) -> None:
    """Returns when helm-controller has made a release of the HelmRelease as it is now. Raises Refusal: owner_failed,
    owner_timeout."""
    deadline = time.monotonic() + timeout
    path = f"/apis/{ref.api_version}/namespaces/{ref.namespace}/{PLURAL}/{ref.name}"
    while True:
        body = cluster.find(path)
        if body is None or value_at(body, SUSPEND):
            return
        status, generation = body.get("status") or {}, body["metadata"].get("generation")
        ready = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
        current = status.get("observedGeneration") == generation == ready.get("observedGeneration", generation)
        if current and ready.get("status") == "True":
            return
        if current and ready.get("status") == "False":
            raise Refusal(
                "owner_failed",
                f"{ref}: helm-controller could not make the release that keeps what blue needs"
                f" ({ready.get('reason')}: {ready.get('message')}). Mend it, or use flux_method=suspend.",
                resource=ref.as_dict(),
            )
        if time.monotonic() > deadline:
            raise Refusal(
                "owner_timeout",
                f"{ref}: no release of its generation {generation} after {timeout:g} s (Ready is"
                f" {ready.get('status')}: {ready.get('message')}). Is helm-controller at work, and its source there?",
                resource=ref.as_dict(),
            )
        time.sleep(1)
