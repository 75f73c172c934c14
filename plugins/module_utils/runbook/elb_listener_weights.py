# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of target groups by the AWS command line: those of before, and all to blue.

AWS replaces actions as a whole, so they are read, changed by jq and written back. The command line takes profile and
endpoint from its environment.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command

SECRET = "if .AuthenticateOidcConfig then .AuthenticateOidcConfig.UseExistingClientSecret = true else . end"


def region_of(arn: str) -> str:
    return arn.split(":")[3]


def aws(region: str, *argv: str) -> str:
    return shlex.join(["aws", "--region", region, *argv])


def set_weights(arn: str, weights: dict[str, int]) -> str:
    """weights: by target group's ARN; arn: of a listener or a rule."""
    groups = json.dumps([{"TargetGroupArn": group, "Weight": weight} for group, weight in weights.items()])
    forward = f'if .Type == "forward" then .ForwardConfig.TargetGroups = {groups} | del(.TargetGroupArn) else . end'
    rule = ":listener-rule/" in arn
    read = ["describe-rules", "--rule-arns", arn] if rule else ["describe-listeners", "--listener-arns", arn]
    path = ".Rules[0].Actions" if rule else ".Listeners[0].DefaultActions"
    write = (
        ["modify-rule", "--rule-arn", arn, "--actions"]
        if rule
        else ["modify-listener", "--listener-arn", arn, "--default-actions"]
    )
    region = region_of(arn)
    change = shlex.quote(f"{path} | map({forward} | {SECRET})")
    actions = f'"$({aws(region, "elbv2", *read, "--output", "json")} | jq -c {change})"'
    return f"{aws(region, 'elbv2', *write)} {actions}"


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    return [
        Command(f"weights of {arn.partition(':listener')[2]} as they were", set_weights(arn, weights))
        for arn, weights in params["weights"].items()
    ]


def blue_first(params: dict[str, t.Any]) -> list[Command]:
    """The same, with green's target groups attached still, so that its connections can end."""
    greens = {pair["blue"]: pair["green"] for pair in params["target_groups"] if pair["green"]}
    found = []
    for arn, weights in params["weights"].items():
        kept = {greens[group]: 0 for group in weights if group in greens}
        what = f"weights of {arn.partition(':listener')[2]} as they were, and none for green"
        found.append(Command(what, set_weights(arn, {**kept, **weights})))
    return found


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    """servers: as elb_listener_weights returns them."""
    found = []
    for arn, mine in by_forward(servers).items():
        weights = {s["target_group"]: 100 if s["colour"] == "blue" else 0 for s in mine}
        if 100 in weights.values():
            found.append(Command(f"{mine[0]['backend']}: give blue everything", set_weights(arn, weights)))
    return found + show(servers)


def by_forward(servers: list[dict[str, t.Any]]) -> dict[str, list[dict[str, t.Any]]]:
    found: dict[str, list[dict[str, t.Any]]] = {}
    for server in servers:
        found.setdefault(server["arn"], []).append(server)
    return found


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    found = []
    for arn, mine in by_forward(servers).items():
        rule = ":listener-rule/" in arn
        read = ["describe-rules", "--rule-arns", arn] if rule else ["describe-listeners", "--listener-arns", arn]
        path = "Rules[].Actions[]" if rule else "Listeners[].DefaultActions[]"
        query = f"{path}.ForwardConfig.TargetGroups[].[TargetGroupArn,Weight]"
        run = aws(region_of(arn), "elbv2", *read, "--output", "text", "--query", query)
        found.append(Command(f"weights in force at {mine[0]['backend']}", run))
    return found
