# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An AuthorizationPolicy that knows the gateway by blue's identity: green is refused with 403, or no longer refused."""

from __future__ import annotations

import dataclasses
import typing as t

from .._inventory import ERROR, Finding, Inventory, Workload, named

CODE = "backend_policy_principal"
CONDITIONS = {
    "source.principal": "principals",
    "source.namespace": "namespaces",
    "source.serviceAccount": "serviceAccounts",
}


@dataclasses.dataclass(frozen=True)
class Identity:
    """How a policy may name a gateway's pods."""

    namespace: str
    account: str

    def matches(self, field: str, value: str) -> bool:
        """field: principals, namespaces or serviceAccounts. The trust domain is left open, since it is the same on both
        sides; and so is an account that is not known."""
        if field == "namespaces":
            return _like(value, self.namespace)
        if not self.account:
            return f"/ns/{self.namespace}/" in value or value.startswith(f"{self.namespace}/")
        if field == "serviceAccounts":
            return value in (f"{self.namespace}/{self.account}", self.account)
        domains = {"cluster.local", value.partition("/ns/")[0]}
        return any(_like(value, f"{domain}/ns/{self.namespace}/sa/{self.account}") for domain in domains)


def check(inventory: Inventory) -> list[Finding]:
    """A rule is fine once it names green beside blue, in the same list or in another entry of its `from`."""
    found = []
    for policy in inventory["authorization_policies"]:
        for i, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            lists = list(_lists(rule or {}))
            for field, key, values in lists:
                beside = [v for other, k, vs in lists if k == key and _side(other) == _side(field) for v in vs]
                for workload in inventory.workloads:
                    blue = [v for v in values if any(who.matches(key, v) for who in _blues(inventory, workload))]
                    green = Identity(workload.green[0], workload.green_account)
                    if blue and not any(green.matches(key, v) for v in beside):
                        found.append(
                            Finding(
                                CODE, ERROR, named(policy), f"spec.rules[{i}].{field}",
                                f"{', '.join(blue)} is blue's identity ({workload.name}), not green's",
                                "Name green's identity beside it, at the source of this policy, and drop blue's after"
                                " the cleanup.",
                            )
                        )  # fmt: skip
    return found


def blues_in(inventory: Inventory, rule: dict[str, t.Any]) -> t.Iterator[tuple[str, list[str]]]:
    """(field, what in it is blue's identity) of every list of a rule that names it, whoever else is named."""
    for field, key, values in _lists(rule):
        for workload in inventory.workloads:
            blue = [v for v in values if any(who.matches(key, v) for who in _blues(inventory, workload))]
            if blue:
                yield field, blue


def _blues(inventory: Inventory, workload: Workload) -> list[Identity]:
    return [Identity(workload.blue[0], account) for account in inventory.blue_accounts(workload) or {""}]


def _side(field: str) -> bool:
    """Whether a list excludes: notPrincipals, notValues, ..."""
    return field.rpartition(".")[2].startswith("not")


def _lists(rule: dict[str, t.Any]) -> t.Iterator[tuple[str, str, list[str]]]:
    """(field, kind of name, values) of every list of a rule that names callers."""
    for j, entry in enumerate(rule.get("from") or ()):
        for name, values in ((entry or {}).get("source") or {}).items():
            key = name[3:4].lower() + name[4:] if name.startswith("not") else name
            if key in CONDITIONS.values() and values:
                yield f"from[{j}].source.{name}", key, values
    for j, condition in enumerate(rule.get("when") or ()):
        for name in ("values", "notValues"):
            if condition.get("key") in CONDITIONS and condition.get(name):
                yield f"when[{j}].{name}", CONDITIONS[condition["key"]], condition[name]


def _like(pattern: str, value: str) -> bool:
    """Istio's string match: exact, PREFIX*, *SUFFIX, or * for anything."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return pattern == value
