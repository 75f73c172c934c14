# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""elb_listener_weights: its arithmetic, and the whole module against moto's server."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _elb, _elb_balancer
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import State
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import elb_listener_weights, migration_journal
from fake_cluster import CONNECTION, FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st
from moto_aws import REGION, refusing

PAIRS = [{"blue": "http-blue", "green": "http-green"}, {"blue": "https-blue", "green": "https-green"}]
LATER = [{"blue": "http-blue", "green": "later"}, PAIRS[1]]
PAIR = _elb.Pair("arn:b", "arn:g", "b", "g")


# -- the arithmetic ----------------------------------------------------------------------------------------------------
@given(st.integers(0, 1000))
def test_a_share_in_tenths_is_exact(tenths):
    blue, green = _elb.weights_for(tenths / 10)
    assert 0 <= blue <= 999 and 0 <= green <= 999
    assert green * 1000 == tenths * (blue + green)


@pytest.mark.parametrize(("percent", "expected"), [(0, (100, 0)), (1, (99, 1)), (33.3, (667, 333)), (100, (0, 100))])
def test_usual_steps_read_well(percent, expected):
    assert _elb.weights_for(percent) == expected


def forward(actions, **changes):
    given_ = {"arn": "l", "title": "public:80", "listener": "l", "hosts": (), "whole": True, "pair": PAIR, **changes}
    return _elb.Forward(actions=actions, **given_)


def test_other_parts_of_an_action_stay_and_a_providers_secret_too():
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {"ClientId": "me"}}
    sticky = {"Enabled": True, "DurationSeconds": 60}
    config = {"TargetGroups": [{"TargetGroupArn": "arn:b", "Weight": 1}], "TargetGroupStickinessConfig": sticky}
    actions = [login, {"Type": "forward", "Order": 2, "TargetGroupArn": "arn:b", "ForwardConfig": config}]
    before = copy.deepcopy(actions)
    first, second = _elb.with_weights(actions, {"arn:b": 90, "arn:g": 10})
    assert actions == before
    assert (
        first["AuthenticateOidcConfig"] == {"ClientId": "me", "UseExistingClientSecret": True} and first["Order"] == 1
    )
    assert "TargetGroupArn" not in second and second["Order"] == 2
    assert second["ForwardConfig"]["TargetGroupStickinessConfig"] == sticky
    assert _elb.weights_in([first, second]) == {"arn:b": 90, "arn:g": 10}
    with pytest.raises(Refusal, match="expected false") as refusal:
        _elb.plan_percent(forward(actions), 10, False)
    assert refusal.value.code == "sticky"
    assert _elb.plan_percent(forward(_elb.with_weights(actions, {"arn:b": 1, "arn:g": 1})), 0, False)["arn:g"] == 0


def test_a_share_that_is_there_stays_as_it_is_written():
    theirs = forward(_elb.with_weights([{"Type": "forward"}], {"arn:b": 450, "arn:g": 50}))
    assert _elb.share(theirs) == 10
    assert _elb.plan_percent(theirs, 10, True) == {"arn:b": 450, "arn:g": 50}
    alone = forward([{"Type": "forward", "TargetGroupArn": "arn:b"}])
    assert _elb.plan_percent(alone, 0, False) == {"arn:b": 1}
    assert _elb.plan_percent(alone, 0, True) == {"arn:b": 100, "arn:g": 0}


def test_none_and_nearly_none_are_not_one_share():
    none = forward([{"Type": "forward", "TargetGroupArn": "arn:b"}])
    nearly = forward(_elb.with_weights([{"Type": "forward"}], {"arn:b": 998, "arn:g": 2}), arn="m")
    assert _elb.common_share([none, nearly]) is None
    assert _elb.common_share([none, none]) == 0 and _elb.common_share([nearly]) == 0.2 and _elb.common_share([]) is None


