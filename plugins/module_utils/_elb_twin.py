# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What green's target groups need before they get traffic, compared with blue's. Nothing here sends a request.

An act is {"do", "name", ...}, plain data, and so is what undoes it: both are carried out by elb_target_group_twin.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ._elb import Pair

TAG = "bluegreen.mesh/twin-of"  # on target groups that were made here, with the name of blue's
OPENED = "Made by bluegreen.mesh for green"  # description of security group rules that were made here
PATH = "/healthz/ready"  # of a gateway's status port
SAME = ("Protocol", "ProtocolVersion", "VpcId", "TargetType", "IpAddressType")
COPIED = (
    *SAME, "HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "HealthyThresholdCount",
    "UnhealthyThresholdCount", "Matcher",
)  # fmt: skip
INFRASTRUCTURE_CODE = re.compile(
    r"terraform|terragrunt|opentofu|pulumi|cloudformation|crossplane|managed[-_ ]?by", re.I
)
Act = dict[str, t.Any]
Group = dict[str, t.Any]


# -- who owns it -------------------------------------------------------------------------------------------------------
def owner(tags: dict[str, str]) -> str | None:
    """A controller that would put back what we write, and what to write there instead; None if there is none."""
    stack = next((tags[key] for key in ("ingress.k8s.aws/stack", "service.k8s.aws/stack") if key in tags), "")
    if "ingress.k8s.aws/stack" in tags or "ingress.k8s.aws/resource" in tags:
        return (
            f"the AWS Load Balancer Controller makes it from the Ingress or IngressGroup {stack}. Shift there: give its"
            " rules' backend an annotation alb.ingress.kubernetes.io/actions.NAME with a forwardConfig that has both"
            " Services and their weights"
        )
    if "service.k8s.aws/stack" in tags or "service.k8s.aws/resource" in tags:
        return (
            f"the AWS Load Balancer Controller makes it from the Service {stack}, and its target groups with it. Give"
            " green a Service with a load balancer of its own and shift by DNS, or put a load balancer in front that"
            " has no such owner"
        )
    if "elbv2.k8s.aws/cluster" in tags:
        return (
            f"the AWS Load Balancer Controller of cluster {tags['elbv2.k8s.aws/cluster']} makes it. Shift at the"
            " object in the cluster that it is made from"
        )
    if "kubernetes.io/service-name" in tags:
        return (
            f"the cloud provider of Kubernetes makes it from the Service {tags['kubernetes.io/service-name']}. Give"
            " green a Service with a load balancer of its own and shift by DNS"
        )
    return None


def code_hints(tags: dict[str, str]) -> list[str]:
    """Tags by which infrastructure code is known to mark what it makes; only CloudFormation's are certain."""
    return sorted(
        f"{k}={v}"
        for k, v in tags.items()
        if INFRASTRUCTURE_CODE.search(f"{k} {v}") and not k.startswith("bluegreen.mesh/")
    )


# -- target groups -----------------------------------------------------------------------------------------------------
def template(blue: Group, name: str, node_port: int, status_port: int) -> dict[str, t.Any]:
    """What to create green's target group from."""
    made = {key: blue[key] for key in COPIED if blue.get(key) is not None}
    if "Matcher" in made:
        made["Matcher"] = {"HttpCode": "200"} if blue.get("HealthCheckProtocol") == "TCP" else made["Matcher"]
    return {
        **made, "Name": name, "Port": node_port, "HealthCheckProtocol": "HTTP", "HealthCheckPath": PATH,
        "HealthCheckPort": str(status_port), "HealthCheckEnabled": True,
        "Tags": [{"Key": TAG, "Value": blue["TargetGroupName"]}],
    }  # fmt: skip


def differences(
    blue: Group, green: Group, node_port: int, status_port: int, balancers: t.Sequence[str]
) -> list[str]:  # fmt: skip
    """What keeps a target group from taking blue's traffic, and what to do."""
    name = f"target group {green['TargetGroupName']}"
    wanted = {key: (blue.get(key), f"as {blue['TargetGroupName']} has") for key in SAME}
    wanted |= {
        "Port": (node_port, "green's NodePort"),
        "HealthCheckEnabled": (True, "else its targets are never known to be healthy"),
        "HealthCheckProtocol": ("HTTP", "green's status port"),
        "HealthCheckPort": (str(status_port), "green's status NodePort"),
        "HealthCheckPath": (PATH, "which follows the gateway's readiness"),
    }
    found = [
        f"{name}: {key} is {green.get(key)}, expected {value} ({why})"
        for key, (value, why) in wanted.items()
        if green.get(key) != value
    ]
    elsewhere = [arn for arn in green.get("LoadBalancerArns") or [] if arn not in balancers]
    if elsewhere:
        found.append(
            f"{name}: is used by {', '.join(arn.split('/')[-2] for arn in elsewhere)}, and a target group belongs to"
            " one load balancer only. Name another one"
        )
    return found


