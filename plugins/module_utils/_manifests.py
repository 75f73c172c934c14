# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as files that a GitOps controller applies: a folder of kustomize for each phase, and whether the cluster has
become what they say.

    DEST/kustomization.yaml        a label on everything, and the phases' folders that are there
    DEST/PHASE/kustomization.yaml  its files
    DEST/PHASE/KIND.NAMESPACE.NAME.yaml

The first of them is never empty, thanks to the label, so that it builds when nothing is listed: a controller that finds
no folder, or one that does not build, removes nothing of what it has applied.
"""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ._client import Cluster
from ._module import Refusal
from ._override_files import COMPONENT, replace
from ._resources import Ref, Resources, read_all
from .sources import base

MIGRATION = "bluegreen.mesh/migration"  # label on what comes from these files
KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
PARTS = ("apiVersion", "kind", "metadata", "spec")
POLL_SECONDS = 1.0

Object = dict[str, t.Any]


# -- files -----------------------------------------------------------------------------------------------------------
def header(migration: str) -> str:
    """By which our files are known again."""
    return f"# Written by bluegreen.mesh, migration {migration}."


def file_name(ref: Ref) -> str:
    parts = [ref.kind.lower(), ref.namespace, ref.name]
    return ".".join(part for part in parts if part) + ".yaml"


def content_of(item: Object) -> Object:
    """What goes into its file. Raises Refusal secret_refused."""
    if item["kind"] == "Secret":
        raise Refusal(
            "secret_refused",
            f"{Ref.of(item)} would be written to Git with what it holds. Have it come to the cluster by your own"
            " management of secrets.",
        )
    return {part: item[part] for part in PARTS if part in item}


def rendered(migration: str, content: Object) -> str:
    return f"{header(migration)}\n---\n{base.dumped(content)}"


def listing(migration: str, names: t.Iterable[str], **more: t.Any) -> str:
    """A kustomization.yaml."""
    return rendered(migration, {**KUSTOMIZATION, **more, "resources": sorted(names)})


def listed(path: Path, migration: str) -> list[str]:
    """What a kustomization.yaml of ours lists, if it is there. Raises Refusal: foreign_file, unreadable."""
    text = read(path)
    if text is None:
        return []
    if not text.startswith(header(migration) + "\n"):
        raise Refusal(
            "foreign_file",
            f"{path} was not written by migration {migration}: found {text.partition(chr(10))[0][:80]!r} in its first"
            " line. Give the migration a folder of its own (path of mesh_gitops).",
        )
    return list(parsed(path, text).get("resources") or [])


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeError) as exc:
        raise Refusal("unreadable", f"{path} can't be read: {exc}.") from exc


def parsed(path: Path, text: str) -> Object:
    try:
        found = base.parsed(text)
    except ValueError as exc:
        raise Refusal("unreadable", f"{path}: {exc}. Take it as it was from Git.") from exc
    if not isinstance(found, dict):
        raise Refusal("unreadable", f"{path}: found no mapping. Take it as it was from Git.")
    return found


def objects_in(folder: Path) -> list[Object]:
    """The objects that a phase's folder lists, none where it is not there. Raises Refusal unreadable."""
    text = read(folder / COMPONENT)
    names = parsed(folder / COMPONENT, text).get("resources") or [] if text else []
    found = []
    for name in names:
        text = read(folder / name)
        if text is None:
            raise Refusal("unreadable", f"{folder / name} is listed in {COMPONENT} and is not there.")
        found.append(parsed(folder / name, text))
    return found