@pytest.mark.parametrize(
    ("green", "says"),
    [
        ({}, "no target is healthy (no targets)"),
        ({"i-1": "unhealthy", "i-2": "initial"}, "i-1 unhealthy, i-2 initial"),
        ({"i-1": "healthy", "i-2": "unhealthy"}, "in zone-b, where b has some"),
        ({"i-1": "healthy", "i-2": "healthy"}, None),
        ({"i-1": "healthy", "i-3": "healthy"}, None),
    ],
)
def test_green_has_to_be_healthy_in_every_zone_that_blue_is_healthy_in(green, says):
    zones = {"i-1": "zone-a", "i-2": "zone-b", "i-3": "zone-b", "i-4": "zone-c"}
    blue = _elb.Health({"i-1": "healthy", "i-2": "healthy", "i-4": "unhealthy"})
    found = _elb.not_ready(PAIR, blue, _elb.Health(green), zones)
    assert found is None if says is None else says in found


# -- the module, against moto ------------------------------------------------------------------------------------------
@pytest.fixture
def nlb(cloud):
    """A Network Load Balancer with listeners 80 and 443, blue's target groups there and green's beside them."""
    cloud.arn = {
        name: cloud.target_group(name, port, status=30022 if "green" in name else 30021)
        for name, port in (("http-blue", 30080), ("https-blue", 30443), ("http-green", 30081), ("https-green", 30444))
    }
    balancer = cloud.balancer("public")
    cloud.listeners = [
        cloud.listener(balancer, port, cloud.arn[name]) for port, name in ((80, "http-blue"), (443, "https-blue"))
    ]
    return cloud


@pytest.fixture
def alb(cloud):
    """An Application Load Balancer whose listener has rules for hosts, one with a path, one that leads elsewhere."""
    cloud.arn = {
        name: cloud.target_group(name, port, "HTTP")
        for name, port in (("blue", 30080), ("green", 30081), ("other", 30090))
    }
    balancer = cloud.balancer("front", "application")
    cloud.listeners = [cloud.listener(balancer, 80, cloud.arn["blue"], "HTTP")]
    cloud.rules = {
        "shop": cloud.rule(cloud.listeners[0], 10, cloud.arn["blue"], "shop.test"),
        "api": cloud.rule(cloud.listeners[0], 11, cloud.arn["blue"], "shop.test", path="/api/*"),
        "two": cloud.rule(cloud.listeners[0], 20, cloud.arn["blue"], "a.test", "b.test"),
        "other": cloud.rule(cloud.listeners[0], 30, cloud.arn["other"], "other.test"),
    }
    return cloud


def run(cloud, cluster=None, check=False, **options):
    base = {"region": REGION, "endpoint_url": cloud.url, "balancer": "network", "target_groups": PAIRS,
            "listeners": ["public:80", "public:443"]}  # fmt: skip
    if cloud.rules:
        base |= {
            "balancer": "application",
            "listeners": ["front:80"],
            "target_groups": [{"blue": "blue", "green": "green"}],
        }
    if cluster is not None:
        options.update(CONNECTION)
    return run_module(elb_listener_weights, {**base, **options}, cluster, check=check)


def in_force(cloud):
    return [cloud.weights(arn) for arn in cloud.listeners]


BEFORE = [{"http-blue": 1}, {"https-blue": 1}]


def test_reads_only_when_no_share_is_given(nlb):
    result = run(nlb)
    assert result["changed"] is False and result["green_percent"] == 0
    assert result["shares"] == [
        {"forward": "public:80", "green_percent": 0},
        {"forward": "public:443", "green_percent": 0},
    ]
    assert result["backends"][0] == {
        "backend": "public:80", "server": "http-blue", "colour": "blue", "weight": 1, "admin": "ready", "health": "UP",
        "scur": None, "targets": dict.fromkeys(sorted(nlb.nodes), "healthy"), "arn": nlb.listeners[0],
        "target_group": nlb.arn["http-blue"],
    }  # fmt: skip
    assert result["requests"] == {"describe_target_groups": 1, "describe_load_balancers": 1, "describe_listeners": 1,
                                  "describe_target_health": 4}  # fmt: skip


