# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Flux HelmRelease: a Helm release that the helm-controller upgrades, and with drift detection corrects in between.

Big Bang's packages are such releases. Its umbrella chart renders the HelmReleases, so their values have to be given
to it: KEY.values, or addons.KEY.values, and KEY.postRenderers.
"""

from __future__ import annotations

import re
import typing as t

from .. import _helm_storage
from .. import _virtual_services as vs
from .._objects import annotations_of, labels_of
from . import base, helm

CODE = "flux_helm"
EFFECT = "its next upgrade puts the gateways back, and with drift detection the next reconcile"
GROUP, VERSIONS, PLURAL = "helm.toolkit.fluxcd.io", ("v2", "v2beta2"), "helmreleases"
BIG_BANG = "bigbang"  # the name of the umbrella chart


def of(body: base.Object) -> base.Source | None:
    labels = labels_of(body)
    if not labels.get(f"{GROUP}/name"):
        return None
    name = f"{labels.get(f'{GROUP}/namespace', '?')}/{labels[f'{GROUP}/name']}"
    return base.Source(CODE, name, f"Flux HelmRelease {name}")


def desired(
    source: base.Source, body: base.Object, evidence: base.Evidence, _pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    release = helm.of(body)
    if release is None:
        return base.Desired(None, f"it does not say which Helm release of {source.title} it is in")
    return helm.lists(release.name, body, evidence)


def puts_back(source: base.Source, body: base.Object, evidence: base.Evidence) -> str:
    try:
        spec = _holder(source, evidence).get("spec") or {}
    except base.Unreadable as exc:
        return f"whether it corrects drift is not known: {exc}"
    detection = spec.get("driftDetection") or {}
    off = annotations_of(body).get(f"{GROUP}/driftDetection") == "disabled"
    if off or spec.get("suspend") or detection.get("mode") != "enabled":
        return ""
    meta = body["metadata"]
    for rule in detection.get("ignore") or ():
        target = rule.get("target") or {}
        wanted = {"kind": base.KIND, "group": base.GROUP, "name": meta["name"], "namespace": meta["namespace"]}
        aimed = not target.keys() - wanted.keys() - {"version"} and all(
            _matches(target[key], wanted[key]) for key in wanted if target.get(key)
        )
        if aimed and base.covered(body, rule.get("paths") or [""]):
            return ""
    return "its driftDetection is enabled, and does not ignore the gateways"


def _matches(pattern: str, name: str) -> bool:
    """As kustomize selects targets: by anchored regular expressions."""
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


fights = base.never  # it compares by a dry run, in which admission has its way with both sides


def overrides(
    source: base.Source, wishes: t.Sequence[base.Wish], evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    release = helm.of(wishes[0].body)
    found = helm.values(release.name, wishes, evidence, pairs) if release else []
    try:
        holder = _holder(source, evidence)
    except base.Unreadable:
        holder = {"metadata": {}, "spec": {}}
    keys = tuple(wish.key for wish in wishes)
    package = _package(source, holder, evidence)
    if package:
        return [_big_bang(source, package, found, wishes, keys)]
    path = f"flux/HelmRelease.{base.file_name(source.name)}.yaml"
    namespace, _slash, name = source.name.partition("/")
    if found:
        how = f"Merge patch of {source.title}, where it comes from: chart values that name green."
        content: t.Any = {
            "apiVersion": f"{GROUP}/v2", "kind": "HelmRelease", "metadata": {"name": name, "namespace": namespace},
            "spec": {"values": base.nested(found)},
        }  # fmt: skip
    else:
        how = f"{base.json_patch_of(source)} Its values do not name gateways: a post-renderer does."
        content = base.appended(holder, "/spec/postRenderers", [_renderer(wishes)])
    made = helm.of(holder) if holder["metadata"] else None
    by = (f"It is itself made by {made.title}: give this to that chart, in the way it takes values.",) if made else ()
    return [base.Override(path, (how, *by), content, keys)]


def _big_bang(
    source: base.Source, package: tuple[str, ...], found: list[base.Reference], wishes: t.Sequence[base.Wish],
    keys: tuple[str, ...],
) -> base.Override:  # fmt: skip
    given = {"values": base.nested(found)} if found else {"postRenderers": [_renderer(wishes)]}
    content: t.Any = given
    for key in reversed(package):
        content = {key: content}
    how = [f"Big Bang values of package {base.dotted(package)} ({source.title}): merge them into yours."]
    if not found:
        how.append("Its values do not name the gateways. This list takes the place of the package's own postRenderers.")
    return base.Override(f"bigbang/{base.file_name(source.name)}.yaml", tuple(how), content, keys)


def _renderer(wishes: t.Sequence[base.Wish]) -> base.Object:
    return {"kustomize": {"patches": base.kustomize_patches(wishes)}}


def _package(source: base.Source, holder: base.Object, evidence: base.Evidence) -> tuple[str, ...]:
    """The key of this package in the values of Big Bang's umbrella chart; () where it is none of its packages."""
    made = helm.of(holder) if holder["metadata"] else None
    if made is None:
        return ()
    namespace, _slash, name = made.name.partition("/")
    try:
        record = evidence.release(namespace, name)
    except base.Unreadable:
        return ()
    if record is None or _chart(record).get("name") != BIG_BANG:
        return ()
    values = (record.payload.release.get("chart") or {}).get("values") or {}
    wanted = _plain(source.name.partition("/")[2])
    for prefix, tree in (((), values), (("addons",), values.get("addons") or {})):
        for key in tree:
            if _plain(key) == wanted:
                return (*prefix, key)
    return ()


def _chart(record: _helm_storage.Record) -> base.Object:
    return (record.payload.release.get("chart") or {}).get("metadata") or {}


def _plain(name: str) -> str:
    """A key is in camel case, the HelmRelease in kebab case."""
    return name.replace("-", "").lower()


def _holder(source: base.Source, evidence: base.Evidence) -> base.Object:
    holder = evidence.objects(GROUP, VERSIONS, PLURAL).get(source.name)
    if holder is None:
        raise base.Unreadable(f"{source.title} is not in this cluster")
    return holder
