# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the objects that are kept for blue go when it goes, and with which Helm releases. Pure.

Blue's owners are those of its Services. What belongs to others (an application's own Gateway on blue's pods), and what
more than blue needs, is left.
"""

from __future__ import annotations

import typing as t

from .owners import argo_cd, flux_kustomization

Item = dict[str, t.Any]
SOURCES = (flux_kustomization.NAME, argo_cd.NAME)  # those that no longer have an object leave it in the cluster


def going(items: t.Sequence[Item], services: t.Collection[str], migration: str | None) -> tuple[list[Item], list[Item]]:
    """(releases, items that go). items: as resource_keep_info's owners; services: blue's, NAMESPACE/NAME; migration:
    what has kept them, None before that.

    An item goes that is of such a release, or was of one that is gone by now; and one without a release that is in the
    namespace of blue's Services, and of the Kustomization or Application that they are of. What another migration keeps
    does not, unless the release takes it anyway.
    """
    own = [item for item in items if item["kind"] == "Service" and f"{item['namespace']}/{item['name']}" in services]
    releases: list[Item] = []
    for item in own:
        if item["owner"] and item["owner"]["storage"] and item["owner"] not in releases:
            releases.append(item["owner"])
    spaces = {service.partition("/")[0] for service in services}
    # A run that was killed may have removed the Services, and not all else.
    told = own or [item for item in items if item["namespace"] in spaces]
    sources = {name for item in told for name in _sources(item)}

    def goes(item: Item) -> bool:
        keeper = item["kept_by"]
        if item["shared"]:
            return False
        if item["owner"]:
            of_one_gone = not item["owner"]["storage"] and keeper is not None and keeper == migration
            return item["owner"] in releases or of_one_gone
        return keeper in (None, migration) and item["namespace"] in spaces and bool(sources & _sources(item))

    return releases, [item for item in items if goes(item)]


def _sources(item: Item) -> set[str]:
    return {claim["name"] for claim in item["claims"] if claim["owner"] in SOURCES}
