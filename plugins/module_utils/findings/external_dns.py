# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""external-dns takes names and addresses from blue: by annotations of its Service or Gateway, or, with the sources
istio-gateway and istio-virtualservice, without any.

Its records point at whatever carries them. A copy of the annotation on green moves clients at once, past every gate;
without one, the records go when blue goes. Of a VirtualService the records have the addresses of every Gateway that it
names in spec.gateways (external-dns, source/istio_virtualservice.go): those of their Services, where neither it nor the
Gateway has an annotation that says others. So a bound one is published with green's, as soon as green has any.
"""

from __future__ import annotations

import typing as t

from .._inventory import (
    ERROR, WARNING, Finding, GatewayPair, Inventory, Object, Workload, annotations_of, named, ref_of,
)  # fmt: skip
from .._twin import title

CODE = "external_dns"
PREFIX = ("external-dns.alpha.kubernetes.io/", "external-dns.kubernetes.io/")  # as releases name it
TARGETS = tuple(f"{prefix}target" for prefix in PREFIX)
GATEWAYS, ROUTES = "istio-gateway", "istio-virtualservice"
# what records are made of, where the annotation belongs, and when green's address gets into them
WORDS = {
    GATEWAYS: ("every Gateway's hosts, with its address", "each Gateway, green's too", "there"),
    ROUTES: ("each VirtualService, with the address of every Gateway that it names", "each VirtualService", "bound"),
}


def check(inventory: Inventory) -> list[Finding]:
    return [*of_blue(inventory), *_of_routes(inventory), *_by_sources(inventory)]


def of_blue(inventory: Inventory) -> list[Finding]:
    """What is made of blue's Services and Gateways, by their annotations."""
    refs = [("services", w.blue) for w in inventory.workloads] + [("gateways", p.blue) for p in inventory.pairs]
    return [
        Finding(
            CODE, WARNING, named(item), "metadata.annotations",
            f"{_said(item)} makes DNS records of it",
            "Let the names point at the balancer instead of at one gateway; and give green the annotation only after the"
            " cutover, before the cleanup.",
        )
        for item in filter(None, (inventory.find(kind, ref) for kind, ref in refs))
        if _said(item)
    ]  # fmt: skip


def _of_routes(inventory: Inventory) -> list[Finding]:
    """A target that a VirtualService itself names stays, whatever Gateways it names."""
    return [
        Finding(
            CODE, WARNING, named(vs), "metadata.annotations",
            f"{_said(vs)} makes DNS records of it, with the address of every Gateway that it names: of green's, too, once"
            " it is bound",
            "Let them point at the balancer, by external-dns' annotation target on it.",
        )
        for vs in _loose(inventory)
        if _said(vs)
    ]  # fmt: skip


def _by_sources(inventory: Inventory) -> list[Finding]:
    """By what the Deployments of external-dns are told to look at."""
    concerned = {
        GATEWAYS: [title(pair.green) for pair in inventory.pairs if not _both_targeted(inventory, pair)],
        ROUTES: [title(ref_of(vs)) for vs in _loose(inventory)],
    }
    addressed = [w.name for w in inventory.workloads if _has_address(inventory, w)]
    found = []
    for deployment in {named(d): d for kind in ("external_dns", "external_dns_named") for d in inventory[kind]}.values():
        for field, source in _sources(deployment):
            if not concerned.get(source):
                continue
            what, each, when = WORDS[source]
            happens = (
                f"once it is {when}, green's ({', '.join(addressed)}) is among them, and clients come past every gate"
                if addressed else "green's Service has none, so the records go when blue goes"
            )
            found.append(
                Finding(
                    CODE, ERROR if addressed else WARNING, named(deployment), field,
                    f"{source} makes DNS records of {what}: {happens}. This concerns {len(concerned[source])}, such as"
                    f" {concerned[source][0]}",
                    f"Let them point at the balancer, by external-dns' annotation target on {each}, or take the source out.",
                )
            )  # fmt: skip
    return found


def _loose(inventory: Inventory) -> list[Object]:
    """The VirtualServices whose records go by the Gateways that they name."""
    return [
        vs for vs, pairs in inventory.routed
        if not _targeted(vs) and not all(_both_targeted(inventory, pair) for pair in pairs)
    ]  # fmt: skip


def _both_targeted(inventory: Inventory, pair: GatewayPair) -> bool:
    sides = [inventory.find("gateways", ref) for ref in (pair.blue, pair.green)]
    return all(side and _targeted(side) for side in sides)


def _said(item: Object) -> str:
    return ", ".join(f"{k}={v}" for k, v in sorted(annotations_of(item).items()) if k.startswith(PREFIX))


def _targeted(item: Object) -> bool:
    return any(annotations_of(item).get(key) for key in TARGETS)


def _has_address(inventory: Inventory, workload: Workload) -> bool:
    """Whether green's Service has an address of its own, or will: it is to have blue's type, by Big Bang a NodePort."""
    green = inventory.find("services", workload.green)
    spec = (green.get("spec") or {}) if green else workload.foretold(inventory.find("services", workload.blue))
    return spec.get("type") == "LoadBalancer" or bool(spec.get("externalIPs"))


def _sources(deployment: Object) -> t.Iterator[tuple[str, str]]:
    """(field, source), of --source=X, of --source X, and of the variable that stands for it."""
    pod = (((deployment.get("spec") or {}).get("template") or {}).get("spec")) or {}
    for number, container in enumerate(pod.get("containers") or ()):
        at = f"spec.template.spec.containers[{number}]"
        for key in ("command", "args"):
            words = container.get(key) or ()
            for word, following in zip(words, [*words[1:], ""]):
                if word == "--source" or word.startswith("--source="):
                    yield f"{at}.{key}", following if word == "--source" else word.partition("=")[2]
        for variable in container.get("env") or ():
            if variable.get("name") == "EXTERNAL_DNS_SOURCE":
                yield from ((f"{at}.env", source) for source in (variable.get("value") or "").split())
