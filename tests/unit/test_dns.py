# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns_records: which hosts move, and what a real Knot makes of it."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
import subprocess
import time
from unittest import mock

import knot
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _dns,
    _dns_client,
    _infrastructure,
    _resolver,
    _traffic,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import Book
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import dns_records as by_hand
from ansible_collections.bluegreen.mesh.plugins.modules import dns_records, migration_journal
from fake_cluster import CONNECTION, FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st
from knot import KEY, SECRET, Knot
from loopback import Server

BLUE, GREEN = "192.0.2.1", "192.0.2.2"
BOTH = [{"blue": [BLUE], "green": [GREEN]}]
JOURNAL = {"namespace": "bluegreen-mesh", "name": "m"}
TSIG_KEYGEN = f'key "{KEY}" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
real = pytest.mark.skipif(knot.PROGRAM is None, reason="no knotd: tests/setup.sh installs it")


def hosts_of(colours, order="listed"):
    ends = _dns.endpoints_of(BOTH)
    sides = {"blue": BLUE, "green": GREEN, "": "192.0.2.9"}
    found = []
    for number, colour in enumerate(colours):
        name = f"h{number:03}.shop.test"
        rrsets = (_dns.RRset(name, "A", 60, (sides[colour],)),)
        found.append(_dns.Host(name, "shop.test", rrsets, *_dns.colour_of(rrsets, ends), (name,)))
    return _dns.ordered(found, order)


# -- options -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("endpoints", "says"),
    [
        ([], "is empty"),
        ([{"blue": [], "green": [GREEN]}], "endpoints[0].blue: expected addresses"),
        ([{"blue": [BLUE], "green": ["2001:db8::1"]}], "blue has A and green has AAAA"),
        ([{"blue": [BLUE], "green": ["green.test"]}], "blue has A and green has CNAME"),
        ([{"blue": ["a.test", "b.test"], "green": ["c.test"]}], "one name for a CNAME"),
        ([{"blue": [BLUE], "green": [BLUE]}], "is endpoints[0].blue too"),
        ([*BOTH, {"blue": ["192.0.2.3"], "green": [GREEN]}], "endpoints[1].green: A 192.0.2.2 is endpoints[0].green too"),
        ([{"blue": ["not a name"], "green": [GREEN]}], "'not a name' is not a host name"),
    ],
)
def test_endpoints_that_can_not_tell_whose_a_record_is_are_refused(endpoints, says):
    with pytest.raises(Refusal) as refused:
        _dns.endpoints_of(endpoints)
    assert refused.value.code == "bad_option" and says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ns1", ("ns1", 53)), ("192.0.2.1:54", ("192.0.2.1", 54)), ("2001:db8::1", ("2001:db8::1", 53)),
     ("[2001:db8::1]:54", ("2001:db8::1", 54))],
)  # fmt: skip
def test_addresses_of_servers(text, expected):
    assert _dns.address("server", text) == expected


@pytest.mark.parametrize("text", ["", "a b", "ns1:0", "ns1:70000", "ns1:x"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Refusal, match="server: "):
        _dns.address("server", text)


@pytest.mark.parametrize(
    "text", [TSIG_KEYGEN, f"# hmac-sha256:{KEY}:{SECRET}\nkey:\n  - id: x\n", f"{KEY}:{SECRET}\n"]
)
def test_a_key_is_read_as_either_program_writes_it_and_never_shown(text):
    key = _dns.read_key(None, "hmac-sha256", None, text, "/k")
    assert key == _dns.Key(KEY, "hmac-sha256", base64.b64decode(SECRET))
    assert SECRET not in repr(key) and str(base64.b64decode(SECRET)) not in repr(key)


@pytest.mark.parametrize("text", ["", "nonsense", TSIG_KEYGEN.replace("sha256", "md5"), TSIG_KEYGEN.replace("=", "*")])
def test_a_file_without_a_key_is_refused_without_showing_it(text):
    with pytest.raises(Refusal) as refused:
        _dns.read_key(None, "hmac-sha256", None, text, "/k")
    assert refused.value.code == "bad_key" and "/k" in str(refused.value) and SECRET[:20] not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.apps.shop.test", "apps.shop.test"), ("a.shop.test", "shop.test"), ("shop.test", "shop.test"),
     ("workshop.test", None)],
)  # fmt: skip
def test_a_host_is_in_its_innermost_zone(name, expected):
    assert _dns.zone_of(name, ["shop.test", "apps.shop.test"]) == expected


