# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""route53_weights: its arithmetic, and the whole module against moto's server with the rules of Route 53."""

from __future__ import annotations

import json
import os
import subprocess
import time
from unittest import mock

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _aws, _infrastructure, _route53, _route53_zones
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import Book
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import route53_weights as by_hand
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, route53_weights
from fake_cluster import CONNECTION, FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st
from moto_aws import refusing
from moto_route53 import HostedZones, alias, record, sent_to

BLUE, GREEN = "192.0.2.1", "192.0.2.2"
BLUE6, GREEN6 = "2001:db8::1", "2001:db8::2"
ELB = "Z215JYRZR1TBD5"
ENDPOINTS = [
    {"blue": [BLUE, BLUE6], "green": [GREEN, GREEN6]},
    {"blue": ["blue.elb.test"], "blue_zone": ELB, "green": ["green.elb.test"], "green_zone": ELB},
    {"blue": ["blue.edge.test"], "green": ["green.edge.test"]},
]
HOSTS = ["a.shop.test", "b.shop.test", "*.apps.shop.test", "lb.shop.test", "alias.shop.test"]
JOURNAL = {"namespace": "bluegreen-mesh", "name": "m"}
ENDS = _route53.endpoints_of(ENDPOINTS)


# -- the arithmetic ----------------------------------------------------------------------------------------------------
@given(st.integers(4, 996))
def test_tenths_are_given_by_weights_that_route_53_takes(tenths):
    blue, green = _route53.weights_for(tenths / 10)
    assert 0 < blue <= 255 and 0 < green <= 255
    assert abs(100 * green / (blue + green) - tenths / 10) <= 0.05


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, (100, 0)), (1, (99, 1)), (99, (1, 99)), (100, (0, 100)), (0.5, (199, 1))]
)
def test_usual_steps_read_well(percent, expected):
    assert _route53.weights_for(percent) == expected


@pytest.mark.parametrize("percent", [0.1, 0.3, 99.8])
def test_a_share_that_weights_can_not_give_is_refused(percent):
    with pytest.raises(Refusal, match="the nearest is"):
        _route53.weights_for(percent)


@pytest.mark.parametrize(
    ("sets", "share", "wrong"),
    [
        ([record("h", BLUE)], 0, ""),
        ([record("h", GREEN)], 100, ""),
        ([record("h", BLUE, SetIdentifier="x", Weight=3), record("h", GREEN, SetIdentifier="y", Weight=1)], 25, ""),
        # Route 53 answers with each of them as often.
        ([record("h", BLUE, SetIdentifier="x", Weight=0), record("h", GREEN, SetIdentifier="y", Weight=0)], 50, ""),
        ([record("h", BLUE, SetIdentifier="x", Weight=0)], 0, ""),
        ([alias("h", f"/hostedzone/{ELB}", "dualstack.Green.elb.test")], 100, ""),
        ([alias("h", "ZOTHER", "green.elb.test")], None, "leads to alias green.elb.test, which is not"),
        ([record("h", "192.0.2.9")], None, "leads to 192.0.2.9"),
        ([record("h", BLUE, GREEN)], None, "leads to 192.0.2.1 192.0.2.2"),
        ([record("h", BLUE, SetIdentifier="x", Weight=1), record("h", BLUE, SetIdentifier="y", Weight=1)], None,
         "several record sets lead to one side"),
        ([record("h", BLUE, SetIdentifier="x", Weight=1), record("h", "192.0.2.9", SetIdentifier="y", Weight=1)], None,
         "leads to 192.0.2.1, 192.0.2.9"),
        ([record("h", BLUE, SetIdentifier="x", Region="eu-west-1")], None, "routing policy is Region, expected simple"),
        ([record("h", BLUE, SetIdentifier="x", Failover="PRIMARY")], None, "routing policy is Failover"),
        ([record("h", BLUE, SetIdentifier="x", MultiValueAnswer=True)], None, "routing policy is MultiValueAnswer"),
    ],
)  # fmt: skip
def test_whose_a_record_is(sets, share, wrong):
    group = _route53.group_of("h", sets[0]["Type"], sets, ENDS)
    assert group.share == share and wrong in group.wrong and bool(wrong) == bool(group.wrong)


