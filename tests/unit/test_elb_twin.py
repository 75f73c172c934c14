# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""elb_target_group_twin and elb_host_rule: what they compare, and both against moto's server."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _elb,
    _elb_acts,
    _elb_balancer,
    _elb_rules,
    _elb_twin,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import State
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import (
    elb_host_rule,
    elb_listener_weights,
    elb_target_group_twin,
    migration_journal,
)
from fake_cluster import CONNECTION, FakeCluster, run_module
from moto_aws import REGION, refusing

PAIRS = [
    {"blue": "http-blue", "green": "http-green", "node_port": 30081, "status_port": 30022},
    {"blue": "https-blue", "green": "https-green", "node_port": 30444, "status_port": 30022},
]


# -- owners ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"elbv2.k8s.aws/cluster": "prod", "ingress.k8s.aws/stack": "shop/web"}, "Ingress or IngressGroup shop/web"),
        ({"elbv2.k8s.aws/cluster": "prod", "service.k8s.aws/stack": "gw/public"}, "Service gw/public"),
        ({"elbv2.k8s.aws/cluster": "prod"}, "of cluster prod"),
        ({"kubernetes.io/service-name": "gw/public"}, "cloud provider of Kubernetes"),
    ],
)
def test_a_controllers_load_balancer_is_told_by_its_tags(tags, says):
    assert says in _elb_twin.owner(tags)


def test_what_nobody_owns():
    assert _elb_twin.owner({"Name": "public", "kubernetes.io/cluster/prod": "shared"}) is None
    assert _elb_twin.code_hints({"Name": "public", "ManagedBy": "ops", "tool": "terragrunt"}) == [
        "ManagedBy=ops",
        "tool=terragrunt",
    ]
    assert _elb_twin.code_hints({"Name": "public", _elb_twin.TAG: "terraform-blue"}) == []


# -- target groups -----------------------------------------------------------------------------------------------------
BLUE = {
    "TargetGroupName": "b",
    "Protocol": "TCP",
    "VpcId": "vpc",
    "TargetType": "instance",
    "IpAddressType": "ipv4",
    "Port": 30080,
}
GREEN = {**BLUE, "TargetGroupName": "g", "Port": 30081, "HealthCheckEnabled": True, "HealthCheckProtocol": "HTTP",
         "HealthCheckPort": "30022", "HealthCheckPath": "/healthz/ready"}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"Protocol": "TLS"}, "Protocol is TLS, expected TCP (as b has)"),
        ({"ProtocolVersion": "HTTP2"}, "ProtocolVersion is HTTP2, expected None"),
        ({"VpcId": "other"}, "VpcId is other"),
        ({"TargetType": "ip"}, "TargetType is ip, expected instance (as b has)"),
        ({"IpAddressType": "ipv6"}, "IpAddressType is ipv6, expected ipv4 (as b has)"),
        ({"Port": 30080}, "Port is 30080, expected 30081"),
        ({"HealthCheckPort": "30021"}, "HealthCheckPort is 30021, expected 30022"),
        ({"HealthCheckProtocol": "TCP"}, "HealthCheckProtocol is TCP, expected HTTP"),
        ({"HealthCheckPath": "/"}, "expected /healthz/ready"),
        ({"HealthCheckEnabled": False}, "HealthCheckEnabled is False"),
        (
            {"LoadBalancerArns": ["arn:aws:x:loadbalancer/net/other/1"]},
            "is used by other, and a target group belongs to one",
        ),
    ],
)
def test_each_difference_is_named(changed, says):
    (found,) = _elb_twin.differences(BLUE, {**GREEN, **changed}, 30081, 30022, ["arn:mine"])
    assert found.startswith("target group g: ") and says in found


def test_no_difference():
    assert _elb_twin.differences(BLUE, {**GREEN, "LoadBalancerArns": ["arn:mine"]}, 30081, 30022, ["arn:mine"]) == []