def test_sets_all_listeners_reads_them_back_and_a_second_run_changes_nothing(nlb):
    result = run(nlb, green_percent=10)
    assert result["changed"] and result["green_percent"] == 10 and result["forwards_set"] == 2
    assert in_force(nlb) == [{"http-blue": 90, "http-green": 10}, {"https-blue": 90, "https-green": 10}]
    assert result["diff"]["before"] == {"ELB public:80": {"http-blue": 1}, "ELB public:443": {"https-blue": 1}}
    assert result["diff"]["after"]["ELB public:443"] == {"https-blue": 90, "https-green": 10}
    # Documented: one write for each action that changes, listeners read once more, health and zones asked once more.
    assert result["requests"] == {"describe_target_groups": 1, "describe_load_balancers": 2, "describe_listeners": 2,
                                  "describe_target_health": 4, "describe_instances": 1,
                                  "modify_listener": 2}  # fmt: skip
    again = run(nlb, green_percent=10, expect_green_percent=10)
    assert again["changed"] is False and "modify_listener" not in again["requests"]
    assert run(nlb, green_percent=100, expect_green_percent=10)["green_percent"] == 100
    assert in_force(nlb) == [{"http-blue": 0, "http-green": 100}, {"https-blue": 0, "https-green": 100}]
    assert run(nlb, green_percent=0)["green_percent"] == 0


def test_check_mode_tells_what_would_be_and_writes_nothing(nlb):
    checked = run(nlb, check=True, green_percent=10)
    assert in_force(nlb) == BEFORE
    done = run(nlb, green_percent=10)
    for name in ("changed", "green_percent", "shares", "backends", "forwards_set", "diff"):
        assert checked[name] == done[name], name


def test_listeners_by_arn_need_one_request(nlb):
    result = run(nlb, listeners=nlb.listeners, green_percent=10)
    assert result["requests"]["describe_listeners"] == 2 and "describe_load_balancers" not in result["requests"]
    assert [s["forward"] for s in result["shares"]] == ["public:80", "public:443"]


def test_green_can_be_attached_without_traffic(nlb):
    assert run(nlb, green_percent=0)["changed"] is False
    assert run(nlb, green_percent=0, attach=True)["changed"]
    assert in_force(nlb) == [{"http-blue": 100, "http-green": 0}, {"https-blue": 100, "https-green": 0}]
    assert run(nlb, green_percent=0, attach=True)["changed"] is False
    run(nlb, green_percent=10)
    assert run(nlb, green_percent=10, attach=True)["changed"] is False


def test_a_listener_that_refuses_puts_all_back(nlb):
    run(nlb, green_percent=1)
    before = in_force(nlb)
    with refusing("modify_listener", nlb.listeners[1]) as refused:
        result = run(nlb, green_percent=50)
    assert refused == ["modify_listener"]
    assert (
        result["failed"]
        and result["failure"]["code"] == "set_failed"
        and result["failure"]["put_back"] == ["public:80"]
    )
    assert "ModifyListener" in result["msg"] and "in force again at public:80" in result["msg"]
    assert in_force(nlb) == before


def test_what_can_not_be_put_back_is_named(nlb):
    run(nlb, green_percent=1)
    call = nlb.elb.delete_listener
    with refusing("modify_listener", nlb.listeners[1]):
        real = _elb_balancer.Balancer.write
        wrote = []

        def write(self, forward_, weights):
            if wrote and forward_.title == "public:80":
                call(ListenerArn=nlb.listeners[0])
            wrote.append(forward_.title)
            real(self, forward_, weights)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_elb_balancer.Balancer, "write", write)
            result = run(nlb, green_percent=50)
    assert wrote == ["public:80", "public:443", "public:80"]
    assert "could NOT be put back: public:80: " in result["msg"] and len(result["failure"]["not_put_back"]) == 2


def test_weights_that_do_not_stay_are_an_error_and_put_back(nlb, monkeypatch):
    run(nlb, green_percent=1)
    real = _elb_balancer.Balancer.write

    def lose(self, forward_, weights):
        if forward_.title != "public:443" or weights == forward_.weights:
            real(self, forward_, weights)

    monkeypatch.setattr(_elb_balancer.Balancer, "write", lose)
    result = run(nlb, green_percent=50)
    assert result["failure"]["code"] == "set_failed" and "the weights did not stay: public:443" in result["msg"]
    assert in_force(nlb) == [{"http-blue": 99, "http-green": 1}, {"https-blue": 99, "https-green": 1}]


