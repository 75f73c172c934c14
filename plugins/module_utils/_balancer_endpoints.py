# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where clients of blue and of green are sent, by what the cluster says of their load balancers. Asks nobody.

Endpoints are what the modules of DNS take: a list of {"blue": [...], "green": [...]}, each addresses or one name. What
records were moved by is held: what the cluster says later is compared with it, and never followed.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ._dns import COLOURS
from ._ingresses import class_of
from ._module import Refusal
from ._objects import Object, key_of

FIELD = "status.loadBalancer.ingress"
# Steps of the journal that hold what records were moved by.
OPS = frozenset(("dns_ttl", "dns_records", "route53_ttl", "route53_records"))
Endpoint = dict[str, t.Any]
Values = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a workload. object: where it was read; values: its addresses, or its one name, sorted; empty where
    there is none, and then found says what there is instead. gone: its Service is."""

    object: str
    values: Values
    found: str
    gone: bool = False

    def told(self, expected: str) -> str:
        return f"{self.object}, {FIELD}: found {self.found}, expected {expected}"


Pair = dict[str, Side]  # by colour


# -- what is there -----------------------------------------------------------------------------------------------------
def address_of(value: str) -> str | None:
    """One way to write an address; None of a name."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return None


def plain(value: str) -> str:
    """One way to write an address or a name."""
    return address_of(value) or value.lower().removesuffix(".")


def plain_values(values: t.Iterable[str]) -> Values:
    return tuple(sorted({plain(value) for value in values}))


def published(body: Object) -> Values:
    """What a Service or an Ingress has in its status: of each entry its address, else its name."""
    entries = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return plain_values(value for entry in entries if (value := entry.get("ip") or entry.get("hostname")))


def side_of(ref: str, service: Object | None, classes: t.Collection[str], ingresses: t.Iterable[Object]) -> Side:
    """By the Service, else by the Ingresses of these classes, if it is the Service of their controller: where nothing
    gives the Service an address, the controller tells it in their status alone."""
    where = f"Service {ref}"
    if service is None:
        return Side(where, (), "no such Service", gone=True)
    own = published(service)
    if own or not classes:
        return _side(where, own)
    by: dict[Values, str] = {}
    for ingress in sorted(ingresses, key=key_of):
        theirs = published(ingress)
        if theirs and class_of(ingress) in classes:
            by.setdefault(theirs, key_of(ingress))
    names = ", ".join(sorted(classes))
    if not by:
        return Side(where, (), f"no address, and none at an Ingress of class {names}")
    if len(by) > 1:
        told = ", ".join(f"{' '.join(values)} at {key}" for values, key in by.items())
        return Side(f"Ingresses of class {names}", (), told)
    values, key = next(iter(by.items()))
    return _side(f"Ingress {key}", values)


def _side(where: str, values: Values) -> Side:
    """A record holds addresses, or one name."""
    told = " ".join(values) or "no address"
    fits = len(values) == 1 or all(map(address_of, values))
    return Side(where, values if fits else (), told)


def needs_ingresses(services: t.Mapping[str, Object | None], pairs: t.Iterable[tuple[str, t.Collection[str]]]) -> bool:
    """Whether a Service that Ingresses can answer for has no address. pairs: (NAMESPACE/NAME, classes)."""
    return any(
        classes and (service := services.get(ref)) is not None and not published(service) for ref, classes in pairs
    )


# -- what follows ------------------------------------------------------------------------------------------------------
def endpoints_of(pairs: t.Sequence[Pair], missing: str = "refuse") -> list[Endpoint]:
    """Read for the first time. missing: skip returns none where a side has no address.

    Raises Refusal address_unknown."""
    wrong = [side.told("addresses, or one name") for pair in pairs for side in pair.values() if not side.values]
    if wrong and missing == "skip":
        return []
    if wrong:
        raise Refusal(
            "address_unknown",
            f"mesh_balancer.endpoints is not set, and can't be read: {'; '.join(wrong)}. Nothing was changed. Wait"
            " until the load balancer has its address, or set mesh_balancer.endpoints.",
            addresses=wrong,
        )
    found = [{colour: list(pair[colour].values) for colour in COLOURS} for pair in pairs]
    return [one for index, one in enumerate(found) if one not in found[:index]]  # Services may share both addresses


def held(pairs: t.Sequence[Pair], known: t.Sequence[Endpoint], unmoved: t.Collection[str]) -> list[str]:
    """What has changed since, in words, but for a Service that is gone. unmoved: the sides of which that is refused.

    Raises Refusal foreign_change."""
    sides = [{colour: plain_values(one[colour]) for colour in COLOURS} for one in known]
    moved: list[tuple[str, Side, str]] = []
    for pair in pairs:
        off = [colour for colour in COLOURS if pair[colour].values not in [one[colour] for one in sides]]
        if not off and {colour: pair[colour].values for colour in COLOURS} not in sides:
            off = list(COLOURS)  # each is one of the known, but not with the other
        for colour in off:
            expected = " or ".join(dict.fromkeys(" ".join(one[colour]) for one in sides))
            moved.append((colour, pair[colour], pair[colour].told(f"{colour}'s {expected}, as records were moved by")))
    refused = [text for colour, _side_, text in moved if colour in unmoved]
    if refused:
        raise Refusal(
            "foreign_change",
            f"An address has changed: {'; '.join(refused)}. Nothing was changed. Give it that address again; or set its"
            " records right by hand, and say in mesh_balancer.endpoints where both sides are.",
            addresses=refused,
        )
    return [text for _colour, side, text in moved if not side.gone]


def recorded(inverse: t.Mapping[str, t.Any]) -> list[Endpoint]:
    """What records were moved by, as a step of one of OPS has it."""
    return [{key: value for key, value in one.items() if value} for one in inverse["params"].get("endpoints") or ()]
