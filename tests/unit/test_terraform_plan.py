# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as Terraform prints them: plans/terraform_1_11.json is one of Terraform 1.11.4 (of its built-in terraform_data,
which needs no provider); those of AWS are made here after the same form, with the fields of the AWS provider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import terraform_plan_info
from fake_cluster import run_module

REAL = Path(__file__).parent / "plans" / "terraform_1_11.json"
ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"
BLUE, GREEN = f"{ARN}targetgroup/public-blue/1111111111111111", f"{ARN}targetgroup/public-green/2222222222222222"
LISTENER, RULE = f"{ARN}listener/net/public/aa/bb", f"{ARN}listener-rule/app/public/aa/bb/cc"
VALUES = [
    {"name": "public_ingress_gateway_https_port", "blue": 30443, "green": 30444},
    {"name": "public_ingress_gateway_status_port", "blue": 30021, "green": 30022},
]
RESOURCES = [{"type": "aws_lb_target_group", "name": "green", "id": GREEN}]
WEIGHTS = [
    {"kind": "aws_lb_listener", "name": "https", "id": LISTENER, "targets": [
        {"name": BLUE, "weight": 0}, {"name": GREEN, "weight": 100},
    ]},
]  # fmt: skip


def change(kind, name, actions, before=None, after=None, unknown=None, **more):
    """One of resource_changes."""
    above = {key: more.pop(key) for key in ("previous_address", "mode", "action_reason") if key in more}
    return {
        "address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name,
        "provider_name": "registry.terraform.io/hashicorp/aws", **above,
        "change": {
            "actions": list(actions), "before": before, "after": after, "after_unknown": unknown or {},
            "before_sensitive": {}, "after_sensitive": {}, **more,
        },
    }  # fmt: skip


def forward(*groups, field="default_action", arn=LISTENER):
    """A listener or rule that forwards to (target group, weight)."""
    one = groups[0][0] if len(groups) == 1 else ""
    blocks = [{"stickiness": [], "target_group": [{"arn": g, "weight": w} for g, w in groups]}]
    action = {
        "type": "forward",
        "order": 1,
        "target_group_arn": one,
        "forward": blocks if not one else [],
        "redirect": [],
    }
    return {"arn": arn, "id": arn, "port": 443, "protocol": "TCP", field: [action]}


def group(arn, port):
    return {"arn": arn, "id": arn, "name": arn.partition("/")[2], "port": port, "protocol": "TCP", "health_check": [
        {"enabled": True, "port": "30021", "path": "/healthz/ready", "protocol": "HTTP"}
    ]}  # fmt: skip


def ingress(*ports, cidrs=("10.0.0.0/8",), proto="tcp"):
    return [
        {"cidr_blocks": list(cidrs), "description": "", "from_port": p, "ipv6_cidr_blocks": [], "prefix_list_ids": [],
         "protocol": proto, "security_groups": [], "self": False, "to_port": p} for p in ports
    ]  # fmt: skip


def node_group(*ports, **more):
    return {"id": "sg-1", "name": "nodes", "ingress": ingress(*ports, **more), "egress": []}


def rule(low, high=None, cidr="10.0.0.0/8", **more):
    return {
        "security_group_id": "sg-1",
        "type": "ingress",
        "protocol": "tcp",
        "from_port": low,
        "to_port": high or low,
        "cidr_blocks": [cidr],
        "ipv6_cidr_blocks": None,
        "prefix_list_ids": None,
        "self": False,
        **more,
    }


def vpc_rule(low, high=None, cidr="10.0.0.0/8"):
    return {
        "security_group_id": "sg-1",
        "ip_protocol": "tcp",
        "from_port": low,
        "to_port": high or low,
        "cidr_ipv4": cidr,
    }


IMPORT = change(
    "aws_lb_target_group", "green", ["no-op"], group(GREEN, 30444), group(GREEN, 30444), importing={"id": GREEN}
)
LIVE = forward((BLUE, 0), (GREEN, 100))