@pytest.mark.parametrize(
    ("endpoints", "says"),
    [
        ([], "is empty"),
        ([{"blue": [BLUE], "green": [GREEN6]}], "blue has A and green has AAAA"),
        ([{"blue": [BLUE], "green": [BLUE]}], "is endpoints[0].blue too"),
        ([{"blue": ["b.test"], "green": ["g.test"], "blue_zone": ELB}], "one of blue_zone and green_zone"),
        ([{"blue": [BLUE], "green": ["g.test"], "blue_zone": ELB, "green_zone": ELB}], "one name of an alias"),
        ([{"blue": ["b.test"], "green": ["B.test"], "blue_zone": ELB, "green_zone": ELB}], "too"),
    ],
)
def test_endpoints_that_can_not_tell_whose_a_record_is_are_refused(endpoints, says):
    with pytest.raises(Refusal) as refused:
        _route53.endpoints_of(endpoints)
    assert refused.value.code == "bad_option" and says in str(refused.value)


def host(*sets):
    return _route53.hosts_in("Z", sets, ["h"], ENDS)["h"]


def test_only_what_caches_can_hold_too_long_is_waited_for():
    simple = host(record("h", BLUE, ttl=600), alias("other", ELB, "blue.elb.test"))
    assert _route53.stale_for(_route53.move([simple], 1)) == 600
    assert _route53.stale_for(_route53.lower([simple], 30)) == 600
    assert _route53.stale_for(_route53.move([host(alias("h", ELB, "blue.elb.test"))], 1)) == 60
    longer = [{"name": "h", "type": "A", "sets": [record("h", BLUE, ttl=3600)]}]
    assert _route53.stale_for(_route53.restore([simple], longer)) == 0


def test_a_health_check_stays_with_its_side_and_a_taken_identifier_is_not_used():
    own = host(record("h", BLUE, SetIdentifier="green", Weight=7, HealthCheckId="hc-1"))
    (change,) = _route53.move([own], 10)
    assert change.after == (
        record("h", BLUE, SetIdentifier="green", Weight=90, HealthCheckId="hc-1"),
        record("h", GREEN, SetIdentifier="bluegreen-green", Weight=10),
    )


def test_a_type_that_a_host_has_got_since_goes_back_with_the_others():
    both = host(*(
        record("h", value, kind=kind, SetIdentifier=colour, Weight=50)
        for kind, values in (("A", (BLUE, GREEN)), ("AAAA", (BLUE6, GREEN6)))
        for colour, value in zip(("blue", "green"), values)
    ))  # fmt: skip
    (change,) = _route53.restore([both], [{"name": "h", "type": "A", "sets": [record("h", BLUE)]}])
    assert [(one["Type"], one.get("Weight")) for one in change.after] == [("A", None), ("AAAA", 100), ("AAAA", 0)]


def test_a_request_has_no_more_values_than_route_53_takes_and_whole_hosts():
    hosts = [
        _route53.hosts_in("Z", [record(f"h{n}", BLUE)], [f"h{n}"], ENDS)[f"h{n}"] for n in range(500)
    ]
    batches = _route53.batches(_route53.move(hosts, 1))
    assert [len(batch) for batch in batches] == [333, 167]


# -- the module, against moto ------------------------------------------------------------------------------------------
@pytest.fixture
def zones(cloud, monkeypatch):
    monkeypatch.setattr(_route53_zones, "POLL", 0.05)
    zones = HostedZones(cloud)
    zones.clear()
    zones.shop = zones.make("shop.test.")
    zones.put(
        zones.shop, record("a.shop.test", BLUE, ttl=3600), record("b.shop.test", BLUE),
        record("b.shop.test", BLUE6, kind="AAAA"), record(r"\052.apps.shop.test", BLUE),
        alias("lb.shop.test", ELB, "dualstack.blue.elb.test"), alias("lb.shop.test", ELB, "blue.elb.test", kind="AAAA"),
        record("alias.shop.test", "blue.edge.test", kind="CNAME"), record("other.shop.test", "192.0.2.9"),
    )  # fmt: skip
    with sent_to(zones) as zones.sent:
        yield zones
    zones.clear()


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    run_module(migration_journal, {**JOURNAL, "state": "open", "operator": "ada"}, cluster)
    return cluster