def test_a_tcp_check_of_blues_becomes_one_that_takes_200():
    made = _elb_twin.template(
        {**BLUE, "HealthCheckProtocol": "TCP", "HealthCheckIntervalSeconds": 10, "Matcher": {}}, "g", 30081, 30022
    )
    assert made["Matcher"] == {"HttpCode": "200"} and made["HealthCheckIntervalSeconds"] == 10
    assert _elb_twin.differences(BLUE, {**made, "TargetGroupName": "g"}, 30081, 30022, []) == []


def test_targets_that_a_group_brings_are_not_registered_one_by_one():
    pair = _elb.Pair("arn:b", "arn:g", "b", "g")
    nodes = {"AutoScalingGroupName": "nodes", "TargetGroupARNs": ["arn:b"], "Instances": [{"InstanceId": "i-1"}]}
    newer = {"AutoScalingGroupName": "new", "TrafficSources": [{"Identifier": "arn:b", "Type": "elbv2"}]}
    done = {"AutoScalingGroupName": "done", "TargetGroupARNs": ["arn:b", "arn:g"]}
    others = {"AutoScalingGroupName": "others", "TargetGroupARNs": ["arn:x"]}
    assert _elb_twin.target_acts(pair, [nodes, newer, done, others], ["i-1", "i-2", "i-3"], ["i-3"]) == [
        {"do": "attach", "name": "g", "group": "nodes"}, {"do": "attach", "name": "g", "group": "new"},
        {"do": "register", "name": "g", "targets": ["i-2"]},
    ]  # fmt: skip


def test_nodes_that_something_else_registers_are_not_registered_once_by_hand():
    pair = _elb.Pair("arn:b", "arn:g", "b", "g")
    nodes = {"AutoScalingGroupName": "nodes", "TargetGroupARNs": [], "Instances": [{"InstanceId": "i-1"}, {"InstanceId": "i-2"}]}
    (found,) = _elb_twin.rotation_problems(pair, [nodes], ["i-1", "i-2", "i-3"], [])
    assert "lacks i-1, i-2, nodes of Auto Scaling group nodes" in found and "TargetGroupBinding" in found
    assert _elb_twin.rotation_problems(pair, [nodes], ["i-1", "i-2"], ["i-1", "i-2"]) == []
    assert _elb_twin.rotation_problems(pair, [nodes], ["i-3"], []) == []


def test_a_group_that_replaces_unhealthy_nodes_is_not_tied_to_a_green_that_is_not_up():
    pair = _elb.Pair("arn:b", "arn:g", "b", "g")
    nodes = {"AutoScalingGroupName": "nodes", "TargetGroupARNs": ["arn:b"], "HealthCheckType": "ELB"}
    (found,) = _elb_twin.rotation_problems(pair, [nodes], ["i-1"], [])
    assert found.startswith("Auto Scaling group nodes: HealthCheckType is ELB")
    assert _elb_twin.rotation_problems(pair, [{**nodes, "HealthCheckType": "EC2"}], ["i-1"], []) == []
    assert _elb_twin.rotation_problems(pair, [{**nodes, "TargetGroupARNs": ["arn:b", "arn:g"]}], ["i-1"], []) == []


class Nodes:
    """As much of AWS as a group's way back asks for: two nodes, which are healthy at the third look, or never."""

    def __init__(self, looks=3):
        self.looks, self.asked = looks, []

    def pages(self, _service, _operation, _key, **_options):
        nodes = [{"InstanceId": "i-1"}, {"InstanceId": "i-2"}]
        return [{"AutoScalingGroupName": "nodes", "TargetGroupARNs": [], "Instances": nodes}]

    def call(self, _service, operation, **_options):
        self.asked.append(operation)
        if operation == "describe_target_groups":
            return {"TargetGroups": [{"TargetGroupArn": "arn:b"}]}
        state = "healthy" if self.asked.count("describe_target_health") >= self.looks else "unhealthy"
        states = {"i-1": "healthy", "i-2": state}
        told = [{"Target": {"Id": node}, "TargetHealth": {"State": state}} for node, state in states.items()]
        return {"TargetHealthDescriptions": told}


