# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of VirtualServices that share one host between subsets by weight, and by header or cookie. Pure.

An HTTP route that sends to the host gets one destination for each subset, with weights, in the place of its own; all
else of it stays. Before it stand copies of it for the matches, with its own conditions and one more: they take what it
would have taken, and nothing besides. What the route had is noted in an annotation, by its place among the routes that
are not ours, so that it can be given back to the letter.

A copy may also be a scout: it is matched by a header that nobody else sends, and says in the answer which write of ours
it is of. A proxy takes a virtual host as a whole (RDS), so where a scout answers, all of that write is in force, and
the cluster behind its subset is there (CDS).

Rules of Istio (1.31): a host without a dot is of the object's own namespace (pkg/config/resource names,
ResolveShortnameToFQDN); routes are tried in their order, and the first that matches takes the request; what stands
behind a route that takes everything is never reached.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
import typing as t

from . import _routes
from ._module import Refusal
from ._objects import annotations_of, key_of

Object = dict[str, t.Any]
PREFIX = "bluegreen-canary-"  # of the names of routes that we add, and of objects that we make
NOTE = "bluegreen.mesh/canary"  # annotation: {host: {place: its `route` as it was}}
HEADER = "x-bluegreen-canary"  # of a scout: WRITE.SUBSET in the request, WRITE in the answer
NOT_FOR_SCOUTS = ("mirror", "mirrors", "mirrorPercent", "mirrorPercentage", "fault")
HOWS = ("exact", "prefix", "regex")  # Istio's StringMatch; a regex is one of RE2, and fits the whole value
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110: a header's name; RFC 6265: a cookie's


@dataclasses.dataclass(frozen=True)
class Match:
    """A request that goes to a subset whatever the weights say. kind: header or cookie; how: of HOWS, what `value` is
    of the header's; a cookie's is always exact."""

    subset: str
    kind: str
    name: str
    value: str
    how: str = "exact"

    def headers(self) -> dict[str, t.Any]:
        if self.kind == "header":
            return {self.name.lower(): {self.how: self.value}}
        # One pair among others (RFC 6265, 4.2.1): NAME=VALUE, with "; " between them.
        return {"cookie": {"regex": rf"^(.*;\s*)?{re.escape(self.name)}={re.escape(self.value)}(;.*)?$"}}

    def takes_all_of(self, later: Match) -> bool:
        """Whether no request of `later` is left behind this one, as far as that can be told: of what a regular
        expression lets in only exact values are known."""
        if self.headers().keys() != later.headers().keys() or (self.kind == "cookie" and self.name != later.name):
            return False
        if later.how == "exact":
            return _routes.string_matches({self.how: self.value}, later.value)
        if self.how == later.how == "prefix":
            return later.value.startswith(self.value)
        return (self.how, self.value) == (later.how, later.value)


@dataclasses.dataclass(frozen=True)
class Target:
    """What is shared. host: in full; namespace: where it is; subsets: name -> labels, the stable one first."""

    host: str
    namespace: str
    subsets: dict[str, dict[str, str]]
    domain: str = "cluster.local"

    @property
    def stable(self) -> str:
        return next(iter(self.subsets))

    @property
    def mark(self) -> str:
        """In the names of this host's routes, since a VirtualService may have several such hosts."""
        return f"{PREFIX}{hashlib.sha256(self.host.encode()).hexdigest()[:6]}-"

    def is_host(self, host: str, namespace: str) -> bool:
        """Whether an object in `namespace` means this host by that name."""
        return full_host(host, namespace, self.domain) == self.host


@dataclasses.dataclass(frozen=True)
class Share:
    """Who gets what. weights: whole percentages by subset; matches: in their order; marker: of this write, or ''."""

    weights: dict[str, int]
    matches: tuple[Match, ...] = ()
    marker: str = ""


def full_host(host: str, namespace: str, domain: str) -> str:
    return host.lower() if "." in host or host.startswith("*") else f"{host.lower()}.{namespace}.svc.{domain}"