def test_what_somebody_else_changed_is_noticed_and_left(nlb):
    run(nlb, green_percent=10)
    nlb.set_weights(nlb.listeners[1], **{nlb.arn["https-blue"]: 60, nlb.arn["https-green"]: 40})
    before = in_force(nlb)
    result = run(nlb, green_percent=50, expect_green_percent=10)
    assert result["failure"]["code"] == "foreign_change"
    assert "public:443: expected 10 % on green, found 40.0 % (https-blue=60, https-green=40)" in result["msg"]
    assert in_force(nlb) == before and run(nlb)["green_percent"] is None
    # A run that was killed between two listeners is repeated.
    nlb.set_weights(nlb.listeners[1], **{nlb.arn["https-blue"]: 50, nlb.arn["https-green"]: 50})
    assert run(nlb, green_percent=50, expect_green_percent=10)["forwards_set"] == 1


def test_green_that_is_not_healthy_gets_no_more_traffic_but_may_lose_it(nlb):
    run(nlb, green_percent=50)
    before = in_force(nlb)
    nlb.elb.deregister_targets(TargetGroupArn=nlb.arn["https-green"], Targets=[{"Id": nlb.nodes[1]}])
    zone = nlb.ec2.describe_instances(InstanceIds=[nlb.nodes[1]])["Reservations"][0]["Instances"][0]["Placement"][
        "AvailabilityZone"
    ]
    for check in (True, False):
        refused = run(nlb, green_percent=100, check=check, health_timeout=0.2)
        assert refused["failure"]["code"] == "green_not_up"
        assert f"https-green: no target is healthy in {zone}, where https-blue has some" in refused["msg"]
    assert in_force(nlb) == before
    assert run(nlb, green_percent=10)["green_percent"] == 10
    assert run(nlb, green_percent=50, require_health=False)["green_percent"] == 50


def test_it_waits_until_green_is_healthy(nlb, monkeypatch):
    nlb.elb.deregister_targets(TargetGroupArn=nlb.arn["https-green"], Targets=[{"Id": nlb.nodes[1]}])
    real, looks = _elb_balancer.Balancer.health, []

    def health(self):
        looks.append(1)
        if len(looks) == 3:
            nlb.elb.register_targets(TargetGroupArn=nlb.arn["https-green"], Targets=[{"Id": nlb.nodes[1]}])
        return real(self)

    monkeypatch.setattr(_elb_balancer.Balancer, "health", health)
    assert run(nlb, green_percent=10, health_timeout=60)["green_percent"] == 10
    assert len(looks) == 3


