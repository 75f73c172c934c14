# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which an Ingress controller tries the paths of a host, written as a list of which the first match
counts.

ingress-nginx makes locations of paths, and nginx decides: an exact location, else the longest prefix. If any path of a
host is a regular expression, or is rewritten, then every path of that host becomes a regular expression which has to
match the beginning, ignores case, and is tried by length, the longest first (internal/ingress/controller/location.go,
template.go buildLocation and enforceRegexModifier, and getBackendServers, which sorts).

Istio tries the routes of a VirtualService in the order in which they are written.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._inventory import ERROR, WARNING, Finding
from .._routes import usable
from ._model import ANY, EXACT, PREFIX, SPECIFIC, Object, Route, Target, World

SPECIAL = re.compile(r"[][\\.^$*+?{}()|]")


@dataclasses.dataclass(frozen=True)
class Location:
    """kind: exact, prefix (of the string, not of path elements) or regex (a beginning, ignoring case)."""

    kind: str
    value: str
    route: Route

    @property
    def pattern(self) -> str:
        """The regular expression that matches whole paths of which `value` matches the beginning.

        A `|` outside of parentheses ends nginx's `^` with its first branch: the others may match anywhere.
        """
        return f".*(?:^{self.value}).*" if branches(self.value) else f"{self.value}.*"

    def takes(self, path: str) -> bool:
        if self.kind == "exact":
            return path == self.value
        if self.kind == "prefix":
            return path.startswith(self.value)
        return re.fullmatch(f"(?i){self.pattern}", path) is not None

    def uri(self) -> Object:
        """As Istio matches it: fields of an HTTPMatchRequest."""
        if self.value == "/" and self.kind != "exact":
            return {"uri": {"prefix": "/"}}
        if self.kind != "regex":
            return {"uri": {self.kind: self.value}}
        if not SPECIAL.search(self.value):
            return {"uri": {"prefix": self.value}, "ignoreUriCase": True}
        return {"uri": {"regex": f"(?i){self.pattern}"}}

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


@dataclasses.dataclass
class Table:
    """The routes of one host on one Gateway. secret: of its certificate, as (namespace, name) of where it is now, None
    without TLS; regex: all of its paths are regular expressions."""

    target: Target
    host: str
    locations: list[Location]
    regex: bool
    aliases: list[str] = dataclasses.field(default_factory=list)
    secret: tuple[str, str] | None = None

    @property
    def hosts(self) -> list[str]:
        return [self.host, *sorted(self.aliases)]

    def find(self, path: str) -> Location | None:
        """The location that answers for a path."""
        return next((location for location in self.locations if location.takes(path)), None)

    def https(self, route: Route) -> bool:
        """Whether plain HTTP for this route is redirected: if not said, where the host has a certificate."""
        if route.instead:
            return False
        return bool(self.secret) if route.https is None else route.https