def test_a_group_that_replaces_unhealthy_nodes_is_tied_again_once_all_of_them_are_healthy(monkeypatch):
    monkeypatch.setattr(_elb_balancer, "POLL", 0)
    act = {"do": "rejoin", "name": "b", "group": "nodes"}
    up, down = Nodes(), Nodes(looks=10**9)
    assert _elb_acts.Actor(up).needed(act)
    _elb_acts.Actor(up).undo(act)
    assert [word for word in up.asked if word != "describe_target_groups"] == [
        "register_targets", *["describe_target_health"] * 3, "attach_load_balancer_target_groups",
    ]  # fmt: skip
    monkeypatch.setattr(_elb_acts, "REJOIN", 0.1)
    with pytest.raises(Refusal, match="not all nodes of Auto Scaling group nodes are healthy.*i-2 unhealthy") as refusal:
        _elb_acts.Actor(down).undo(act)
    assert refusal.value.code == "not_up" and "attach_load_balancer_target_groups" not in down.asked


# -- security groups ---------------------------------------------------------------------------------------------------
def rule(first, last, protocol="tcp", **source):
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **source}


ANY = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
OFFICE = {"IpRanges": [{"CidrIp": "10.1.0.0/16", "Description": "office"}]}
BALANCER = {"UserIdGroupPairs": [{"GroupId": "sg-lb", "UserId": "1"}]}


@pytest.mark.parametrize(
    ("permissions", "missing"),
    [
        ([rule(30000, 32767, **ANY)], []),
        ([rule(30080, 30080, **ANY)], ["0.0.0.0/0"]),
        ([rule(30080, 30080, **OFFICE), rule(30081, 30081, **ANY)], []),
        ([rule(30080, 30080, **ANY), rule(30081, 30081, **OFFICE)], ["0.0.0.0/0"]),
        ([rule(30080, 30080, **BALANCER)], ["sg-lb"]),
        ([rule(30080, 30080, **BALANCER), rule(30081, 30081, "udp", **BALANCER)], ["sg-lb"]),
        ([{"IpProtocol": "-1", **BALANCER}], []),
        ([rule(30080, 30080, Ipv6Ranges=[{"CidrIpv6": "::/0"}]), rule(30081, 30081, **ANY)], ["::/0"]),
    ],
)
def test_green_is_open_to_whom_blue_is_open(permissions, missing):
    groups = {"sg-1": {"IpPermissions": permissions}, "sg-2": {"IpPermissions": []}}
    acts = _elb_twin.ingress_acts(groups, [["sg-1", "sg-2"], ["sg-2", "sg-1"]], [(30080, 30081)])
    assert [_elb_twin.source_of(act["permission"]) for act in acts] == missing
    assert all(act["name"] == "sg-1" and act["permission"]["FromPort"] == 30081 for act in acts)


def test_another_group_of_the_same_node_may_open_it():
    groups = {
        "sg-1": {"IpPermissions": [rule(30080, 30080, **ANY)]},
        "sg-2": {"IpPermissions": [rule(30081, 30081, **ANY)]},
    }
    assert _elb_twin.ingress_acts(groups, [["sg-1", "sg-2"]], [(30080, 30081)]) == []
    assert len(_elb_twin.ingress_acts(groups, [["sg-1"], ["sg-1", "sg-2"]], [(30080, 30081)])) == 1


# -- the module, against moto ------------------------------------------------------------------------------------------
@pytest.fixture
def nlb(cloud):
    for name, port in (("http-blue", 30080), ("https-blue", 30443)):
        cloud.arn[name] = cloud.target_group(name, port)
    attributes = {"deregistration_delay.timeout_seconds": "30", "proxy_protocol_v2.enabled": "true"}
    cloud.elb.modify_target_group_attributes(
        TargetGroupArn=cloud.arn["http-blue"], Attributes=[{"Key": k, "Value": v} for k, v in attributes.items()]
    )
    balancer = cloud.balancer("public")
    cloud.listeners = [
        cloud.listener(balancer, port, cloud.arn[name]) for port, name in ((80, "http-blue"), (443, "https-blue"))
    ]
    permissions = [
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        for port in (30080, 30443, 30021)
    ]
    cloud.ec2.authorize_security_group_ingress(GroupId=cloud.security_group, IpPermissions=permissions)
    return cloud