def test_blue_that_is_down_gets_nothing_back(nlb):
    run(nlb, green_percent=100)
    nlb.elb.deregister_targets(TargetGroupArn=nlb.arn["http-blue"], Targets=[{"Id": node} for node in nlb.nodes])
    refused = run(nlb, green_percent=0)
    assert refused["failure"]["code"] == "no_server_up" and "http-blue has no healthy target" in refused["msg"]
    assert [s["health"] for s in run(nlb)["backends"] if s["server"] == "http-blue"] == ["DOWN"]
    assert run(nlb, green_percent=0, require_health=False)["green_percent"] == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"green_percent": 101}, "bad_option", "101"),
        ({"green_percent": 5, "expect_green_percent": -1}, "bad_option", "expect_green_percent"),
        ({"attach": True}, "bad_option", "attach"),
        ({"listeners": []}, "bad_option", "listeners"),
        ({"listeners": ["public"]}, "bad_option", "NAME:PORT"),
        ({"listeners": ["public:81"]}, "no_such_listener", "It has: 80, 443"),
        ({"listeners": ["nope:80"]}, "aws", "LoadBalancerNotFound"),
        ({"listeners": ["arn:aws:elasticloadbalancing:eu-west-1:1:listener/net/x/y/z"]}, "aws", "ListenerNotFound"),
        ({"balancer": "application"}, "other_kind", "protocol is TCP; expected HTTP or HTTPS"),
        ({"hosts": ["a.test"]}, "bad_option", "hosts"),
        ({"except_hosts": ["a.test"]}, "bad_option", "except_hosts"),
        ({"target_groups": [{"blue": "none", "green": "http-green"}]}, "no_such_target_group", "http-blue, http-green"),
        ({"target_groups": [{"blue": "http-blue", "green": "http-blue"}]}, "bad_option", "different"),
        ({"target_groups": PAIRS[:1]}, "not_forwarded", "public:443: its default action is https-blue"),
        ({"target_groups": LATER, "green_percent": 1}, "no_such_target_group", "later"),
        ({"weights": {"LISTENER": 3}}, "bad_option", "expected {"),
        ({"weights": {"LISTENER": {"arn:x": 3}}}, "bad_option", "forwards to no arn:x"),
        ({"weights": {"LISTENER": {"BLUE": 1000}}}, "bad_option", "1000"),
        ({"profile": "nobody"}, "bad_credentials", "nobody"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "unreachable", "127.0.0.1:9"),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing(nlb, options, code, words, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    text = json.dumps(options).replace("LISTENER", nlb.listeners[0]).replace("BLUE", nlb.arn["http-blue"])
    if code == "unreachable":
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = run(nlb, **json.loads(text))
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"], result
    assert in_force(nlb) == BEFORE


def test_a_third_target_group_is_refused(nlb):
    other = nlb.target_group("third", 30099)
    nlb.set_weights(nlb.listeners[0], **{nlb.arn["http-blue"]: 1, other: 1})
    result = run(nlb, green_percent=1)
    assert result["failure"]["code"] == "unmatched_target_group" and "to third" in result["msg"]


def test_green_that_is_still_to_be_made_is_read_and_planned(nlb):
    assert run(nlb, target_groups=LATER)["green_percent"] == 0
    assert run(nlb, target_groups=LATER, green_percent=0)["changed"] is False
    planned = run(nlb, target_groups=LATER, green_percent=10, check=True)
    assert planned["diff"]["after"]["ELB public:80"] == {"http-blue": 90, "later": 10}
    assert in_force(nlb) == BEFORE


# -- an Application Load Balancer --------------------------------------------------------------------------------------
def test_every_rule_that_forwards_to_blue_moves_and_no_other(alb):
    result = run(alb, green_percent=10)
    assert result["forwards_set"] == 4 and result["green_percent"] == 10
    assert [s["forward"] for s in result["shares"]] == [
        "front:80 rule 10 (shop.test)", "front:80 rule 11 (shop.test)", "front:80 rule 20 (a.test, b.test)",
        "front:80 default",
    ]  # fmt: skip
    for name in ("shop", "api", "two"):
        assert alb.weights(alb.rules[name]) == {"blue": 90, "green": 10}
    assert in_force(alb) == [{"blue": 90, "green": 10}] and alb.weights(alb.rules["other"]) == {"other": 1}
    assert result["requests"]["modify_rule"] == 3 and result["requests"]["modify_listener"] == 1
    assert result["requests"]["describe_rules"] == 2
    assert run(alb, green_percent=10)["changed"] is False


def test_only_the_rules_of_some_hosts_move(alb):
    result = run(alb, green_percent=50, hosts=["Shop.test"])
    assert result["forwards_set"] == 2 and result["green_percent"] == 50
    assert alb.weights(alb.rules["api"]) == alb.weights(alb.rules["shop"]) == {"blue": 50, "green": 50}
    assert alb.weights(alb.rules["two"]) == {"blue": 1} and in_force(alb) == [{"blue": 1}]
    assert run(alb)["green_percent"] is None
    shared = run(alb, green_percent=50, hosts=["a.test"])
    assert shared["failure"]["code"] == "shared_rule" and "serves a.test and b.test" in shared["msg"]
    bare = run(alb, green_percent=50, hosts=["new.test", "shop.test"])
    assert bare["failure"]["code"] == "host_without_rule" and bare["failure"]["hosts"] == ["new.test"]
    # The rest moves later, past what has moved.
    later = run(alb, green_percent=10, except_hosts=["shop.test"], expect_green_percent=0)
    assert later["forwards_set"] == 2 and alb.weights(alb.rules["shop"]) == {"blue": 50, "green": 50}
    assert alb.weights(alb.rules["two"]) == {"blue": 90, "green": 10} == in_force(alb)[0]
    assert run(alb, except_hosts=["a.test"])["failure"]["code"] == "shared_rule"
    run(alb, green_percent=0, except_hosts=["shop.test"])
    # Until it has a rule, a host has what the default action has.
    assert run(alb, hosts=["new.test"])["green_percent"] == 0


def test_a_rule_that_refuses_puts_all_back(alb):
    run(alb, green_percent=1)
    with refusing("modify_rule", alb.rules["two"]):
        result = run(alb, green_percent=50)
    assert result["failure"]["put_back"] == ["front:80 rule 11 (shop.test)", "front:80 rule 10 (shop.test)"]
    assert all(alb.weights(alb.rules[n]) == {"blue": 99, "green": 1} for n in ("shop", "api", "two"))


# -- the journal -------------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster():
    return FakeCluster()


def steps_of(cluster):
    return State.parse(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]).steps