def attribute_differences(blue: dict[str, str], green: dict[str, str]) -> dict[str, str]:
    """Attributes that green is to have as blue has them: deregistration delay, stickiness, cross-zone, proxy protocol,
    client addresses, slow start, algorithm, and whatever AWS adds."""
    return {key: value for key, value in sorted(blue.items()) if green.get(key) != value}


# -- targets -----------------------------------------------------------------------------------------------------------
def attached(group: dict[str, t.Any]) -> set[str]:
    """Target groups of an Auto Scaling group, by ARN."""
    sources = {s["Identifier"] for s in group.get("TrafficSources") or [] if s.get("Type", "elbv2") == "elbv2"}
    return set(group.get("TargetGroupARNs") or []) | sources


def target_acts(
    pair: Pair, autoscaling: t.Sequence[dict[str, t.Any]], blue: t.Iterable[str], green: t.Iterable[str]
) -> list[Act]:
    """Green gets blue's Auto Scaling groups, so that it follows when nodes come and go, and the targets that are in
    none of them. blue, green: ids of targets."""
    groups = [group for group in autoscaling if pair.blue in attached(group)]
    acts: list[Act] = [
        {"do": "attach", "name": pair.green_name, "group": group["AutoScalingGroupName"]}
        for group in groups
        if not pair.green or pair.green not in attached(group)
    ]
    theirs = {instance["InstanceId"] for group in groups for instance in group.get("Instances") or []}
    lacking = sorted(set(blue) - theirs - set(green))
    if lacking:
        acts.append({"do": "register", "name": pair.green_name, "targets": lacking})
    return acts


def rotation_problems(
    pair: Pair, autoscaling: t.Sequence[dict[str, t.Any]], blue: t.Iterable[str], green: t.Iterable[str]
) -> list[str]:
    """Where green would lose its nodes, or take nodes away, though it can be given blue's now. blue, green: ids of
    targets."""
    found = []
    lacking = set(blue) - set(green)
    for group in autoscaling:
        name = group["AutoScalingGroupName"]
        theirs = {instance["InstanceId"] for instance in group.get("Instances") or []}
        if pair.blue in attached(group):
            # Every target group of a group with this check has to call a node healthy, or it is replaced.
            if group.get("HealthCheckType") == "ELB" and pair.green not in attached(group):
                found.append(
                    f"Auto Scaling group {name}: HealthCheckType is ELB, so that it replaces nodes on which green is not"
                    f" up, once it registers them in {pair.green_name}. Set it to EC2 for as long, or attach"
                    f" {pair.green_name} yourself when green answers on every node"
                )
        elif lacking & theirs:
            found.append(
                f"target group {pair.green_name}: lacks {', '.join(sorted(lacking & theirs))}, nodes of Auto Scaling group"
                f" {name}, which does not register them in {pair.blue_name} either: something else does (a"
                " TargetGroupBinding of the AWS Load Balancer Controller?). Have it register them in green's, too; what is"
                " registered once is gone with its node"
            )
    return found


def release_acts(pair: Pair, autoscaling: t.Sequence[dict[str, t.Any]]) -> list[Act]:
    """What has to be before blue's NodePorts go: a group with this check replaces every node on which one of its target
    groups is not healthy, whatever its weight."""
    return [
        {"do": "detach", "name": pair.blue_name, "group": group["AutoScalingGroupName"]}
        for group in autoscaling
        if group.get("HealthCheckType") == "ELB" and pair.blue in attached(group)
    ]


# -- security groups ---------------------------------------------------------------------------------------------------
def sources(group: dict[str, t.Any], port: int) -> list[dict[str, t.Any]]:
    """Who may reach a TCP port by this security group; each as a permission for nobody else."""
    found = []
    for rule in group.get("IpPermissions") or []:
        if rule["IpProtocol"] not in ("tcp", "6", "-1"):
            continue
        if rule["IpProtocol"] != "-1" and not rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535):
            continue
        for field, key in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("PrefixListIds", "PrefixListId"),
            ("UserIdGroupPairs", "GroupId"),
        ):
            found += [{field: [{key: source[key]}]} for source in rule.get(field) or [] if source.get(key)]
    return found