@pytest.fixture
def cluster():
    return FakeCluster()


def run(cloud, cluster=None, check=False, **options):
    base = {"region": REGION, "endpoint_url": cloud.url, "balancer": "network", "target_groups": PAIRS,
            "listeners": ["public:80", "public:443"]}  # fmt: skip
    if cluster is not None:
        options.update(CONNECTION)
    return run_module(elb_target_group_twin, {**base, **options}, cluster, check=check)


def open_journal(cluster):
    where = {"namespace": "bluegreen-mesh", "name": "m"}
    run_module(migration_journal, {**where, "state": "open", "operator": "ada"}, cluster)
    return {**where, "epoch": 1, "phase": "cutover"}


def steps_of(cluster):
    return State.parse(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]).steps


def snapshot(cloud):
    groups = cloud.elb.describe_target_groups()["TargetGroups"]
    (nodes,) = cloud.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"]
    return sorted(group["TargetGroupName"] for group in groups), sorted(nodes["TargetGroupARNs"]), cloud.ingress()


def test_all_that_is_missing_is_told_at_once_and_nothing_is_made(nlb):
    before = snapshot(nlb)
    result = run(nlb)
    assert result["failure"]["code"] == "green_not_as_blue"
    for text in (
        "target group http-green does not exist, expected one like http-blue",
        "Auto Scaling group nodes: does not register its nodes in https-green",
        "port 30022 is closed to 10.0.0.0/8, which reaches blue's",
        "missing: make, security_groups: open",
    ):
        assert text in result["msg"]
    assert len(result["failure"]["problems"]) == 7
    assert "port 30022" not in run(nlb, security_groups="ignore")["msg"]
    assert "port 30022" in run(nlb, missing="make")["msg"]
    assert snapshot(nlb) == before


def test_everything_is_made_as_blues_is_and_a_second_run_changes_nothing(nlb, cluster):
    journal = open_journal(cluster)
    before = snapshot(nlb)
    make = {"missing": "make", "security_groups": "open"}
    checked = run(nlb, check=True, **make)
    assert snapshot(nlb) == before
    done = run(nlb, cluster, journal=journal, **make)
    assert done["changed"] and done["acts"] == checked["acts"] and done["diff"] == checked["diff"]
    groups = {group["TargetGroupName"]: group for group in nlb.elb.describe_target_groups()["TargetGroups"]}
    green = groups["http-green"]
    assert (green["Port"], green["HealthCheckPort"], green["HealthCheckPath"]) == (30081, "30022", "/healthz/ready")
    told = nlb.elb.describe_target_group_attributes(TargetGroupArn=green["TargetGroupArn"])["Attributes"]
    attributes = {entry["Key"]: entry["Value"] for entry in told}
    assert (
        attributes["deregistration_delay.timeout_seconds"] == "30" and attributes["proxy_protocol_v2.enabled"] == "true"
    )
    assert run(nlb)["changed"] is False
    # Traffic can go there, and the whole way back leads to where it began.
    pairs = [{"blue": pair["blue"], "green": pair["green"]} for pair in PAIRS]
    weights = {"region": REGION, "endpoint_url": nlb.url, "balancer": "network", "target_groups": pairs,
               "listeners": ["public:80", "public:443"], "green_percent": 10}  # fmt: skip
    assert (
        run_module(elb_listener_weights, {**weights, **CONNECTION, "journal": journal}, cluster)["green_percent"] == 10
    )
    steps = steps_of(cluster)
    assert [step["state"] for step in steps] == ["done"] * 8
    modules = {"elb_target_group_twin": elb_target_group_twin, "elb_listener_weights": elb_listener_weights}
    for step in reversed(steps):
        params = {**step["inverse"]["params"], **CONNECTION, "journal": {**journal, "phase": "rollback"}}
        module = modules[step["inverse"]["module"]]
        assert run_module(module, params, cluster, check=True)["changed"]
        result = run_module(module, params, cluster)
        assert result["changed"], result
        assert run_module(module, params, cluster)["changed"] is False
    assert snapshot(nlb) == before


