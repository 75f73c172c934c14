# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests with a header that arrive at blue's gateway and are answered by green's. Pure.

For each server port of blue's Gateway one VirtualService of ours, in the namespace of blue's pods and exported to that
alone: istiod puts such ones before all others (push_context.go, VirtualServicesForGateway; _routes models it). It names
exactly the virtual hosts that this port has already, because a host that it added would take a wildcard's place. Its
routes match by the header, so that all other requests pass them by. proof() plays that through before anything is
written.

Green is reached at its Service. The host stays as it is. For HTTPS, blue's pods begin TLS anew by a DestinationRule
that is for them alone and names no SNI: the SNI is then the request's host (Istio from 1.21 on).
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _canary, _routes
from ._module import Refusal
from ._objects import OUR_LABELS, PREVIEW_OF, key_of, labels_of
from ._virtual_services import LEAVE_ALONE

Object = dict[str, t.Any]
API = "networking.istio.io/v1"
PREFIX = "bluegreen-preview-"
UNREACHED = ("MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")  # green would ask blue for the client's certificate


@dataclasses.dataclass(frozen=True)
class Wish:
    """gateway: blue's; namespace and labels: of blue's pods; green: host of green's Service, in full; ports: blue's
    server port -> port of green's Service; header: name and value; verify: green's certificate, by the system's
    authorities.
    """

    gateway: Object
    namespace: str
    labels: dict[str, str]
    green: str
    ports: dict[int, int]
    header: tuple[str, str]
    verify: bool = True

    @property
    def name(self) -> str:
        namespace, name = key_of(self.gateway).split("/")
        return f"{PREFIX}{namespace}-{name}"


def check_header(name: str, value: str) -> None:
    """Raises Refusal bad_option."""
    if not _canary.TOKEN.fullmatch(name) or not value or name.lower() in ("host", "cookie", _canary.HEADER):
        raise Refusal("bad_option", f"header: {name!r} with {value!r}; expected a header of its own, with a value.")


def is_ours(item: Object) -> bool:
    return item["metadata"]["name"].startswith(PREFIX) and OUR_LABELS.items() <= labels_of(item).items()


def tables(wish: Wish, virtual_services: t.Iterable[Object]) -> list[_routes.Table]:
    workload = _routes.Workload(wish.namespace, dict(wish.labels))
    return _routes.tables([wish.gateway], list(virtual_services), {key_of(wish.gateway): workload})


def served(
    wish: Wish, virtual_services: t.Iterable[Object]
) -> tuple[dict[int, tuple[str, list[str]]], list[dict[str, t.Any]]]:
    """({server port: (scheme, hosts)}, what can't be reached: [{port, reason}]). Our own VirtualServices are not
    counted."""
    others = [vs for vs in virtual_services if not is_ours(vs)]
    servers = (wish.gateway.get("spec") or {}).get("servers") or []
    modes = {server["port"]["number"]: ((server.get("tls") or {}).get("mode") or "").upper() for server in servers}
    found: dict[int, tuple[str, list[str]]] = {}
    left: list[dict[str, t.Any]] = []
    seen = set()
    for table in tables(wish, others):
        seen.add(table.port)
        hosts = [host for host, entries in table.hosts.items() if entries]
        if table.redirect:
            left.append({"port": table.port, "reason": "it only sends clients to HTTPS"})
        elif modes[table.port] in UNREACHED:
            left.append({"port": table.port, "reason": "it asks for a client certificate, which blue can't pass on"})
        elif table.port not in wish.ports:
            left.append(
                {"port": table.port, "reason": "ports does not say which port of green's Service stands for it"}
            )
        elif hosts:
            scheme, known = found.get(table.port, (table.scheme, []))
            if scheme != table.scheme:
                raise Refusal(
                    "mixed_port", f"Gateway {key_of(wish.gateway)} port {table.port}: both plain and TLS servers."
                )
            found[table.port] = (scheme, list(dict.fromkeys([*known, *hosts])))
    left += [{"port": port, "reason": "no HTTP is seen there"} for port in modes if port not in seen]
    return found, left


