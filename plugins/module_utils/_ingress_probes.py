# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests follow from Ingresses, for proving that green (Istio) answers as blue (an Ingress controller) does.

The list has the shape of route_info's, so that route_verify takes it as it is: `gateway` is the Gateway that the
Ingress was converted to, `port` that of its server, `virtual_service` the Ingress, `route` the place of the path in it.
A request is only taken for a path if no earlier one would answer it, as in _routes.py.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._probe import GRPC_HEALTH
from ._routes import FILLER, UNKNOWN_HOST, Found, _number, _unprobed, regex_samples
from .ingress import canary
from .ingress._istio import gateway_of, passthrough
from .ingress._model import ANY, Object, Route
from .ingress._order import Location, Table

if t.TYPE_CHECKING:
    from .ingress import Conversion


@dataclasses.dataclass(frozen=True)
class _Request:
    path: str
    headers: dict[str, str]
    label: str = ""


def plan(conversion: Conversion, wildcard_label: str = "") -> Found:
    """Probes of everything that was converted. wildcard_label: what to write for the `*` of a wildcard host, or "" to
    leave such hosts to samples."""
    found = Found()
    for table in conversion.tables:
        host = _concrete(table.host, wildcard_label)
        for location in table.locations:
            if host is None:
                _miss(
                    found,
                    table,
                    location,
                    "wildcard_host",
                    f"which names under {table.host} are in use is not known; give samples",
                )
                continue
            requests, reason, detail = _requests(conversion, table, location)
            if reason:
                _miss(found, table, location, reason, detail)
            for request in requests:
                _probe(found, conversion, table, location, host, request)
        if host is not None:
            for alias in table.aliases:
                _probe(
                    found,
                    conversion,
                    table,
                    table.locations[-1],
                    alias,
                    _Request(_below(table.locations[-1]), {}, "alias"),
                )
    for target, host, route in passthrough(conversion.world):
        found.routes.append(
            _route(
                "/".join(gateway_of(target, host)),
                target.https_port,
                "https",
                "tls_passthrough",
                host,
                route,
                "/",
                {},
                "answer",
            )
        )
    for target in {target.name: target for target in conversion.world.targets}.values():
        if any(table.host == ANY and table.target.name == target.name for table in conversion.tables):
            continue  # every host is known
        if any(table.target.name == target.name for table in conversion.tables):
            found.routes.append(
                _route(
                    target.name,
                    target.http_port,
                    "http",
                    "http1",
                    UNKNOWN_HOST,
                    None,
                    "/",
                    {},
                    "refused",
                    "unknown_host",
                )
            )
    _number(found.routes)
    return found


def _concrete(host: str, label: str) -> str | None:
    if not host.startswith("*"):
        return host
    if not label:
        return None
    return f"{label}.invalid" if host == ANY else host.replace("*", label, 1)


def _below(location: Location) -> str:
    return "/" if location.value == "/" else location.value


def _paths(location: Location) -> list[str]:
    value = location.value
    if location.kind == "exact":
        return [value]
    if location.kind == "prefix":
        return (
            [value + FILLER, value]
            if value.endswith("/") and value != "/"
            else [value, f"{value.rstrip('/')}/{FILLER}"]
        )
    return [path for path in [*regex_samples(value), *regex_samples(location.pattern)] if path.startswith("/")]