@pytest.fixture
def replacing(nlb):
    """Nodes that are replaced by the balancer's health checks; blue's target groups are attached to them."""
    nlb.asg.update_auto_scaling_group(AutoScalingGroupName="nodes", HealthCheckType="ELB")
    yield nlb
    nlb.asg.update_auto_scaling_group(AutoScalingGroupName="nodes", HealthCheckType="EC2")


def test_blue_does_not_go_while_nodes_would_be_replaced_for_it(replacing, cluster):
    attached = snapshot(replacing)[1]
    result = run(replacing, state="released")
    assert result["failure"]["code"] == "replaces_nodes" and len(result["failure"]["problems"]) == 2
    assert "Auto Scaling group nodes: HealthCheckType is ELB, so that it replaces every node once http-blue" in result["msg"]
    assert run(replacing, state="released", missing="make", check=True)["changed"]
    assert snapshot(replacing)[1] == attached
    journal = {**open_journal(cluster), "phase": "cleanup"}
    done = run(replacing, cluster, state="released", missing="make", journal=journal)
    assert len(done["acts"]) == 2 and snapshot(replacing)[1] == []
    assert run(replacing, state="released")["changed"] is False, "nothing is left that would be unhealthy"
    steps = steps_of(cluster)
    assert [(step["phase"], step["op"], step["key"], step["state"]) for step in steps] == [
        ("cleanup", "detach", f"{name} nodes", "done") for name in ("http-blue", "https-blue")
    ]
    for step in reversed(steps):
        params = {**step["inverse"]["params"], **CONNECTION, "journal": {**journal, "phase": "rollback"}}
        assert run_module(elb_target_group_twin, params, cluster)["changed"]
        assert run_module(elb_target_group_twin, params, cluster)["changed"] is False
    assert snapshot(replacing)[1] == attached


def test_nodes_that_the_balancer_does_not_replace_stay_as_they_are(nlb):
    before = snapshot(nlb)
    assert run(nlb, state="released", missing="make")["changed"] is False and snapshot(nlb) == before


def test_a_listener_that_leads_to_blue_and_is_not_named_would_be_left_behind(nlb):
    (balancer,) = nlb.elb.describe_load_balancers(Names=["public"])["LoadBalancers"]
    groups = {group["TargetGroupName"]: group["TargetGroupArn"] for group in nlb.elb.describe_target_groups()["TargetGroups"]}
    nlb.listener(balancer["LoadBalancerArn"], 8080, groups["http-blue"])
    make = {"missing": "make", "security_groups": "open"}
    result = run(nlb, **make)
    assert "listener public:8080: forwards to http-blue, too, and is not among listeners" in result["msg"]
    assert run(nlb, listeners=["public:80", "public:443", "public:8080"], **make)["changed"]


def test_what_a_killed_run_left_is_finished(nlb):
    with refusing("modify_target_group_attributes"):
        assert run(nlb, missing="make", security_groups="open")["failure"]["error"] == "AccessDenied"
    result = run(nlb, missing="make", security_groups="open")
    assert (
        result["changed"]
        and "target group http-green: deregistration_delay.timeout_seconds is 300, expected 30" in result["acts"][0]
    )
    assert run(nlb)["changed"] is False


