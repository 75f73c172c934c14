# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving fields back to who applied them, after a write of ours took them. Whose they are: _field_owners."""

from __future__ import annotations

import typing as t

from . import _field_owners
from ._client import FIELD_MANAGER, ApiError, Cluster


def give_back(
    cluster: Cluster, path: str, appliers: t.Sequence[dict[str, t.Any]], body: dict[str, t.Any] | None, tries: int
) -> str:  # fmt: skip
    """Makes the appliers owners again; else their next apply would fail with a conflict.

    body: the object after our write, None where it is gone; tries: each after a fresh read, where others wrote it
    meanwhile. Returns why it could not be done, in words that go on a sentence, or ''.
    """
    refusal = "others kept changing it"
    for _attempt in range(tries):
        managed = _field_owners.given_back(appliers, body, FIELD_MANAGER) if body else None
        if not body or managed is None:
            return ""
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]}
        restore = {"op": "replace", "path": "/metadata/managedFields", "value": managed}
        try:
            cluster.patch(path, [guard, restore], "json")
            return ""
        except ApiError as exc:
            if exc.status not in (404, 409):
                refusal = str(exc)
                break
        body = cluster.find(path)
    owners = ", ".join(sorted({entry.get("manager", "?") for entry in appliers}))
    return f"fields could not be given back to {owners}, whose next apply will conflict: {refusal}"