def run(at, cluster=None, *, check=False, phase="cutover", **options):
    base = {"endpoint_url": at.url, "zones": [at.shop], "endpoints": ENDPOINTS, "hosts": HOSTS}
    if cluster is not None:
        options |= {**CONNECTION, "journal": {**JOURNAL, "epoch": 1, "phase": phase}}
    params = {name: value for name, value in {**base, **options}.items() if value is not None}
    return run_module(route53_weights, params, cluster, check=check, diff=True)


def steps(cluster):
    data = cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]
    return [step for step in json.loads(data["steps"]) if step["state"] != "undone"]


def test_it_only_reads_when_no_share_is_given(zones):
    before = zones.sets(zones.shop)
    found = run(zones)
    assert found["changed"] is False and found["green_percent"] == 0 and zones.sets(zones.shop) == before
    assert found["requests"] == {"get_hosted_zone": 1, "list_resource_record_sets": 1}
    assert found["shares"][2] == {"host": "*.apps.shop.test", "green_percent": 0, "wrong": ""}
    assert found["backends"][0] == {
        "backend": "a.shop.test A", "server": BLUE, "colour": "blue", "weight": 1, "admin": "ready",
        "health": "UNCHECKED", "scur": None, "name": "a.shop.test.", "type": "A", "ttl": 3600, "set_identifier": "",
        "zone": zones.shop,
    }  # fmt: skip


def test_a_step_makes_simple_records_weighted_without_a_gap_and_a_second_run_changes_nothing(zones):
    foreseen = run(zones, check=True, green_percent=10)
    assert zones.sent == []
    done = run(zones, green_percent=10, expect_green_percent=0)
    for name in ("changed", "green_percent", "shares", "records", "backends", "weights", "hosts_changed", "diff"):
        assert done[name] == foreseen[name], name
    assert done["green_percent"] == 10 and done["hosts_changed"] == 5
    # One request: Route 53 carries it out as a whole.
    (acts,) = zones.sent
    assert acts[:3] == ["DELETE a.shop.test", "CREATE a.shop.test", "CREATE a.shop.test"] and len(acts) == 7 * 3
    assert done["requests"] == {"get_hosted_zone": 1, "list_resource_record_sets": 2,
                                "change_resource_record_sets": 1, "get_change": 1}  # fmt: skip
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, BLUE: 90, GREEN: 10}
    assert zones.told(zones.shop, "b.shop.test", "AAAA") == {"ttl": 600, BLUE6: 90, GREEN6: 10}
    assert zones.told(zones.shop, "*.apps.shop.test") == {"ttl": 600, BLUE: 90, GREEN: 10}
    assert zones.told(zones.shop, "lb.shop.test") == {"alias blue.elb.test": 90, "alias green.elb.test": 10}
    names = {"blue.edge.test.": 90, "green.edge.test.": 10}
    assert zones.told(zones.shop, "alias.shop.test", "CNAME") == {"ttl": 600, **names}
    assert zones.told(zones.shop, "other.shop.test") == {"ttl": 600, "192.0.2.9": None}
    mine = [one for one in zones.sets(zones.shop) if (one["Name"], one["Type"]) == ("lb.shop.test.", "A")]
    (green,) = (one for one in mine if one["SetIdentifier"] == "green")
    assert green["AliasTarget"] == {"HostedZoneId": ELB, "DNSName": "green.elb.test.", "EvaluateTargetHealth": True}
    again = run(zones, green_percent=10, expect_green_percent=10)
    assert again["changed"] is False and len(zones.sent) == 1
    assert run(zones, green_percent=100, expect_green_percent=10)["green_percent"] == 100
    assert run(zones, green_percent=0)["green_percent"] == 0
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, BLUE: 100, GREEN: 0}