def test_what_others_made_is_compared_and_left(nlb):
    arn = nlb.target_group("http-green", 30081, status=30021)
    nlb.target_group("https-green", 30444, status=30022)
    result = run(nlb, missing="make", security_groups="open")
    assert result["failure"]["problems"] == [
        "target group http-green: HealthCheckPort is 30021, expected 30022 (green's status NodePort)",
        "target group http-green: deregistration_delay.timeout_seconds is 300, expected 30, proxy_protocol_v2.enabled"
        " is None, expected true (as http-blue has)",
    ]
    undo = [{"do": "delete", "name": "http-green"}]
    kept = run_module(
        elb_target_group_twin, {"region": REGION, "endpoint_url": nlb.url, "state": "absent", "undo": undo}
    )
    assert kept["failure"]["code"] == "not_ours" and arn in [
        g["TargetGroupArn"] for g in nlb.elb.describe_target_groups()["TargetGroups"]
    ]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("alb", {"stickiness.enabled": "true"}),
        ("alb", {"stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "session"}),
        ("nlb", {"load_balancing.cross_zone.enabled": "true"}),
        ("nlb", {"preserve_client_ip.enabled": "false"}),
        ("nlb", {"deregistration_delay.timeout_seconds": "45"}),
        ("nlb", {"proxy_protocol_v2.enabled": "true"}),
    ],
)
def test_what_blue_has_green_has_to_have_too(request, kind, attributes):
    """One that others made and has something else is told so by name; one that is made here gets it."""
    cloud = request.getfixturevalue(kind)
    blue, protocol, where = {
        "nlb": ("https-blue", "TCP", {"balancer": "network", "listeners": ["public:443"]}),
        "alb": ("blue", "HTTP", {"balancer": "application", "listeners": ["front:80"]}),
    }[kind]
    wanted = [{"Key": key, "Value": value} for key, value in attributes.items()]
    cloud.elb.modify_target_group_attributes(TargetGroupArn=cloud.arn[blue], Attributes=wanted)

    def attributes_of(arn):
        told = cloud.elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        return {entry["Key"]: entry["Value"] for entry in told}

    def compared(green):
        pairs = [{"blue": blue, "green": green, "node_port": 30444, "status_port": 30022}]
        return run(cloud, missing="make", security_groups="ignore", target_groups=pairs, **where)

    theirs = cloud.target_group("theirs", 30444, protocol, status=30022)
    before = attributes_of(theirs)
    result = compared("theirs")
    (problem,) = result["failure"]["problems"]
    named = (f"{key} is {before.get(key)}, expected {value}" for key, value in sorted(attributes.items()))
    assert problem == f"target group theirs: {', '.join(named)} (as {blue} has)"
    assert attributes_of(theirs) == before, "what others made is theirs"

    assert compared("made")["changed"]
    (made,) = cloud.elb.describe_target_groups(Names=["made"])["TargetGroups"]
    assert attributes_of(made["TargetGroupArn"]) == attributes_of(cloud.arn[blue]) != before
    assert compared("made")["changed"] is False


def test_a_node_that_is_in_no_group_is_registered_too(nlb):
    alone = nlb.node(nlb.subnets[0])
    nlb.elb.register_targets(TargetGroupArn=nlb.arn["http-blue"], Targets=[{"Id": alone}])
    result = run(nlb, missing="make", security_groups="open")
    assert f"target group http-green: lacks targets {alone} that blue's has" in result["acts"]
    green = nlb.elb.describe_target_groups(Names=["http-green"])["TargetGroups"][0]["TargetGroupArn"]
    told = nlb.elb.describe_target_health(TargetGroupArn=green)["TargetHealthDescriptions"]
    assert {entry["Target"]["Id"] for entry in told} == {*nlb.nodes, alone}


def test_a_controllers_load_balancer_is_refused(nlb):
    balancer = nlb.elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    nlb.elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": "service.k8s.aws/stack", "Value": "gw/public"}])
    refused = run(nlb, ignore_changes=True)
    assert refused["failure"]["code"] == "owned" and "Service gw/public" in refused["msg"]


