# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Argo CD Application. With self-heal it puts back whatever differs from what it has rendered, unless it is told not
to look there; without, it shows OutOfSync, and the next sync puts it back.

What it renders is not in the cluster. What it applied last is, where it applies as `kubectl apply` does.
"""

from __future__ import annotations

import re
import typing as t

from .. import _virtual_services as vs
from .._objects import annotations_of, labels_of
from . import base, last_applied

CODE = "argocd"
EFFECT = "it shows OutOfSync, and with self-heal it puts the gateways back"
GROUP, VERSIONS, PLURAL = "argoproj.io", ("v1alpha1",), "applications"
MANAGER = "argocd-"  # prefix of the field managers of all its components


def of(body: base.Object) -> base.Source | None:
    labels, meta = labels_of(body), body["metadata"]
    name, _colon, what = annotations_of(body).get("argocd.argoproj.io/tracking-id", "").partition(":")
    if not what.endswith(f"/{body.get('kind', base.KIND)}:{meta['namespace']}/{meta['name']}"):
        name = ""  # copied from another object: Argo CD does not go by it
    name = name or labels.get("argocd.argoproj.io/instance", "")
    writers = [entry.get("manager", "") for entry in meta.get("managedFields") or ()]
    if not name and any(writer.startswith(MANAGER) for writer in writers):
        name = labels.get("app.kubernetes.io/instance", "")  # its default until 3.0, which charts set as well
    if not name:
        return None
    name = name.replace("_", "/", 1)  # NAMESPACE_NAME outside its own namespace
    return base.Source(CODE, name, f"Argo CD Application {name}")


def desired(
    source: base.Source, body: base.Object, evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> base.Desired:
    """Inline kustomize patches win over all; else it is what was applied last."""
    try:
        _key, application = find_application(source, body, evidence)
    except base.Unreadable as exc:
        return base.Desired(None, str(exc))
    for _pointer, item in _inputs(application):
        lists = base.patched((item.get("kustomize") or {}).get("patches"), body, pairs)
        if lists is not None:
            return base.Desired(lists, "the patches in its source")
    if last_applied.of(body):
        return last_applied.lists(body)
    return base.Desired(None, "what it renders is not kept in the cluster")


def puts_back(source: base.Source, body: base.Object, evidence: base.Evidence) -> str:
    try:
        _key, application = find_application(source, body, evidence)
    except base.Unreadable as exc:
        return f"whether it heals itself is not known: {exc}"
    if not heals_itself(application) or ignored(application, body):
        return ""
    return "its syncPolicy has selfHeal, and its ignoreDifferences do not cover the gateways"


def fights(source: base.Source, body: base.Object, evidence: base.Evidence) -> str:
    try:
        _key, application = find_application(source, body, evidence)
    except base.Unreadable as exc:
        return f"whether it heals itself is not known: {exc}"
    if not heals_itself(application) or not sees_admission(application, body):
        return ""
    return (
        "with selfHeal it applies again and again what the policy changes; give it ignoreDifferences for the gateways, or"
        " the annotation argocd.argoproj.io/compare-options: ServerSideDiff=true,IncludeMutationWebhook=true"
    )


def heals_itself(application: base.Object) -> bool:
    automated = ((application.get("spec") or {}).get("syncPolicy") or {}).get("automated")
    return bool(automated and automated.get("enabled", True) and automated.get("selfHeal"))


def sees_admission(application: base.Object, body: base.Object) -> bool:
    """Whether what an admission policy adds to the object is a difference to it."""
    return not ignored(application, body) and not foresees_admission(application)


def foresees_admission(application: base.Object) -> bool:
    """Whether its comparison lets the API server's admission have its way with both sides."""
    given = annotations_of(application).get("argocd.argoproj.io/compare-options", "").split(",")
    options = {option.strip() for option in given}
    return {"ServerSideDiff=true", "IncludeMutationWebhook=true"} <= options


def ignored(application: base.Object, body: base.Object) -> bool:
    """Whether ignoreDifferences cover every gateway list of the object."""
    meta = body["metadata"]
    paths: list[str] = []
    for rule in (application.get("spec") or {}).get("ignoreDifferences") or ():
        wanted = {"group": base.GROUP, "kind": base.KIND, "name": meta["name"], "namespace": meta["namespace"]}
        if all(rule.get(key) in (None, "", "*", value) for key, value in wanted.items()):
            paths += [*(rule.get("jsonPointers") or ()), *(rule.get("jqPathExpressions") or ())]
    return bool(paths) and base.covered(body, paths)