@pytest.fixture
def judged(tmp_path):
    def judged(*changes, whole=None, **more):
        given = {"inputs": VALUES, "resources": RESOURCES, "weights": WEIGHTS}
        given = {name: more.pop(name, usual) for name, usual in given.items()}
        plan = {
            "format_version": "1.2", "terraform_version": "1.11.4", "planned_values": {}, "errored": False,
            "complete": True, "applyable": True, "resource_changes": list(changes), **more,
        }  # fmt: skip
        (tmp_path / "p.json").write_text(json.dumps(plan) if whole is None else whole)
        options = {"plans": [str(tmp_path / "p.json")], **given}
        result = run_module(terraform_plan_info, options)
        return result

    return judged


def found(result):
    assert not result.get("failed"), result
    return {
        verdict: [(c["code"], c["address"]) for c in result[verdict]]
        for verdict in ("errors", "unexpected", "expected")
    }


def codes(result):
    return {verdict: [code for code, _address in some] for verdict, some in found(result).items() if some}


# -- what is expected --------------------------------------------------------------------------------------------------
def test_imports_and_ports_are_expected(judged):
    result = judged(
        IMPORT,
        change("aws_lb_listener", "https", ["no-op"], LIVE, LIVE),
        change("aws_lb", "public", ["no-op"], {"arn": "x"}, {"arn": "x"}),
        change("aws_security_group", "nodes", ["update"], node_group(30443, 30444), node_group(30444, 30444)),
        change("aws_security_group_rule", "status", ["delete", "create"], rule(30021, id="r1"), rule(30022),
               {"id": True, "security_group_rule_id": True}),
        change("aws_vpc_security_group_ingress_rule", "https", ["update"], vpc_rule(30443), vpc_rule(30444)),
        change("aws_ami", "x", ["read"], None, {}, mode="data"),
        output_changes={"port": {"actions": ["update"], "before": 30443, "after": 30444, "after_unknown": False},
                        "same": {"actions": ["no-op"], "before": 1, "after": 1, "after_unknown": False}},
        variables={"public_ingress_gateway_https_port": {"value": 30444}},
    )  # fmt: skip
    assert codes(result) == {"expected": ["import", "node_port", "node_port", "node_port", "node_port"]}
    assert result["expected"][0]["text"] == f"aws_lb_target_group.green: {GREEN} is imported"
    assert "ingress[0].from_port 30443 -> 30444" in result["expected"][1]["text"]


def test_members_of_a_set_in_another_order_are_no_change(judged):
    before = {**node_group(), "ingress": ingress(80) + ingress(30443)}
    after = {**node_group(), "ingress": ingress(30444) + ingress(80)}
    assert codes(judged(IMPORT, change("aws_security_group", "nodes", ["update"], before, after))) == {
        "expected": ["import", "node_port"]
    }


def test_what_is_known_already_needs_no_import(judged):
    assert (
        codes(judged(change("aws_lb_target_group", "green", ["no-op"], group(GREEN, 30444), group(GREEN, 30444)))) == {}
    )


# -- what is not -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("one", "code", "said"),
    [
        (change("aws_instance", "a", ["create"], None, {"ami": "x"}), "create", "it would create it"),
        (change("aws_instance", "a", ["delete"], {"ami": "x"}), "delete", "it would delete it"),
        (change("aws_instance", "a", ["forget"], {"ami": "x"}), "forget", "it would forget it"),
        (change("aws_instance", "a", ["update"], {"ami": "x"}, {"ami": "y"}), "update", 'ami "x" -> "y"'),
        (change("aws_instance", "a", ["create", "delete"], {"ami": "x"}, {"ami": "y"}), "replace", 'ami "x" -> "y"'),
        (change("aws_instance", "a", ["update"], {"p": 30443}, {"p": 30445}), "update", "p 30443 -> 30445"),
        (change("aws_instance", "a", ["update"], {"p": 30443, "q": 1}, {"p": 30444, "q": 2}), "update", "q 1 -> 2"),
        (change("aws_instance", "a", ["update"], {"p": [1]}, {}, {"p": True}), "update", "(known after apply)"),
        (change("aws_instance", "a", ["no-op"], {}, {}, importing={"id": "i-1"}), "import", "did not make i-1"),
        (change("aws_instance", "a", ["no-op"], {}, {}, previous_address="aws_instance.b"), "moved", "aws_instance.b"),
        (change("aws_lb_target_group", "blue", ["delete"], group(BLUE, 30443)), "delete", "it would delete it"),
    ],
)  # fmt: skip
def test_what_is_not_explained_is_listed(judged, one, code, said):
    result = judged(IMPORT, one)
    assert codes(result) == {"unexpected": [code], "expected": ["import"]}
    assert said in result["unexpected"][0]["text"] and one["address"] in result["unexpected"][0]["text"]


