# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What still refers to blue when it is about to be removed, and what green would lose with it.

Before a cutover many of these are fine, or warnings: there is time. Now each is judged by what happens when blue is
gone. An error breaks something or changes who may do what; a warning is a name that leads nowhere. Pure, over the
inventory.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import _virtual_services
from ._blue_needs import blue_needs
from ._inventory import (
    ERROR, WARNING, Finding, GatewayPair, Inventory, Object, annotations_of, full_host, named, namespaces_of, ref_of,
    service_of,
)  # fmt: skip
from ._policies import bound_to
from ._served import pem_of
from ._twin import COPY_OF, Ref, credentials, title
from .findings import (
    alert_on_blue, app_owned_gateway, backend_policy_principal, certificate_copy_stale, dashboard_on_blue,
    envoy_filter_gateway, external_dns, gateway_api_route, monitor_on_blue, network_policy_backend,
    policy_bound_to_blue, secret_missing, service_name_user, unreadable,
)  # fmt: skip

Going = tuple[str, str, str]  # kind, namespace, name
# Of the inventory's kinds, what is read. What else preflight lists can't refer to blue.
READ = (
    "gateways", "virtual_services", "destination_rules", "envoy_filters", "proxy_configs", "authorization_policies",
    "request_authentications", "telemetries", "wasm_plugins", "k8s_gateways", "http_routes", "grpc_routes",
    "tls_routes", "tcp_routes", "ingresses", "network_policies", "service_monitors", "pod_monitors", "prometheus_rules",
    "dashboards",
    "coredns", "mesh_configs", "namespaces", "services", "pods", "secrets", "deployments", "certificates",
)  # fmt: skip
# Traps of preflight that are judged as they are; and those that break something now, whatever they were.
AS_THEY_ARE = (
    alert_on_blue, app_owned_gateway, backend_policy_principal, dashboard_on_blue, envoy_filter_gateway,
    gateway_api_route, monitor_on_blue, network_policy_backend, policy_bound_to_blue, unreadable,
)  # fmt: skip
NOW_ERRORS = (certificate_copy_stale, service_name_user)
OWN = (
    "certificate_copy_differs", "certificate_copy_static", "left_on_blue", "needed_by_green", "route_on_blue",
    "route_to_blue",
)  # fmt: skip
# What goes itself is no reference; but these are about what its going takes along.
STAY = (
    app_owned_gateway.CODE, certificate_copy_stale.CODE, external_dns.CODE, policy_bound_to_blue.CODE, unreadable.CODE,
)  # fmt: skip
CODES = (*(trap.CODE for trap in (*AS_THEY_ARE, *NOW_ERRORS, external_dns, secret_missing)), *OWN)


def examine(
    inventory: Inventory, going: t.Collection[Going], waive: t.Collection[str] = ()
) -> tuple[list[Finding], list[Finding], list[str]]:
    """(references that stand, those that are waived, waivers that waived nothing); errors first.

    going: what is removed with blue.
    """
    found = [reference for trap in AS_THEY_ARE for reference in trap.check(inventory)]
    for trap in NOW_ERRORS:
        found += [dataclasses.replace(reference, severity=ERROR) for reference in trap.check(inventory)]
    for check in (_dns, _secrets, _certificates, _routes_on_blue, _routes_to_blue, _left):
        found += check(inventory)
    leaving = {f"{kind} {namespace}/{name}" for kind, namespace, name in going}
    found = [reference for reference in found if reference.code in STAY or reference.object not in leaving]
    found += _needed(inventory, going)
    unique = sorted(set(found), key=lambda f: (f.severity, f.code, f.object, f.field, f.found))
    standing = [reference for reference in unique if not reference.waived_by(waive)]
    waived = [reference for reference in unique if reference.waived_by(waive)]
    used = {reference.waived_by([entry]) for reference in waived for entry in waive}
    return standing, waived, sorted(set(waive) - used)


def shown(reference: Finding) -> Object:
    where = f" {reference.field}" if reference.field else ""
    text = f"{reference.code}: {reference.object}{where}: {reference.found}. {reference.fix}"
    return {**dataclasses.asdict(reference), "text": text}


