# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DestinationRule that a canary's subsets are in, the ServiceEntry of an external host, and who is ready behind
each subset. Pure.

For a client istiod takes the rule of the client's own namespace, else of the service's, else of the root namespace, and
of these the one whose host is narrowest (push_context.go, destinationRule). So the subsets belong into the one rule of
the service's namespace; a second one, or one elsewhere, would hide them from some clients, who are answered by 503.
"""

from __future__ import annotations

import re
import typing as t

from . import _routes
from ._canary import PREFIX, Target, full_host
from ._gateways import is_ready
from ._module import Refusal
from ._objects import OUR_LABELS, annotations_of, key_of, labels_of, selects

Object = dict[str, t.Any]
API = "networking.istio.io/v1"
ADDED = "bluegreen.mesh/canary-subsets"  # annotation: names of the subsets that we have added to a rule
NOT_HTTP = frozenset(("tcp", "tls", "https", "mongo", "mysql", "redis", "udp"))


def own_name(target: Target) -> str:
    """Of the objects that are ours: the host's own name, as a name of objects may be."""
    short = target.host.removesuffix(f".{target.namespace}.svc.{target.domain}")
    return PREFIX + re.sub(r"[^a-z0-9]+", "-", short).strip("-")[:40]


def is_ours(item: Object) -> bool:
    return item["metadata"]["name"].startswith(PREFIX) and OUR_LABELS.items() <= labels_of(item).items()


def subsets_of(rule: Object | None) -> list[Object]:
    return ((rule or {}).get("spec") or {}).get("subsets") or []


def rule_of(rules: t.Iterable[Object], target: Target) -> Object | None:
    """The rule that the subsets belong into, or None where one can be made.

    Raises Refusal: two_rules, rule_elsewhere, rule_for_some, not_exported, wildcard_rule.
    """
    exact, wide = [], []
    for rule in rules:
        host = full_host(rule["spec"].get("host") or "", rule["metadata"]["namespace"], target.domain)
        if host == target.host:
            exact.append(rule)
        elif host.startswith("*") and _routes.subset(target.host, host):
            wide.append(rule)
    names = ", ".join(sorted(map(key_of, exact)))
    if len(exact) > 1:
        raise Refusal(
            "two_rules",
            f"DestinationRules {names} are all for {target.host}: expected one. Which of them a client goes by depends"
            " on where it is, so that subsets of one are missing for the others' clients. Make one of them.",
            rules=names,
        )
    if not exact:
        here = [rule for rule in wide if rule["metadata"]["namespace"] == target.namespace] or wide
        if here:
            raise Refusal(
                "wildcard_rule",
                f"DestinationRule {key_of(here[0])} (host {here[0]['spec']['host']}) is in force for {target.host}: a"
                " rule for that host alone would take its place, and with it its trafficPolicy. Write a DestinationRule"
                f" for {target.host} with the trafficPolicy it is to have; the subsets are then added to that.",
                rule=key_of(here[0]),
            )
        return None
    (rule,) = exact
    spec, where = rule["spec"], f"DestinationRule {names}"
    if rule["metadata"]["namespace"] != target.namespace:
        raise Refusal(
            "rule_elsewhere",
            f"{where} is for {target.host}, which is in namespace {target.namespace}: only clients of its own namespace"
            f" go by it. Move it to {target.namespace}.",
        )
    if spec.get("workloadSelector"):
        raise Refusal(
            "rule_for_some",
            f"{where} spec.workloadSelector: found {spec['workloadSelector']}, expected none: other clients would not"
            " know the subsets.",
        )
    if spec.get("exportTo") and "*" not in spec["exportTo"]:
        raise Refusal(
            "not_exported",
            f"{where} spec.exportTo: found {', '.join(spec['exportTo'])}, expected '*': clients elsewhere, gateways"
            " among them, would not know the subsets.",
        )
    return rule


def new_rule(target: Target) -> Object:
    metadata = {"namespace": target.namespace, "name": own_name(target), "labels": dict(OUR_LABELS)}
    return {"apiVersion": API, "kind": "DestinationRule", "metadata": metadata, "spec": {"host": target.host}}


