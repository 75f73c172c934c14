# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owners in the cluster are asked by: each object and each list at most once in a run, of whatever version."""

from __future__ import annotations

import copy
import typing as t

from ._client import ApiError, Cluster, path_of
from ._helm_storage import Storage
from ._resources import group_of


class Look:
    """storage: Helm's records, None where they are not to be looked at. flux_method: how a HelmRelease is dealt with.
    note: where warnings go."""

    def __init__(
        self, cluster: Cluster, storage: Storage | None, flux_method: str, note: t.Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self.storage = storage
        self.flux_method = flux_method
        self.note = note
        self._found: dict[tuple[str, ...], dict[str, t.Any] | None] = {}
        self._lists: dict[tuple[str, ...], list[dict[str, t.Any]]] = {}
        self.refused: set[str] = set()  # plurals that may not be listed: there may be some

    def without_storage(self) -> Look:
        """The same, for targets of which is known already what Helm's records say. What was read is not read again."""
        other = copy.copy(self)
        other.storage = None
        return other

    def find(self, versions: t.Sequence[str], plural: str, namespace: str | None, name: str) -> dict[str, t.Any] | None:
        """An object by the first of these versions that the API server has it in; None where it is not."""
        key = (plural, namespace or "", name)
        if key not in self._found:
            paths = (path_of(version, plural, namespace, name) for version in versions)
            self._found[key] = next((body for path in paths if (body := self._cluster.find(path))), None)
        return self._found[key]

    def list(self, versions: t.Sequence[str], plural: str, namespace: str | None = None, selector: str = "",
             ) -> list[dict[str, t.Any]]:  # fmt: skip
        """Every object of a kind; none where the API server does not have it. One that may not be listed is a warning:
        not every cluster has this owner, and not everybody may ask."""
        key = (plural, namespace or "", selector)
        if key not in self._lists:
            self._lists[key] = self._list(versions, plural, namespace, selector)
        return self._lists[key]

    def _list(
        self, versions: t.Sequence[str], plural: str, namespace: str | None, selector: str
    ) -> list[dict[str, t.Any]]:
        for version in versions:
            try:
                query = {"labelSelector": selector} if selector else None
                return self._cluster.list(path_of(version, plural, namespace), query)
            except ApiError as exc:
                if exc.status == 403:
                    self.refused.add(plural)
                    where = f"{plural}.{group_of(version)}".rstrip(".")
                    self.note(f"{where} may not be listed, so owners of that kind are not looked for: {exc.explain()}")
                    return []
                if exc.status != 404:
                    raise
        return []