def test_what_is_changed_between_reading_and_writing_is_not_written_over(zones):
    run(zones, green_percent=10)
    theirs = [record("b.shop.test", BLUE, ttl=30, SetIdentifier="blue", Weight=5),
              record("b.shop.test", GREEN, ttl=600, SetIdentifier="green", Weight=10)]  # fmt: skip
    with sent_to(zones, meanwhile=lambda: zones.put(zones.shop, *theirs)):
        refused = run(zones, green_percent=50)
    assert refused["failure"]["code"] == "foreign_change" and "do not match the current values" in refused["msg"]
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, BLUE: 90, GREEN: 10}
    mine = [one for one in zones.sets(zones.shop) if (one["Name"], one["Type"]) == ("b.shop.test.", "A")]
    assert {(one["TTL"], one["Weight"]) for one in mine} == {(30, 5), (600, 10)}


def test_what_somebody_else_changed_since_the_last_step_is_noticed(zones):
    run(zones, green_percent=10)
    theirs = [record("a.shop.test", value, SetIdentifier=colour, Weight=weight)
              for value, colour, weight in ((BLUE, "blue", 60), (GREEN, "green", 40))]  # fmt: skip
    zones.put(zones.shop, *theirs)
    refused = run(zones, green_percent=50, expect_green_percent=10)
    assert refused["failure"]["code"] == "foreign_change"
    assert "a.shop.test: expected 10 % on green, found 40 %" in refused["msg"] and len(zones.sent) == 1
    assert run(zones)["green_percent"] is None
    # A run that was killed between two requests is repeated.
    zones.put(zones.shop, *({**one, "Weight": 50} for one in theirs))
    assert run(zones, green_percent=50, expect_green_percent=10)["hosts_changed"] == 4


def test_a_record_that_leads_elsewhere_is_refused_going_up_and_left_going_back(zones):
    run(zones, green_percent=100)
    zones.put(zones.shop, record("b.shop.test", BLUE, SetIdentifier="x", Region="eu-west-1"))
    for options in ({"green_percent": 0}, {"max_ttl": 30}):
        refused = run(zones, **options)
        assert refused["failure"]["code"] == "foreign_record"
        assert "b.shop.test A: routing policy is Region, expected simple or weighted" in refused["msg"]
    assert zones.told(zones.shop, "a.shop.test")[GREEN] == 100
    done = run(zones, green_percent=0, foreign="leave")
    assert done["changed"] and any("b.shop.test" in str(text) for text in done["warnings"])
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, BLUE: 100, GREEN: 0}
    assert [one["Region"] for one in zones.sets(zones.shop) if "Region" in one] == ["eu-west-1"]


def test_of_two_zones_both_move_or_none(zones):
    other = zones.make("apps.shop.test.")
    zones.put(other, record("x.apps.shop.test", BLUE))
    both = {"zones": [zones.shop, f"/hostedzone/{other}"], "hosts": ["a.shop.test", "x.apps.shop.test"]}
    with refusing("change_resource_record_sets", other):
        refused = run(zones, green_percent=50, **both)
    assert refused["failure"]["error"] == "AccessDenied" and "docs/balancers/route53.md" in refused["msg"]
    assert "a.shop.test have their records of before again" in refused["msg"]
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, BLUE: None}
    with refusing("change_resource_record_sets", other, code="InvalidChangeBatch"):
        assert run(zones, green_percent=50, **both)["failure"]["code"] == "foreign_change"
    done = run(zones, green_percent=50, **both)
    assert done["requests"] == {"get_hosted_zone": 2, "list_resource_record_sets": 4,
                                "change_resource_record_sets": 2, "get_change": 2}  # fmt: skip
    assert zones.told(other, "x.apps.shop.test") == {"ttl": 600, BLUE: 50, GREEN: 50}


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_is_lost_is_not_taken_for_a_refusal(zones, arrived):
    call = _aws.Client.call

    def lose(self, service, operation, **params):
        if operation != "change_resource_record_sets":
            return call(self, service, operation, **params)
        if arrived:
            call(self, service, operation, **params)
        raise Refusal("unreachable", "connection reset")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_aws.Client, "call", lose)
        done = run(zones, green_percent=10)
    assert (done.get("green_percent") == 10) is arrived and bool(done.get("failed")) is not arrived
    weights = {BLUE: 90, GREEN: 10} if arrived else {BLUE: None}
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, **weights}