def with_subsets(rule: Object, target: Target) -> tuple[list[Object], list[str]]:
    """Its subsets with the target's, and the names of those that were added. Raises Refusal subset_differs."""
    have = {one["name"]: one.get("labels") or {} for one in subsets_of(rule)}
    for name, labels in target.subsets.items():
        if name in have and have[name] != labels:
            raise Refusal(
                "subset_differs",
                f"DestinationRule {key_of(rule)} has subset {name} with labels {have[name]}, expected {labels}. Name"
                " the subset otherwise, or give it those labels.",
            )
    missing = [name for name in target.subsets if name not in have]
    added = [{"name": name, "labels": dict(target.subsets[name])} for name in missing]
    return [*subsets_of(rule), *added], missing


def added_to(rule: Object) -> list[str]:
    return [name for name in annotations_of(rule).get(ADDED, "").split(",") if name]


def entry_of(entries: t.Iterable[Object], target: Target) -> Object | None:
    """The ServiceEntry that declares the host. The oldest, as istiod has it, where there are several."""
    found = [entry for entry in entries if target.host in map(str.lower, entry["spec"].get("hosts") or ())]
    return min(found, key=lambda one: (one["metadata"].get("creationTimestamp") or "", key_of(one)), default=None)


def new_entry(target: Target, external: dict[str, t.Any]) -> Object:
    """external: ports, resolution and endpoints, as a ServiceEntry's spec has them. Raises Refusal bad_external."""
    resolution, endpoints = external["resolution"], external.get("endpoints") or []
    labels = [endpoint.get("labels") or {} for endpoint in endpoints]
    for name, wanted in target.subsets.items():
        if not any(wanted.items() <= have.items() for have in labels):
            raise Refusal("bad_external", f"external.endpoints: none has the labels {wanted} of subset {name}.")
    if resolution == "NONE":
        raise Refusal(
            "bad_external", "external.resolution: found NONE, expected STATIC or DNS: subsets are of endpoints."
        )
    spec = {
        "hosts": [target.host], "location": "MESH_EXTERNAL", "resolution": resolution, "ports": external["ports"],
        "endpoints": endpoints,
    }  # fmt: skip
    metadata = {"namespace": target.namespace, "name": own_name(target), "labels": dict(OUR_LABELS)}
    return {"apiVersion": API, "kind": "ServiceEntry", "metadata": metadata, "spec": spec}


def ready(service: Object | None, entry: Object | None, pods: t.Iterable[Object], target: Target) -> dict[str, int]:
    """How many are ready behind each subset: pods of the Service, endpoints of the ServiceEntry (which nobody
    probes)."""
    if entry is not None and service is None:
        labels = [endpoint.get("labels") or {} for endpoint in entry["spec"].get("endpoints") or ()]
    else:
        selector = ((service or {}).get("spec") or {}).get("selector")
        serving = [p for p in pods if is_ready(p) and not p["metadata"].get("deletionTimestamp")]
        labels = [labels_of(pod) for pod in serving if selects(selector, labels_of(pod))]
    return {name: sum(wanted.items() <= have.items() for have in labels) for name, wanted in target.subsets.items()}


def check_ports(item: Object, port: int | None, gateways: t.Sequence[str]) -> None:
    """Before a VirtualService of ours is made for this Service, or ServiceEntry. Raises Refusal: not_http,
    port_needed."""
    external = item["kind"] == "ServiceEntry"
    ports = [
        # Of a Service's port `protocol` is TCP, and what it speaks is in its name.
        (one["number"], one.get("protocol") or "") if external
        else (one["port"], one.get("appProtocol") or (one.get("name") or "").split("-")[0])
        for one in (item.get("spec") or {}).get("ports") or []
    ]  # fmt: skip
    what = f"{item['kind']} {key_of(item)}"
    for number, word in ports:
        if word.lower() in NOT_HTTP and port in (None, number):
            raise Refusal(
                "not_http",
                f"{what} port {number} speaks {word.lower()}: a VirtualService shares HTTP alone, and this port would go"
                " on reaching all versions. Name the HTTP port with port, if nobody calls this one.",
            )
    if port is None and len(ports) > 1 and any(name != "mesh" for name in gateways):
        numbers = ", ".join(str(number) for number, _word in ports)
        raise Refusal("port_needed", f"port: {what} has several ({numbers}), and a gateway must be told which.")