def test_what_was_made_and_is_not_imported_is_listed(judged):
    assert found(judged())["unexpected"] == [("not_imported", "aws_lb_target_group.green")]
    made_twice = judged(change("aws_lb_target_group", "green", ["create"], None, group("", 30444)))
    assert "import it instead" in made_twice["unexpected"][0]["text"]


def test_other_parts_of_a_plan_are_listed(judged):
    result = judged(
        IMPORT,
        complete=False,
        variables={"public_ingress_gateway_https_port": {"value": 30443}},
        output_changes={"a": {"actions": ["create"], "before": None, "after": 1, "after_unknown": False}},
        deferred_changes=[
            {"reason": "unknown", "resource_change": change("aws_instance", "later", ["create"], None, {})}
        ],
    )
    assert codes(result)["unexpected"] == ["output", "deferred", "incomplete", "old_value"]
    assert "found 30443, expected 30444" in result["unexpected"][-1]["text"]


def test_what_is_sensitive_is_not_shown(judged):
    one = change(
        "aws_instance", "a", ["update"], {"x": "one", "y": {"z": "two"}}, {"x": "three", "y": {"z": "four"}},
        before_sensitive={"x": True}, after_sensitive={"y": True},
    )  # fmt: skip
    text = judged(IMPORT, one)["unexpected"][0]["text"]
    assert text.endswith("x (sensitive); y.z (sensitive)")


# -- errors ------------------------------------------------------------------------------------------------------------
def weighted(weight, value):
    policy = [{"weight": weight}]
    return {"name": "app.example.com", "id": "Z_app_A_green", "records": [value], "weighted_routing_policy": policy}