# -- which hosts move ----------------------------------------------------------------------------------------------------
@given(st.integers(1, 2000), st.integers(0, 100))
def test_a_step_is_rounded_up_and_its_share_means_the_same_number(number, percent):
    count = _dns.count_for(percent, number)
    assert count == -(-percent * number // 100)
    hosts = hosts_of(["green"] * count + ["blue"] * (number - count))
    assert _dns.count_for(_dns.share(hosts), number) == count


@given(st.lists(st.sampled_from(["blue", "green"]), min_size=1, max_size=40), st.integers(0, 100), st.integers(0, 100))
def test_no_host_moves_there_and_back(colours, first, second):
    ends = _dns.endpoints_of(BOTH)
    hosts = hosts_of(colours)
    once = _dns.with_changes(hosts, _dns.move(hosts, first), ends)
    twice = _dns.with_changes(once, _dns.move(once, second), ends)
    for percent, now in ((first, once), (second, twice)):
        assert sum(host.colour == "green" for host in now) == _dns.count_for(percent, len(hosts))
    before, after = ({host.name for host in now if host.colour == "green"} for now in (once, twice))
    assert before <= after if second >= first else after <= before
    assert _dns.move(twice, second) == []


def test_a_prefix_in_order_moves_and_wildcards_go_last():
    ends = _dns.endpoints_of(BOTH)
    hosts = [dataclasses.replace(host, name=name) for host, name in
             zip(hosts_of(["blue"] * 3), ("*.a.shop.test", "z.shop.test", "b.shop.test"))]  # fmt: skip
    moved = [[change.host.name for change in _dns.move(_dns.ordered(hosts, order), 34)] for order in ("names", "listed")]
    assert moved == [["b.shop.test", "z.shop.test"], ["*.a.shop.test", "z.shop.test"]]
    assert _dns.share(_dns.with_changes(hosts, [], ends)) == 0


def test_types_that_a_host_lacks_are_not_made_and_a_foreign_one_is_seen():
    ends = _dns.endpoints_of([{"blue": [BLUE, "2001:db8::1"], "green": [GREEN, "2001:db8::2"]}])
    a, aaaa = _dns.RRset("h", "A", 60, (BLUE,)), _dns.RRset("h", "AAAA", 60, ("2001:db8::1",))
    assert [_dns.colour_of(one, ends)[0] for one in ((a,), (aaaa,), (a, aaaa))] == ["blue"] * 3
    other = dataclasses.replace(aaaa, values=("2001:db8::9",))
    half = dataclasses.replace(aaaa, values=("2001:db8::2",))
    assert [_dns.colour_of(one, ends)[0] for one in ((a, other), (a, half), ())] == ["", "", ""]


def test_infrastructure_code_is_told_the_records_in_force():
    ends = _dns.endpoints_of([{"blue": ["blue.edge.test"], "green": ["green.edge.test"]}])
    rrsets = (_dns.RRset("*.a.test", "CNAME", 300, ("green.edge.test.",)),)
    alias = _dns.Host("*.a.test", "a.test", rrsets, *_dns.colour_of(rrsets, ends), ("*.a.test",))
    files = _infrastructure.files_of([], [], _dns.weights([alias, *hosts_of(["green", ""])]))
    assert files["snippets/zone"].split("\n\n", 1)[1].split("\n\n") == [
        "*.a.test. 300 IN CNAME green.edge.test.", f"h000.shop.test. 60 IN A {GREEN}",
        "h001.shop.test. 60 IN A 192.0.2.9\n",
    ]  # fmt: skip


def test_a_type_that_a_host_has_got_since_goes_back_with_the_others():
    ends = _dns.endpoints_of([{"blue": [BLUE, "2001:db8::1"], "green": [GREEN, "2001:db8::2"]}])
    rrsets = (_dns.RRset("h.test", "A", 30, (GREEN,)), _dns.RRset("h.test", "AAAA", 30, ("2001:db8::2",)))
    host = _dns.Host("h.test", "test", rrsets, *_dns.colour_of(rrsets, ends), ("h.test",))
    (change,) = _dns.restore([host], [{"name": "h.test", "type": "A", "ttl": 30, "values": [BLUE]}])
    assert [rrset.values for rrset in change.after] == [(BLUE,), ("2001:db8::1",)]
    (change,) = _dns.restore([host], [{"name": "h.test", "type": "A", "ttl": 600}])
    assert [(rrset.ttl, rrset.values) for rrset in change.after] == [(600, (GREEN,)), (30, ("2001:db8::2",))]
    assert _dns.restore([host], []) == []


def test_the_expected_number_or_the_wanted_one_is_accepted():
    hosts = hosts_of(["green", "blue", "blue", "blue"])
    _dns.check_expected(hosts, 25, 50)
    _dns.check_expected(hosts, 0, 25)
    with pytest.raises(Refusal) as refused:
        _dns.check_expected(hosts, 50, 100)
    assert refused.value.code == "foreign_change" and "h000.shop.test" in str(refused.value)


# -- how long caches may have it -------------------------------------------------------------------------------------------
def test_only_what_caches_can_hold_too_long_is_waited_for():
    host = hosts_of(["blue"])[0]
    (old,) = host.rrsets

    def stale(**new):
        return _dns.stale_for([_dns.Change(host, (old,), (dataclasses.replace(old, **new),))])

    assert stale(values=(GREEN,)) == 60 and stale(ttl=30) == 60 and stale(ttl=3600) == 0


def test_the_wait_counts_from_the_change_and_from_now_where_nobody_knows():
    fact = _dns.begun(None, 3600, 1000.0)
    assert _dns.left(fact, 5000.0) == 3600, "killed before it was known: as if it were made now"
    fact = _dns.made(fact, 1000.0)
    assert (_dns.left(fact, 1600.0), _dns.left(fact, 9999.0)) == (3000, 0)
    assert _dns.made(fact, 2000.0) == fact, "a repeated run does not begin anew"
    assert _dns.begun(fact, 30, 1600.0) == {"ttl": 3000, "at": None}, "a short one on top forgets nothing"


# -- a real server -----------------------------------------------------------------------------------------------------------
ZONE = [
    f"a 3600 A {BLUE}", f"b 600 A {BLUE}", f"c 600 A {BLUE}", f"*.apps 600 A {BLUE}", f"own.apps 600 A {BLUE}",
    "alias 600 CNAME blue.edge.test.", "other 600 A 192.0.2.9", "bare 600 TXT none",
]  # fmt: skip
HOSTS = ["a.shop.test", "b.shop.test", "c.shop.test", "*.apps.shop.test"]


@pytest.fixture
def primary(tmp_path):
    with Knot(tmp_path / "primary", {"shop.test": ZONE, "shop.example": [f"www 60 A {BLUE}"]}) as server:
        yield server


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    run_module(migration_journal, {**JOURNAL, "state": "open", "operator": "ada"}, cluster)
    return cluster


def run(to, cluster=None, *, check=False, phase="cutover", **options):
    params = {
        "server": f"127.0.0.1:{to.port}", "zones": ["shop.test"], "key_name": KEY, "key_secret": SECRET,
        "endpoints": BOTH, "hosts": HOSTS, "timeout": 3, **options,
    }  # fmt: skip
    if cluster is not None:
        params |= {**CONNECTION, "journal": {**JOURNAL, "epoch": 1, "phase": phase}}
    return run_module(dns_records, {k: v for k, v in params.items() if v is not None}, cluster, check=check, diff=True)


def steps(cluster):
    data = cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]
    return [step for step in json.loads(data["steps"]) if step["state"] != "undone"]


