# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What green's target groups were given, taken away by the AWS command line."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command
from .elb_listener_weights import aws


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    return [_command(act, params["region"]) for act in params["undo"]]


def _command(act: dict[str, t.Any], region: str) -> Command:
    name = act["name"]
    if act["do"] == "close":
        permission = json.dumps([act["permission"]])
        run = aws(region, "ec2", "revoke-security-group-ingress", "--group-id", name, "--ip-permissions", permission)
        return Command(f"security group {name}: close port {act['permission']['FromPort']} again", run)
    query = "TargetGroups[0].TargetGroupArn"
    find = aws(region, "elbv2", "describe-target-groups", "--names", name, "--output", "text", "--query", query)
    arn = f'"$({find})"'
    if act["do"] == "delete":
        return Command(
            f"target group {name}: delete it, as it was made for green",
            f"{aws(region, 'elbv2', 'delete-target-group', '--target-group-arn')} {arn}",
        )
    if act["do"] == "detach":
        argv = ["autoscaling", "detach-load-balancer-target-groups", "--auto-scaling-group-name", act["group"]]
        return Command(
            f"Auto Scaling group {act['group']}: detach {name}", f"{aws(region, *argv, '--target-group-arns')} {arn}"
        )
    if act["do"] == "rejoin":
        group, asg = act["group"], "autoscaling"
        nodes = aws(
            region, asg, "describe-auto-scaling-groups", "--auto-scaling-group-names", group, "--output", "text",
            "--query", "AutoScalingGroups[0].Instances[].InstanceId",
        )  # fmt: skip
        register = aws(region, "elbv2", "register-targets", "--target-group-arn")
        wait = aws(region, "elbv2", "wait", "target-in-service", "--target-group-arn")
        attach = aws(
            region, asg, "attach-load-balancer-target-groups", "--auto-scaling-group-name", group, "--target-group-arns"
        )
        return Command(
            f"Auto Scaling group {group}: attach {name} again, once it is healthy on every node",
            f"{register} {arn} --targets $({nodes} | tr '\\t' '\\n' | sed 's/^/Id=/')"
            f" && {wait} {arn} && {attach} {arn}",
        )
    targets = shlex.join([f"Id={target}" for target in act["targets"]])
    return Command(
        f"target group {name}: take out what was registered by hand",
        f"{aws(region, 'elbv2', 'deregister-targets', '--targets')} {targets} --target-group-arn {arn}",
    )
