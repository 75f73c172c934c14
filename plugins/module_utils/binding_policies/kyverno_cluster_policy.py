# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kyverno's ClusterPolicy: the same as cel.py, in JMESPath and regular expressions. Newer versions of Kyverno call it
deprecated, and have MutatingPolicy.

A list of references is joined to one line, `NAMESPACE REFERENCE REFERENCE ...`, in which a regular expression finds the
first reference that means a Gateway, in any form, and puts its twin beside it. So nothing but gateway lists is written,
and no loop over references is needed. Rules run one after the other, each on what the one before has made.
"""

from __future__ import annotations

import typing as t

from .._resources import Resources
from .._virtual_services import LEAVE_ALONE, MESH, Bound, Pair
from .cel import WELL_FORMED

NAME = "kyverno_cluster_policy"
KINDS = (("kyverno.io/v1", "ClusterPolicy"),)
REPORTS = ("wgpolicyk8s.io/v1alpha2", "PolicyReport")
WHERE = "Kyverno with ClusterPolicy"
TOP = "(request.object.spec.gateways || `[]`)"
PROTOCOLS = ("http", "tcp", "tls")
ALL = f"[{TOP}, {', '.join(f'request.object.spec.{kind}[].match[].gateways[] || `[]`' for kind in PROTOCOLS)}][]"


def available(resources: Resources) -> str:
    """What of it the API server serves, or ''."""
    ((api, kind),) = KINDS
    return f"Kyverno has {kind} {api}" if resources.find(api, kind) else ""


def objects(_resources: Resources, name: str, rule: Bound) -> list[dict[str, t.Any]]:
    """Without our labels and annotations, in the order in which to write them."""
    ((api, kind),) = KINDS
    return [{"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec(rule)}]


def spec(rule: Bound) -> dict[str, t.Any]:
    return {
        "background": False,  # it is about what is being written, not about what is there
        # A policy that can't be evaluated, or a Kyverno that is down, must keep nobody from writing a VirtualService.
        "failurePolicy": "Ignore",
        "rules": [part for number, pair in enumerate(rule.pairs) for part in _pair(number, pair, rule.both_ways)],
    }


def line(names: str) -> str:
    """The one line of a list of references, as JMESPath."""
    return f"join(' ', [[request.namespace], {names}][])"


def named(gateway: str) -> str:
    """A regular expression of a line that names this gateway: up to the first reference to it, that reference, and what
    follows. Groups 1 and 2 for a VirtualService in the gateway's own namespace, 3 and 4 for any other, and 5."""
    namespace, _slash, name = gateway.partition("/")
    dotless = "." not in name  # else only NAMESPACE/NAME and ./NAME can mean it
    anywhere = [_quoted(gateway), *([rf"{_quoted(f'{name}.{namespace}')}(?:[.][-a-zA-Z0-9.]*)?"] if dotless else [])]
    at_home = [_quoted(f"./{name}"), *([name] if dotless and name != MESH else []), *anywhere]
    rest = "(?:[^ ]+ )*?"
    home, away = f"({namespace} {rest})({'|'.join(at_home)})", f"([^ ]+ {rest})({'|'.join(anywhere)})"
    return f"^(?:{home}|{away})((?: [^ ]+)*)$"


def with_twin(names: str, gateway: str, twin: str, first: bool) -> str:
    """The list with `twin` before (first) or after `gateway`, as JMESPath."""
    put = f"${{1}}${{3}}{twin} ${{2}}${{4}}${{5}}" if first else f"${{1}}${{2}}${{3}}${{4}} {twin}${{5}}"
    return f"split(regex_replace_all('{named(gateway)}', {line(names)}, '{put}'), ' ')[1:]"


def _pair(number: int, pair: Pair, both_ways: bool) -> t.Iterator[dict[str, t.Any]]:
    yield from _direction(f"green-of-pair-{number}", pair.blue, pair.green, first=False)
    if both_ways:
        yield from _direction(f"blue-of-pair-{number}", pair.green, pair.blue, first=True)


def _direction(name: str, have: str, lack: str, first: bool) -> t.Iterator[dict[str, t.Any]]:
    """Two rules: for spec.gateways, and for the lists of matches."""

    def wanting(names: str) -> list[dict[str, t.Any]]:
        return [
            _holds(f"regex_match('{named(gateway)}', {line(names)})", is_so)
            for gateway, is_so in ((have, True), (lack, False))
        ]

    def patch(path: str, names: str) -> str:
        return f"- op: replace\n  path: {path}\n  value: {{{{ {with_twin(names, have, lack, first)} }}}}\n"

    concerned = [
        _holds(f"request.object.metadata.labels.\"{LEAVE_ALONE}\" == 'false'", False),
        _holds("request.object.metadata.deletionTimestamp == null", True),
        _holds(f"length(request.object.spec.hosts || `[]`) == `0` || length({TOP}[?@ != '{MESH}']) > `0`", True),
        _holds(f"length({ALL} | [?!regex_match('^(?:{WELL_FORMED})$', @)]) == `0`", True),  # so none has a space
    ]
    kinds = {"kinds": ["networking.istio.io/*/VirtualService"], "operations": ["CREATE", "UPDATE"]}
    match = {"any": [{"resources": kinds}]}
    own = "element.gateways || `[]`"
    yield {
        "name": name, "match": match, "preconditions": {"all": [*concerned, *wanting(TOP)]},
        "mutate": {"patchesJson6902": patch("/spec/gateways", TOP)},
    }  # fmt: skip
    yield {
        "name": f"{name}-in-matches", "match": match, "preconditions": {"all": concerned},
        "mutate": {
            "foreach": [
                {
                    "list": f"request.object.spec.{kind} || `[]`",
                    "foreach": [
                        {
                            "list": "element.match || `[]`",
                            "preconditions": {"all": wanting(own)},
                            "patchesJson6902": patch(
                                f"/spec/{kind}/{{{{elementIndex0}}}}/match/{{{{elementIndex1}}}}/gateways", own
                            ),
                        }
                    ],
                }
                for kind in PROTOCOLS
            ]
        },
    }  # fmt: skip


def _holds(expression: str, is_so: bool) -> dict[str, t.Any]:
    return {"key": f"{{{{ {expression} }}}}", "operator": "Equals", "value": is_so}


def _quoted(text: str) -> str:
    return text.replace(".", "[.]")
