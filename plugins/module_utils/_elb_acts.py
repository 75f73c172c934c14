# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what green's target groups need, does it, and undoes it."""

from __future__ import annotations

import time
import typing as t

from . import _elb, _elb_balancer, _elb_twin
from ._aws import Client
from ._elb import Health, Pair
from ._elb_balancer import Balancer, View
from ._elb_twin import Act
from ._module import Refusal

TAGGED = 20  # resources whose tags can be asked for at once
REJOIN = 300.0  # seconds that a group's nodes have to become healthy


def tags_of(client: Client, arns: t.Sequence[str]) -> dict[str, dict[str, str]]:
    found = {}
    for start in range(0, len(arns), TAGGED):
        answer = client.call("elbv2", "describe_tags", ResourceArns=list(arns[start : start + TAGGED]))
        for entry in answer["TagDescriptions"]:
            found[entry["ResourceArn"]] = {tag["Key"]: tag.get("Value", "") for tag in entry["Tags"]}
    return found


class Twin:
    """wanted: the option target_groups, in the order of the balancer's pairs."""

    def __init__(self, balancer: Balancer, wanted: t.Sequence[dict[str, t.Any]]) -> None:
        self.balancer, self.client = balancer, balancer.client
        self._wanted = wanted

    def examine(self, view: View, security_groups: bool, ignore_changes: bool) -> tuple[list[str], list[Act]]:
        """(what only people can put right, what can be done here). ignore_changes: what infrastructure code has made is
        accepted, since it ignores what is written here. Raises Refusal(owned)."""
        pairs = self.balancer.pairs
        tags = self._tags(view, pairs)
        autoscaling = self.client.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
        problems = [] if ignore_changes else self._of_code(tags)
        problems += self._left_out(view)
        acts: list[Act] = []
        nodes: set[str] = set()
        ports: list[tuple[int, int]] = []
        for pair, entry in zip(pairs, self._wanted):
            node_port, status_port = entry["node_port"], entry["status_port"]
            blue = self.balancer.groups[pair.blue]
            if blue["TargetType"] != "instance":
                problems.append(
                    f"target group {pair.blue_name}: TargetType is {blue['TargetType']}, expected instance: only nodes"
                    " with NodePorts are looked after here"
                )
                continue
            found, mine = self._group(view, pair, blue, node_port, status_port, tags)
            problems += found
            health = self.balancer.target_health(pair.blue)
            green = self.balancer.target_health(pair.green) if pair.green else Health({})
            acts += mine + _elb_twin.target_acts(pair, autoscaling, health.states, green.states)
            problems += _elb_twin.rotation_problems(pair, autoscaling, health.states, green.states)
            nodes |= set(health.states)
            checked = blue.get("HealthCheckPort")
            ports += [
                (blue["Port"], node_port),
                (blue["Port"] if checked in (None, "traffic-port") else int(checked), status_port),
            ]
        if security_groups and nodes:
            acts += self._ingress(sorted(nodes), ports)
        return problems, acts

    def _left_out(self, view: View) -> list[str]:
        """Listeners of the same load balancers that lead to blue, too, and would be left behind."""
        found = []
        blues = {pair.blue: pair.blue_name for pair in self.balancer.pairs}
        for balancer, listener in self.balancer.every_listener(view):
            if listener["ListenerArn"] in view.listeners:
                continue
            actions = [listener["DefaultActions"]]
            if self.balancer.kind == "application":
                actions += [rule["Actions"] for rule in self.balancer.rules_of(view, listener["ListenerArn"])]
            led = {blues[group] for some in actions for group in _elb.weights_in(some) or {} if group in blues}
            if led:
                found.append(
                    f"listener {balancer.split('/')[-2]}:{listener['Port']}: forwards to {', '.join(sorted(led))}, too,"
                    " and is not among listeners, so that its clients would stay at blue. Name it there"
                    " (mesh_balancer.listeners)"
                )
        return found

    def _of_code(self, tags: dict[str, dict[str, str]]) -> list[str]:
        """What infrastructure code seems to have made of that which weights are written to. A target group of green's is
        not: that it comes from code is as it should be."""
        greens = {f"target group {pair.green_name}" for pair in self.balancer.pairs}
        hinted = {name: hints for name, found in sorted(tags.items()) if (hints := _elb_twin.code_hints(found))}
        found = "; ".join(f"{name} ({', '.join(hints)})" for name, hints in hinted.items() if name not in greens)
        if not found:
            return []
        return [
            f"infrastructure code seems to make {found}, and puts weights back when it is applied: have it ignore them"
            " (Terraform: lifecycle ignore_changes of the listener's default_action and the rule's action) until it says"
            " green, and then say so with ignore_changes: true (mesh_balancer.ignore_changes)"
        ]

    def _tags(self, view: View, pairs: t.Sequence[Pair]) -> dict[str, dict[str, str]]:
        """By a name for people. Raises Refusal(owned)."""
        names = {arn: f"load balancer {arn.split('/')[-2]}" for arn in view.balancers}
        names |= {arn: f"listener {title}" for arn, title in view.listeners.items()}
        names |= {forward.arn: forward.title for forward in view.every if forward.is_rule}
        names |= {
            p: f"target group {n}"
            for pair in pairs
            for p, n in ((pair.blue, pair.blue_name), (pair.green, pair.green_name))
            if p
        }
        tags = {names[arn]: found for arn, found in tags_of(self.client, list(names)).items()}
        for name, found in sorted(tags.items()):
            if owner := _elb_twin.owner(found):
                raise Refusal(
                    "owned", f"{name}: {owner}. What is written here would be put back at its next run.", object=name
                )
        return tags

    def _group(
        self, view: View, pair: Pair, blue: dict[str, t.Any], node_port: int, status_port: int,
        tags: dict[str, dict[str, str]],
    ) -> tuple[list[str], list[Act]]:  # fmt: skip
        theirs = self._attributes(pair.blue)
        create = {
            "do": "create",
            "name": pair.green_name,
            "template": _elb_twin.template(blue, pair.green_name, node_port, status_port),
        }
        if not pair.green:
            # What a new one has is known when it is there; check mode can't say which attributes will be written.
            return [], [create, {"do": "attributes", "name": pair.green_name, "attributes": theirs, "found": {}}]
        green = self.balancer.groups[pair.green]
        problems = _elb_twin.differences(blue, green, node_port, status_port, view.balancers)
        found = self._attributes(pair.green)
        wrong = _elb_twin.attribute_differences(theirs, found)
        if not wrong:
            return problems, []
        act = {"do": "attributes", "name": pair.green_name, "attributes": wrong, "found": found}
        # One that was made here and not finished is finished; what others made, they change.
        if _elb_twin.TAG in tags.get(f"target group {pair.green_name}", {}):
            return problems, [act]
        return [*problems, _elb_twin.describe(act) + f" (as {pair.blue_name} has)"], []

    def _attributes(self, arn: str) -> dict[str, str]:
        answer = self.client.call("elbv2", "describe_target_group_attributes", TargetGroupArn=arn)
        return {entry["Key"]: entry["Value"] for entry in answer["Attributes"]}

    def _ingress(self, nodes: list[str], ports: list[tuple[int, int]]) -> list[Act]:
        ids = [
            [group["GroupId"] for group in instance["SecurityGroups"]] for instance in self.balancer.instances(nodes)
        ]
        wanted = sorted({group for some in ids for group in some})
        if not wanted:
            return []
        described = self.client.pages("ec2", "describe_security_groups", "SecurityGroups", GroupIds=wanted)
        return _elb_twin.ingress_acts({group["GroupId"]: group for group in described}, ids, ports)


