# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Argo CD Application: it prunes what leaves its source, and with its finalizer deletes all when it goes itself.

Both read argocd.argoproj.io/sync-options from the live object: Prune=false for the one, Delete=false for the other.
Other options there stay. (A live helm.sh/resource-policy: keep blocks only the second.)
"""

from __future__ import annotations

import typing as t

from .._keep_target import Claim, Target
from .._look import Look

NAME = "argo_cd"
OPTIONS = "argocd.argoproj.io/sync-options"
TRACKING = "argocd.argoproj.io/tracking-id"
LABELS = ("argocd.argoproj.io/instance", "app.kubernetes.io/instance")
VERSIONS = ("argoproj.io/v1alpha1",)
FINALIZER = "resources-finalizer.argocd.argoproj.io"  # with /background or /foreground after it, or nothing
WANTED = ("Prune=false", "Delete=false")


def find(targets: t.Sequence[Target], look: Look) -> None:
    for target in targets:
        named = tracked_by(target)
        by_label = [target.labels[key] for key in LABELS if key in target.labels]
        if not named and not by_label:
            continue
        applications = look.list(VERSIONS, "applications")
        found = next((a for a in applications if _names(a) & ({named} if named else set(by_label))), None)
        if found is not None:
            target.claims.append(_claim(target, f"{found['metadata']['namespace']}/{found['metadata']['name']}", found))
        elif named or LABELS[0] in target.labels:  # app.kubernetes.io/instance is every chart's
            unknown = {} if "applications" in look.refused else None
            target.claims.append(_claim(target, named or by_label[0], unknown))


def tracked_by(target: Target) -> str | None:
    """The Application in the tracking annotation. One that names another object was copied from there, and Argo CD
    does not go by it."""
    application, _colon, what = target.annotations.get(TRACKING, "").partition(":")
    ref = target.ref
    return application if application and what == f"{ref.group}/{ref.kind}:{ref.namespace}/{ref.name}" else None


def merged(options: str | None) -> str:
    """The options with both of ours, in place of what they say of the same."""
    ours = {wanted.partition("=")[0] for wanted in WANTED}
    others = [o.strip() for o in (options or "").split(",") if o.strip() and o.partition("=")[0].strip() not in ours]
    return ",".join([*others, *WANTED])


def _names(application: dict[str, t.Any]) -> set[str]:
    """How an Application is named on its objects: with its namespace where it is not in Argo CD's own."""
    meta = application["metadata"]
    return {meta["name"], f"{meta['namespace']}_{meta['name']}"}


def _claim(target: Target, title: str, application: dict[str, t.Any] | None) -> Claim:
    name = f"Application {title}"
    if application is None:
        return Claim(NAME, name, True, "its Application is gone")
    options = {option.strip() for option in target.annotations.get(OPTIONS, "").split(",")}
    missing = [wanted for wanted in WANTED if wanted not in options]
    annotations = {OPTIONS: merged(target.annotations.get(OPTIONS))} if missing else {}
    reason = f"{OPTIONS} has not {' and '.join(missing)}" if missing else f"{OPTIONS} has {' and '.join(WANTED)}"
    going = _going(target, application)
    source = not _left(target, application)
    return Claim(NAME, name, not missing, reason, annotations=annotations, source=source, going=going)


def _left(target: Target, application: dict[str, t.Any]) -> bool:
    """Whether its status says that its source has the object no more (requiresPruning, options or not)."""
    this = (target.ref.group, target.ref.kind, target.ref.namespace, target.ref.name)
    return any(
        item.get("requiresPruning") and this == tuple(item.get(k) or "" for k in ("group", "kind", "namespace", "name"))
        for item in (application.get("status") or {}).get("resources") or []
    )


def _going(target: Target, application: dict[str, t.Any]) -> bool:
    """Whether it deletes the object by itself: it is being deleted with all it has, which takes its finalizer, or it
    prunes by itself, and its source has the object no more."""
    meta, spec = application.get("metadata") or {}, application.get("spec") or {}
    if meta.get("deletionTimestamp"):
        return any(str(name).startswith(FINALIZER) for name in meta.get("finalizers") or [])
    if not ((spec.get("syncPolicy") or {}).get("automated") or {}).get("prune"):
        return False
    return _left(target, application)