def objects(wish: Wish, ports: dict[int, tuple[str, list[str]]]) -> list[Object]:
    """The DestinationRule first, where there is TLS, then a VirtualService for each port."""
    meta: Object = {
        "namespace": wish.namespace,
        "labels": {**OUR_LABELS},
        "annotations": {PREVIEW_OF: key_of(wish.gateway)},
    }
    made: list[Object] = []
    tls = sorted({wish.ports[port] for port, (scheme, _hosts) in ports.items() if scheme == "https"})
    if tls:
        settings: Object = {"mode": "SIMPLE", **({} if wish.verify else {"insecureSkipVerify": True})}
        levels = [
            {"port": {"number": port}, "tls": settings, "connectionPool": {"http": {"useClientProtocol": True}}}
            for port in tls
        ]
        spec = {
            "host": wish.green, "exportTo": ["."], "workloadSelector": {"matchLabels": dict(wish.labels)},
            "trafficPolicy": {"portLevelSettings": levels},
        }  # fmt: skip
        made.append(
            {"apiVersion": API, "kind": "DestinationRule", "metadata": {**meta, "name": wish.name}, "spec": spec}
        )
    name, value = wish.header
    for port, (_scheme, hosts) in sorted(ports.items()):
        route = {
            "match": [{"headers": {name.lower(): {"exact": value}}, "port": port}],
            "route": [{"destination": {"host": wish.green, "port": {"number": wish.ports[port]}}}],
            # No timeout, which is Istio's default, and no retries: green's own routes have their own.
            "retries": {"attempts": 0},
        }
        spec = {"hosts": sorted(hosts), "gateways": [key_of(wish.gateway)], "exportTo": ["."], "http": [route]}
        labels = {**OUR_LABELS, LEAVE_ALONE: "false"}  # bound to green as well, it would send green's requests to green
        metadata = {**meta, "name": f"{wish.name}-{port}", "labels": labels}
        made.append({"apiVersion": API, "kind": "VirtualService", "metadata": metadata, "spec": spec})
    return made


def proof(wish: Wish, virtual_services: t.Sequence[Object], made: t.Sequence[Object]) -> None:
    """Plays it through: virtual hosts stay the same, each route of others stays where it was, and ours stands before
    all of them. Raises Refusal not_first, with the host and the route that is in the way."""
    ours = [
        {**vs, "metadata": {"creationTimestamp": "9999", **vs["metadata"]}}
        for vs in made
        if vs["kind"] == "VirtualService"
    ]
    names = {key_of(vs) for vs in ours}
    others = [vs for vs in virtual_services if key_of(vs) not in names and not is_ours(vs)]
    before = {(t_.port, host): entries for t_ in tables(wish, others) for host, entries in t_.hosts.items() if entries}
    after = {
        (t_.port, host): entries
        for t_ in tables(wish, [*others, *ours])
        for host, entries in t_.hosts.items()
        if entries
    }
    for (port, host), entries in after.items():
        where = f"host {host} of Gateway {key_of(wish.gateway)} port {port}"
        theirs = [(entry.virtual_service, entry.label) for entry in entries if entry.virtual_service not in names]
        was = [(entry.virtual_service, entry.label) for entry in before.get((port, host), [])]
        if theirs != was:
            raise Refusal(
                "not_first", f"{where}: its routes would not be the ones of before. Nothing has been written."
            )
        own = [i for i, entry in enumerate(entries) if entry.virtual_service in names]
        if own and own != list(range(len(own))):
            first = entries[0]
            raise Refusal(
                "not_first",
                f"{where}: {first.label} of VirtualService {first.virtual_service} stands before the preview's route,"
                " since it is exported to that namespace alone, too. Nothing has been written.",
            )


def check_names(wish: Wish, found: t.Iterable[Object], made: t.Iterable[Object]) -> None:
    """Raises Refusal: name_taken (somebody else's object), rule_there (another rule for green in blue's namespace: of
    two in one namespace, istiod merges or drops)."""
    wanted = {(item["kind"], key_of(item)) for item in made}
    for item in found:
        if (item["kind"], key_of(item)) in wanted and not is_ours(item):
            raise Refusal("name_taken", f"{item['kind']} {key_of(item)} exists and is not ours. Give it another name.")
        if item["kind"] == "DestinationRule" and item["metadata"]["namespace"] == wish.namespace and not is_ours(item):
            host = _canary.full_host(item["spec"].get("host") or "", wish.namespace, wish.green.split(".svc.", 1)[-1])
            if host == wish.green or (host.startswith("*") and _routes.subset(wish.green, host)):
                raise Refusal(
                    "rule_there",
                    f"DestinationRule {key_of(item)} is for {item['spec']['host']}, and so for green as blue's pods see"
                    " it: with the preview's there would be two, of which one may not count. Take it out of the way"
                    " first.",
                )