# -- acting ------------------------------------------------------------------------------------------------------------
class Actor:
    """Carries acts out, and what undoes them. A target group is found by its name when it is needed."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def arn(self, name: str) -> str | None:
        try:
            answer = self.client.call("elbv2", "describe_target_groups", Names=[name])
        except Refusal as refusal:
            if refusal.details.get("error") in ("TargetGroupNotFound", "TargetGroupNotFoundException"):
                return None
            raise
        return answer["TargetGroups"][0]["TargetGroupArn"]

    def perform(self, act: Act) -> None:
        elb = "elbv2"
        if act["do"] == "create":
            self.client.call(elb, "create_target_group", **act["template"])
        elif act["do"] == "open":
            self.client.call(
                "ec2", "authorize_security_group_ingress", GroupId=act["name"], IpPermissions=[act["permission"]]
            )
        elif act["do"] == "detach":
            self.undo(act)
        else:
            arn = self.arn(act["name"]) or ""
            if act["do"] == "attributes":
                self._attributes(arn, act["attributes"])
            elif act["do"] == "attach":
                self._attach(arn, act["group"])
            else:
                self._register(arn, act["targets"])

    def _attach(self, arn: str, group: str) -> None:
        self.client.call(
            "autoscaling", "attach_load_balancer_target_groups", AutoScalingGroupName=group, TargetGroupARNs=[arn]
        )

    def _register(self, arn: str, targets: t.Iterable[str]) -> None:
        known = [{"Id": target} for target in targets]
        self.client.call("elbv2", "register_targets", TargetGroupArn=arn, Targets=known)

    def _health(self, arn: str) -> Health:
        answer = self.client.call("elbv2", "describe_target_health", TargetGroupArn=arn)
        return Health.of(answer["TargetHealthDescriptions"])

    def _groups(self, name: str) -> list[dict[str, t.Any]]:
        return self.client.pages(
            "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=[name]
        )

    def _rejoin(self, arn: str, act: Act) -> None:
        """Attached at once, a group would replace the nodes on which blue is not up yet. Raises Refusal(not_up)."""
        nodes = [instance["InstanceId"] for group in self._groups(act["group"]) for instance in group["Instances"]]
        if nodes:
            self._register(arn, nodes)
        end = time.monotonic() + REJOIN
        while not set(nodes) <= set((health := self._health(arn)).healthy):
            if time.monotonic() > end:
                raise Refusal(
                    "not_up",
                    f"target group {act['name']}: not all nodes of Auto Scaling group {act['group']} are healthy after"
                    f" {REJOIN:g} s ({health.text}). It replaces nodes that are not, so it was not attached again. See"
                    " that blue's pods are ready, that its NodePorts are what they were, and that a listener forwards to"
                    " the target group, if only with weight 0; then run it again.",
                    target_group=act["name"],
                )
            time.sleep(_elb_balancer.POLL)
        self._attach(arn, act["group"])

    def _attributes(self, arn: str, wanted: dict[str, str]) -> None:
        answer = self.client.call("elbv2", "describe_target_group_attributes", TargetGroupArn=arn)
        found = {entry["Key"]: entry["Value"] for entry in answer["Attributes"]}
        differing = [{"Key": k, "Value": v} for k, v in _elb_twin.attribute_differences(wanted, found).items()]
        if differing:
            self.client.call("elbv2", "modify_target_group_attributes", TargetGroupArn=arn, Attributes=differing)

    def needed(self, act: Act) -> str | None:
        """What undoing would do now, for people; None where it is undone. Raises Refusal(not_ours)."""
        if act["do"] == "close":
            described = self.client.pages("ec2", "describe_security_groups", "SecurityGroups", GroupIds=[act["name"]])
            permission = act["permission"]
            mine = _elb_twin.bare(permission)
            port = (permission["FromPort"], permission["ToPort"])
            there = any(
                (rule.get("FromPort"), rule.get("ToPort")) == port
                and mine in _elb_twin.sources({"IpPermissions": [rule]}, port[0])
                for group in described
                for rule in group["IpPermissions"]
            )
            return f"Security group {act['name']} port {port[0]}" if there else None
        arn = self.arn(act["name"])
        if arn is None:
            return None
        if act["do"] == "delete":
            if _elb_twin.TAG not in tags_of(self.client, [arn]).get(arn, {}):
                raise Refusal(
                    "not_ours",
                    f"target group {act['name']}: has no tag {_elb_twin.TAG}, expected one as it was made here. It is"
                    " left; delete it by hand if nobody needs it.",
                )
            return f"Target group {act['name']}"
        if act["do"] in ("detach", "rejoin"):
            groups = self._groups(act["group"])
            there = sum(arn in _elb_twin.attached(group) for group in groups)
            needed = there if act["do"] == "detach" else len(groups) - there
            return f"Auto Scaling group {act['group']}: target group {act['name']}" if needed else None
        health = self._health(arn)
        return f"Target group {act['name']} targets" if set(act["targets"]) & set(health.states) else None

    def undo(self, act: Act) -> None:
        if act["do"] == "close":
            self.client.call(
                "ec2", "revoke_security_group_ingress", GroupId=act["name"], IpPermissions=[act["permission"]]
            )
            return
        arn = self.arn(act["name"]) or ""
        if act["do"] == "delete":
            self.client.call("elbv2", "delete_target_group", TargetGroupArn=arn)
        elif act["do"] == "rejoin":
            self._rejoin(arn, act)
        elif act["do"] == "detach":
            self.client.call(
                "autoscaling", "detach_load_balancer_target_groups",
                AutoScalingGroupName=act["group"], TargetGroupARNs=[arn],
            )  # fmt: skip
        else:
            targets = [{"Id": target} for target in act["targets"]]
            self.client.call("elbv2", "deregister_targets", TargetGroupArn=arn, Targets=targets)
