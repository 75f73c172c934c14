# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary rules, removed by the AWS command line."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command
from .elb_listener_weights import aws


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    hosts = ", ".join(params["hosts"])
    if params["state"] == "present":
        what = f"Make a rule for each of {hosts} again, with what the default action does; only a person can say where"
        return [Command(what, ":")]
    region, found = params["region"], []
    for listener in params["listeners"]:
        hosts_json = json.dumps([[host] for host in params["hosts"]])
        chosen = (
            ".Rules[] | select((.Conditions | length) == 1) | select(.Conditions[0].HostHeaderConfig.Values as $v"
            f" | {hosts_json} | index([$v])) | .RuleArn"
        )
        read = aws(region, "elbv2", "describe-rules", "--listener-arn", listener, "--output", "json")
        delete = aws(region, "elbv2", "delete-rule", "--rule-arn")
        run = f'for rule in $({read} | jq -r {shlex.quote(chosen)}); do {delete} "$rule"; done'
        found.append(Command(f"remove the rules of {hosts}, which the default action serves as well", run))
    return found