def test_what_does_not_stay_is_an_error(zones):
    call = _aws.Client.call

    def undone(self, service, operation, **params):
        answer = call(self, service, operation, **params)
        if operation == "get_change":
            zones.put(zones.shop, record("b.shop.test", BLUE))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_aws.Client, "call", undone)
        failed = run(zones, green_percent=10)
    assert failed["failure"]["code"] == "set_failed" and failed["failure"]["hosts"] == ["b.shop.test"]


def test_a_long_zone_is_read_in_pages(zones):
    many = [record(f"n{n:03}.shop.test", "192.0.2.9") for n in range(400)]
    weighted = [record("m.shop.test", value, SetIdentifier=value, Weight=1) for value in (BLUE, GREEN)]
    zones.become(zones.shop, [*many, *weighted])
    found = run(zones, hosts=["m.shop.test"])
    assert found["green_percent"] == 50 and found["requests"]["list_resource_record_sets"] == 2


def test_it_waits_until_all_servers_have_it(zones):
    call, asked = _aws.Client.call, []

    def pending(self, service, operation, **params):
        answer = call(self, service, operation, **params)
        if operation == "get_change":
            asked.append(params["Id"])
            answer["ChangeInfo"]["Status"] = "PENDING" if len(asked) < 3 else "INSYNC"
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_aws.Client, "call", pending)
        assert run(zones, green_percent=10)["changed"] and len(asked) == 3
        asked.clear()
        assert run(zones, green_percent=20, timeout=0)["failure"]["code"] == "not_in_sync"


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"zones": ["Z0NOTTHERE"]}, "no_such_zone", "no hosted zone Z0NOTTHERE"),
        ({"zones": []}, "bad_option", "zones: expected ids"),
        ({"hosts": ["nobody.shop.test", "www.elsewhere.test"]}, "no_record", "nobody.shop.test, www.elsewhere.test"),
        ({"hosts": ["other.shop.test"], "green_percent": 1}, "foreign_record", "leads to 192.0.2.9"),
        ({"hosts": []}, "bad_option", "hosts is empty"),
        ({"hosts": ["a_b c"]}, "bad_option", "hosts: 'a_b c'"),
        ({"green_percent": 101}, "bad_option", "green_percent: 101"),
        ({"green_percent": 0.1}, "bad_option", "0.1 can't be given"),
        ({"max_ttl": 0}, "bad_option", "max_ttl: 0"),
        ({"records": [{"name": "a.shop.test"}]}, "bad_option", "name, type and sets"),
        ({"finish": True}, "bad_option", "finish: needs records"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "unreachable", "127.0.0.1:9"),
        ({"profile": "nobody"}, "bad_credentials", "nobody"),
    ],
)
def test_bad_input_changes_nothing(zones, options, code, says, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    before = zones.sets(zones.shop)
    result = run(zones, **options)
    assert result["failed"] and result["failure"]["code"] == code and says in result["msg"], result
    assert zones.sets(zones.shop) == before


def test_two_zones_of_one_name_are_refused(zones):
    assert "two of the name shop.test" in run(zones, zones=[zones.shop, zones.make("shop.test.")])["msg"]


def test_hosts_without_a_record_are_named_where_that_is_asked_for(zones):
    found = run(zones, hosts=["a.shop.test", "nobody.shop.test"], missing="skip")
    assert found["missing"] == ["nobody.shop.test"] and found["green_percent"] == 0


# -- the journal -------------------------------------------------------------------------------------------------------
def test_the_way_back_leads_to_where_it_began(zones, cluster):
    before = zones.sets(zones.shop)
    assert run(zones, cluster, max_ttl=30)["stale_seconds"] == pytest.approx(3600, abs=5)
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 30, BLUE: None}
    for percent in (1, 50, 100):
        assert run(zones, cluster, green_percent=percent)["changed"]
    assert [(step["op"], step["inverse"]["module"]) for step in steps(cluster)] == [
        ("route53_ttl", "route53_weights"), ("route53_records", "route53_weights"),
    ]  # fmt: skip
    for step in reversed(steps(cluster)):
        params = {**step["inverse"]["params"], "missing": "skip", "foreign": "leave", "hosts": None}
        assert run(zones, cluster, check=True, phase="rollback", **params)["changed"]
        assert run(zones, cluster, phase="rollback", **params)["changed"]
        assert not run(zones, cluster, phase="rollback", **params)["changed"]
    assert sorted(zones.sets(zones.shop), key=str) == sorted(before, key=str)


