# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of Route 53 by the AWS command line: those of before, and all to blue.

What is deleted has to be named as it is, so it is read first. The command line takes profile and endpoint from its
environment.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command

LIST = "aws route53 list-resource-record-sets --output json --hosted-zone-id"
CHANGE = "aws route53 change-resource-record-sets --hosted-zone-id"


def change(zone: str, jq: str) -> str:
    """A request that a jq filter makes of what is there: Route 53 carries out all of it or nothing."""
    return f'{CHANGE} {shlex.quote(zone)} --change-batch "$({LIST} {shlex.quote(zone)} | jq -c {shlex.quote(jq)})"'


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    """Each zone is asked for the records that it has."""
    was = [one for record in params["records"] for one in record["sets"]]
    names = json.dumps(sorted({f"{one['Name']} {one['Type']}" for one in was}))
    jq = (
        f"{json.dumps(was)} as $was | [.ResourceRecordSets[] | select(\"\\(.Name) \\(.Type)\" | IN({names}[]))] as $now"
        ' | ($now | map("\\(.Name) \\(.Type)")) as $here'
        " | {Changes: (($now - $was | map({Action: \"DELETE\", ResourceRecordSet: .}))"
        ' + ($was - $now | map(select("\\(.Name) \\(.Type)" | IN($here[]))'
        ' | {Action: "CREATE", ResourceRecordSet: .})))}'
    )
    return [
        Command(f"records of hosted zone {zone} as they were", change(zone, jq))
        for zone in params["zones"]
    ]


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    """servers: as route53_weights returns them. What is simple is all blue's, or all green's when blue is gone."""
    found = []
    for zone in sorted({s["zone"] for s in servers}):
        weights = {
            f"{s['name']} {s['type']} {s['set_identifier']}": 100 if s["colour"] == "blue" else 0
            for s in servers
            if s["zone"] == zone and s["set_identifier"]
        }
        jq = (
            f"{json.dumps(weights)} as $weights | {{Changes: [.ResourceRecordSets[]"
            ' | $weights["\\(.Name) \\(.Type) \\(.SetIdentifier)"] as $weight | select($weight != null)'
            ' | .Weight = $weight | {Action: "UPSERT", ResourceRecordSet: .}]}'
        )
        if weights:
            found.append(Command(f"hosted zone {zone}: give blue all weight", change(zone, jq)))
    if found:
        longest = max(s["ttl"] for s in servers)
        found.append(Command("and wait until caches have let go of green", f"sleep {longest}"))
    return found + show(servers)


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    found = []
    for zone in sorted({s["zone"] for s in servers}):
        names = json.dumps(sorted({s["name"] for s in servers if s["zone"] == zone}))
        jq = (
            f".ResourceRecordSets[] | select(.Name | IN({names}[]))"
            ' | "\\(.Name) \\(.Type) \\(.SetIdentifier // "simple") \\(.Weight // "")"'
        )
        found.append(Command(f"weights in force in {zone}", f"{LIST} {shlex.quote(zone)} | jq -r {shlex.quote(jq)}"))
    return found