def check_share(share: Share, subsets: t.Container[str]) -> None:
    """Raises Refusal (bad_weights, bad_match)."""
    unknown = [name for name in share.weights if name not in subsets]
    if unknown:
        raise Refusal("bad_weights", f"weights: {', '.join(unknown)} is no name of subsets.")
    total = sum(share.weights.values())
    if total != 100 or any(weight < 0 for weight in share.weights.values()):
        raise Refusal(
            "bad_weights", f"weights: found {share.weights}, which add up to {total}; expected 100, none below 0."
        )
    for number, match in enumerate(share.matches):
        where = f"match[{number}]"
        if match.subset not in subsets:
            raise Refusal("bad_match", f"{where}.subset: {match.subset} is no name of subsets.")
        if not TOKEN.fullmatch(match.name) or not match.value:
            raise Refusal("bad_match", f"{where}.{match.kind}: {match.name!r} with {match.value!r} is no {match.kind}.")
        if match.kind == "header" and match.name.lower() in (HEADER, "cookie"):
            other = "a cookie is matched by match[].cookie" if match.name.lower() == "cookie" else "that one is ours"
            raise Refusal("bad_match", f"{where}.header: found {match.name}; {other}.")
        why = _routes.usable(match.value) if match.how == "regex" else ""
        if why:
            raise Refusal("bad_match", f"{where}.{match.kind}.regex: found {match.value!r}; {why}.")
        for before, earlier in enumerate(share.matches[:number]):
            if earlier.subset != match.subset and earlier.takes_all_of(match):
                raise Refusal(
                    "bad_match",
                    f"{where} is never reached: match[{before}] before it sends every such request to"
                    f" {earlier.subset}. Put the narrower one first, or take one away.",
                )


def marker_of(uid: str, share: Share, state: str) -> str:
    """Of one content, and not to be guessed by who does not know the UID: whoever sends it is sent to a subset."""
    said = json.dumps([uid, state, share.weights, [dataclasses.astuple(match) for match in share.matches]])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


# -- destinations ------------------------------------------------------------------------------------------------------
def sends_to(destination: Object, target: Target, namespace: str) -> bool:
    return target.is_host((destination.get("destination") or {}).get("host") or "", namespace)


def subset_of(destination: Object) -> str:
    return destination["destination"].get("subset") or ""


def taken(destinations: t.Sequence[Object], target: Target, namespace: str) -> list[int]:
    """Places of the destinations that are shared; empty where the route is not concerned: it does not send to the host,
    or only to a subset that it asks for by name."""
    own = [i for i, one in enumerate(destinations) if sends_to(one, target, namespace)]
    own = [i for i in own if subset_of(destinations[i]) in ("", *target.subsets)]
    return own if any(subset_of(destinations[i]) in ("", target.stable) for i in own) else []


