# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of binding in CEL, for policies of the API server and of Kyverno: what Bound of _virtual_services does.

Every gateway list of a VirtualService is looked at, references are resolved as istiod does, and a list that names one
side of a pair gets the other one beside it, blue first. The two must stay equal: the scenario bind_admission compares
them object by object.
"""

from __future__ import annotations

import typing as t

from .._virtual_services import LABEL, LEAVE_ALONE, MESH, Bound

WELL_FORMED = "|".join((
    rf"[.]/{LABEL}(?:[.]{LABEL})*",  # ./name
    rf"{LABEL}/{LABEL}(?:[.]{LABEL})*",  # namespace/name
    rf"{LABEL}[.]{LABEL}(?:[.][-a-zA-Z0-9.]*)?",  # name.namespace.anything
    LABEL,
))  # fmt: skip
NAMES = {
    "top": "object.spec.?gateways.orValue([])",
    "kinds": "['http', 'tcp', 'tls']",
    "routes": "object.spec[?kind].orValue([])",
    "matches": "route.?match.orValue([])",
    "names": "match.?gateways.orValue([])",
}


def resolved(name: str) -> str:
    """The gateway that a reference means, as NAMESPACE/NAME or `mesh`; without sense for a malformed one."""
    return (
        f"({name} == '{MESH}' ? {name} : {name}.startsWith('./') ? request.namespace + {name}.substring(1) :"
        f" {name}.contains('/') ? {name} :"
        f" {name}.contains('.') ? {name}.split('.')[1] + '/' + {name}.split('.')[0] : request.namespace + '/' + {name})"
    )


def conditions(rule: Bound) -> list[dict[str, str]]:
    """Which VirtualServices are looked at: a few cheap questions, so that the others cost nothing."""
    gateways = ", ".join(f"'{gateway}'" for pair in rule.pairs for gateway in pair)
    named = f"{resolved('name')} in [{gateways}]"
    return [
        {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"},
        {
            "name": "not-to-be-left-alone",
            "expression": f"object.metadata.?labels[?'{LEAVE_ALONE}'].orValue('') != 'false'",
        },
        {
            "name": "serves-more-than-the-mesh",
            "expression": "object.spec.?hosts.orValue([]).size() == 0 ||"
            f" {NAMES['top']}.exists(name, name != '{MESH}')",
        },
        {
            "name": "names-one-of-these-gateways",
            "expression": f"{NAMES['top']}.exists(name, {named}) || {NAMES['kinds']}.exists(kind,"
            f" {NAMES['routes']}.exists(route, {NAMES['matches']}.exists(match,"
            f" {NAMES['names']}.exists(name, {named}))))",
        },
    ]


def variables(rule: Bound) -> list[dict[str, str]]:
    """What the mutation is built from. dyn() because CEL wants literals of one type."""
    blue_of = {pair.green: pair.blue for pair in rule.pairs} if rule.both_ways else {}
    green_of = {pair.blue: pair.green for pair in rule.pairs}
    path = "'/spec/' + kind + '/' + string(r) + '/match/' + string(m) + '/gateways'"
    found = {
        "green_of": _map(green_of),
        "blue_of": _map(blue_of),
        "lists": f"[{{'path': dyn('/spec/gateways'), 'names': dyn({NAMES['top']})}}] +"
        f" {NAMES['kinds']}.map(kind, {NAMES['routes']}.transformList(r, route,"
        f" {NAMES['matches']}.transformList(m, match,"
        f" {{'path': dyn({path}), 'names': dyn({NAMES['names']})}})).flatten()).flatten()",
        "well_formed": "variables.lists.all(list, list.names.all(name,"
        f" name.matches('^(?:{WELL_FORMED})$')))",
        "resolved": "variables.lists.map(list, {'path': list.path, 'names': list.names,"
        f" 'gateways': dyn(list.names.map(name, {resolved('name')}))}})",
        "bound": "variables.resolved.map(list, {'path': list.path, 'names': list.names, 'bound':"
        " dyn(list.names.transformList(i, name,"
        f" {_twin('blue_of')} + [dyn(name)] + {_twin('green_of')}).flatten())}})",
    }  # fmt: skip
    return [{"name": name, "expression": expression} for name, expression in found.items()]


def mutation() -> str:
    """JSON patches of the lists that change; of none if any reference is malformed, as nobody knows what it means."""
    return (
        "!variables.well_formed ? [] : variables.bound.filter(list, list.bound != list.names)"
        ".map(list, JSONPatch{op: 'add', path: list.path, value: list.bound})"
    )


def rules(rule: Bound) -> dict[str, t.Any]:
    """The fields that policies of the API server and of Kyverno have in common, with every default written out."""
    return {
        # A policy that can't be evaluated must not keep anybody from writing a VirtualService.
        "failurePolicy": "Ignore",
        # What others add behind us is looked at as well; a second look at what is bound changes nothing.
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "resourceRules": [
                {
                    "apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["virtualservices"], "scope": "*",
                }
            ],
        },
        "matchConditions": conditions(rule),
        "variables": variables(rule),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation()}}],
    }  # fmt: skip


def _map(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{one}': '{other}'" for one, other in pairs.items()) + "}"


def _twin(twins: str) -> str:
    """[the twin of name], or [] if it has none, the list names it already, or it stands beside an earlier name."""
    own = "list.gateways[i]"
    return (
        f"({own} in variables.{twins} && !(variables.{twins}[{own}] in list.gateways)"
        f" && list.gateways.indexOf({own}) == i ? [dyn(variables.{twins}[{own}])] : [])"
    )
