# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binds and unbinds VirtualServices, by jq: takes one side's Gateways out of every list, or puts them beside the other's."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command, edited, literal, on

KIND = "virtualservices.networking.istio.io"
LISTS = "(.spec.gateways, (.spec.http, .spec.tls, .spec.tcp)[]?.match[]?.gateways) |= "


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    if params["state"] == "restored":
        return [command for item in params["restore"] for command in restored(item)]
    if params["state"] == "unbound":
        side, filter_of = params["from"], taken_out
        what = f"take {', '.join(pair[side] for pair in params['pairs'])} out of"
    else:
        filter_of, side = put_beside, "blue"
        what = f"let {', '.join(pair[side] for pair in params['pairs'])} serve again"
    if not params.get("names"):
        return [Command(f"{what} VirtualServices that nobody listed: do it for each that is concerned", ":")]
    names = " ".join(shlex.quote(name) for name in params["names"])
    run = edited(KIND, "NAMESPACE", "NAME", LISTS + filter_of(params["pairs"], side))
    run = run.replace(" NAME -n NAMESPACE ", ' "${vs#*/}" -n "${vs%/*}" ')
    return [Command(f"{what} {len(params['names'])} VirtualServices", f"for vs in {names}; do\n  {run}\ndone")]


def taken_out(pairs: list[dict[str, str]], side: str) -> str:
    return f"(if . == null then empty else . - {literal([pair[side] for pair in pairs])} end)"


def put_beside(pairs: list[dict[str, str]], side: str) -> str:
    other = "green" if side == "blue" else "blue"
    steps = [
        f"(if . != null and index({literal(pair[other])}) and (index({literal(pair[side])}) | not)"
        f" then map(if . == {literal(pair[other])} then {literal(pair[side])}, . else . end) else . end)"
        for pair in pairs
    ]
    return "(if . == null then empty else . end | " + " | ".join(steps) + ")"


def restored(item: dict[str, t.Any]) -> list[Command]:
    namespace, _slash, name = item["name"].partition("/")
    patch = []
    for pointer, lists in item["lists"].items():
        patch += [
            {"op": "test", "path": pointer, "value": lists["from"]},
            {"op": "replace", "path": pointer, "value": lists["to"]},
        ]
    run = f"k patch {on(KIND, namespace, name)} --type=json -p {shlex.quote(json.dumps(patch))}"
    return [Command(f"gateways of VirtualService {item['name']} as they were", run)]