ERRORS = {
    "listener to blue": ("reverts_weights", change("aws_lb_listener", "https", ["update"], LIVE, forward((BLUE, 1)))),
    "listener to other weights": (
        "reverts_weights",
        change("aws_lb_listener", "https", ["update"], LIVE, forward((BLUE, 50), (GREEN, 50))),
    ),
    "listener with weights not known": (
        "reverts_weights",
        change("aws_lb_listener", "https", ["update"], LIVE, LIVE, {"default_action": [{"target_group_arn": True}]}),
    ),
    "listener that goes": ("reverts_weights", change("aws_lb_listener", "https", ["delete"], LIVE)),
    "listener that is replaced and blue's": (
        "reverts_weights",
        change("aws_alb_listener", "https", ["delete", "create"], LIVE, forward((BLUE, 1))),
    ),
    "listener that answers itself": (
        "reverts_weights",
        change("aws_lb_listener", "https", ["update"], LIVE, {**LIVE, "default_action": [{"type": "fixed-response"}]}),
    ),
    "rule that is not named": (
        "reverts_weights",
        change(
            "aws_lb_listener_rule",
            "shop",
            ["update"],
            forward((GREEN, 1), field="action", arn=RULE),
            forward((BLUE, 1), field="action", arn=RULE),
        ),
    ),
    "record": (
        "reverts_weights",
        change("aws_route53_record", "app", ["update"], weighted(255, "192.0.2.2"), weighted(0, "192.0.2.2")),
    ),
    "record that names blue": (
        "reverts_weights",
        change("aws_route53_record", "app", ["update"], weighted(9, "192.0.2.2"), weighted(9, "192.0.2.1")),
    ),
    "record that is an alias of blue's": (
        "reverts_weights",
        change(
            "aws_route53_record", "app", ["update"],
            {**weighted(9, ""), "records": None, "alias": [{"name": "green.elb.test", "zone_id": "Z"}]},
            {**weighted(9, ""), "records": None, "alias": [{"name": "blue.elb.test", "zone_id": "Z"}]},
        ),
    ),
    "target group": ("destroys_target_group", change("aws_lb_target_group", "x", ["delete"], group(GREEN, 1))),
    "target group that is replaced": (
        "destroys_target_group",
        change("aws_lb_target_group", "x", ["create", "delete"], group(GREEN, 30444), group("", 30443), {"arn": True}),
    ),
    "target group by green's port": (
        "destroys_target_group",
        change("aws_alb_target_group", "x", ["delete"], group(f"{ARN}targetgroup/o/3", 30444)),
    ),
    "attachment": (
        "detaches_target_group",
        change(
            "aws_autoscaling_attachment", "x", ["delete"], {"autoscaling_group_name": "n", "lb_target_group_arn": GREEN}
        ),
    ),
    "autoscaling group": (
        "detaches_target_group",
        change(
            "aws_autoscaling_group",
            "n",
            ["update"],
            {"target_group_arns": [BLUE, GREEN]},
            {"target_group_arns": [BLUE]},
        ),
    ),
    "traffic source": (
        "detaches_target_group",
        change(
            "aws_autoscaling_traffic_source_attachment",
            "x",
            ["delete"],
            {"traffic_source": [{"identifier": GREEN, "type": "elbv2"}]},
        ),
    ),
    "security group": (
        "closes_node_ports",
        change("aws_security_group", "n", ["update"], node_group(30443, 30444), node_group(30443)),
    ),
    "security group that goes": ("closes_node_ports", change("aws_security_group", "n", ["delete"], node_group(30444))),
    "security group for fewer": (
        "closes_node_ports",
        change("aws_security_group", "n", ["update"], node_group(30444), node_group(30444, cidrs=["10.1.0.0/16"])),
    ),
    "rule of a security group": (
        "closes_node_ports",
        change("aws_security_group_rule", "x", ["delete"], rule(30000, 32767)),
    ),
    "newer rule of a security group": (
        "closes_node_ports",
        change("aws_vpc_security_group_ingress_rule", "x", ["update"], vpc_rule(30400, 30500), vpc_rule(30443)),
    ),
    "all protocols": (
        "closes_node_ports",
        change("aws_security_group_rule", "x", ["delete"], rule(None, protocol="-1")),
    ),
    "balancer that is replaced": (
        "replaces_load_balancer",
        change(
            "aws_lb",
            "public",
            ["delete", "create"],
            {"arn": "x", "name": "a"},
            {"name": "b"},
            {"arn": True},
            replace_paths=[["name"]],
        ),
    ),
    "balancer that goes": ("replaces_load_balancer", change("aws_alb", "public", ["delete"], {"arn": "x"})),
}


@pytest.mark.parametrize("which", ERRORS)
def test_what_takes_traffic_away_is_an_error_by_name(judged, which):
    code, one = ERRORS[which]
    result = judged(IMPORT, one)
    assert codes(result) == {"errors": [code], "expected": ["import"]}
    assert one["address"] in result["errors"][0]["text"] and result["errors"][0]["plan"].endswith("p.json")


def test_a_weighted_record_that_cleanup_removed_does_not_come_back(judged):
    """Blue's, in the code still, would take half of the answers."""
    targets = [{"name": "192.0.2.2", "weight": 100, "set_identifier": "green"}]
    live = [{"kind": "route53", "name": "app.example.com", "record_type": "A", "targets": targets}]
    blue = {**weighted(100, "192.0.2.1"), "type": "A", "set_identifier": "primary"}
    result = judged(change("aws_route53_record", "app", ["create"], None, blue), weights=live, resources=[])
    assert codes(result) == {"errors": ["reverts_weights"]}
    assert "found ['192.0.2.1'] with weight 100 besides, expected 192.0.2.2 alone" in result["errors"][0]["text"]
    harmless = (
        {**blue, "weighted_routing_policy": [{"weight": 0}]}, {**blue, "set_identifier": "green"},
        {**blue, "name": "other.example.com"}, {**blue, "type": "AAAA"}, {**blue, "weighted_routing_policy": []},
    )  # fmt: skip
    for after in harmless:
        result = judged(change("aws_route53_record", "app", ["create"], None, after), weights=live, resources=[])
        assert codes(result) == {"unexpected": ["create"]}, after


