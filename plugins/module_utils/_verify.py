# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks blue and green for every route on every node, round after round, until each has passed often enough or time is
up."""

from __future__ import annotations

import functools
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from . import _compare, _identity, _probe
from ._compare import Rules, Verdict
from ._identity import Identity
from ._probe import Answer, Request

Route = dict[str, t.Any]
VERDICTS = ("equal", "different", "unreachable", "not_probed")
KEPT = 6  # of blue's answers from earlier rounds: they are what its noise is learned from
BLUE_ASKED = 2  # times in each round, on each node
Ask = t.Callable[[t.Iterable[Request], t.Callable[[Request, Answer], None]], None]


@dataclass(frozen=True)
class Side:
    """Where a colour's gateways are. addresses: of its nodes; ports: gateway server port -> the port to connect to on
    each of them, or "host:port" to connect there and nowhere else."""

    addresses: tuple[str, ...]
    ports: dict[str, str]

    def targets(self, port: t.Any) -> list[str]:
        """Addresses for a server port; empty when none is known."""
        to = self.ports.get(str(port))
        if to is None:
            return []
        return [to] if ":" in to else [_probe.address_of(address, to) for address in self.addresses]


def side_of(name: str, options: dict[str, t.Any]) -> Side:
    """Raises ValueError for a side with nothing to connect to."""
    ports = {str(port): str(to) for port, to in options["ports"].items()}
    for port, to in ports.items():
        if not to.rpartition(":")[2].isdigit():
            raise ValueError(f"{name}.ports: {port} leads to {to!r}; it must be a port number or HOST:PORT.")
    if not ports:
        raise ValueError(f"{name}.ports is empty; name the port to connect to for each server port of the gateways.")
    if not options["addresses"] and not all(":" in to for to in ports.values()):
        raise ValueError(f"{name}.addresses is empty; name the nodes to connect to.")
    return Side(tuple(options["addresses"]), ports)


def request_of(route: Route, identities: t.Mapping[str, Identity] | None = None) -> Request:
    """What to send for a route (as route_info returns it), address and key still to be filled in.

    identities: by name. Raises ValueError for a route that lacks something, or that must not be sent.
    """
    identity = Identity()
    if route.get("identity"):
        known = (identities or {}).get(route["identity"])
        if known is None:
            raise ValueError(f"route {route.get('id')!r} is to be asked as {route['identity']!r}; add it to identities.")
        identity = known
    missing = [name for name in ("id", "host", "port", "scheme", "protocol") if not route.get(name)]
    if missing:
        raise ValueError(
            f"route {route.get('id', route)!r} has no {', '.join(missing)}; pass what route_info returned."
        )
    protocol = route["protocol"]
    method = route.get("method") or "GET"
    path = route.get("path") or "/"
    if protocol not in _probe.PROTOCOLS:
        raise ValueError(f"route {route['id']!r}: protocol {protocol!r} is not one of {', '.join(_probe.PROTOCOLS)}.")
    safe = path == _probe.GRPC_HEALTH if protocol == "grpc" else method in _probe.SAFE_METHODS or protocol == "tcp"
    if not safe and not route.get("unsafe"):
        raise ValueError(
            f"route {route['id']!r}: {method} {path} may change something; it is sent only with unsafe: true."
        )
    headers = [(name, str(value)) for name, value in (route.get("headers") or {}).items()]
    authority = route.get("authority") or route["host"]
    if authority != route["host"]:
        headers.append(("Host", authority))
    url = f"{route['scheme']}://{route['host']}"
    if protocol != "tcp":
        url += quote(path, safe="/%:@!$&'()*+,;=~")
        if route.get("query"):
            url += "?" + urlencode(route["query"])
    body = route["body"].encode() if route.get("body") else None
    sent = (*headers, *identity.headers)
    # What is refused, or not found, may meet a certificate that was never meant for it. Nobody has one for .invalid.
    trusted = route.get("expect") not in ("refused", "not_found") and not route["host"].endswith(".invalid")
    return Request(None, url, "", protocol, method, sent, body, identity.certificate, trusted)


@dataclass
class _Case:
    """A route while it is being verified."""

    route: Route
    request: Request
    blue: list[str]
    green: list[str]
    private: bool
    answers: dict[str, dict[str, list[Answer]]] = field(default_factory=dict)
    awaited: int = 0
    earlier: list[Answer] = field(default_factory=list)
    passes: int = 0
    verdict: Verdict | None = None

    def requests(self, index: int) -> t.Iterator[Request]:
        self.answers = {"blue": {}, "green": {}}
        self.awaited = BLUE_ASKED * len(self.blue) + len(self.green)
        for _time in range(BLUE_ASKED):
            for address in self.blue:
                yield replace(self.request, key=(index, "blue", address), address=address)
        for address in self.green:
            yield replace(self.request, key=(index, "green", address), address=address)


@dataclass
class Options:
    """passes: equal rounds in a row that a route needs; deadline: seconds after which failing routes are given up;
    interval: seconds between rounds; width: connections at once."""

    passes: int = 1
    deadline: float = 0.0
    interval: float = 1.0
    width: int = 64


def options_of(params: dict[str, t.Any]) -> Options:
    """Raises ValueError for what can't be."""
    for name, least in (("passes", 1), ("concurrency", 1), ("deadline", 0), ("interval", 0)):
        if params[name] < least:
            raise ValueError(f"{name} is {params[name]:g}; it must be at least {least}.")
    if not params["timeout"] > 0:
        raise ValueError(f"timeout is {params['timeout']:g}; it must be above 0.")
    return Options(params["passes"], params["deadline"], params["interval"], params["concurrency"])