def test_a_repeated_run_waits_only_for_the_rest(zones, cluster):
    zones.put(zones.shop, record("a.shop.test", BLUE, ttl=4))
    one = {"hosts": ["a.shop.test"]}
    run(zones, cluster, max_ttl=1, **one)
    time.sleep(1)
    with mock.patch.object(route53_weights, "time", wraps=time) as clock:
        assert run(zones, cluster, max_ttl=1, wait=True, **one)["changed"] is False
    assert sum(call.args[0] for call in clock.sleep.call_args_list) <= 3.1
    assert run(zones, cluster, max_ttl=1, **one)["stale_seconds"] == 0


def test_a_newer_run_keeps_an_older_one_from_writing(zones, cluster):
    run_module(migration_journal, {**JOURNAL, "state": "open", "operator": "bob", "takeover": True}, cluster)
    assert run(zones, cluster, green_percent=10)["failure"]["code"] == "stale_epoch" and zones.sent == []


# -- the end -----------------------------------------------------------------------------------------------------------
def finished(zones, cluster, **options):
    """As the role does: newest first, so that the oldest counts."""
    records = [one for step in reversed(steps(cluster)) for one in step["inverse"]["params"]["records"]]
    return run(zones, cluster, phase="cleanup", hosts=None, records=records, finish=True, **options)


def test_green_stays_alone_simple_and_with_the_ttl_of_before(zones, cluster):
    own = record("own.shop.test", BLUE, ttl=900, SetIdentifier="one", Weight=255)
    zones.put(zones.shop, own)
    hosts = {"hosts": [*HOSTS, "own.shop.test"]}
    run(zones, cluster, max_ttl=30, **hosts)
    run(zones, cluster, green_percent=50, **hosts)
    refused = finished(zones, cluster)
    assert refused["failure"]["code"] == "not_all_green" and "a.shop.test: 50 %" in refused["msg"]
    run(zones, cluster, green_percent=100, **hosts)
    done = finished(zones, cluster)
    assert done["changed"] and done["green_percent"] == 100
    assert zones.told(zones.shop, "a.shop.test") == {"ttl": 3600, GREEN: None}
    assert zones.told(zones.shop, "b.shop.test", "AAAA") == {"ttl": 600, GREEN6: None}
    assert zones.told(zones.shop, "lb.shop.test") == {"alias green.elb.test": None}
    assert zones.told(zones.shop, "own.shop.test") == {"ttl": 900, GREEN: 100}
    assert finished(zones, cluster)["changed"] is False


