# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts overrides into a folder: what is there already stays, and a component goes on listing what it has listed."""

from __future__ import annotations

import os
import tempfile
import typing as t
from pathlib import Path, PurePosixPath

from ._module import Refusal
from .sources import base

COMPONENT = "kustomization.yaml"


def write(dest: str, files: t.Sequence[dict[str, t.Any]], check_mode: bool) -> dict[str, t.Any]:
    """What the module returns. Raises Refusal: bad_option for a path that leads out of the folder, unwritable, missing_library."""
    if base.yaml is None:
        raise Refusal("missing_library", "PyYAML is needed where this task runs: pip install pyyaml.")
    folder = Path(dest)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for file in files:
        path = PurePosixPath(file["path"])
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise Refusal("bad_option", f"overrides: {file['path']!r} is not a path in the folder {dest}.")
        try:
            old = (folder / path).read_text(encoding="utf-8") if (folder / path).exists() else None
        except (OSError, UnicodeError) as exc:
            raise Refusal("unreadable", f"{folder / path} can't be read: {exc}. Move it away.") from exc
        new = with_earlier(file["content"], old) if path.name == COMPONENT and old else file["content"]
        if new != old:
            before[file["path"]], after[file["path"]] = old or "", new
    if not check_mode:
        for name, content in after.items():
            replace(folder / name, content)
    return {
        "changed": bool(after),
        "files": [file["path"] for file in files],
        "diff": [{"before_header": n, "after_header": n, "before": before[n], "after": after[n]} for n in after],
    }


def with_earlier(new: str, old: str) -> str:
    """A component with the patches of an earlier one that it does not list, in the order of their names."""
    try:
        earlier = base.parsed(old)
    except ValueError:
        return new
    header, _dashes, body = new.partition("---\n")
    content = base.parsed(body)
    if not isinstance(earlier, dict) or not isinstance(earlier.get("patches"), list):
        return new
    patches = {patch["path"]: patch for patch in [*earlier["patches"], *content["patches"]]}
    if (
        list(patches) == [patch["path"] for patch in earlier["patches"]]
        and list(patches.values()) == earlier["patches"]
    ):
        return old
    return f"{header}---\n{base.dumped({**content, 'patches': list(patches.values())})}"


def replace(path: Path, content: str) -> None:
    """As a whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".override-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise Refusal("unwritable", f"{path} can't be written: {exc}. Choose another folder.") from exc
