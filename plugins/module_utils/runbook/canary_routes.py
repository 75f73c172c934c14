# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes a canary: everything to the version of before, then its routes, then its subsets.

Weights can be set by hand; what a route was before is in its annotation, and is put back by place. Routes and
destinations that others have changed since are left to whoever reads this.
"""

from __future__ import annotations

import typing as t

from .._canary import NOTE, PREFIX
from .._canary_acts import target_of
from .._canary_rules import ADDED, own_name
from ._command import Book, Command, edited_all, literal

VS, RULE, ENTRY = (
    f"{plural}.networking.istio.io" for plural in ("virtualservices", "destinationrules", "serviceentries")
)


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    target = target_of({"service": None, "host": None, "namespace": None, "domain": "cluster.local", **params})
    host, own = target.host, own_name(target)
    if params["state"] == "routed":
        weights = {name: params["weights"].get(name, 0) for name in target.subsets}
        jq = f".spec.http |= map({shared(target, weights)})"
        return [Command(f"share of {host} as before: {weights}", each(host, jq))]
    if params["state"] == "unrouted":
        going = f"map(select((.name // {literal('')}) | startswith({literal(target.mark)}) | not))"
        kept = f"map(select((.name // {literal('')}) | startswith({literal(PREFIX)}) | not))"
        jq = (
            f"(.metadata.annotations[{literal(NOTE)}] | fromjson) as $note | ($note[{literal(host)}] // {{}}) as $was"
            f" | .spec.http |= {going} | (.spec.http | {kept}) as $own"
            " | .spec.http |= map(. as $r | ($own | index([$r])) as $at"
            " | if $at != null and $was[$at | tostring] then .route = $was[$at | tostring] else . end)"
            f" | ($note | del(.[{literal(host)}])) as $left | if $left == {{}} then"
            f" del(.metadata.annotations[{literal(NOTE)}]) else .metadata.annotations[{literal(NOTE)}] = ($left |"
            " tojson) end"
        )
        own_vs = f"k delete {VS} {own} -n {target.namespace} --ignore-not-found"
        return [
            Command(
                f"routes to {host} as they were; first see that pods of one version alone are ready", each(host, jq)
            ),
            Command("and the VirtualService that was made for it", own_vs),
        ]
    if params["state"] == "absent":
        jq = (
            f"(.metadata.annotations[{literal(ADDED)}] // {literal('')} | split({literal(',')})) as $added"
            " | .spec.subsets |= map(select(.name as $n | $added | index($n) | not))"
            f" | del(.metadata.annotations[{literal(ADDED)}]) | if .spec.subsets == [] then del(.spec.subsets) else ."
            " end"
        )
        delete = f"k delete {RULE},{ENTRY} {own} -n {target.namespace} --ignore-not-found"
        return [
            Command(
                f"the subsets of {host}, once no route names them",
                edited_all(RULE, target.namespace, f".metadata.annotations | has({literal(ADDED)})?", jq),
            ),
            Command("and what was made for them", delete),
        ]
    return [Command(f"subsets of {host}: only Ansible can make them again", ":")]


def names_of(target: t.Any) -> list[str]:
    short = target.host.partition(".")[0]
    return [target.host, short]


def shared(target: t.Any, weights: dict[str, int]) -> str:
    """A filter of a route that gives the host's destinations these weights, where they are all of it."""
    ours = f"(.route // [] | map(select(.destination.host as $h | {literal(names_of(target))} | index($h))))"
    subsets = literal(list(target.subsets))
    return (
        f"if ({ours} | map(.destination.subset)) == {subsets} and ((.route | length) == {len(target.subsets)}) and"
        f" (((.name // {literal('')}) | startswith({literal(PREFIX)})) | not)"
        f" then .route |= map(.weight = {literal(weights)}[.destination.subset]) else . end"
    )


def each(host: str, jq: str) -> str:
    """The filter over every VirtualService whose note names the host."""
    wanted = f".metadata.annotations[{literal(NOTE)}] // {literal('{}')} | fromjson | has({literal(host)})"
    return edited_all(VS, "", wanted, jq)