def apportion(share: int, weights: dict[str, int]) -> dict[str, int]:
    """Whole parts of `share` by percentages, by largest remainder."""
    exact = {name: share * weight for name, weight in weights.items()}
    parts = {name: value // 100 for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: -(exact[name] % 100))
    for name in by_remainder[: share - sum(parts.values())]:
        parts[name] += 1
    return parts


def divided(destinations: t.Sequence[Object], target: Target, namespace: str, weights: dict[str, int]) -> list[Object]:
    """A route's destinations with the host's shared by subset: always one for each, so that it can be told what is
    ours.

    Raises Refusal bad_sum (several destinations that do not add up to 100), too_fine (a subset would get nothing of
    it).
    """
    own = taken(destinations, target, namespace)
    share = 100 if len(destinations) == 1 else sum(destinations[i].get("weight") or 0 for i in own)
    total = 100 if len(destinations) == 1 else sum(one.get("weight") or 0 for one in destinations)
    if total != 100:
        raise Refusal("bad_sum", f"the weights of its destinations add up to {total}; expected 100")
    full = {name: weights.get(name, 0) for name in target.subsets}
    parts = apportion(share, full)
    lost = [name for name, weight in full.items() if weight and share and not parts[name]]
    if lost:
        raise Refusal(
            "too_fine",
            f"{full[lost[0]]} % of the {share} % that go to {target.host} is less than one percent of its route",
        )
    first = destinations[own[0]]
    shared = [
        {**first, "destination": {**first["destination"], "subset": name}, "weight": parts[name]}
        for name in target.subsets
    ]
    found: list[Object] = []
    for i, one in enumerate(destinations):
        if i == own[0]:
            found += shared
        elif i not in own:
            found.append(one)
    return found


def weights_in(destinations: t.Sequence[Object], target: Target, namespace: str) -> dict[str, int] | None:
    """The percentages, where it looks as divided() writes it; else None."""
    own = [one for one in destinations if sends_to(one, target, namespace)]
    if [subset_of(one) for one in own] != list(target.subsets) or any("weight" not in one for one in own):
        return None
    share = sum(one["weight"] for one in own)
    return apportion(100, {subset_of(one): one["weight"] for one in own}) if share == 100 else {
        subset_of(one): round(100 * one["weight"] / share) if share else 0 for one in own
    }  # fmt: skip


# -- routes ------------------------------------------------------------------------------------------------------------
def noted(vs: Object) -> dict[str, dict[str, list[Object]]]:
    """What its routes had, by host and place. A note that is not ours to read is none."""
    try:
        note = json.loads(annotations_of(vs).get(NOTE) or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def is_ours(route: Object, mark: str = PREFIX) -> bool:
    return (route.get("name") or "").startswith(mark)


def http_of(vs: Object) -> list[Object]:
    return (vs.get("spec") or {}).get("http") or []


def plain(vs: Object, target: Target) -> list[Object]:
    """Its HTTP routes without what is ours for this host. A route that somebody has written anew since is as he wrote
    it."""
    note, namespace = noted(vs).get(target.host) or {}, vs["metadata"]["namespace"]
    found, place = [], -1
    for route in http_of(vs):
        if is_ours(route, target.mark):
            continue
        if not is_ours(route):
            place += 1
            if weights_in(route.get("route") or (), target, namespace) is not None and str(place) in note:
                route = {**route, "route": note[str(place)]}
        found.append(route)
    return found


def weights_of(vs: Object, target: Target) -> dict[str, int] | None:
    """The percentages in force in a VirtualService; None where it has none of ours. Of several, the one that gives the
    stable subset most: from there nothing is moved by accident."""
    note, namespace = noted(vs).get(target.host) or {}, vs["metadata"]["namespace"]
    others = [route for route in http_of(vs) if not is_ours(route)]
    found = [weights_in(others[int(i)].get("route") or (), target, namespace) for i in note if int(i) < len(others)]
    return max((one for one in found if one), key=lambda one: one[target.stable], default=None)


def matches_of(vs: Object, target: Target) -> list[Match]:
    """The matches that it has, in their order, each once."""
    found: dict[Match, None] = {}
    for route in http_of(vs):
        if is_ours(route, f"{target.mark}match-"):
            # The header that we have added is in the route's name; the others are its own conditions.
            name = route["name"].removeprefix(f"{target.mark}match-").partition("-")[2]
            wanted, subset = (route["match"][0].get("headers") or {}).get(name) or {}, subset_of(route["route"][0])
            cookie = re.fullmatch(r"\^\(\.\*;\\s\*\)\?(.+?)=(.+)\(;\.\*\)\?\$", wanted.get("regex", ""))
            how = next((how for how in HOWS if how in wanted), "")
            if name == "cookie" and cookie:
                found[Match(subset, "cookie", *(re.sub(r"\\(.)", r"\1", part) for part in cookie.groups()))] = None
            elif name != "cookie" and how:
                found[Match(subset, "header", name, wanted[how], how)] = None
    return list(found)


def _conditions(route: Object, added: dict[str, t.Any], where: str) -> list[Object]:
    """The route's own matches, each with one more condition. Raises Refusal header_taken."""
    result = []
    for match in route.get("match") or [{}]:
        for field in ("headers", "withoutHeaders"):
            clash = {name.lower() for name in match.get(field) or {}} & added.keys()
            if clash:
                raise Refusal(
                    "header_taken",
                    f"{where}.match has {', '.join(sorted(clash))} in {field} by itself; match by another one",
                )
        result.append({**match, "headers": {**(match.get("headers") or {}), **added}})
    return result


def _copy(route: Object, name: str, match: list[Object], destinations: list[Object], scout: str = "") -> Object:
    body = {key: value for key, value in copy.deepcopy(route).items() if not scout or key not in NOT_FOR_SCOUTS}
    body |= {"name": name, "match": match, "route": copy.deepcopy(destinations)}
    if scout:
        headers = body.get("headers") or {}
        response = headers.get("response") or {}
        body["headers"] = {**headers, "response": {**response, "set": {**(response.get("set") or {}), HEADER: scout}}}
    return body


def _whole(route: Object, target: Target, namespace: str, subset: str) -> list[Object]:
    """All of it to one subset."""
    first = route["route"][taken(route["route"], target, namespace)[0]]
    alone = {key: value for key, value in first.items() if key != "weight"}
    return [{**alone, "destination": {**first["destination"], "subset": subset}}]


@dataclasses.dataclass
class Edited:
    """A VirtualService as it shall be. note: of the annotation, {} for none; concerned: places of its routes that are
    shared, among those that are not ours."""

    http: list[Object]
    note: dict[str, t.Any]
    concerned: list[int] = dataclasses.field(default_factory=list)


def edited(vs: Object, target: Target, share: Share | None, marker: str = "") -> Edited:
    """Its routes with the host shared, or as they were (share None), with a scout if there is a marker.

    Raises Refusal: bad_sum, too_fine, header_taken, shadowed. Every message names the VirtualService and the route.
    """
    namespace = vs["metadata"]["namespace"]
    note = {host: places for host, places in noted(vs).items() if host != target.host}
    result, place, closed = Edited([], note), -1, ""
    for route in plain(vs, target):
        place += 0 if is_ours(route) else 1
        where = f"VirtualService {key_of(vs)} spec.http[{place}]"
        if not is_ours(route) and taken(route.get("route") or (), target, namespace):
            if closed:
                raise Refusal(
                    "shadowed", f"{where} is never reached: {closed} before it takes every request. Mend that first."
                )
            try:
                result.http += _shared(route, target, namespace, share, marker, where)
            except Refusal as exc:
                raise Refusal(exc.code, f"{exc if str(exc).startswith(where) else f'{where}: {exc}'}.") from None
            result.concerned.append(place)
            if share:
                result.note = {
                    **result.note,
                    target.host: {**result.note.get(target.host, {}), str(place): route["route"]},
                }
        else:
            result.http.append(route)
        if not is_ours(route) and any(map(takes_all, route.get("match") or [None])):
            closed = closed or f"http[{place}]"
    return result


def _shared(
    route: Object, target: Target, namespace: str, share: Share | None, marker: str, where: str
) -> list[Object]:
    found = []
    if marker:
        scouts = (
            {name: _whole(route, target, namespace, name) for name in target.subsets} if share else {"": route["route"]}
        )
        for name, destinations in scouts.items():
            match = _conditions(route, {HEADER: {"exact": f"{marker}.{name}"}}, where)
            found.append(_copy(route, f"{target.mark}scout-{name}".rstrip("-"), match, destinations, scout=marker))
    if share is None:
        return [*found, route]
    for number, match in enumerate(share.matches):
        headers = match.headers()
        name = f"{target.mark}match-{number}-{next(iter(headers))}"
        alone = _whole(route, target, namespace, match.subset)
        found.append(_copy(route, name, _conditions(route, headers, where), alone))
    return [*found, {**route, "route": divided(route["route"], target, namespace, share.weights)}]


def takes_all(match: Object | None) -> bool:
    """Whether a match takes every request, on every gateway and port and from everybody."""
    narrow = ("gateways", "port", "sourceLabels", "sourceNamespace")
    return _routes.catches_all(match) and not any((match or {}).get(name) for name in narrow)


# -- what can't be ----------------------------------------------------------------------------------------------------
def check_kinds(virtual_services: t.Iterable[Object], target: Target) -> None:
    """Raises Refusal not_http for a TCP or TLS route to the host: it has no headers, and one connection is one
    share."""
    for vs in virtual_services:
        for kind in ("tcp", "tls"):
            for i, route in enumerate((vs.get("spec") or {}).get(kind) or ()):
                if any(sends_to(one, target, vs["metadata"]["namespace"]) for one in route.get("route") or ()):
                    raise Refusal(
                        "not_http",
                        f"VirtualService {key_of(vs)} spec.{kind}[{i}] sends to {target.host}: expected HTTP routes"
                        f" alone. A {kind.upper()} route would go on sending to all of its pods, v2's too. Take it"
                        " away, or share another host.",
                    )


def named_subsets(virtual_services: t.Iterable[Object], target: Target) -> dict[str, str]:
    """Subsets of the host that routes name -> the first that does, in words."""
    found: dict[str, str] = {}
    for vs in virtual_services:
        for i, route in enumerate(http_of(vs)):
            for one in route.get("route") or ():
                if sends_to(one, target, vs["metadata"]["namespace"]) and subset_of(one):
                    found.setdefault(subset_of(one), f"VirtualService {key_of(vs)} spec.http[{i}]")
    return found


def check_subsets(virtual_services: t.Iterable[Object], target: Target, there: t.Iterable[str]) -> None:
    """Raises Refusal no_subset for a route that names a subset that there is none of: Envoy answers it with 503."""
    known = set(there)
    for name, where in named_subsets(virtual_services, target).items():
        if name not in known:
            raise Refusal(
                "no_subset",
                f"{where} names subset {name} of {target.host}: found {', '.join(sorted(known)) or 'none'} in its"
                " DestinationRule. Such a route is answered by 503. Add the subset, or take it out of the route.",
            )


def serves_mesh(vs: Object, target: Target) -> bool:
    """Whether it is what sidecars go by when they call the host."""
    spec = vs.get("spec") or {}
    gateways = spec.get("gateways") or ["mesh"]
    return "mesh" in gateways and any(
        target.is_host(host, vs["metadata"]["namespace"]) for host in spec.get("hosts") or ()
    )


def shell(target: Target, name: str, hosts: t.Sequence[str], gateways: t.Sequence[str], port: int | None) -> Object:
    """A VirtualService of ours that sends all to the host, before it is shared."""
    destination: Object = {"host": target.host, **({"port": {"number": port}} if port else {})}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"namespace": target.namespace, "name": name},
        "spec": {"hosts": list(hosts), "gateways": list(gateways), "http": [{"route": [{"destination": destination}]}]},
    }
