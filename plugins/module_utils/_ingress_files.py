# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converted objects as files: one an object, and a kustomization.yaml that lists them. Nothing moves without need."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ._module import Refusal
from ._override_files import replace
from .sources import base

HEAD = "# Written by bluegreen.mesh.ingress_convert. What is changed here is overwritten by its next run.\n---\n"
KUSTOMIZATION = "kustomization.yaml"


class Written(t.NamedTuple):
    """paths: of all files that are wanted; stale: of those that an earlier run has written and nobody lists now;
    before, after: texts of what changes, None where a file is not there."""

    paths: list[str]
    stale: list[str]
    before: dict[str, str | None]
    after: dict[str, str | None]


def path_of(item: dict[str, t.Any]) -> str:
    meta = item["metadata"]
    return f"{item['kind'].lower()}s/{meta['namespace']}.{meta['name']}.yaml".replace("policys/", "policies/")


def texts(objects: t.Sequence[dict[str, t.Any]]) -> dict[str, str]:
    """path -> content, by path."""
    found = {path_of(item): HEAD + base.dumped(json.loads(json.dumps(item))) for item in objects}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(found),
    }
    return {**{path: found[path] for path in sorted(found)}, KUSTOMIZATION: HEAD + base.dumped(kustomization)}


def write(dest: str, objects: t.Sequence[dict[str, t.Any]], prune: bool, check_mode: bool) -> Written:
    """Raises Refusal: foreign_file for a file in the way that we have not written, unreadable, unwritable,
    missing_library."""
    if base.yaml is None:
        raise Refusal("missing_library", "PyYAML is needed where this task runs: pip install pyyaml.")
    folder, wanted = Path(dest), texts(objects)
    old = {path: _read(folder / path) for path in wanted}
    foreign = [str(folder / path) for path, text in old.items() if text is not None and not text.startswith(HEAD)]
    if foreign:
        raise Refusal(
            "foreign_file",
            f"{', '.join(foreign)}: there already, and not written by this module. Choose another folder.",
        )
    known = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.yaml")) if folder.is_dir() else []
    stale = [path for path in known if path not in wanted and (_read(folder / path) or "").startswith(HEAD)]
    before = {path: old[path] for path in wanted if old[path] != wanted[path]}
    after: dict[str, str | None] = {path: wanted[path] for path in before}
    if prune:
        before.update({path: _read(folder / path) for path in stale})
        after.update(dict.fromkeys(stale))
    if not check_mode:
        for path, text in after.items():
            if text is not None:
                replace(folder / path, text)
        for path, text in after.items():
            if text is None:
                os.unlink(folder / path)
    return Written(list(wanted), stale, before, after)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeError) as exc:
        raise Refusal("unreadable", f"{path} can't be read: {exc}. Move it away.") from exc