def _requests(conversion: Conversion, table: Table, location: Location) -> tuple[list[_Request], str, str]:
    """Requests that this location answers for, and a reason and words where there are fewer than there are routes."""
    path = next((p for p in _paths(location) if table.find(p) == location), None)
    if path is None:
        if not _paths(location):
            return [], "regex_path", f"no path is known that {location.value!r} matches; give a sample"
        other = table.find(_paths(location)[0])
        return [], "shadowed", f"{other.route.name if other else 'nothing'} answers first; if not always, give a sample"
    route = location.route
    if route.backend is None:
        return [_Request(path, {})], "", ""
    requests, reason, detail = [], "", ""
    extra = conversion.world.canaries.get((table.target.name, route.backend))
    seen: dict[str, str] = {}
    for headers, shares in canary.variants(extra, route.backend):
        if not headers and len(shares) > 1 and not _fixed(seen):
            reason, detail = (
                "no_request",
                "its answers come from two Services by chance; give a sample that settles which",
            )
            continue
        if not headers and len(shares) > 1:
            continue  # `never` has asked for the main one already
        sent, known = {}, True
        for name, match in headers.items():
            ((kind, wanted),) = match.items()
            value = (
                wanted
                if kind == "exact"
                else _cookie(wanted) if name == "cookie" else next(iter(regex_samples(wanted)), None)
            )
            known = known and value is not None
            sent[name] = value or ""
        if not known:
            reason, detail = "header_match", "no value is known for the header of its canary; give a sample"
            continue
        seen.update(sent)
        requests.append(_Request(path, sent, " ".join(f"{k}={v}" for k, v in sent.items())))
    return requests, reason, detail


def _fixed(seen: dict[str, str]) -> bool:
    return any(value == "never" or value.endswith("=never") for value in seen.values())


def _cookie(pattern: str) -> str | None:
    """NAME=VALUE that a canary's cookie pattern (canary.variants) lets in."""
    inner = pattern.removeprefix(r"(?:.*;\s*)?").removesuffix("(?:;.*)?").replace("\\", "")
    return inner or None


def _probe(
    found: Found, conversion: Conversion, table: Table, location: Location, host: str, request: _Request
) -> None:
    route = location.route
    gateway = "/".join(gateway_of(table.target, table.host))
    secure = bool(table.secret)
    redirected = table.https(route)
    expect = "redirect" if route.instead and "redirect" in route.instead else "answer"
    protocol = "grpc" if _grpc(route) and secure else ""
    schemes = [("http", table.target.http_port, "redirect" if redirected else expect, "http1")]
    if secure:
        schemes.append(("https", table.target.https_port, expect, "h2"))
        schemes.append(("https", table.target.https_port, expect, "http1"))
    for scheme, port, what, plain in schemes:
        if protocol and scheme == "https" and plain == "h2" and table.find(GRPC_HEALTH) == location:
            asked = {**request.headers, "content-type": "application/grpc"}
            found.routes.append(
                _route(gateway, port, scheme, "grpc", host, route, GRPC_HEALTH, asked, what, request.label)
            )
        else:
            found.routes.append(
                _route(gateway, port, scheme, plain, host, route, request.path, request.headers, what, request.label)
            )


def _grpc(route: Route) -> bool:
    return (route.source.get("backend-protocol") or "").upper().startswith("GRPC")


def _route(
    gateway: str, port: int, scheme: str, protocol: str, host: str, route: Route | None, path: str,
    headers: dict[str, str],
    expect: str, label: str = "",
) -> Object:  # fmt: skip
    place = route.field if route else label
    words = (
        f"{gateway}:{port}",
        host,
        route.source.key if route else "",
        place,
        path,
        label if route else "",
        protocol,
    )
    return {
        "id": " ".join(word for word in words if word), "gateway": gateway,
        "virtual_service": route.source.key if route else None, "route": place, "host": host, "port": port,
        "node_port": None,
        "scheme": scheme, "protocol": protocol, "sni": host if scheme == "https" else None, "authority": host,
        "method": "POST" if protocol == "grpc" else "GET", "path": path, "headers": headers, "query": {},
        "expect": expect,
    }  # fmt: skip


def _miss(found: Found, table: Table, location: Location, reason: str, detail: str) -> None:
    gateway = "/".join(gateway_of(table.target, table.host))
    route = location.route
    found.unprobed.append(
        _unprobed(gateway, route.source.key, None, [table.host], route.field, reason, detail, reason != "shadowed")
    )