def rules_of(params: dict[str, t.Any]) -> Rules:
    """Raises ValueError for a mask that is no regular expression."""
    ignored = {name.lower() for name in params["ignore_headers"]}
    return Rules(
        fields=tuple(params["compare"]),
        headers=tuple(name.lower() for name in params["headers"] if name.lower() not in ignored),
        masks=_compare.compile_masks([*(_compare.MASKS if params["default_masks"] else ()), *params["masks"]]),
    )


def check(params: dict[str, t.Any]) -> None:
    """Raises ValueError for what can't be verified, without reading a file or sending anything."""
    for name in ("blue", "green"):
        side_of(name, params[name])
    rules_of(params)
    options_of(params)
    _identity.check(params["identities"])
    known = {one["name"]: Identity() for one in params["identities"]}
    for route in params["routes"]:
        request_of(route, known)


def perform(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """verify() by the options of route_verify, from where this runs. Raises ValueError, and OSError for files."""
    _probe.check_ca_file(params["ca_file"])
    ask = functools.partial(
        _probe.ask, concurrency=params["concurrency"], timeout=params["timeout"], ca_file=params["ca_file"],
        proxy_protocol=params["proxy_protocol"],
    )  # fmt: skip
    return verify(
        params["routes"], params["unprobed"], side_of("blue", params["blue"]), side_of("green", params["green"]),
        rules_of(params), options_of(params), ask, identities=_identity.load(params["identities"]),
    )  # fmt: skip


def verify(
    routes: t.Sequence[Route], unprobed: t.Sequence[Route], blue: Side, green: Side, rules: Rules, options: Options,
    ask: Ask, clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep,
    identities: t.Mapping[str, Identity] | None = None,
) -> dict[str, t.Any]:  # fmt: skip
    """Returns {verified, counts, routes, requests, rounds, seconds, rate}; see route_verify's RETURN.

    ask: _probe.ask with its options bound. Raises ValueError for routes that can't or must not be sent, before any is.
    """
    started = clock()
    results: list[dict[str, t.Any]] = []
    cases: list[_Case] = []
    for route in routes:
        case = _Case(
            route, request_of(route, identities), blue.targets(route["port"]), green.targets(route["port"]),
            _private(route),
        )  # fmt: skip
        lacking = [name for name, targets in (("blue", case.blue), ("green", case.green)) if not targets]
        if lacking:
            words = f"no port of {' and '.join(lacking)} is known for server port {route['port']}"
            results.append(_result(route, "not_probed", words))
        else:
            cases.append(case)
    for item in unprobed:
        if item.get("reachable", True):
            results.append(_result(item, "not_probed", f"{item.get('reason')}: {item.get('detail')}"))
    sent = rounds = 0
    pending = list(range(len(cases)))
    while pending:
        rounds += 1
        sent += _round(cases, pending, rules, options, ask)
        late = clock() - started + options.interval > options.deadline
        pending = [i for i in pending if cases[i].passes < options.passes and (cases[i].passes or not late)]
        if pending:
            sleep(options.interval)
    for case in cases:
        verdict = case.verdict
        if verdict is None:
            raise AssertionError(f"{case.route['id']} was never judged")
        result = _result(case.route, verdict.verdict)
        results.append({**result, "passes": case.passes, "differences": verdict.differences, "noise": verdict.noise})
    counts = {name: 0 for name in VERDICTS} | Counter(result["verdict"] for result in results)
    seconds = clock() - started
    return {
        "verified": counts["equal"] > 0 and counts["equal"] == len(results),
        "counts": dict(counts),
        "routes": results,
        "requests": sent,
        "rounds": rounds,
        "seconds": round(seconds, 2),
        "rate": round(sent / seconds, 1) if seconds > 0 else 0.0,
    }


def _round(cases: list[_Case], pending: list[int], rules: Rules, options: Options, ask: Ask) -> int:
    """Asks once for all pending routes and judges each as soon as its last answer is there. Returns how many were
    sent."""
    requests = [request for index in pending for request in cases[index].requests(index)]

    def arrived(request: Request, answer: Answer) -> None:
        index, side, address = request.key
        case = cases[index]
        case.answers[side].setdefault(address, []).append(answer)
        case.awaited -= 1
        if case.awaited == 0:
            _judge(case, rules)

    ask(_probe.interleave(requests, options.width), arrived)
    return len(requests)


def _judge(case: _Case, rules: Rules) -> None:
    blue, green = case.answers["blue"], case.answers["green"]
    first = next(iter(blue.values()))
    case.verdict = _turned_away(case) or _compare.judge(
        {**blue, **({"earlier": case.earlier} if case.earlier else {})}, green, rules, case.private
    )
    if case.earlier and case.verdict.verdict == "different":
        # Blue may have changed for good meanwhile: then its earlier answers must not be held against green, nor for it.
        alone = _compare.judge(blue, green, rules, case.private)
        case.verdict = alone if alone.verdict == "equal" else case.verdict
    if case.verdict.verdict == "equal":
        case.passes += 1
    else:
        case.passes = 0
        case.earlier = (case.earlier + [answer for answer in first if not answer.error])[-KEPT:]
    case.answers = {}


def _turned_away(case: _Case) -> Verdict | None:
    """A client certificate is given to be let in. Where blue ends every connection with it, nothing was asked."""
    answers = [(node, answer) for node, found in case.answers["blue"].items() for answer in found]
    secure = case.request.url.startswith("https:") and case.request.certificate[0]
    if not secure or any(answer.error not in ("tls", "closed") for _node, answer in answers):
        return None
    node, answer = answers[0]
    words = (
        f"as {case.route['identity']} it ends each connection: {answer.detail}. Give this identity a client certificate"
        f" that blue takes, or take {case.route['host']} from its hosts."
    )
    return Verdict("unreachable", [{"node": node, "field": "client certificate", "blue": words, "green": None}])


def _private(route: Route) -> bool:
    return bool(route.get("identity") or _compare.private_names(route.get("headers")))


def _result(route: Route, verdict: str, words: str = "") -> dict[str, t.Any]:
    differences = [{"node": None, "field": "probe", "blue": words, "green": None}] if words else []
    return {"id": route["id"], "verdict": verdict, "passes": 0, "differences": differences, "noise": []}


def unasked(params: dict[str, t.Any], why: str) -> dict[str, t.Any]:
    """The result where nothing was sent: nothing is verified."""
    reachable = [item for item in params["unprobed"] if item.get("reachable", True)]
    results = [_result(item, "not_probed", why) for item in [*params["routes"], *reachable]]
    counts = {name: 0 for name in VERDICTS} | {"not_probed": len(results)}
    return {
        "verified": False, "counts": counts, "routes": results, "requests": 0, "rounds": 0, "seconds": 0.0, "rate": 0.0,
    }  # fmt: skip


def explain(result: dict[str, t.Any], limit: int = 5) -> str:
    """A sentence or two for people: how many of what, and the first few routes that are not equal."""
    counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in result["counts"].items())
    lines = []
    for route in [route for route in result["routes"] if route["verdict"] != "equal"][:limit]:
        one = route["differences"][0]
        what = one["blue"] if one["green"] is None else f"blue {one['blue']!r}, green {one['green']!r}"
        whose = ""
        if route["verdict"] == "unreachable":
            side = "green" if one["blue"] is None else "blue"
            whose, what = f"{side}'s ", one[side]
        lines.append(f"{route['id']}: {route['verdict']}, {whose}{one['field']} at {one['node'] or '-'}: {what}")
    return f"Of {len(result['routes'])} routes: {counts}." + "".join(f"\n{line}" for line in lines)