def fact(cluster):
    return json.loads(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]["facts"])["dns"]


@real
def test_hosts_are_read_by_the_name_that_answers_for_them(primary):
    found = run(primary, hosts=["A.shop.test.", "x.apps.shop.test", "y.apps.shop.test", "own.apps.shop.test"])
    assert found["changed"] is False and found["green_percent"] == 0
    assert found["hosts"] == {
        "a.shop.test": ["a.shop.test"], "own.apps.shop.test": ["own.apps.shop.test"],
        "*.apps.shop.test": ["x.apps.shop.test", "y.apps.shop.test"],
    }  # fmt: skip
    assert [(one["backend"], one["colour"], one["active"], one["scur"]) for one in found["backends"]][:2] == [
        ("a.shop.test", "blue", True, None), ("a.shop.test", "green", False, None),
    ]  # fmt: skip
    assert primary.serial("shop.test") == 1


@real
def test_a_step_moves_the_first_hosts_in_one_update(primary):
    assert run(primary, green_percent=50, check=True)["green_percent"] == 50
    assert primary.serial("shop.test") == 1, "check mode has written"
    foreseen = run(primary, green_percent=50, check=True)["diff"]
    done = run(primary, green_percent=50, expect_green_percent=0)
    assert done["changed"] and done["hosts_changed"] == 2 and done["diff"] == foreseen
    assert primary.serial("shop.test") == 2, "more than one update"
    assert [primary.query(name, "A") for name in ("a.shop.test", "b.shop.test", "c.shop.test")] == [
        (3600, {GREEN}), (600, {GREEN}), (600, {BLUE}),
    ]  # fmt: skip
    assert primary.query("anything.apps.shop.test", "A") == (600, {BLUE})
    again = run(primary, green_percent=50, expect_green_percent=0)
    assert not again["changed"] and again["green_percent"] == 50 and primary.serial("shop.test") == 2
    assert run(primary, green_percent=100)["green_percent"] == 100
    assert primary.query("anything.apps.shop.test", "A") == (600, {GREEN})
    assert run(primary, green_percent=0, expect_green_percent=100)["changed"]
    assert primary.query("a.shop.test", "A") == (3600, {BLUE})


