"""Sets up what a customer would have at AWS, then lets HAProxy follow what is set there, for as long as it runs."""

from __future__ import annotations

import time
import typing as t

import boto3

from . import balancer, knot, moto
from . import settings as s

EVERY = 0.2  # seconds between two looks: about what AWS takes to bring a change to its nodes, and then some
LISTENERS = {row[0]: row for row in balancer.LISTENERS}


def client(service: str) -> t.Any:
    return boto3.client(
        service, region_name=moto.REGION, endpoint_url=moto.URL, aws_access_key_id="lab", aws_secret_access_key="lab"
    )


def nodes() -> tuple[list[str], str]:
    """(subnets, VPC): one node in each zone, in an Auto Scaling group, open for blue's NodePorts only."""
    ec2 = client("ec2")
    found = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])[: len(s.NODES)]
    subnets, vpc = [subnet["SubnetId"] for subnet in found], found[0]["VpcId"]
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
    ports = {port for row in balancer.LISTENERS for port in (row[3], row[5])}
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": f"{s.HOST_NET}.0/24"}]}
            for port in sorted(ports)
        ],
    )
    ids = [
        ec2.run_instances(
            ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet,
            SecurityGroupIds=[group],
        )["Instances"][0]["InstanceId"]
        for subnet in subnets
    ]  # fmt: skip
    autoscaling = client("autoscaling")
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="nodes", MinSize=0, MaxSize=9, VPCZoneIdentifier=",".join(subnets), InstanceId=ids[0]
    )
    autoscaling.attach_instances(AutoScalingGroupName="nodes", InstanceIds=ids)
    return subnets, vpc


def load_balancers(subnets: list[str], vpc: str) -> dict[str, str]:
    """HAProxy's listener, by the ARN of the one that it stands for."""
    elb, autoscaling = client("elbv2"), client("autoscaling")
    found = {}
    for name, (kind, ports) in moto.LOAD_BALANCERS.items():
        arn = elb.create_load_balancer(Name=name, Type=kind, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        for port, at in ports.items():
            _name, _address, _port, blue, _green, status, _green_status = LISTENERS[at]
            protocol = "TCP" if kind == "network" else "HTTP"
            group = elb.create_target_group(
                Name=f"{name}-{port}-blue", Protocol=protocol, Port=blue, VpcId=vpc, TargetType="instance",
                HealthCheckProtocol="HTTP", HealthCheckPort=str(status), HealthCheckPath="/healthz/ready",
            )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
            autoscaling.attach_load_balancer_target_groups(AutoScalingGroupName="nodes", TargetGroupARNs=[group])
            actions = [{"Type": "forward", "TargetGroupArn": group}]
            made = elb.create_listener(LoadBalancerArn=arn, Protocol=protocol, Port=port, DefaultActions=actions)
            found[made["Listeners"][0]["ListenerArn"]] = at
    return found


def hosted_zone() -> str:
    """Id of a zone that has what the lab's own name server has."""
    route53 = client("route53")
    made = route53.create_hosted_zone(Name=knot.ZONE, CallerReference="lab")["HostedZone"]["Id"]
    sets = [
        {"Name": name, "Type": "A", "TTL": knot.TTL, "ResourceRecords": [{"Value": address}]}
        for name, address in knot.records().items()
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
    route53.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes})
    return str(made.rpartition("/")[2])


def weights_of(listener: dict[str, t.Any], ports: dict[str, int]) -> tuple[int, int]:
    """(blue's weight, green's) in a listener's default action. ports: of target groups, by ARN: that of a NodePort says
    whose it is."""
    action = listener["DefaultActions"][-1]
    groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
    weights = {"blue": 0, "green": 0}
    for group in groups:
        port = ports.get(group["TargetGroupArn"])
        weights["green" if port in {row[4] for row in balancer.LISTENERS} else "blue"] += group["Weight"]
    return weights["blue"], weights["green"]


def scaled(blue: int, green: int) -> tuple[int, int]:
    """As HAProxy takes them: whole numbers up to 256."""
    if max(blue, green) > 256:
        blue, green = (round(256 * weight / max(blue, green)) or int(weight > 0) for weight in (blue, green))
    return (100, 0) if green == 0 else (blue, green)


def main() -> None:
    subnets, vpc = nodes()
    stands_for = load_balancers(subnets, vpc)
    moto.ZONE_ID.write_text(hosted_zone())
    elb = client("elbv2")
    known: dict[str, tuple[int, int]] = {}
    moto.MADE.write_text(moto.URL)
    while True:
        ports = {group["TargetGroupArn"]: group["Port"] for group in elb.describe_target_groups()["TargetGroups"]}
        for listener in elb.describe_listeners(ListenerArns=list(stands_for))["Listeners"]:
            arn = listener["ListenerArn"]
            weights = scaled(*weights_of(listener, ports))
            # Two load balancers may stand before one gateway: the one that was changed last counts.
            if weights != known.setdefault(arn, (100, 0)):
                balancer.set_weights(stands_for[arn], *weights)
                known[arn] = weights
                print(f"{stands_for[arn]}: blue {weights[0]}, green {weights[1]}", flush=True)
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