# -- names of blue -----------------------------------------------------------------------------------------------------
def _routes_on_blue(inventory: Inventory) -> t.Iterator[Finding]:
    """VirtualServices on a Gateway that goes. On green as well, they lose nothing."""
    twins = {title(pair.blue): pair for pair in inventory.pairs}
    for vs in inventory["virtual_services"]:
        own = ref_of(vs)[0]
        for pointer, names in _virtual_services.lists_of(vs).items():
            known = {_virtual_services.resolve(name, own) for name in names}
            for blue in sorted(known & twins.keys()):
                both = title(twins[blue].green) in known
                yield Finding(
                    "route_on_blue", WARNING if both else ERROR, named(vs), pointer.strip("/").replace("/", "."),
                    f"it is on {blue}, which goes{', and on green too' if both else ', and not on green'}",
                    "Something has bound it again: let its source name green alone, or run -t unbind.",
                )  # fmt: skip


def _routes_to_blue(inventory: Inventory) -> t.Iterator[Finding]:
    """Routes of the Gateway API to blue's Service. VirtualServices: service_name_user."""
    blues = {workload.blue: workload for workload in inventory.workloads}
    for kind in gateway_api_route.ROUTES:
        for route in inventory[kind]:
            for i, rule in enumerate((route.get("spec") or {}).get("rules") or ()):
                for j, backend in enumerate((rule or {}).get("backendRefs") or ()):
                    ref = (backend.get("namespace") or ref_of(route)[0], backend.get("name"))
                    if ref in blues and backend.get("kind", "Service") == "Service":
                        yield Finding(
                            "route_to_blue", ERROR, named(route), f"spec.rules[{i}].backendRefs[{j}]",
                            f"it leads to blue's Service {title(ref)}", f"Let it name {title(blues[ref].green)}.",
                        )  # fmt: skip


def _left(inventory: Inventory) -> t.Iterator[Finding]:
    """What is about blue, and green has beside it: nothing breaks, and the name stays behind."""
    others = (policy_bound_to_blue, backend_policy_principal, envoy_filter_gateway)
    broken = {finding.object for trap in others for finding in trap.check(inventory)}

    def left(item: Object, field: str, found: str, more: str = "It does nothing without blue.") -> t.Iterator[Finding]:
        if named(item) not in broken:
            yield Finding("left_on_blue", WARNING, named(item), field, found, f"{more} Remove it where it comes from.")

    for workload in inventory.workloads:
        for kind in policy_bound_to_blue.POLICIES:
            for policy in bound_to(inventory, workload, kind):
                if ref_of(policy)[0] == workload.blue[0] and _is_narrow(policy):
                    yield from left(policy, "spec", f"it is for blue's pods of {workload.name}, and green has its like")
    for policy in inventory["authorization_policies"]:
        for i, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            for field, names in backend_policy_principal.blues_in(inventory, rule or {}):
                found = f"{', '.join(names)} is blue's identity, and green's is there beside it"
                more = "Whoever gets that service account later is meant by it, too."
                yield from left(policy, f"spec.rules[{i}].{field}", found, more)
    for envoy_filter in inventory["envoy_filters"]:
        for pair in inventory.pairs:
            if f'"{title(pair.blue)}"' in json.dumps(envoy_filter.get("spec") or {}):
                yield from left(envoy_filter, "spec.configPatches", f"{title(pair.blue)} is blue's Gateway")
    for rule in inventory["destination_rules"]:
        host = full_host(str((rule.get("spec") or {}).get("host") or ""), ref_of(rule)[0])
        if service_of(host) in {workload.blue for workload in inventory.workloads}:
            yield from left(rule, "spec.host", f"{host} is blue's Service")


def _is_narrow(policy: Object) -> bool:
    """Whether a policy is for some pods of its namespace, not for all of them."""
    spec = policy.get("spec") or {}
    return any(spec.get(field) for field in ("selector", "workloadSelector", "targetRef", "targetRefs"))


def _dns(inventory: Inventory) -> t.Iterator[Finding]:
    """Records that external-dns makes of blue go with it, unless green's like makes them too."""
    greens = {workload.blue: ("services", workload.green) for workload in inventory.workloads}
    greens |= {pair.blue: ("gateways", pair.green) for pair in inventory.pairs}
    for finding in external_dns.of_blue(inventory):
        namespace, _slash, name = finding.object.partition(" ")[2].partition("/")
        kind, green = greens[(namespace, name)]
        noted = annotations_of(inventory.find(kind, green) or {"metadata": {}})
        if not any(key.startswith(external_dns.PREFIX) for key in noted):
            fix = "These records go with it. Give green the annotations, or let the names point at the balancer."
            yield dataclasses.replace(finding, severity=ERROR, fix=fix)


# -- what green needs --------------------------------------------------------------------------------------------------
def _secrets(inventory: Inventory) -> t.Iterator[Finding]:
    """Certificates that green lacks; those that blue lacks don't matter any more."""
    for pair in inventory.pairs:
        namespace = namespaces_of(pair)[1]
        yield from (f for f in secret_missing.check(inventory) if f.object.startswith(f"Secret {namespace}/"))