def test_infrastructure_code_is_told_what_is_in_force(zones):
    run(zones, green_percent=90)
    text = _infrastructure.files_of([], [], run(zones)["weights"])["snippets/route53.tf"]
    assert text.count("resource ") == 14 and f'zone_id         = "{zones.shop}"' in text
    assert f'records         = ["{GREEN}"]\n  weighted_routing_policy {{\n    weight = 90' in text
    alias_block = f'  alias {{\n    name                   = "green.elb.test"\n    zone_id                = "{ELB}"\n'
    assert alias_block + "    evaluate_target_health = true\n  }\n" in text
    zones.put(zones.shop, record("a.shop.test", GREEN))
    text = _infrastructure.files_of([], [], run(zones, hosts=["a.shop.test"])["weights"])["snippets/route53.tf"]
    assert "weighted_routing_policy" not in text and "set_identifier" not in text
    assert 'resource "aws_route53_record" "a_shop_test" {' in text and f'records         = ["{GREEN}"]' in text


# -- by hand -----------------------------------------------------------------------------------------------------------
BOOK = Book("m", "bluegreen-mesh")


def by_cli(zones, command, tmp_path):
    """Runs what a runbook says, with a command line that tells the zone's records and keeps what it is to change."""
    listed = {"ResourceRecordSets": zones.sets(zones.shop)}
    (tmp_path / "listed").write_text(json.dumps(listed), encoding="utf-8")
    stub = tmp_path / "aws"
    stub.write_text(
        '#!/bin/sh\ncase "$2" in list-*) cat listed;; *) printf "%s" "$4" > zone; printf "%s" "$6" > sent;; esac\n',
        encoding="utf-8",
    )
    stub.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shell = ["sh", "-euc", command.run]
    return subprocess.run(shell, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout


def sent_by(zones, command, tmp_path):
    by_cli(zones, command, tmp_path)
    assert (tmp_path / "zone").read_text(encoding="utf-8") == zones.shop
    return json.loads((tmp_path / "sent").read_text(encoding="utf-8"))["Changes"]


def test_the_runbook_does_the_same(zones, cluster, tmp_path):
    before = zones.sets(zones.shop)
    run(zones, cluster, green_percent=90)
    (step,) = steps(cluster)
    (undo,) = by_hand.commands(step, step["inverse"]["params"], BOOK)
    give, wait, show = by_hand.all_to_blue(run(zones)["backends"])
    assert wait.run == "sleep 3600"
    acts = sent_by(zones, give, tmp_path)
    assert {act["Action"] for act in acts} == {"UPSERT"} and len(acts) == 14
    assert {(act["ResourceRecordSet"]["SetIdentifier"], act["ResourceRecordSet"]["Weight"]) for act in acts} == {
        ("blue", 100), ("green", 0),
    }  # fmt: skip
    assert "a.shop.test. A green 90\n" in by_cli(zones, show, tmp_path)
    zones.client.change_resource_record_sets(
        HostedZoneId=zones.shop, ChangeBatch={"Changes": sent_by(zones, undo, tmp_path)}
    )
    assert sorted(zones.sets(zones.shop), key=str) == sorted(before, key=str)


def test_a_record_that_came_beside_a_weighted_one_is_imported(zones, cluster):
    zones.put(zones.shop, record("*.own.shop.test", BLUE, ttl=900, SetIdentifier="one", Weight=255))
    hosts = {"hosts": ["a.shop.test", "*.own.shop.test"]}
    assert run(zones, **hosts)["resources"] == []
    for percent in (50, 100):
        run(zones, cluster, green_percent=percent, **hosts)
    before = [one for step in reversed(steps(cluster)) for one in step["inverse"]["params"]["records"]]
    expected = [{
        "type": "aws_route53_record", "name": "any_own_shop_test_green", "id": f"{zones.shop}_*.own.shop.test_A_green",
    }]  # fmt: skip
    assert run(zones, before=before, **hosts)["resources"] == expected
    finished(zones, cluster)
    done = run(zones, before=before, **hosts)
    files = _infrastructure.files_of([], done["resources"], done["weights"])
    assert done["resources"] == expected
    to = "aws_route53_record.any_own_shop_test_green"
    assert f'  to = {to}\n  id = "{expected[0]["id"]}"\n' in files["imports.tf"]
    assert f'resource "{to.replace(".", chr(34) + " " + chr(34))}" {{' in files["snippets/route53.tf"]