def opened(cluster):
    where = {"namespace": "bluegreen-mesh", "name": "m"}
    run_module(migration_journal, {**where, "state": "open", "operator": "ada"}, cluster)
    return {**where, "epoch": 1, "phase": "cutover"}


def test_the_way_back_is_one_call_and_detaches_what_was_not_there(nlb, cluster):
    journal = opened(cluster)
    for percent, attach in ((0, True), (10, False), (100, False)):
        assert run(nlb, cluster, green_percent=percent, attach=attach, journal=journal)["changed"]
    (step,) = steps_of(cluster)
    assert step["state"] == "done" and step["inverse"]["module"] == "elb_listener_weights"
    result = run(nlb, cluster, journal={**journal, "phase": "rollback"}, **step["inverse"]["params"])
    assert result["forwards_set"] == 2 and in_force(nlb) == BEFORE
    assert run(nlb, **step["inverse"]["params"])["changed"] is False


def test_blue_gets_everything_first_and_green_stays_attached_meanwhile(nlb, cluster):
    journal = opened(cluster)
    for percent, attach in ((0, True), (10, False)):
        run(nlb, cluster, green_percent=percent, attach=attach, journal=journal)
    (step,) = steps_of(cluster)
    back = {"journal": {**journal, "phase": "rollback"}, **step["inverse"]["params"]}
    assert run(nlb, cluster, **back, attach=True)["green_percent"] == 0
    assert in_force(nlb) == [{"http-blue": 1, "http-green": 0}, {"https-blue": 1, "https-green": 0}]
    assert run(nlb, cluster, **back, attach=True)["changed"] is False
    assert run(nlb, cluster, **back)["changed"] and in_force(nlb) == BEFORE
    assert run(nlb, cluster, **back, attach=True)["changed"] is False, "what is not attached stays so"


def test_other_hosts_are_another_step_and_a_rule_that_is_gone_is_passed_over(alb, cluster):
    journal = opened(cluster)
    run(alb, cluster, green_percent=10, hosts=["shop.test"], journal=journal)
    run(alb, cluster, green_percent=10, journal=journal)
    first, second = (step["inverse"]["params"] for step in steps_of(cluster))
    assert set(first["weights"]) == {alb.rules["shop"], alb.rules["api"]} and len(second["weights"]) == 4
    alb.elb.delete_rule(RuleArn=alb.rules["two"])
    for params in (second, first):
        run(alb, cluster, journal={**journal, "phase": "rollback"}, **params)
    assert alb.weights(alb.rules["shop"]) == {"blue": 1} and in_force(alb) == [{"blue": 1}]


def test_a_run_that_was_overtaken_writes_nothing(nlb, cluster):
    journal = opened(cluster)
    run_module(
        migration_journal,
        {"namespace": "bluegreen-mesh", "name": "m", "state": "open", "operator": "bob", "takeover": True},
        cluster,
    )
    result = run(nlb, cluster, green_percent=10, journal=journal)
    assert result["failed"] and result["failure"]["code"] == "stale_epoch" and in_force(nlb) == BEFORE