@real
def test_aliases_move_by_their_target(primary):
    ends = [{"blue": ["blue.edge.test"], "green": ["green.edge.test"]}]
    assert run(primary, hosts=["alias.shop.test"], endpoints=ends, green_percent=100)["green_percent"] == 100
    assert primary.query("alias.shop.test", "CNAME") == (600, {"green.edge.test."})


@real
def test_a_change_between_reading_and_writing_is_refused_by_the_server_whole(primary):
    """Also one that no value of ours shows: an address of another type."""
    write = _dns_client.Servers.apply
    for kind, value in (("A", "192.0.2.77"), ("AAAA", "2001:db8::77")):

        def meanwhile(self, changes, kind=kind, value=value):
            primary.edit("shop.test", "b.shop.test", 600, kind, value)
            return write(self, changes)

        with mock.patch.object(_dns_client.Servers, "apply", meanwhile):
            refused = run(primary, green_percent=100)
        assert refused["failure"]["code"] == "foreign_change" and "zone shop.test" in refused["msg"]
        assert primary.query("a.shop.test", "A") == (3600, {BLUE})
        primary.edit("shop.test", "b.shop.test", 600, "AAAA")
        primary.edit("shop.test", "b.shop.test", 600, "A", BLUE)


@real
def test_what_is_neither_blues_nor_greens_is_refused_going_up_and_left_going_back(primary):
    run(primary, green_percent=100)
    primary.edit("shop.test", "b.shop.test", 600, "A", "192.0.2.9")
    refused = run(primary, green_percent=0)
    assert refused["failure"]["code"] == "foreign_record" and "b.shop.test has A 192.0.2.9" in refused["msg"]
    assert primary.query("a.shop.test", "A") == (3600, {GREEN}) and run(primary)["green_percent"] is None
    done = run(primary, green_percent=0, foreign="leave")
    assert done["changed"] and any("b.shop.test" in str(text) for text in done["warnings"])
    assert primary.query("a.shop.test", "A") == (3600, {BLUE})
    assert primary.query("b.shop.test", "A") == (600, {"192.0.2.9"})


@real
def test_a_number_of_hosts_that_nobody_expected_is_refused(primary):
    primary.edit("shop.test", "c.shop.test", 600, "A", GREEN)
    refused = run(primary, green_percent=50, expect_green_percent=0)
    assert refused["failure"]["code"] == "foreign_change" and "c.shop.test" in refused["msg"]
    assert run(primary)["green_percent"] == 25