def test_an_error_says_what_is_found_and_expected(judged):
    text = judged(ERRORS["listener to blue"][1])["errors"][0]["text"]
    assert f"default_action: found {BLUE} 100 %, expected {GREEN} 100 %, which is live" in text
    assert '[["name"]]' in judged(ERRORS["balancer that is replaced"][1])["errors"][0]["text"]
    closed = judged(ERRORS["newer rule of a security group"][1])["errors"][0]["text"]
    assert "30444 from 10.0.0.0/8 in sg-1 would be closed" in closed


@pytest.mark.parametrize(
    "same",
    [
        (change("aws_lb_listener", "https", ["update"], {**LIVE, "tags": {}}, {**LIVE, "tags": {"a": "b"}})),
        (change("aws_lb_listener", "https", ["update"], LIVE, forward((GREEN, 1)))),
        (change("aws_lb_listener", "https", ["update"], LIVE, forward((BLUE, 0), (GREEN, 999)))),
    ],
)
def test_the_same_shares_in_other_words_are_no_error(judged, same):
    assert codes(judged(IMPORT, same)) == {"unexpected": ["update"], "expected": ["import"]}


def test_a_listener_that_the_plan_saw_otherwise_is_judged_by_what_is_live(judged):
    early = forward((BLUE, 100), (GREEN, 0))
    assert codes(judged(IMPORT, change("aws_lb_listener", "x", ["update"], early, LIVE)))["unexpected"] == ["update"]
    stays = {**early, "tags": {"a": "b"}}
    assert codes(judged(IMPORT, change("aws_lb_listener", "x", ["update"], early, stays)))["errors"] == [
        "reverts_weights"
    ]


def test_a_rule_may_move_to_another_resource(judged):
    result = judged(
        IMPORT, change("aws_security_group_rule", "old", ["delete"], rule(30444)),
        change("aws_vpc_security_group_ingress_rule", "new", ["create"], None, vpc_rule(30000, 32767, "10.0.0.0/7")),
    )  # fmt: skip
    assert codes(result)["unexpected"] == ["delete", "create"] and not result["errors"]
    other = {**vpc_rule(30444), "security_group_id": "sg-2"}
    moved = judged(
        change("aws_security_group_rule", "old", ["delete"], rule(30444)),
        change("aws_vpc_security_group_ingress_rule", "new", ["create"], None, other),
    )
    assert codes(moved)["errors"] == ["closes_node_ports"]


def test_without_weights_a_target_group_is_used_unless_it_is_blues(judged):
    some = group(f"{ARN}targetgroup/other/3", 8080)
    for one, expected in ((some, ["destroys_target_group"]), (group(BLUE, 30443), [])):
        result = judged(change("aws_lb_target_group", "x", ["delete"], one), weights=[], resources=[])
        assert codes(result).get("errors", []) == expected


# -- files -------------------------------------------------------------------------------------------------------------
def test_a_plan_that_terraform_printed(judged):
    resources = [{"type": "terraform_data", "name": "imported", "id": "x-1"}]
    values = [{"name": "public_ingress_gateway_https_port", "blue": 30444, "green": 30445}]
    result = judged(whole=REAL.read_text(), resources=resources, inputs=values)
    assert found(result) == {
        "errors": [],
        "unexpected": [
            ("replace", "terraform_data.gone"), ("update", "terraform_data.listener"), ("update", "terraform_data.tg"),
            ("output", "output.port"),
        ],
        "expected": [("import", "terraform_data.imported")],
    }  # fmt: skip
    texts = " ".join(c["text"] for c in result["unexpected"])
    assert "input.default_action[0].weight 100 -> 0" in texts and "input.s (sensitive)" in texts
    assert "s3" not in texts and "s4" not in texts
    assert "triggers_replace[0] 1 -> 2" in texts and "input 30444 -> 30445" in texts