def write(
    dest: str, migration: str, folder: str | None, objects: t.Sequence[Object], check_mode: bool
) -> dict[str, t.Any]:  # fmt: skip
    """What the module returns. folder: of the phase; without one, only DEST/kustomization.yaml is made.

    Raises Refusal: bad_option, secret_refused, foreign_file, unreadable, unwritable, missing_library.
    """
    if base.yaml is None:
        raise Refusal("missing_library", "PyYAML is needed where this task runs: pip install pyyaml.")
    top = Path(dest)
    after: dict[str, str | None] = {}
    folders = set(listed(top / COMPONENT, migration))
    removed: list[Ref] = []
    new: dict[str, Object] = {}
    if folder is not None:
        if not folder.isalnum():
            raise Refusal("bad_option", f"folder: found {folder!r}, expected letters and digits: it is a phase's.")
        new = {file_name(Ref.of(item)): content_of(item) for item in objects}
        old = listed(top / folder / COMPONENT, migration)
        for name in [name for name in old if name not in new]:
            text = read(top / folder / name)
            removed += [Ref.of(parsed(top / folder / name, text))] if text else []
            after[f"{folder}/{name}"] = None
        after |= {f"{folder}/{name}": rendered(migration, content) for name, content in sorted(new.items())}
        after[f"{folder}/{COMPONENT}"] = listing(migration, new) if new else None
        folders = folders | {folder} if new else folders - {folder}
    label = {"labels": [{"pairs": {MIGRATION: migration}}]}
    after[COMPONENT] = listing(migration, folders, **label)
    before = {name: read(top / name) for name in after}
    changed = [name for name in after if after[name] != before[name]]
    if not check_mode:
        for name in changed:
            put(top / name, after[name])
    refs = [Ref.of(content) for content in new.values()]
    return {
        "changed": bool(changed), "files": sorted(name for name, text in after.items() if text is not None),
        "objects": [ref.as_dict() for ref in sorted({*refs, *removed})], "removed": [ref.as_dict() for ref in removed],
        "diff": [
            {"before_header": n, "after_header": n, "before": before[n] or "", "after": after[n] or ""} for n in changed
        ],
    }  # fmt: skip


def put(path: Path, text: str | None) -> None:
    """Writes a file, or removes it and the folder that it leaves empty. Raises Refusal unwritable."""
    if text is not None:
        replace(path, text)
        return
    try:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as exc:
        raise Refusal("unwritable", f"{path} can't be removed: {exc}.") from exc


# -- the cluster -----------------------------------------------------------------------------------------------------
def unlike(wanted: t.Any, live: t.Any, field: str = "") -> list[dict[str, t.Any]]:
    """Every field of wanted that live does not have so: [{field, expected, found}]. What live has besides, such as
    defaults, is no difference; nor is an empty list or mapping that it does not store."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return [
            found for key in wanted
            for found in unlike(wanted[key], live.get(key), f"{field}.{key}" if field else str(key))
        ]  # fmt: skip
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return [found for n, pair in enumerate(zip(wanted, live)) for found in unlike(*pair, f"{field}[{n}]")]
    empty = wanted in ({}, [], None) and live is None
    return [] if empty or wanted == live else [{"field": field, "expected": wanted, "found": live}]


def pending(
    wanted: t.Sequence[tuple[Object, Object | None]], gone: t.Sequence[tuple[Ref, Object | None]]
) -> list[dict[str, t.Any]]:  # fmt: skip
    """What is not as it should be, in words. wanted: a file's object and the live one; gone: what must not be there."""
    found = []
    for item, live in wanted:
        name = str(Ref.of(item))
        if live is None:
            found.append({"object": name, "text": f"{name} is not there"})
        elif live["metadata"].get("deletionTimestamp"):
            found.append({"object": name, "text": f"{name} is being deleted"})
        else:
            found += [
                {
                    "object": name,
                    "text": f"{name} {one['field']}: found {short(one['found'])}, expected {short(one['expected'])}",
                }
                for one in unlike(item, live)
            ]
    found += [{"object": str(ref), "text": f"{ref} is still there"} for ref, live in gone if live is not None]
    return found


def short(value: t.Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def reconciled(cluster: Cluster, folder: str, gone: t.Sequence[Ref], timeout: float) -> list[Object]:
    """Returns the folder's objects once the cluster has all of them so, and none of `gone` that it does not list.

    Raises Refusal: not_reconciled after `timeout` seconds, unreadable, missing_library.
    """
    if base.yaml is None:
        raise Refusal("missing_library", "PyYAML is needed where this task runs: pip install pyyaml.")
    resources, deadline = Resources(cluster), time.monotonic() + timeout
    wanted = objects_in(Path(folder))
    refs = [Ref.of(item) for item in wanted]
    others = [ref for ref in gone if ref not in refs]
    paths = [resources.path(ref) for ref in (*refs, *others)]
    while True:
        live = read_all(cluster, paths)
        missing = pending(list(zip(wanted, live)), list(zip(others, live[len(wanted) :])))
        if not missing:
            return wanted
        if time.monotonic() >= deadline:
            shown = "; ".join(one["text"] for one in missing[:10]) + ("; ..." if len(missing) > 10 else "")
            raise Refusal(
                "not_reconciled",
                f"After {timeout:g} s the cluster is not as {folder} says: {shown}. See whether the commit is where"
                " your GitOps controller reads it, whether it builds this folder, and what its status says; then run"
                " this again.",
                missing=missing,
            )  # fmt: skip
        time.sleep(POLL_SECONDS)
