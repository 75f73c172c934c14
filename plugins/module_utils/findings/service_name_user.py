# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something in the cluster reaches blue by its Service's name: no balancer moves it, and the cleanup breaks it.

ExternalName Services, rewrites of cluster DNS, routes that lead to blue's Service, and Ingresses in front of it.
"""

from __future__ import annotations

import json
import re
import typing as t

from .._inventory import DOMAIN, ERROR, WARNING, Finding, Inventory, Workload, full_host, named, ref_of

CODE = "service_name_user"


def check(inventory: Inventory) -> list[Finding]:
    """An Ingress before blue is a warning: it may be the very balancer that the cutover moves."""
    return [
        Finding(
            CODE, severity, user, field, f"{text} is blue's Service ({workload.name})",
            f"Let it name {workload.green[1]}.{workload.green[0]}.{DOMAIN} once green has been verified, and before blue"
            " is removed.",
        )
        for workload in inventory.workloads
        for severity, user, field, text in _users(inventory, workload)
    ]  # fmt: skip


def _users(inventory: Inventory, workload: Workload) -> t.Iterator[tuple[str, str, str, str]]:
    namespace, name = workload.blue
    host = f"{name}.{namespace}.{DOMAIN}"
    for service in inventory["services"]:
        target = (service.get("spec") or {}).get("externalName") or ""
        if _means(target, name, namespace):
            yield ERROR, named(service), "spec.externalName", target
    for item, key, text in inventory.dns:
        for line in text.splitlines():
            if _means(line, name, namespace):
                yield ERROR, named(item), f"data[{key}]", line.strip()
    for vs in inventory["virtual_services"]:
        own = ref_of(vs)[0]
        for kind in ("http", "tls", "tcp"):
            for i, route in enumerate((vs.get("spec") or {}).get(kind) or ()):
                for j, target in enumerate((route or {}).get("route") or ()):
                    given = ((target or {}).get("destination") or {}).get("host") or ""
                    if full_host(given, own) == host or _means(given, name, namespace):
                        yield ERROR, named(vs), f"spec.{kind}[{i}].route[{j}].destination.host", given
    for ingress in inventory["ingresses"]:
        backends = re.findall(r'"service": \{[^{}]*"name": "([^"]+)"', json.dumps(ingress.get("spec") or {}))
        if ref_of(ingress)[0] == namespace and name in backends:
            yield WARNING, named(ingress), "spec.rules", name


def _means(text: str, name: str, namespace: str) -> bool:
    return bool(
        re.search(rf"(?<![\w.-]){re.escape(name)}\.{re.escape(namespace)}(\.svc(\.[\w.-]+)?)?\.?(?![\w-])", text)
    )
