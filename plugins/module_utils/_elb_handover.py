# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What infrastructure code must know of AWS' load balancers after a migration, as infrastructure_files takes it."""

from __future__ import annotations

import re
import typing as t

from ._elb import Forward, Pair
from ._elb_twin import OPENED, TAG, attached

Object = dict[str, t.Any]


def word(text: str) -> str:
    """A name that Terraform takes."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def resources(
    pairs: t.Sequence[Pair], tags: t.Mapping[str, t.Mapping[str, str]], autoscaling: t.Sequence[Object],
    targets: t.Mapping[str, t.Iterable[str]],
) -> list[Object]:  # fmt: skip
    """Green's target groups that were made here, which their tag says, and what ties targets to them.

    tags, targets (their ids): by target group's ARN.
    """
    found: list[Object] = []
    for pair in pairs:
        if TAG not in tags.get(pair.green, {}):
            continue
        name, arn = word(pair.green_name), pair.green
        found.append({"type": "aws_lb_target_group", "name": name, "id": arn})
        groups = [group for group in autoscaling if arn in attached(group)]
        for group in groups:
            title = group["AutoScalingGroupName"]
            made = {"name": f"{name}_{word(title)}", "id": f"{title},{arn}"}
            found.append({"type": "aws_autoscaling_attachment", **made})
        theirs = {instance["InstanceId"] for group in groups for instance in group.get("Instances") or []}
        for target in sorted(set(targets.get(arn, ())) - theirs):
            made = {"name": f"{name}_{word(target)}", "id": f"{target},{arn}"}
            found.append({"type": "aws_lb_target_group_attachment", **made})
    return found


SOURCES = (
    ("IpRanges", "CidrIp", lambda rule: rule.get("CidrIpv4")),
    ("Ipv6Ranges", "CidrIpv6", lambda rule: rule.get("CidrIpv6")),
    ("PrefixListIds", "PrefixListId", lambda rule: rule.get("PrefixListId")),
    ("UserIdGroupPairs", "GroupId", lambda rule: (rule.get("ReferencedGroupInfo") or {}).get("GroupId")),
)  # in a group's permissions, and in a rule of its own


def opened(groups: t.Sequence[Object], rules: t.Sequence[Object]) -> list[Object]:
    """The rules of security groups that were opened here, which their description says.

    groups: as DescribeSecurityGroups has them; rules: as DescribeSecurityGroupRules has them, for their ids.
    """
    mine = {
        (group["GroupId"], permission["FromPort"], permission["ToPort"], source[key])
        for group in groups
        for permission in group.get("IpPermissions") or []
        for field, key, _of in SOURCES
        for source in permission.get(field) or []
        if source.get("Description") == OPENED
    }
    found = []
    for rule in rules:
        source = next((value for _field, _key, of in SOURCES if (value := of(rule))), "")
        if not rule.get("IsEgress") and (rule["GroupId"], rule.get("FromPort"), rule.get("ToPort"), source) in mine:
            name = word(f"{rule['GroupId']}_{rule['FromPort']}_{source}")
            found.append(
                {"type": "aws_vpc_security_group_ingress_rule", "name": name, "id": rule["SecurityGroupRuleId"]}
            )
    return sorted(found, key=lambda one: one["name"])


def weights(forwards: t.Sequence[Forward]) -> list[Object]:
    """In force at each listener's default action and each rule."""
    return [
        {
            "kind": "aws_lb_listener_rule" if forward.is_rule else "aws_lb_listener",
            "name": word(forward.title.removesuffix(" default").partition(" (")[0]),
            "id": forward.arn,
            "targets": [
                {"name": arn, "weight": weight, "colour": forward.pair.colour(arn)}
                for arn, weight in forward.weights.items()
            ],
        }
        for forward in forwards
    ]


def lasting(forwards: t.Sequence[Forward], tags: t.Mapping[str, t.Mapping[str, str]], temporary: str) -> list[Forward]:
    """Without temporary rules, which clean-up removes."""
    return [forward for forward in forwards if temporary not in tags.get(forward.arn, {})]
