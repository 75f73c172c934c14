# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the objects that are kept for blue go when it goes, and with which Helm releases. Pure.

Blue's owners are those of its Services. What belongs to others (an application's own Gateway on blue's pods), and what
more than blue needs, is left.

So is an IstioOperator, as it has istiod or other gateways as well; its operator is set in motion again, and goes on
with what its spec says. It goes where it has nothing left to do: no operator is there that somebody wants, and no workload
stays that it alone has made. That is Big Bang's old one, once Big Bang has deployed green. Then its Helm release goes,
with the Gateways in it, and that of the operator.
"""

from __future__ import annotations

import typing as t

from ._keep_target import RECORD_REASONS
from .owners import argo_cd, flux_kustomization, istio_operator

Item = dict[str, t.Any]
# Those that no longer have an object leave it in the cluster, or are held still.
SOURCES = (flux_kustomization.NAME, argo_cd.NAME, istio_operator.NAME)
UNKNOWN: dict[str, t.Any] = {"made": {}, "at_work": True, "left": []}
WORKLOADS = ("Deployment", "DaemonSet")


def going(
    items: t.Sequence[Item], services: t.Collection[str], migration: str | None, rest: dict[str, t.Any] | None = None
) -> tuple[list[Item], list[Item], set[str]]:
    """(releases, items that go, IstioOperators that go). items: as resource_keep_info's owners; services: blue's,
    NAMESPACE/NAME; migration: what has kept them, None before that; rest: as istio_operator.rest() has it.

    An item goes that is of such a release, or was of one that is gone by now or has it no more; and one without a
    release that is in the namespace of blue's Services, and of the Kustomization, Application or IstioOperator that
    they are of. What another migration keeps does not, unless the release takes it anyway.
    """
    rest = rest or UNKNOWN
    own = [item for item in items if item["kind"] == "Service" and f"{item['namespace']}/{item['name']}" in services]
    releases: list[Item] = []
    for item in own:
        if _stored(item) and item["owner"] not in releases:
            releases.append(item["owner"])
    spaces = {service.partition("/")[0] for service in services}
    # A run that was killed may have removed the Services, and not all else.
    told = own or [item for item in items if item["namespace"] in spaces]
    sources = {name for item in told for name in _sources(item)}

    def goes(item: Item) -> bool:
        keeper = item["kept_by"]
        if _name(item) in ended:
            return keeper in (None, migration)
        if item["shared"]:
            return False
        if item["owner"]:
            of_none = not _stored(item) and keeper is not None and keeper == migration
            return item["owner"] in releases or of_none
        return keeper in (None, migration) and item["namespace"] in spaces and bool(sources & _sources(item))

    ended: set[str] = set()
    leaving = {f"{item['namespace']}/{item['name']}" for item in items if item["kind"] in WORKLOADS and goes(item)}
    there = {_name(item) for item in items}
    if not rest["at_work"]:
        ended = {name for name in sources & there if leaving >= set(rest["made"].get(name, ()))}
    for release in [item["owner"] for item in items if _name(item) in ended and _stored(item)] + rest["left"]:
        if ended and release not in releases:
            releases.append(release)
    return releases, [item for item in items if goes(item)], ended


def _name(item: Item) -> str:
    """As its claims on others name it."""
    return f"{item['kind']} {item['namespace']}/{item['name']}" if item["kind"] == "IstioOperator" else ""


def _stored(item: Item) -> bool:
    """Whether a Helm release has it that is there."""
    gone = item.get("record_reason") == RECORD_REASONS["not_in_manifest"]
    return bool(item["owner"] and item["owner"]["storage"]) and not gone


def _sources(item: Item) -> set[str]:
    return {claim["name"] for claim in item["claims"] if claim["owner"] in SOURCES}