def branches(pattern: str) -> bool:
    """Whether a regular expression has a `|` outside of parentheses and brackets."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)
    depth = 0
    for char in bare:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "|" and depth == 0:
            return True
    return False


def locations_of(
    routes: t.Sequence[Route], note: t.Callable[[Finding], None] = lambda _finding: None
) -> tuple[list[Location], bool]:
    """(locations in the order in which they are tried, whether the host is one of regular expressions).

    routes: of one host, those of the oldest Ingress first, which has a path that several claim. note: is told of
    routes that never answer.
    """
    regex = any(route.regex or route.rewrites for route in routes)
    own: dict[tuple[str, bool, str], Route] = {}
    for route in sorted(routes, key=lambda route: (not route.first, route.fallback)):
        exact = route.path_type == EXACT
        # "/" is one location whatever its type; of other paths the type makes a second one.
        key = (route.path, exact, "" if exact or route.path == "/" else route.path_type)
        if key not in own:
            own[key] = route
        elif not route.fallback:
            note(_duplicate(route, own[key]))
    kept = list(own.values())
    return (_by_length(kept, note), True) if regex else (_by_kind(kept, note), False)


def _by_kind(routes: t.Sequence[Route], note: t.Callable[[Finding], None]) -> list[Location]:
    """Exact ones, then prefixes, the longest first.

    An exact path that comes with a prefix stands beside it: no longer prefix can match it.
    """
    found = [Location("exact", route.path, route) for route in routes if route.path_type == EXACT]
    found.sort(key=lambda location: (not location.route.first, location.value))
    exact = {location.value for location in found}
    taken: dict[str, Route] = {}
    units: list[list[Location]] = []
    # What is for whole elements says more than what is for any beginning.
    for route in sorted(routes, key=lambda route: route.path_type != PREFIX):
        if route.path_type == EXACT:
            continue
        path, bare = route.path, route.path.rstrip("/")
        value = path if route.path_type == SPECIFIC or path == "/" else f"{bare}/"
        if value in taken:
            note(_duplicate(route, taken[value]))
            continue
        taken[value] = route
        unit = [Location("prefix", value, route)]
        if bare and value.endswith("/") and bare not in exact:
            exact.add(bare)
            alone = (
                route if route.path_type == PREFIX else dataclasses.replace(route, instead=_slash(value), backend=None)
            )
            unit.insert(0, Location("exact", bare, alone))
        units.append(unit)
    units.sort(key=lambda unit: (-len(unit[-1].value), unit[-1].value))
    return [*found, *(location for unit in units for location in unit)]


def _slash(path: str) -> Object:
    """nginx sends clients that leave out the slash at the end to the path with it."""
    return {"redirect": {"uri": path, "redirectCode": 301}}


def _by_length(routes: t.Sequence[Route], note: t.Callable[[Finding], None]) -> list[Location]:
    first = [Location("exact", route.path, route) for route in routes if route.first]
    exact = {route.path for route in routes if route.path_type == EXACT and not route.first}
    found: list[Location] = []
    for route in routes:
        if route.first:
            continue
        why = usable(route.path)
        if why:
            note(
                Finding(
                    "regex_unsupported", ERROR, f"Ingress {route.source.key}", f"{route.field}.path",
                    f"{route.path!r}: {why}", "Write it without that; until then this path is left out.",
                )
            )  # fmt: skip
            continue
        if route.path_type == PREFIX and route.path != "/" and not (route.regex or route.rewrites):
            found.append(Location("regex", route.path.rstrip("/") + "/", route))
            if route.path in exact:
                continue
        found.append(Location("regex", route.path, route))
    found.sort(key=lambda location: location.value, reverse=True)
    found.sort(key=lambda location: -len(location.value))
    return [*first, *found]


def _duplicate(route: Route, winner: Route) -> Finding:
    return Finding(
        "path_duplicate", WARNING, f"Ingress {route.source.key}", f"{route.field}.path",
        f"{route.host}{route.path}: {winner.source.key} {winner.field} has it, and this never answers",
        "Remove it, or give it a path of its own.",
    )  # fmt: skip


def tables(world: World) -> list[Table]:
    """Every host on every Gateway, by Gateway and host."""
    by_host: dict[tuple[str, str], list[Route]] = {}
    targets = {}
    for source in world.sources:
        if source.canary or source.passthrough:
            continue
        targets[source.target.name] = source.target
        for route in source.routes:
            by_host.setdefault((source.target.name, route.host), []).append(route)
    aliases: dict[tuple[str, str], list[str]] = {}
    for (gateway, alias), host in world.aliases.items():
        aliases.setdefault((gateway, host), []).append(alias)
    found = []
    for (gateway, host), routes in sorted(
        by_host.items(), key=lambda entry: (entry[0][0], entry[0][1] == ANY, entry[0][1])
    ):
        locations, regex = locations_of(routes, world.findings.append)
        found.append(Table(targets[gateway], host, locations, regex, aliases.get((gateway, host), [])))
    return found
