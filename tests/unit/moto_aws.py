# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""moto's server on loopback, as a child process, and a cloud in it as a cluster's owner would have made it.

moto keeps what it is given and checks little of it: neither weights above 999 nor protocols that don't fit, and
whatever is registered is healthy at once. What AWS would refuse is therefore refused by refusing().
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path
from unittest import mock

import boto3
from ansible_collections.bluegreen.mesh.plugins.module_utils import _aws
from botocore.exceptions import ClientError

REGION = "eu-west-1"
LAB = Path(__file__).parents[1] / "lab"


class Moto:
    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        with open(log, "wb") as out:
            command = [sys.executable, "-m", "bglab.moto_server", "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(command, cwd=LAB, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/config", timeout=5) as answer:
                return answer.status < 300
        except OSError:
            return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Cloud:
    """Two nodes in two zones, in an Auto Scaling group, and what tests put in front of them."""

    def __init__(self, moto: Moto) -> None:
        self.url = moto.url
        make = {"region_name": REGION, "endpoint_url": moto.url}
        self.elb, self.ec2, self.asg = (boto3.client(name, **make) for name in ("elbv2", "ec2", "autoscaling"))
        subnets = sorted(self.ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])[:2]
        self.subnets = [subnet["SubnetId"] for subnet in subnets]
        self.vpc = subnets[0]["VpcId"]
        self.security_group = self.ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=self.vpc)[
            "GroupId"
        ]
        # moto's groups start all instances in one zone.
        self.nodes = [self.node(subnet) for subnet in self.subnets]
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="nodes",
            MinSize=0,
            MaxSize=9,
            VPCZoneIdentifier=",".join(self.subnets),
            InstanceId=self.nodes[0],
        )
        self.asg.attach_instances(AutoScalingGroupName="nodes", InstanceIds=self.nodes)

    def node(self, subnet: str) -> str:
        answer = self.ec2.run_instances(
            ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet,
            SecurityGroupIds=[self.security_group],
        )  # fmt: skip
        return answer["Instances"][0]["InstanceId"]

    def clear(self) -> None:
        """For the next test: nodes stay, since they take moto seconds."""
        self.arn: dict[str, str] = {}  # of target groups, by name
        self.rules: dict[str, str] = {}
        self.listeners: list[str] = []
        for balancer in self.elb.describe_load_balancers()["LoadBalancers"]:
            self.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        for group in self.elb.describe_target_groups()["TargetGroups"]:
            arn = group["TargetGroupArn"]
            # moto refuses to detach where an instance has been taken out.
            self.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": node} for node in self.nodes])
            self.asg.detach_load_balancer_target_groups(AutoScalingGroupName="nodes", TargetGroupARNs=[arn])
            self.elb.delete_target_group(TargetGroupArn=arn)
        if ingress := self.ingress():
            self.ec2.revoke_security_group_ingress(GroupId=self.security_group, IpPermissions=ingress)

    def ingress(self) -> list[dict[str, t.Any]]:
        return self.ec2.describe_security_groups(GroupIds=[self.security_group])["SecurityGroups"][0]["IpPermissions"]

    def balancer(self, name: str, kind: str = "network") -> str:
        answer = self.elb.create_load_balancer(Name=name, Type=kind, Subnets=self.subnets)
        return answer["LoadBalancers"][0]["LoadBalancerArn"]

    def target_group(
        self, name: str, port: int, protocol: str = "TCP", status: int = 30021, attach: bool = True
    ) -> str:
        answer = self.elb.create_target_group(
            Name=name, Protocol=protocol, Port=port, VpcId=self.vpc, TargetType="instance", HealthCheckProtocol="HTTP",
            HealthCheckPort=str(status), HealthCheckPath="/healthz/ready",
        )  # fmt: skip
        arn = answer["TargetGroups"][0]["TargetGroupArn"]
        if attach:
            self.asg.attach_load_balancer_target_groups(AutoScalingGroupName="nodes", TargetGroupARNs=[arn])
        return arn

    def listener(self, balancer: str, port: int, group: str, protocol: str = "TCP") -> str:
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        answer = self.elb.create_listener(
            LoadBalancerArn=balancer, Protocol=protocol, Port=port, DefaultActions=actions
        )
        return answer["Listeners"][0]["ListenerArn"]

    def rule(self, listener: str, priority: int, group: str, *hosts: str, path: str = "") -> str:
        conditions: list[dict[str, t.Any]] = (
            [{"Field": "host-header", "HostHeaderConfig": {"Values": list(hosts)}}] if hosts else []
        )
        if path:
            conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}})
        answer = self.elb.create_rule(
            ListenerArn=listener, Priority=priority, Conditions=conditions,
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )  # fmt: skip
        return answer["Rules"][0]["RuleArn"]

    def weights(self, arn: str) -> dict[str, int]:
        """In force at a listener's default action or at a rule, by name; past our own code."""
        if ":listener-rule/" in arn:
            actions = self.elb.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"]
        else:
            actions = self.elb.describe_listeners(ListenerArns=[arn])["Listeners"][0]["DefaultActions"]
        (action,) = (action for action in actions if action["Type"] == "forward")
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
        return {group["TargetGroupArn"].split("/")[1]: group["Weight"] for group in groups}

    def set_weights(self, listener: str, **weights: int) -> None:
        """As somebody else would. By ARN."""
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
        self.elb.modify_listener(ListenerArn=listener, DefaultActions=[action])


@contextlib.contextmanager
def running(folder: Path) -> t.Iterator[Cloud]:
    moto = Moto(folder / "moto.log")
    try:
        # A session reads descriptions of AWS' services for a good while, and a test runs many modules.
        session = functools.cache(boto3.session.Session)
        with (
            mock.patch.dict(os.environ, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}),
            mock.patch.object(_aws.boto3.session, "Session", session),
        ):
            yield Cloud(moto)
    finally:
        moto.stop()


@contextlib.contextmanager
def refusing(operation: str, about: str = "", code: str = "AccessDenied", times: int = 99) -> t.Iterator[list[str]]:
    """AWS refuses this operation, where one of its parameters is or has `about`. Yields what was refused."""
    call, refused = _aws.Client.call, []

    def refuse(self: _aws.Client, service: str, name: str, **params: t.Any) -> dict[str, t.Any]:
        if name == operation and about in str(params) and len(refused) < times:
            refused.append(name)
            error = ClientError({"Error": {"Code": code, "Message": "no"}}, name)
            raise self._refusal(service, name, error.response["Error"], params)
        return call(self, service, name, **params)

    with mock.patch.object(_aws.Client, "call", refuse):
        yield refused
