# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether traffic can go back to blue: its pods, its certificates, its routes. Pure, over an Inventory.

What is not known to be good is not good: a kind that may not be listed is a reason too.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from . import _virtual_services
from ._gateways import describe_certificate, is_ready
from ._inventory import GatewayPair, Inventory, Object, Workload, named, namespaces_of
from ._objects import ref_of
from ._served import pem_of
from ._servers import narrower
from ._sizes import floor
from ._twin import credentials, title

# What is looked at, each by the kinds that it needs.
ASPECTS = {
    "pods": ("services", "pods", "deployments", "hpas"),
    "certificates": ("services", "pods", "gateways", "secrets"),
    "routes": ("services", "pods", "gateways", "virtual_services"),
}


@dataclasses.dataclass(frozen=True)
class OneSided:
    """A route that only one side serves. side: blue or green; object, field, found: where and what."""

    side: str
    object: str
    field: str
    found: str

    @property
    def text(self) -> str:
        return f"{self.object} {self.field}: {self.found}"


def kinds(aspects: t.Collection[str]) -> tuple[str, ...]:
    """What has to be read for these of ASPECTS."""
    return tuple(dict.fromkeys(kind for aspect in ASPECTS if aspect in aspects for kind in ASPECTS[aspect]))


def reasons(inventory: Inventory, now: datetime.datetime, aspects: t.Collection[str] = tuple(ASPECTS)) -> list[str]:
    """Why blue is not good to go back to, as far as these of ASPECTS tell; empty when it is."""
    found = [f"{where} can't be read: {why}" for where, why in sorted(inventory.unreadable.items())]
    if "pods" in aspects:
        found += [text for workload in inventory.workloads for text in _pods(inventory, workload)]
    if "certificates" in aspects:
        found += [text for pair in inventory.pairs for text in _certificates(inventory, pair, now)]
    if "routes" in aspects:
        green = [route for route in one_sided(inventory) if route.side == "green"]
        found += [f"going back would lose a route: {route.text}" for route in green]
    return list(dict.fromkeys(found))


# -- pods --------------------------------------------------------------------------------------------------------------
def _pods(inventory: Inventory, workload: Workload) -> t.Iterator[str]:
    ready = [
        pod
        for pod in inventory.blue_pods(workload)
        if is_ready(pod) and not pod["metadata"].get("deletionTimestamp")
    ]
    deployment = inventory.blue_deployment(workload)
    needed = max(1, floor(inventory, deployment) if deployment else 1)  # to which the cutover pinned it
    if len(ready) < needed:
        yield f"Service {title(workload.blue)}: {len(ready)} of its pods are ready, {needed} are to be"


# -- certificates ------------------------------------------------------------------------------------------------------
def _certificates(inventory: Inventory, pair: GatewayPair, now: datetime.datetime) -> t.Iterator[str]:
    blue = inventory.find("gateways", pair.blue)
    if blue is None:
        yield f"Gateway {title(pair.blue)} does not exist any more"
        return
    namespace = namespaces_of(pair)[0]
    for credential in credentials(blue.get("spec") or {}):
        secret = inventory.find("secrets", (namespace, credential.name))
        where = f"Secret {namespace}/{credential.name} of {named(blue)}"
        if secret is None:
            if not credential.optional:
                yield f"{where} does not exist, so that no handshake succeeds"
            continue
        if not pem_of(secret):  # an authority's alone: what is served has its own
            continue
        described = describe_certificate(namespace, credential.name, secret)
        if described["error"]:
            yield f"{where}: {described['error']}"
        elif datetime.datetime.fromisoformat(described["not_after"]) < now:
            yield f"{where}: its certificate expired on {described['not_after'][:10]}"


# -- routes ------------------------------------------------------------------------------------------------------------
def one_sided(inventory: Inventory) -> list[OneSided]:
    """What one side serves and the other does not: lists of VirtualServices that name one Gateway of a pair alone, and
    hosts that only one Gateway of a pair takes. A VirtualService that was asked to be left alone may stay blue's."""
    found = []
    for vs in inventory["virtual_services"]:
        lists = {
            field: {_virtual_services.resolve(name, ref_of(vs)[0]) for name in names}
            for field, names in _virtual_services.lists_of(vs).items()
        }
        for pair in inventory.pairs:
            blue, green = title(pair.blue), title(pair.green)
            for field, names in lists.items():
                for side, own, other in (("blue", blue, green), ("green", green, blue)):
                    if own in names and other not in names and not (side == "blue" and _virtual_services.left_alone(vs)):
                        where = _virtual_services.dotted(field)
                        found.append(OneSided(side, named(vs), where, f"names {own} and not {other}"))
            if {blue, green} <= lists.get(_virtual_services.TOP, set()):
                found += _hosts(inventory, pair, vs)
    return list(dict.fromkeys(found))


def _hosts(inventory: Inventory, pair: GatewayPair, vs: Object) -> t.Iterator[OneSided]:
    blue, green = inventory.find("gateways", pair.blue), inventory.find("gateways", pair.green)
    if not blue or not green:
        return
    for host in (vs.get("spec") or {}).get("hosts") or ():
        takes = {"blue": _takes(blue, host), "green": _takes(green, host)}
        if takes["blue"] != takes["green"]:
            side, other = ("blue", green) if takes["blue"] else ("green", blue)
            yield OneSided(side, named(vs), "spec.hosts", f"{host} is no host of {named(other)}")


def _takes(gateway: Object, host: str) -> bool:
    """Whether one of its servers is for this host; the namespace that a server's host may be for is looked at
    elsewhere."""
    for server in (gateway.get("spec") or {}).get("servers") or ():
        for entry in server.get("hosts") or ():
            wide = entry.rpartition("/")[2]
            if wide in ("*", host) or narrower(host, wide) or host == "*" or narrower(wide, host):
                return True
    return False
