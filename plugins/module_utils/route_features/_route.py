# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One route on its way from a VirtualService to an Ingress, and what is said about its fields."""

from __future__ import annotations

import dataclasses
import typing as t

from .._inventory import full_host, service_of
from .._objects import Object
from ..ingress_dialects import Cannot, Dialect, Words

TRANSLATED, NOT_NEEDED, NOT_TRANSLATED = "translated", "not_needed", "not_translated"
BLOCKING = frozenset({NOT_TRANSLATED})
Ref = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Known:
    """What of the cluster a route is looked up in, by (namespace, name) or as a list."""

    services: dict[Ref, Object]
    destination_rules: list[Object]


@dataclasses.dataclass
class Target:
    """Where requests go: a Service and its port. selector: of a subset, for which a Service of ours is made."""

    service: Ref
    port: int
    protocol: str
    percent: int = 100
    selector: dict[str, str] | None = None
    subset: str = ""


@dataclasses.dataclass
class Route:
    """host: as clients ask for it. match: None for all. action: the HTTPRoute. namespace: for its short names. path,
    kind: prefix, exact. tls: whether the host has a certificate; to_https: it only redirects to HTTPS. beside: the
    header that its Ingress goes by, with the same path as another.

    said: field -> (verdict, why).
    """

    host: str
    virtual_service: str
    label: str
    match: Object | None
    action: Object
    namespace: str
    dialect: Dialect
    known: Known
    tls: bool = False
    to_https: bool = False
    path: str = "/"
    kind: str = "prefix"
    targets: list[Target] = dataclasses.field(default_factory=list)
    beside: tuple[str, str] | None = None
    words: list[Words] = dataclasses.field(default_factory=list)
    said: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)

    def fields(self) -> set[str]:
        """Every field of the route that has a value, of its match as match.NAME."""
        own = {name for name, value in self.action.items() if name != "match" and value not in (None, [], {}, "")}
        return own | {
            f"match.{name}" for name, value in (self.match or {}).items() if value not in (None, [], {}, "", False)
        }

    def has(self, field: str) -> t.Any:
        """The value of a field, None where it is not there."""
        source = (self.match or {}) if field.startswith("match.") else self.action
        return source.get(field.removeprefix("match.")) or None

    def say(self, field: str, verdict: str, why: str = "") -> None:
        """The worst that is said of a field stands."""
        order = (NOT_NEEDED, TRANSLATED, NOT_TRANSLATED)
        have = self.said.get(field)
        if have is None or order.index(verdict) > order.index(have[0]):
            self.said[field] = (verdict, why)
        elif have[0] == verdict and why and why not in have[1]:
            self.said[field] = (verdict, "; ".join(filter(None, (have[1], why))))

    def refuse(self, field: str, why: str) -> None:
        self.say(field, NOT_TRANSLATED, why)

    def use(self, field: str, words: t.Callable[[], Words]) -> Words | None:
        """Takes what the dialect says, or says that it can't."""
        try:
            answer = words()
        except Cannot as exc:
            self.refuse(field, str(exc))
            return None
        self.words.append(answer)
        self.say(field, TRANSLATED, answer.differs)
        return answer

    def service(self, host: str) -> Ref | None:
        """The Service that a destination's host means, None for a name outside the cluster."""
        return service_of(full_host(host, self.namespace))


def duration(text: str) -> float:
    """Seconds of a protobuf duration: 1.5s, 300ms, 1m30s, 2h. Raises ValueError."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
    rest, total = text.strip(), 0.0
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = next((u for u in ("ms", "us", "ns", "h", "m", "s") if rest[digits:].startswith(u)), "")
        if not digits or not unit:
            raise ValueError(f"{text!r} is no duration")
        total += float(rest[:digits]) * units[unit]
        rest = rest[digits + len(unit) :]
    return total
