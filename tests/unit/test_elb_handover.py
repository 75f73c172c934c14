# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""elb_handover_info: what a migration leaves at AWS, and what the infrastructure code is told of it."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _elb_handover, _infrastructure
from ansible_collections.bluegreen.mesh.plugins.modules import (
    elb_handover_info,
    elb_host_rule,
    elb_listener_weights,
    elb_target_group_twin,
)
from fake_cluster import run_module
from moto_aws import REGION

PAIR = {"blue": "1-blue", "green": "1-green"}


@pytest.fixture
def alb(cloud):
    """Blue's target group has the group's nodes, and one that is in no group."""
    blue = cloud.arn["blue"] = cloud.target_group("1-blue", 30080, "HTTP")
    cloud.alone = cloud.node(cloud.subnets[0])
    cloud.elb.register_targets(TargetGroupArn=blue, Targets=[{"Id": cloud.alone}])
    cloud.listeners = [cloud.listener(cloud.balancer("front", "application"), 80, blue, "HTTP")]
    cloud.rules["shop"] = cloud.rule(cloud.listeners[0], 10, blue, "shop.test")
    yield cloud
    cloud.ec2.terminate_instances(InstanceIds=[cloud.alone])


def run(cloud, module=elb_handover_info, **options):
    base = {"region": REGION, "endpoint_url": cloud.url, "listeners": ["front:80"], "target_groups": [PAIR]}
    kind = {} if module is elb_host_rule else {"balancer": "application"}
    return run_module(module, {**base, **kind, **options})


def test_before_a_migration_nothing_was_made_and_blue_has_all_weight(alb):
    found = run(alb)
    assert found["changed"] is False and found["resources"] == []
    targets = [{"name": alb.arn["blue"], "weight": 1, "colour": "blue"}]
    assert found["weights"] == [
        {"kind": "aws_lb_listener_rule", "name": "front_80_rule_10", "id": alb.rules["shop"], "targets": targets},
        {"kind": "aws_lb_listener", "name": "front_80", "id": alb.listeners[0], "targets": targets},
    ]
    assert found["requests"] == {"describe_target_groups": 1, "describe_load_balancers": 1, "describe_listeners": 1,
                                 "describe_rules": 1, "describe_tags": 1}  # fmt: skip


def test_what_was_made_is_told_and_infrastructure_files_takes_it(alb):
    twin = [{**PAIR, "node_port": 30081, "status_port": 30022}]
    make = {"missing": "make", "security_groups": "ignore"}
    assert run(alb, elb_target_group_twin, target_groups=twin, **make)["changed"]
    assert run(alb, elb_host_rule, hosts=["new.test"])["rules"] == ["front:80 rule 11 (new.test)"]
    assert run(alb, elb_listener_weights, green_percent=90, require_health=False)["changed"]
    found = run(alb)
    (green,) = (group["TargetGroupArn"] for group in alb.elb.describe_target_groups(Names=["1-green"])["TargetGroups"])
    assert found["resources"] == [
        {"type": "aws_lb_target_group", "name": "_1_green", "id": green},
        {"type": "aws_autoscaling_attachment", "name": "_1_green_nodes", "id": f"nodes,{green}"},
        {"type": "aws_lb_target_group_attachment", "name": f"_1_green_{alb.alone.replace('-', '_')}",
         "id": f"{alb.alone},{green}"},
    ]  # fmt: skip
    # The temporary rule is gone when clean-up is over.
    assert [entry["name"] for entry in found["weights"]] == ["front_80_rule_10", "front_80"]
    assert [[target["weight"] for target in entry["targets"]] for entry in found["weights"]] == [[10, 90], [10, 90]]
    files = _infrastructure.files_of([], found["resources"], found["weights"])
    assert files["imports.tf"].count("import {") == 1 and f'id = "{green}"' in files["imports.tf"]
    assert files["snippets/attachments.tf"].endswith(
        f'\nresource "aws_autoscaling_attachment" "_1_green_nodes" {{\n  autoscaling_group_name = "nodes"\n'
        f'  lb_target_group_arn    = "{green}"\n}}\n\n'
        f'resource "aws_lb_target_group_attachment" "_1_green_{alb.alone.replace("-", "_")}" {{\n'
        f'  target_id              = "{alb.alone}"\n  target_group_arn       = "{green}"\n}}\n'
    )
    assert f'arn    = "{green}"\n        weight = 90' in files["snippets/listeners.tf"]


def test_what_others_made_is_not_imported(alb):
    alb.target_group("1-green", 30081, "HTTP", status=30022)
    assert run(alb)["resources"] == []


@pytest.mark.parametrize(("text", "name"), [("public-https", "public_https"), ("80 a", "_80_a"), ("i-0f", "i_0f")])
def test_names_are_as_terraform_takes_them(text, name):
    assert _elb_handover.word(text) == name


def test_rules_that_were_opened_are_imported_and_others_are_not(alb):
    own = {"IpProtocol": "tcp", "FromPort": 30080, "ToPort": 30080}
    theirs = {**own, "FromPort": 30081, "ToPort": 30081, "IpRanges": [{"CidrIp": "192.0.2.0/24", "Description": "ours"}]}
    sources = {"IpRanges": [{"CidrIp": "10.0.0.0/8"}], "UserIdGroupPairs": [{"GroupId": alb.security_group}]}
    for permission in ({**own, **sources}, theirs):
        alb.ec2.authorize_security_group_ingress(GroupId=alb.security_group, IpPermissions=[permission])
    twin = [{**PAIR, "node_port": 30081, "status_port": 30022}]
    assert run(alb, elb_target_group_twin, target_groups=twin, missing="make", security_groups="open")["changed"]
    assert not [r for r in run(alb)["resources"] if "security" in r["type"]]
    found = [r for r in run(alb, opened=True)["resources"] if r["type"] == "aws_vpc_security_group_ingress_rule"]
    asked = [{"Name": "group-id", "Values": [alb.security_group]}]
    rules = alb.ec2.describe_security_group_rules(Filters=asked)["SecurityGroupRules"]
    mine = [r for r in rules if not r["IsEgress"] and r["FromPort"] == 30081 and r.get("CidrIpv4") != "192.0.2.0/24"]
    assert len(mine) == 2 and sorted(r["id"] for r in found) == sorted(r["SecurityGroupRuleId"] for r in mine)
    text = _infrastructure.files_of([], found, [])["imports.tf"]
    assert f"to = aws_vpc_security_group_ingress_rule.{_elb_handover.word(alb.security_group)}_30081_10_0_0_0_8" in text