@pytest.mark.parametrize("made", ["load balancer public", "listener public:443", "target group http-blue"])
def test_what_infrastructure_code_makes_is_refused_until_it_ignores_weights(nlb, made):
    balancer = nlb.elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    arns = {"load balancer public": balancer, "listener public:443": nlb.listeners[1],
            "target group http-blue": nlb.arn["http-blue"]}  # fmt: skip
    nlb.elb.add_tags(ResourceArns=[arns[made]], Tags=[{"Key": "Terraform", "Value": "true"}])
    before = nlb.elb.describe_target_groups()["TargetGroups"]
    refused = run(nlb, missing="make", security_groups="open")
    assert refused["failure"]["code"] == "green_not_as_blue" and len(refused["failure"]["problems"]) == 1
    assert f"{made} (Terraform=true)" in refused["msg"] and "ignore_changes: true" in refused["msg"]
    assert nlb.elb.describe_target_groups()["TargetGroups"] == before
    assert run(nlb, missing="make", security_groups="open", ignore_changes=True)["changed"]
    green = nlb.elb.describe_target_groups(Names=["http-green"])["TargetGroups"][0]["TargetGroupArn"]
    nlb.elb.remove_tags(ResourceArns=[arns[made]], TagKeys=["Terraform"])
    nlb.elb.add_tags(ResourceArns=[green], Tags=[{"Key": "Terraform", "Value": "true"}])
    assert run(nlb, security_groups="open")["changed"] is False, "green's own may come from code"


def test_a_rule_of_infrastructure_code_is_refused_too(alb):
    alb.elb.add_tags(ResourceArns=[alb.rules["own"]], Tags=[{"Key": "managed-by", "Value": "pulumi"}])
    pairs = [{"blue": "blue", "green": "green", "node_port": 30081, "status_port": 30022}]
    options = {"balancer": "application", "listeners": ["front:80"], "target_groups": pairs}
    assert "managed-by=pulumi" in run(alb, security_groups="ignore", **options)["msg"]
    assert "managed-by=pulumi" not in run(alb, security_groups="ignore", ignore_changes=True, **options)["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": "absent"}, "undo"),
        ({"listeners": None}, "listeners"),
        ({"state": "absent", "undo": [{"name": "x"}]}, "'do'"),
    ],
)
def test_bad_input_is_refused(nlb, options, words):
    before = snapshot(nlb)
    result = run(nlb, **options)
    assert result["failed"] and words in result["msg"]
    assert snapshot(nlb) == before


# -- temporary rules ---------------------------------------------------------------------------------------------------
def described(priority, *hosts, **more):
    conditions = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(hosts)}}] if hosts else []
    return {"Priority": priority, "Conditions": conditions, "IsDefault": priority == "default", **more}


DEFAULT = _elb.Forward(
    "l", "p:80", "l", (), True, [{"Type": "forward", "TargetGroupArn": "arn:b"}], _elb.Pair("arn:b", "arn:g", "b", "g")
)


def test_a_new_rule_comes_last():
    rules = [
        described("3", "a.test"),
        described("7", path=1, Conditions=[{"Field": "path-pattern"}]),
        described("default"),
    ]
    assert _elb_rules.new_rules("p:80", rules, DEFAULT, ["a.test", "b.test", "c.test"]) == [
        ("b.test", 8),
        ("c.test", 9),
    ]
    assert _elb_rules.new_rules("p:80", [described("default")], DEFAULT, ["b.test"]) == [("b.test", 1)]


@pytest.mark.parametrize(
    ("rules", "default", "code"),
    [
        ([described("3", "*.test")], DEFAULT, "shared_rule"),
        ([described("3", "a.test", "b.test")], DEFAULT, "shared_rule"),
        ([], None, "not_forwarded"),
        ([described("50000", "x.org")], DEFAULT, "no_priority"),
    ],
)
def test_where_no_rule_can_be_made(rules, default, code):
    with pytest.raises(Refusal) as refusal:
        _elb_rules.new_rules("p:80", rules, default, ["a.test"])
    assert refusal.value.code == code and "a.test" in str(refusal.value)


