# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that let in the old gateway alone: they let in the new controller too, before it sends anything, and forget
the old one afterwards. Pure.

A NetworkPolicy knows a gateway by labels of its pods and namespace, an AuthorizationPolicy by its identity. A
controller outside Istio's mesh has no identity, so policies by identity can let it in by its address alone, and only if
that is said. A list is never emptied: an empty `from` lets everybody in.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._edits import pointer
from ._inventory import ERROR, WARNING, Finding, Inventory, named
from ._network_policies import admits, types_of
from ._objects import Object, labels_of, ref_of
from .findings.backend_policy_principal import Identity, _lists

CODES = ("admission_identity", "admission_shared")
BY = {"principals": "principals", "namespaces": "namespaces", "serviceAccounts": "serviceAccounts"}


@dataclasses.dataclass(frozen=True)
class Side:
    """Pods, by namespace and labels, and their service account ('' if it is not known)."""

    namespace: str
    labels: t.Mapping[str, str]
    account: str

    @property
    def identity(self) -> Identity:
        return Identity(self.namespace, self.account)


@dataclasses.dataclass(frozen=True)
class Sides:
    """in_mesh: whether the new controller's pods have a sidecar of Istio's. networks: CIDRs of its pods, where it has
    none."""

    old: Side
    new: Side
    in_mesh: bool
    networks: t.Sequence[str] = ()


@dataclasses.dataclass
class Edit:
    """fields: as _edits.edited takes them."""

    policy: Object
    fields: dict[str, t.Any]


def admitted(inventory: Inventory, sides: Sides) -> tuple[list[Edit], list[Finding]]:
    """What lets the new one in wherever the old one is. Inventory: namespaces, network_policies,
    authorization_policies."""
    edits, findings = [], []
    for policy in inventory["network_policies"]:
        fields = {}
        if "Ingress" in types_of(policy):
            for number, rule in enumerate((policy.get("spec") or {}).get("ingress") or ()):
                if _lets(inventory, policy, rule or {}, sides.old) and not _lets(
                    inventory, policy, rule or {}, sides.new
                ):
                    fields[pointer("spec", "ingress", number, "from")] = [*rule["from"], peer_of(sides.new)]
        edits.append(Edit(policy, fields))
    for policy in inventory["authorization_policies"]:
        fields = {}
        for where, values, new in _identities(policy, sides):
            if new is None:
                findings.append(_unknown(policy, where, values))
            elif isinstance(new, dict):
                fields.setdefault(where, at_from(policy, where)).append(new)
            else:
                fields[where] = [*values, new]
        edits.append(Edit(policy, fields))
    return [edit for edit in edits if edit.fields], findings


def forgotten(inventory: Inventory, sides: Sides) -> tuple[list[Edit], list[Finding]]:
    """What takes the old one out wherever the new one is let in. Inventory: as above, and pods."""
    edits, findings = [], []
    for policy in inventory["network_policies"]:
        fields = {}
        for number, rule in enumerate((policy.get("spec") or {}).get("ingress") or ()):
            peers = (rule or {}).get("from") or []
            olds = [p for p in peers if _only(inventory, policy, p, sides)]
            shared = [o for p in olds for o in _others(inventory, policy, p, sides)]
            if not olds or not _lets(inventory, policy, rule, sides.new):
                continue
            if shared:
                findings.append(_shared(policy, f"spec.ingress[{number}].from", shared))
            else:
                fields[pointer("spec", "ingress", number, "from")] = [p for p in peers if p not in olds]
        edits.append(Edit(policy, fields))
    for policy in inventory["authorization_policies"]:
        fields = {}
        for i, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            for field, key, values in _lists(rule or {}):
                stay = [v for v in values if not _is_old(key, v, sides)]
                if stay != values and stay:
                    fields[_pointer(i, field)] = stay
            entries = (rule or {}).get("from") or []
            whole = [e for e in entries if _entry_is_old(e, sides)]
            if whole and len(whole) < len(entries):
                fields = {p: v for p, v in fields.items() if not p.startswith(pointer("spec", "rules", i, "from"))}
                fields[pointer("spec", "rules", i, "from")] = [e for e in entries if e not in whole]
        edits.append(Edit(policy, fields))
    return [edit for edit in edits if edit.fields], findings


def peer_of(side: Side) -> Object:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": side.namespace}},
        "podSelector": {"matchLabels": dict(side.labels)},
    }