def bare(permission: dict[str, t.Any]) -> dict[str, t.Any]:
    """Who it is for, as sources() has it: without ports and descriptions."""
    return {
        field: [{key: value for key, value in one.items() if key != "Description"} for one in entries]
        for field, entries in permission.items() if isinstance(entries, list)
    }  # fmt: skip


def covers(wide: dict[str, t.Any], narrow: dict[str, t.Any]) -> bool:
    if wide == narrow:
        return True
    (field, (one,)), (other_field, (other,)) = next(iter(wide.items())), next(iter(narrow.items()))
    if field != other_field or field not in ("IpRanges", "Ipv6Ranges"):
        return False
    mine, theirs = (ipaddress.ip_network(next(iter(source.values())), strict=False) for source in (one, other))
    return theirs.subnet_of(mine)  # type: ignore[arg-type]


def ingress_acts(
    groups: dict[str, dict[str, t.Any]], nodes: t.Iterable[t.Sequence[str]], ports: t.Iterable[tuple[int, int]]
) -> list[Act]:
    """What has to be opened so that green's port is reached by whoever reaches blue's.

    groups: by id; nodes: ids of the security groups of each node; ports: (blue's, green's).
    """
    acts: list[Act] = []
    for node in sorted({tuple(sorted(ids)) for ids in nodes}):
        for blue, green in sorted(set(ports)):
            open_ = [source for group in node for source in sources(groups[group], green)]
            for group in node:
                for source in sources(groups[group], blue):
                    if any(covers(there, source) for there in open_):
                        continue
                    open_.append(source)
                    ((field, (one,)),) = source.items()
                    permission = {"IpProtocol": "tcp", "FromPort": green, "ToPort": green}
                    permission[field] = [{**one, "Description": OPENED}]
                    acts.append({"do": "open", "name": group, "permission": permission})
    return [act for i, act in enumerate(acts) if act not in acts[:i]]


# -- acts --------------------------------------------------------------------------------------------------------------
UNDONE_BY = {
    "create": "delete", "attach": "detach", "register": "deregister", "open": "close", "detach": "rejoin",
}  # fmt: skip


def undoing(act: Act) -> Act | None:
    """None for what goes with the target group."""
    if act["do"] not in UNDONE_BY:
        return None
    kept = {key: act[key] for key in ("name", "group", "targets", "permission") if key in act}
    return {"do": UNDONE_BY[act["do"]], **kept}


def source_of(permission: dict[str, t.Any]) -> str:
    return next(
        str(next(iter(entries[0].values()))) for field, entries in permission.items() if isinstance(entries, list)
    )


def describe(act: Act) -> str:
    """What is missing, for people."""
    what = act["do"]
    if what == "create":
        return f"target group {act['name']} does not exist, expected one like {act['template']['Tags'][0]['Value']}"
    if what == "attributes" and not act["found"]:
        return f"target group {act['name']}: attributes are AWS' own, expected blue's"
    if what == "attributes":
        return f"target group {act['name']}: " + ", ".join(
            f"{key} is {act['found'].get(key)}, expected {value}" for key, value in act["attributes"].items()
        )
    if what == "attach":
        return f"Auto Scaling group {act['group']}: does not register its nodes in {act['name']}, expected as in blue's"
    if what == "detach":
        return (
            f"Auto Scaling group {act['group']}: HealthCheckType is ELB, so that it replaces every node once"
            f" {act['name']}, which it is attached to, is not healthy any more"
        )
    if what == "register":
        return f"target group {act['name']}: lacks targets {', '.join(act['targets'])} that blue's has"
    permission = act["permission"]
    return (
        f"security group {act['name']}: port {permission['FromPort']} is closed to {source_of(permission)}, which"
        " reaches blue's"
    )


def key_of(act: Act) -> str:
    """Names a step of the journal."""
    more = act.get("group") or ",".join(act.get("targets", []))
    if "permission" in act:
        more = f"{act['permission']['FromPort']} {source_of(act['permission'])}"
    return " ".join(word for word in (act["name"], more) if word)


def change(act: Act) -> tuple[str, t.Any]:
    """(object, what it gets), for a diff."""
    if act["do"] == "create":
        return f"Target group {act['name']}", {k: v for k, v in act["template"].items() if k not in ("Name", "Tags")}
    if act["do"] == "attributes":
        return f"Target group {act['name']} attributes", act["attributes"]
    if act["do"] in ("attach", "detach"):
        return f"Auto Scaling group {act['group']}: target group {act['name']}", {"attached": act["do"] == "attach"}
    if act["do"] == "register":
        return f"Target group {act['name']} targets", {target: "registered" for target in act["targets"]}
    permission = act["permission"]
    return f"Security group {act['name']} port {permission['FromPort']}", {source_of(permission): "open"}