def _certificates(inventory: Inventory) -> t.Iterator[Finding]:
    """Copies of certificates whose source goes: one that is not the source's any more, and one that nobody renews."""
    renewed = {finding.object for finding in certificate_copy_stale.check(inventory)}
    for pair in inventory.pairs:
        for source, copy in _copies(inventory, pair):
            if source and pem_of(source) != pem_of(copy):
                yield Finding(
                    "certificate_copy_differs", ERROR, named(copy), "data[tls.crt]",
                    f"it is not what {title(ref_of(source))}, whose copy it is, has now",
                    "Run -t deploy again, or give green a certificate of its own.",
                )  # fmt: skip
            elif f"Secret {annotations_of(copy)[COPY_OF]}" not in renewed and not _issued(inventory, ref_of(copy)):
                yield Finding(
                    "certificate_copy_static", WARNING, named(copy), "metadata.annotations",
                    f"it is a copy of {annotations_of(copy)[COPY_OF]}, which goes, and nothing here renews it",
                    "Let whatever renewed the source write this one from now on.",
                )  # fmt: skip


def _copies(inventory: Inventory, pair: GatewayPair) -> t.Iterator[tuple[Object | None, Object]]:
    """(source, copy) of every Secret of ours that green's Gateway names."""
    gateway, namespace = inventory.find("gateways", pair.green), namespaces_of(pair)[1]
    for credential in credentials((gateway or {}).get("spec") or {}):
        copy = inventory.find("secrets", (namespace, credential.name))
        origin = annotations_of(copy).get(COPY_OF, "") if copy else ""
        if copy and origin:
            source_namespace, _slash, name = origin.partition("/")
            yield inventory.find("secrets", (source_namespace, name)), copy


def _issued(inventory: Inventory, secret: Ref) -> bool:
    namespace, name = secret
    return any(
        ref_of(item)[0] == namespace and (item.get("spec") or {}).get("secretName") == name
        for item in inventory["certificates"]
    )


def _needed(inventory: Inventory, going: t.Collection[Going]) -> t.Iterator[Finding]:
    """What is removed with blue, and green or a route on green can't do without."""
    removed = set(going)
    for (kind, namespace, name), why in _needs(inventory):
        if (kind, namespace, name) in removed:
            removed.remove((kind, namespace, name))  # one reason is enough
            yield Finding(
                "needed_by_green", ERROR, f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}", "",
                f"it is removed with blue, and {why}",
                "Move it out of what is removed (keep.md), or give green one of its own.",
            )  # fmt: skip


def _needs(inventory: Inventory) -> t.Iterator[tuple[Going, str]]:
    greens = [g for pair in inventory.pairs if (g := inventory.find("gateways", pair.green))]
    for pair in inventory.pairs:
        gateway = inventory.find("gateways", pair.green)
        yield ("Gateway", *pair.green), "it is green's Gateway"
        for credential in credentials((gateway or {}).get("spec") or {}):
            yield ("Secret", namespaces_of(pair)[1], credential.name), f"{named(gateway)} names it"
    for workload in inventory.workloads:
        yield ("Service", *workload.green), "it is green's Service"
    for need in blue_needs({"gateways": greens, **{k: inventory[k] for k in ("deployments", "services")}}):
        yield (need.ref.kind, need.ref.namespace, need.ref.name), f"green needs it: {need.why}"
    served = _on_green(inventory)
    for vs in served:
        yield ("VirtualService", *ref_of(vs)), "it is a route on green"
        for kind in ("http", "tls", "tcp"):
            for route in (vs.get("spec") or {}).get(kind) or ():
                for target in (route or {}).get("route") or ():
                    host = ((target or {}).get("destination") or {}).get("host")
                    service = service_of(full_host(host, ref_of(vs)[0])) if host else None
                    if service:
                        yield ("Service", *service), f"{named(vs)} leads to it"


def _on_green(inventory: Inventory) -> list[Object]:
    """The VirtualServices on green, and their delegates."""
    names = {title(pair.green) for pair in inventory.pairs}
    keys: set[str] = set()
    for vs in inventory["virtual_services"]:
        own = ref_of(vs)[0]
        given = {_virtual_services.resolve(n, own) for some in _virtual_services.lists_of(vs).values() for n in some}
        if given & names:
            keys |= {title(ref_of(vs)), *_virtual_services.delegates_of(vs)}
    return [vs for vs in inventory["virtual_services"] if title(ref_of(vs)) in keys]