def find_application(source: base.Source, body: base.Object, evidence: base.Evidence) -> tuple[str, base.Object]:
    """(NAMESPACE/NAME, body). Raises Unreadable."""
    every = evidence.objects(GROUP, VERSIONS, PLURAL)
    found = {key: item for key, item in every.items() if source.name in (key, key.partition("/")[2])}
    several = len(found) > 1
    if several:
        meta = body["metadata"]
        found = {
            key: item
            for key, item in found.items()
            if any(
                (r.get("kind"), r.get("namespace"), r.get("name")) == (base.KIND, meta["namespace"], meta["name"])
                for r in (item.get("status") or {}).get("resources") or ()
            )
        }
    if len(found) != 1:
        raise base.Unreadable(f"{source.title} is {'there more than once' if several else 'not in this cluster'}")
    return next(iter(found.items()))


def _inputs(application: base.Object) -> list[tuple[str, base.Object]]:
    """(JSON pointer, source) of each of its sources."""
    spec = application.get("spec") or {}
    if spec.get("sources"):
        return [(f"/spec/sources/{number}", item) for number, item in enumerate(spec["sources"])]
    return [("/spec/source", spec["source"])] if spec.get("source") else []


def overrides(
    source: base.Source, wishes: t.Sequence[base.Wish], evidence: base.Evidence, pairs: t.Sequence[vs.Pair]
) -> list[base.Override]:
    """A JSON patch of the Application: Helm parameters where its values name blue, else kustomize patches; a component
    for what is rendered in another way."""
    try:
        key, application = find_application(source, wishes[0].body, evidence)
    except base.Unreadable:
        return base.component(wishes, f"{source.title} is not known here. Build what it renders with this component.")
    content: list[base.Object] = []
    for pointer, item in _inputs(application):
        parameters = _parameters(item.get("helm") or {}, wishes, pairs)
        if parameters:
            content += base.appended(application, f"{pointer}/helm/parameters", parameters)
    if not content:
        kustomized = [pointer for pointer, item in _inputs(application) if item.get("kustomize") is not None]
        if not kustomized and (application.get("status") or {}).get("sourceType") == "Kustomize":
            kustomized = [pointer for pointer, _item in _inputs(application)]
        if kustomized:
            content = base.appended(application, f"{kustomized[0]}/kustomize/patches", base.kustomize_patches(wishes))
    if not content:
        return base.component(
            wishes, f"{source.title}: its own settings do not name the gateways. Change what it renders."
        )
    how = base.json_patch_of(source)
    owners = [r for r in application["metadata"].get("ownerReferences") or () if r.get("kind") == "ApplicationSet"]
    made = tuple(f"ApplicationSet {owner['name']} makes it: put the same into its template." for owner in owners)
    keys = tuple(wish.key for wish in wishes)
    return [base.Override(f"argocd/{base.file_name(key)}.yaml", (how, *made), content, keys)]


def _parameters(
    settings: base.Object, wishes: t.Sequence[base.Wish], pairs: t.Sequence[vs.Pair]
) -> list[dict[str, str]]:
    """Helm parameters that win over values which name blue. Those may hold secrets: none of them is repeated."""
    trees = [settings.get("valuesObject") or {}]
    try:
        trees.append(base.parsed(settings.get("values") or "{}"))
    except ValueError:
        pass
    found: dict[tuple[str, ...], t.Any] = {}
    for wish in wishes:
        namespace = wish.body["metadata"]["namespace"]
        for tree in trees:
            found.update({r.path: r.value for r in base.references(tree, namespace, pairs)})
        for parameter in settings.get("parameters") or ():
            path = tuple(re.split(r"(?<!\\)\.", parameter.get("name") or ""))
            for reference in base.references({parameter.get("name", ""): parameter.get("value")}, namespace, pairs):
                found[path] = reference.value
    made = []
    for path, value in found.items():
        name = ".".join(path)
        if isinstance(value, list):
            made += [{"name": f"{name}[{number}]", "value": one} for number, one in enumerate(value)]
        else:
            made.append({"name": name, "value": value})
    return made