def test_what_can_not_be_imported_is_made_a_second_time_without_harm(judged):
    kind = "aws_autoscaling_attachment"
    resources = [*RESOURCES, {"type": kind, "name": "nodes", "id": f"nodes,{GREEN}"}]
    made = change(kind, "a", ["create"], None, {"autoscaling_group_name": "nodes", "lb_target_group_arn": GREEN})
    other = change(kind, "b", ["create"], None, {"autoscaling_group_name": "other", "lb_target_group_arn": GREEN})
    assert found(judged(IMPORT, made, other, resources=resources)) == {
        "errors": [], "unexpected": [("create", f"{kind}.b")],
        "expected": [("import", "aws_lb_target_group.green"), ("attachment", f"{kind}.a")],
    }  # fmt: skip


@pytest.mark.parametrize(
    "importing",
    [
        {"id": f"{GREEN},i-0a,30444"}, {"id": f"{GREEN},i-0a"},
        {"identity": {"target_group_arn": GREEN, "target_id": "i-0a", "port": 30444}},
    ],
)  # fmt: skip
def test_what_ties_a_target_to_green_may_be_imported_by_a_provider_that_can(judged, importing):
    """By the provider's own id or the resource's identity: what it ties says which one it is."""
    kind = "aws_lb_target_group_attachment"
    resources = [*RESOURCES, {"type": kind, "name": "node", "id": f"i-0a,{GREEN}"}]
    tie = {"target_group_arn": GREEN, "target_id": "i-0a", "port": 30444, "id": "x"}
    other = {**tie, "target_id": "i-0b"}
    mine = change(kind, "a", ["no-op"], tie, tie, importing=importing)
    foreign = change(kind, "b", ["no-op"], other, other, importing=importing)
    replaced = change(kind, "c", ["delete", "create"], {**tie, "target_group_arn": BLUE}, tie, importing=importing)
    result = judged(IMPORT, mine, foreign, replaced, resources=resources)
    assert found(result) == {
        "errors": [], "unexpected": [("import", f"{kind}.b"), ("replace", f"{kind}.c")],
        "expected": [("import", "aws_lb_target_group.green"), ("attachment", f"{kind}.a")],
    }  # fmt: skip
    assert result["expected"][1]["text"] == f"{kind}.a: is imported"
    again = judged(IMPORT, change(kind, "a", ["create"], None, tie), resources=resources)
    assert codes(again) == {"expected": ["import", "attachment"]}


def test_a_folder_is_that_of_terragrunt(tmp_path):
    for unit in ("a", "b/c"):
        (tmp_path / unit).mkdir(parents=True)
        (tmp_path / unit / "tfplan.json").write_text(REAL.read_text())
    result = run_module(terraform_plan_info, {"plans": [str(tmp_path)]})
    assert result["plans"] == [str(tmp_path / "a/tfplan.json"), str(tmp_path / "b/c/tfplan.json")]
    assert len(result["unexpected"]) == 2 * 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found no JSON"),
        ('{"@level": "info"}\n{"@level": "info"}\n', "the log of terraform plan -json"),
        ('{"format_version": "1.0", "values": {}}', "found a state"),
        ('{"format_version": "2.0", "planned_values": {}}', "format_version 2.0"),
        ("[]", "format_version none"),
        ('{"format_version": "1.2", "planned_values": {}, "errored": true}', "ended in an error"),
    ],
)
def test_what_is_no_plan_is_refused(judged, text, said):
    result = judged(whole=text)
    assert result["failure"]["code"] == "malformed" and said in result["msg"] and "p.json" in result["msg"]


def test_a_plan_that_is_not_there_is_refused(tmp_path):
    for given in (tmp_path, tmp_path / "x.json"):
        assert run_module(terraform_plan_info, {"plans": [str(given)]})["failure"]["code"] == "not_found"


def test_weights_of_addresses_can_not_be_compared(judged):
    entry = {**WEIGHTS[0], "targets": [{"name": "aws_lb_target_group.green.arn", "weight": 1}]}
    assert "expected the ARN" in judged(weights=[entry])["msg"]