def test_the_quota():
    _elb_rules.check_quota("front", 99, 1, 100)
    _elb_rules.check_quota("front", 99, 9, None)
    with pytest.raises(Refusal, match="has 99 rules, 2 more are needed, and the quota"):
        _elb_rules.check_quota("front", 99, 2, 100)


@pytest.fixture
def alb(cloud):
    cloud.arn = {name: cloud.target_group(name, port, "HTTP") for name, port in (("blue", 30080), ("green", 30081))}
    balancer = cloud.balancer("front", "application")
    cloud.listeners = [cloud.listener(balancer, 80, cloud.arn["blue"], "HTTP")]
    cloud.rules = {"own": cloud.rule(cloud.listeners[0], 10, cloud.arn["blue"], "own.test")}
    return cloud


def run_rules(cloud, cluster=None, check=False, module=elb_host_rule, **options):
    base = {
        "region": REGION,
        "endpoint_url": cloud.url,
        "listeners": ["front:80"],
        "target_groups": [{"blue": "blue", "green": "green"}],
    }
    if module is elb_listener_weights:
        base["balancer"] = "application"
    return run_module(module, {**base, **options, **(CONNECTION if cluster else {})}, cluster, check=check)


def rules_of(cloud):
    pages = cloud.elb.get_paginator("describe_rules").paginate(ListenerArn=cloud.listeners[0])
    told = [rule_ for page in pages for rule_ in page["Rules"]]
    return {rule_["Priority"]: _elb.hosts_of(rule_) for rule_ in told if rule_["Priority"] != "default"}


def test_a_host_moves_by_itself_and_its_rule_goes_when_all_have_moved(alb, cluster):
    journal = open_journal(cluster)
    hosts = {"hosts": ["New.test", "own.test"]}
    checked = run_rules(alb, check=True, **hosts)
    assert rules_of(alb) == {"10": ("own.test",)}
    done = run_rules(alb, cluster, journal=journal, **hosts)
    assert done["rules"] == checked["rules"] == ["front:80 rule 11 (new.test)"] and done["diff"] == checked["diff"]
    assert rules_of(alb) == {"10": ("own.test",), "11": ("new.test",)}
    assert run_rules(alb, **hosts)["changed"] is False
    weights = {"module": elb_listener_weights, "green_percent": 100}
    assert run_rules(alb, **weights, **hosts)["forwards_set"] == 2
    assert run_rules(alb, **weights, **hosts)["green_percent"] == 100 and alb.weights(alb.listeners[0]) == {"blue": 1}
    refused = run_rules(alb, state="absent")
    assert refused["failure"]["code"] == "still_needed" and "green 100.0 %" in refused["msg"]
    run_rules(alb, **weights)
    assert run_rules(alb, check=True, state="absent")["changed"]
    assert run_rules(alb, state="absent")["rules"] == ["front:80 rule 11 (new.test)"]
    assert rules_of(alb) == {"10": ("own.test",)} and run_rules(alb, state="absent")["changed"] is False


def test_the_journal_removes_the_rule(alb, cluster):
    journal = open_journal(cluster)
    run_rules(alb, cluster, journal=journal, hosts=["new.test"])
    (step,) = steps_of(cluster)
    assert step["inverse"]["params"]["state"] == "absent" and step["state"] == "done"
    back = run_rules(alb, cluster, **{**step["inverse"]["params"], "journal": {**journal, "phase": "rollback"}})
    assert back["changed"] and rules_of(alb) == {"10": ("own.test",)}


def test_a_full_load_balancer_is_refused(alb):
    for n in range(99):
        alb.rule(alb.listeners[0], 100 + n, alb.arn["blue"], f"h{n}.test")
    refused = run_rules(alb, hosts=["new.test"])
    assert refused["failure"]["code"] == "quota" and refused["failure"]["there"] == 100
    assert len(rules_of(alb)) == 100