# -- NetworkPolicies ---------------------------------------------------------------------------------------------------
def _lets(inventory: Inventory, policy: Object, rule: Object, side: Side) -> bool:
    """Whether a rule names a side; one without peers is for everyone, and names nobody."""
    own = ref_of(policy)[0]
    return any(admits(peer, own, side.namespace, inventory, dict(side.labels)) for peer in rule.get("from") or ())


def _only(inventory: Inventory, policy: Object, peer: Object, sides: Sides) -> bool:
    own = ref_of(policy)[0]
    return admits(peer, own, sides.old.namespace, inventory, dict(sides.old.labels)) and not admits(
        peer, own, sides.new.namespace, inventory, dict(sides.new.labels)
    )


def _others(inventory: Inventory, policy: Object, peer: Object, sides: Sides) -> list[str]:
    """Pods that a peer lets in beside the old gateway's."""
    own = ref_of(policy)[0]
    return sorted(
        {
            named(pod) for pod in inventory["pods"]
            if admits(peer, own, ref_of(pod)[0], inventory, labels_of(pod))
            and not (ref_of(pod)[0] == sides.old.namespace and sides.old.labels.items() <= labels_of(pod).items())
        }
    )  # fmt: skip


def _shared(policy: Object, field: str, pods: t.Sequence[str]) -> Finding:
    return Finding(
        "admission_shared", WARNING, named(policy), field, f"what lets the old gateway in also lets in {', '.join(pods[:3])}",
        "It stays as it is. Narrow it at its source, if these pods need not come in.",
    )  # fmt: skip


# -- AuthorizationPolicies ---------------------------------------------------------------------------------------------
def _identities(policy: Object, sides: Sides) -> t.Iterator[tuple[str, list[str], t.Any]]:
    """(pointer, values, what is to be added) of every list that names the old one and not the new one. A dict is added
    to the rule's `from`; None: there is nothing that would let it in."""
    old, new = sides.old.identity, sides.new.identity
    for i, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
        for field, key, values in _lists(rule or {}):
            mine = [v for v in values if old.matches(key, v)]
            beside = [v for _f, k, vs in _lists(rule or {}) if k == key for v in vs]
            if not mine or sides.in_mesh and any(new.matches(key, v) for v in beside):
                continue
            if sides.in_mesh:
                yield _pointer(i, field), values, _value(key, mine[0], sides.new)
            elif _by_address(rule, sides):
                continue
            elif field.startswith("from") and not field.rpartition(".")[2].startswith("not") and sides.networks:
                yield pointer("spec", "rules", i, "from"), values, {"source": {"ipBlocks": list(sides.networks)}}
                break  # once for each rule
            else:
                yield f"spec.rules[{i}].{field}", values, None


def at_from(policy: Object, where: str) -> list[Object]:
    """A copy of a rule's `from`."""
    return list(policy["spec"]["rules"][int(where.split("/")[3])]["from"])


def _by_address(rule: Object, sides: Sides) -> bool:
    return any(((e or {}).get("source") or {}) == {"ipBlocks": list(sides.networks)} for e in rule.get("from") or ())


def _value(key: str, like: str, side: Side) -> str:
    """How the new one is called in a list that calls the old one `like`."""
    if key == "namespaces":
        return side.namespace
    if key == "serviceAccounts":
        return f"{side.namespace}/{side.account}"
    domain = like.partition("/ns/")[0] if "/ns/" in like and not like.startswith("*") else "cluster.local"
    return f"{domain}/ns/{side.namespace}/sa/{side.account}"


def _is_old(key: str, value: str, sides: Sides) -> bool:
    return sides.old.identity.matches(key, value) and not sides.new.identity.matches(key, value)


def _entry_is_old(entry: Object, sides: Sides) -> bool:
    """Whether a source names the old gateway and nobody else."""
    source = (entry or {}).get("source") or {}
    lists = [(key, values) for key, values in source.items() if key in BY and values]
    return bool(lists) and any(all(_is_old(key, v, sides) for v in values) for key, values in lists)


def _pointer(rule: int, field: str) -> str:
    """from[0].source.principals of a rule, as a JSON pointer."""
    parts: list[str | int] = []
    for part in field.split("."):
        name, _bracket, number = part.partition("[")
        parts += [name, int(number[:-1])] if number else [name]
    return pointer("spec", "rules", rule, *parts)


def _unknown(policy: Object, field: str, values: t.Sequence[str]) -> Finding:
    return Finding(
        "admission_identity", ERROR, named(policy), field, f"it lets in {', '.join(values)}, by identity",
        "The new controller has no sidecar of Istio's, so no identity. Give it one (controller.in_mesh), or its pods'"
        " networks (controller.networks), or move the host after its workload has left Istio's mesh.",
    )  # fmt: skip