@real
@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"hosts": ["bare.shop.test", "nobody.shop.test"]}, "no_record", "bare.shop.test, nobody.shop.test"),
        ({"hosts": ["www.elsewhere.test"]}, "no_record", "add their zone"),
        ({"zones": ["elsewhere.test"]}, "refused", "no such zone, or"),
        ({"zones": ["elsewhere.test"], "key_name": None, "key_secret": None}, "refused", "says REFUSED"),
        ({"key_secret": base64.b64encode(b"another secret").decode()}, "key_refused", "TSIG key mover"),
        ({"key_name": "unknown"}, "key_refused", "TSIG key unknown"),
        ({"key_name": None, "key_secret": None, "green_percent": 50}, "refused", "allow this key"),
        ({"green_percent": 101}, "bad_option", "green_percent: 101"),
        ({"max_ttl": 0}, "bad_option", "max_ttl: 0"),
        ({"hosts": []}, "bad_option", "hosts is empty"),
        ({"hosts": ["a_b c"]}, "bad_option", "hosts: 'a_b c'"),
        ({"server": "127.0.0.1:1", "timeout": 0.3}, "unreachable", "127.0.0.1 port 1"),
        ({"key_name": None, "key_secret": None, "key_file": "/nowhere"}, "bad_key", "key_file /nowhere can't be read"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(primary, options, code, says):
    refused = run(primary, **options)
    assert refused["failed"] and refused["failure"]["code"] == code and says in refused["msg"]
    assert SECRET not in json.dumps(refused) and primary.serial("shop.test") == 1


@real
def test_hosts_without_a_record_are_named_where_that_is_asked_for(primary):
    found = run(primary, hosts=["a.shop.test", "nobody.shop.test", "x.elsewhere.test"], missing="skip", green_percent=100)
    assert found["missing"] == ["nobody.shop.test", "x.elsewhere.test"] and found["green_percent"] == 100


@real
def test_one_zone_that_is_refused_leaves_the_others_as_they_were(primary):
    write = _dns_client.Server.update

    def meanwhile(self, zone, changes):
        if zone == "shop.test":  # the second in order
            primary.edit("shop.test", "a.shop.test", 60, "A", "192.0.2.9")
        return write(self, zone, changes)

    with mock.patch.object(_dns_client.Server, "update", meanwhile):
        refused = run(primary, zones=["shop.test", "shop.example"], hosts=["a.shop.test", "www.shop.example"],
                      green_percent=100)  # fmt: skip
    assert refused["failure"]["code"] == "foreign_change"
    assert "Zone shop.example has its records of before again" in refused["msg"]
    assert primary.query("www.shop.example", "A") == (60, {BLUE}) and primary.serial("shop.example") == 3


@real
def test_an_answer_that_is_lost_is_not_taken_for_a_refusal(primary):
    send = _dns_client.dns.query.tcp
    calls = []

    def lost(*args, **kwargs):
        calls.append(send(*args, **kwargs))
        raise _dns_client.dns.exception.Timeout

    with mock.patch.object(_dns_client.dns.query, "tcp", lost):
        done = run(primary, green_percent=100, hosts=["a.shop.test"])
    assert calls and not done.get("failed") and primary.query("a.shop.test", "A") == (3600, {GREEN})


@real
def test_secondaries_are_waited_for(primary, tmp_path):
    with Knot(tmp_path / "secondary", primary.zones, primary=primary) as secondary:
        done = run(primary, secondaries=[f"127.0.0.1:{secondary.port}"], green_percent=100, secondary_timeout=20)
        assert done["changed"] and secondary.query("a.shop.test", "A") == (3600, {GREEN})


@real
def test_a_secondary_that_does_not_catch_up_is_named(primary, tmp_path):
    with Knot(tmp_path / "alone", {"shop.test": ZONE}) as alone:
        behind = [f"127.0.0.1:{alone.port}"]
        refused = run(primary, secondaries=behind, green_percent=100, secondary_timeout=0.5)
        assert refused["failure"]["code"] == "secondary_behind" and f"127.0.0.1 port {alone.port}" in refused["msg"]
        again = run(primary, secondaries=behind, green_percent=100, secondary_timeout=0.5)
        assert again["failure"]["code"] == "secondary_behind", "a repeated run must not take it for done"


@real
def test_the_journal_undoes_what_all_steps_did(primary, cluster):
    before = [primary.query(name, "A") for name in HOSTS]
    assert run(primary, cluster, max_ttl=30)["stale_seconds"] == pytest.approx(3600, abs=5)
    assert not run(primary, cluster, max_ttl=30)["changed"]
    assert [primary.query(name, "A") for name in HOSTS] == [(30, {BLUE})] * 4
    for percent in (25, 100):
        assert run(primary, cluster, green_percent=percent)["changed"]
    assert [primary.query(name, "A") for name in HOSTS] == [(30, {GREEN})] * 4
    assert [step["op"] for step in steps(cluster)] == ["dns_ttl", "dns_records"], "one step each, whatever is moved"
    assert SECRET not in json.dumps(cluster.peek("configmaps", "bluegreen-mesh", "m"))
    with mock.patch.object(time, "sleep"):
        for step in reversed(steps(cluster)):
            options = {**step["inverse"]["params"], "hosts": None, "key_secret": SECRET, "foreign": "leave", "wait": True}
            undone = run(primary, cluster, phase="rollback", missing="skip", **options)
            assert undone["changed"] and not undone.get("failed"), undone
    assert [primary.query(name, "A") for name in HOSTS] == before


@real
def test_a_host_that_came_later_is_undone_too(primary, cluster):
    run(primary, cluster, green_percent=100, hosts=HOSTS[:2])
    run(primary, cluster, green_percent=100, hosts=HOSTS)
    first, second = steps(cluster)
    names = [[one["name"] for one in step["inverse"]["params"]["records"]] for step in (first, second)]
    assert sorted(names[0] + names[1]) == sorted(HOSTS) and len(names[0]) == 2


@real
def test_a_repeated_run_waits_only_for_the_rest(primary, cluster):
    """The wait itself is given to sleep(), which is watched."""
    with mock.patch.object(dns_records.time, "sleep") as slept:
        run(primary, cluster, max_ttl=30, wait=True)
        assert slept.call_args[0][0] == pytest.approx(3600, abs=5)
        known = fact(cluster)["ttl shop.test"]
        assert known["ttl"] == 3600 and known["at"] == pytest.approx(time.time(), abs=5)

        def earlier(body):
            facts = {"dns": {"ttl shop.test": {"ttl": 3600, "at": time.time() - 3500}}}
            body["data"]["facts"] = json.dumps(facts)

        cluster.edit("configmaps", "bluegreen-mesh", "m", earlier)
        assert run(primary, cluster, max_ttl=30, wait=True)["changed"] is False
        assert slept.call_args[0][0] == pytest.approx(100, abs=5)
        run(primary, cluster, green_percent=50, wait=True)
        assert slept.call_args[0][0] == pytest.approx(30, abs=2)
        run(primary, cluster, green_percent=0, wait=True)
        assert slept.call_args[0][0] == pytest.approx(30, abs=2), "the way back waits for what it moves, and no more"


@real
def test_a_run_that_is_killed_right_after_the_update_waits_in_full(primary, cluster):
    with mock.patch.object(_dns_client.Servers, "agree", side_effect=Refusal("killed", "here")):
        assert run(primary, cluster, max_ttl=30)["failed"]
    assert fact(cluster)["ttl shop.test"] == {"ttl": 3600, "at": None}
    assert primary.query("a.shop.test", "A") == (30, {BLUE})
    again = run(primary, cluster, max_ttl=30)
    assert again["changed"] is False and again["stale_seconds"] == pytest.approx(3600, abs=5)


@real
def test_a_newer_run_keeps_an_older_one_from_writing(primary, cluster):
    run_module(migration_journal, {**JOURNAL, "state": "open", "operator": "eve", "takeover": True}, cluster)
    refused = run(primary, cluster, green_percent=100)
    assert refused["failure"]["code"] == "stale_epoch" and primary.serial("shop.test") == 1


@real
def test_four_hundred_hosts_fit_into_one_update_and_more_are_refused(tmp_path):
    names = [f"application-{n:04}" for n in range(900)]
    with Knot(tmp_path / "large", {"shop.test": [f"{name} 60 A {BLUE}" for name in names]}) as large:
        hosts = [f"{name}.shop.test" for name in names]
        refused = run(large, hosts=hosts, green_percent=100)
        assert refused["failure"]["code"] == "too_many" and "smaller steps" in refused["msg"] and large.serial("shop.test") == 1
        assert run(large, hosts=hosts[:400], green_percent=100)["hosts_changed"] == 400
        assert large.serial("shop.test") == 2


# -- by hand -----------------------------------------------------------------------------------------------------------------
@real
@pytest.mark.skipif(not (shutil.which("nsupdate") and shutil.which("dig")), reason="no nsupdate or dig: tests/setup.sh installs them")
def test_the_runbook_does_the_same(primary, cluster, tmp_path):
    file = tmp_path / "mover.key"
    file.write_text(TSIG_KEYGEN, encoding="utf-8")
    run(primary, cluster, green_percent=100, key_name=None, key_secret=None, key_file=str(file))
    (step,) = steps(cluster)
    (undo,) = by_hand.commands(step, step["inverse"]["params"], Book("m", "n"))
    servers = run(primary, key_name=None, key_secret=None, key_file=str(file))["backends"]
    give, wait, show = by_hand.all_to_blue(servers)
    assert wait.run == "sleep 3600" and SECRET not in undo.run + give.run + show.run
    for command in (undo, give):
        subprocess.run(["sh", "-euc", command.run], check=True, capture_output=True)
        assert [primary.query(name, "A")[1] for name in HOSTS] == [{BLUE}] * 4
        run(primary, green_percent=100)
    shown = subprocess.run(["sh", "-euc", show.run], check=True, capture_output=True, text=True).stdout
    assert shown.count(GREEN) == 4 and "a.shop.test." in shown


def test_a_runbook_asks_for_the_file_of_a_key_that_came_from_a_vault():
    params = {"server": "ns1", "zones": ["shop.test"], "key_name": KEY, "records": [
        {"name": "a.shop.test", "type": "A", "ttl": 60, "values": [BLUE]}]}  # fmt: skip
    (command,) = by_hand.commands({}, params, Book("m", "n"))
    assert command.run.endswith('nsupdate -v -k "${TSIG_KEY_FILE:?file with the TSIG key mover}"')


# -- clients that honour the TTL -----------------------------------------------------------------------------------------------
@real
def test_a_resolver_keeps_an_answer_for_its_ttl_and_not_longer(primary):
    resolver = _resolver.Resolver("127.0.0.1", primary.port)
    primary.edit("shop.test", "b.shop.test", 3, "A", BLUE)
    primary.edit("shop.test", "alias.shop.test", 600, "CNAME", "b.shop.test.")
    asked = time.monotonic()
    assert resolver.address("alias.shop.test") == BLUE
    primary.edit("shop.test", "b.shop.test", 3, "A", GREEN)
    assert resolver.address("alias.shop.test") == BLUE, "asked again within the TTL"
    while resolver.address("alias.shop.test") != GREEN:
        assert time.monotonic() < asked + 30, "kept for longer than the TTL"
        time.sleep(0.05)
    assert time.monotonic() >= asked + 3
    for name, says in (("nobody.shop.test", "no address"), ("a.elsewhere.test", "REFUSED")):
        with pytest.raises(LookupError, match=says):
            resolver.address(name)
    primary.edit("shop.test", "alias.shop.test", 600, "CNAME", "alias.shop.test.")
    with pytest.raises(LookupError, match="aliases"):
        _resolver.Resolver("127.0.0.1", primary.port).address("alias.shop.test")


@real
def test_clients_go_where_their_resolver_says(primary):
    with Server() as web:
        port = web.address.rpartition(":")[2]
        primary.edit("shop.test", "a.shop.test", 60, "A", "127.0.0.1")
        targets = [_traffic.Target(name, f"http://{name}.shop.test:{port}/x", "http1") for name in ("a", "nobody")]
        written: list[bytes] = []
        plan = _traffic.Plan(tuple(targets), 50.0, 0.5, 5, 2.0, resolver=f"127.0.0.1:{primary.port}")
        assert _traffic._Client(plan, written.append).run() == "max_seconds"
    records = [json.loads(line) for data in written for line in data.splitlines()]
    errors = {record["route"]: record.get("error", "") for record in records}
    assert errors["a"] == "" and errors["nobody"] == "unresolved: nobody.shop.test has no address"
    assert len(web.requests) == sum(record["route"] == "a" for record in records) > 5
