# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a cutover begins: by what the journal has of green's share, and by what the balancer has. The role's own
variables, as Ansible evaluates them."""

from __future__ import annotations

import time
import typing as t

import pytest
import role_tasks
from ansible.template import Templar, trust_as_template

STEPS = [10, 25, 50, 75, 100]


def load(role: str) -> dict[str, t.Any]:
    return dict(role_tasks.load(f"{role}/vars/main.yml"))


def evaluate(role: str, *names: str, **given: t.Any) -> dict[str, t.Any]:
    variables = {**load(role), "mesh_balancer": {"type": "haproxy"}, **given}
    return {name: role_tasks.evaluate(trust_as_template("{{ " + name + " }}"), **variables) for name in names}


def share(asked: float, settled: float, judged: bool = False) -> dict[str, t.Any]:
    return {"share": {"asked": asked, "settled": settled, "judged": judged, "at": 1.5}}


def settled(percent: float) -> dict[str, t.Any]:
    return share(percent, percent, True)


def seen(facts: dict[str, t.Any], found: float | None, granularity: str = "weights") -> dict[str, t.Any]:
    """What is evaluated before the balancer is asked whether it is where it was left."""
    names = ("cutover_where", "cutover_is_settled", "cutover_is_asked", "cutover_half")
    return evaluate(
        "cutover", *names, _mesh_journal={"facts": facts}, cutover_shared={"green_percent": found},
        _mesh_balancer_can={"granularity": granularity},
    )  # fmt: skip


def begun(facts: dict[str, t.Any], found: float | None, to: str | None = None, elsewhere: str = "") -> dict[str, t.Any]:
    """What is evaluated after that."""
    names = ("cutover_last_good", "cutover_present", "cutover_open", "cutover_steps", "cutover_rises", "cutover_stays")
    asked = {"mesh_cutover_to": to} if to else {}
    result = evaluate(
        "cutover", *names, _mesh_journal={"facts": facts}, cutover_shared={"green_percent": found},
        _mesh_balancer_can={"granularity": "weights"}, mesh_cutover_steps=STEPS, cutover_elsewhere=elsewhere,
        cutover_left=seen(facts, found)["cutover_where"], **asked,
    )  # fmt: skip
    return {name.removeprefix("cutover_"): value for name, value in result.items()}


# -- where it is -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("facts", "found", "where"),
    [
        ({}, 0.0, {"asked": 0, "settled": 0, "judged": True}),  # nothing to judge
        ({}, 25.0, {"asked": 25, "settled": 0, "judged": False}),  # from before there was this
        ({}, 33.33, {"asked": 33.33, "settled": 0, "judged": False}),
        ({}, None, {}),
        ({"share": None}, None, {}),
        (share(50, 25), 0.0, share(50, 25)["share"]),
    ],
)
def test_without_a_word_in_the_journal_a_share_was_not_judged(facts, found, where):
    assert seen(facts, found)["cutover_where"] == where


def alb(facts: dict[str, t.Any], found: float | None, **hosts: list[str]) -> t.Any:
    shared, balancer = {"green_percent": found}, {"type": "aws_alb", "region": "r", **hosts}
    return evaluate(
        "cutover", "cutover_where", _mesh_journal={"facts": facts}, cutover_shared=shared, mesh_balancer=balancer
    )["cutover_where"]


def test_what_was_judged_of_some_hosts_tells_nothing_of_others():
    first = {"share": {**settled(100)["share"], "scope": {"hosts": ["a.test"]}}}
    assert alb(first, 100.0, hosts=["a.test"]) == first["share"]
    fresh = {"asked": 0, "settled": 0, "judged": True}
    assert alb(first, 0.0, hosts=["b.test"]) == fresh
    assert alb(first, 0.0, except_hosts=["a.test"]) == fresh
    assert alb(first, None, hosts=["a.test", "b.test"]) == {}, "hosts of different shares"
    assert alb(settled(100), 100.0) == settled(100)["share"]


@pytest.mark.parametrize(
    ("facts", "found", "is_settled", "is_asked"),
    [
        (settled(50), 50.0, True, True),
        (settled(50), 50.4, True, True),
        (settled(50), 50.6, False, False),
        (settled(50), None, False, False),
        (settled(0), 0.3, False, False),  # "none" and "nearly none" are not one share
        (settled(100), 99.8, False, False),
        (share(50, 25), 25.0, True, False),
        (share(50, 25), 49.9, False, True),
        (share(50, 25), 40.0, False, False),
        ({}, 25.0, False, True),
        ({}, None, False, False),
    ],
)
def test_where_the_balancer_is(facts, found, is_settled, is_asked):
    result = seen(facts, found)
    assert (result["cutover_is_settled"], result["cutover_is_asked"]) == (is_settled, is_asked)


@pytest.mark.parametrize(("found", "half"), [(25.0, True), (40.0, True), (50.0, True), (60.0, False), (None, False)])
def test_hosts_may_be_moved_in_part(found, half):
    assert seen(share(50, 25), found, "hosts")["cutover_half"] is half
    assert seen(share(25, 50), found, "hosts")["cutover_half"] is half
    assert seen(share(50, 25), found, "weights")["cutover_half"] is (half and found != 40.0)


# -- what is to be done ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("facts", "found", "to", "steps", "last_good", "is_open"),
    [
        # where it was left, and that was judged
        ({}, 0.0, None, STEPS, 0, None),
        (settled(25), 25.0, None, [50, 75, 100], 25, None),
        (settled(100), 100.0, None, [], 100, None),
        (settled(10), 25.0, None, [50, 75, 100], 10, None),  # one of four hosts
        (settled(25), 25.0, "green:25", [], 25, None),
        (settled(25), 25.0, "green:60", [60], 25, None),
        (settled(25), 25.0, "blue:100", [0], 25, None),
        # killed before it was judged: before, in the middle of, and after setting it
        (share(100, 75), 75.0, None, [100], 75, 100),
        (share(100, 75), None, None, [100], 75, 100),
        (share(100, 75), 100.0, None, [100], 75, 100),
        (share(50, 25), None, None, [50, 75, 100], 25, 50),
        (share(50, 25), None, "green:50", [50], 25, 50),
        (share(50, 25), None, "green:60", [50, 60], 25, 50),
        (share(50, 25), 50.0, "green:25", [25], 25, 50),
        (share(50, 25), None, "green:30", [30], 25, 50),
        (share(50, 25), 50.0, "blue:100", [0], 25, 50),
        # ... on the way down
        (share(25, 50), 50.0, None, [25, 50, 75, 100], 50, 25),
        (share(25, 50), None, "green:10", [10], 50, 25),
        # an earlier release's
        ({}, 25.0, None, [25, 50, 75, 100], 0, 25),
        ({}, 100.0, None, [100], 0, 100),
        ({}, 25.0, "green:10", [10], 0, 25),
    ],
)
def test_what_was_not_judged_comes_first(facts, found, to, steps, last_good, is_open):
    result = begun(facts, found, to)
    assert (result["steps"], result["last_good"], result["open"]) == (steps, last_good, is_open)


@pytest.mark.parametrize(
    ("facts", "found", "to", "last_good", "rises"),
    [
        (settled(50), 10.0, "green:10", 10, False),
        (settled(50), 10.0, "green:50", 10, True),  # is more than what is there
        (settled(50), 75.0, "green:75", 50, True),  # was never judged
        (settled(50), 75.0, "green:50", 50, False),
        (settled(50), None, "green:50", 0, True),  # nothing of it is known to be good
        ({}, None, "green:25", 0, True),
        (share(50, 25), 80.0, "green:80", 25, True),
    ],
)
def test_what_somebody_else_has_set_is_judged_once_it_is_accepted(facts, found, to, last_good, rises):
    result = begun(facts, found, to, "Somebody else changed the weights")
    assert result["steps"] == [int(to.rpartition(":")[2])] and result["open"] is None
    assert (result["last_good"], result["rises"]) == (last_good, rises)


@pytest.mark.parametrize(
    ("facts", "found", "to", "rises"),
    [
        (settled(25), 25.0, None, True),
        (settled(100), 100.0, None, False),
        (settled(25), 25.0, "green:10", False),
        (share(100, 75), 100.0, None, True),  # to be judged as a step up is, though the weights are there
        (share(50, 25), 50.0, "green:25", False),
        (share(50, 25), 50.0, "green:30", True),
    ],
)
def test_a_step_that_gives_more_than_was_judged_good_is_one_up(facts, found, to, rises):
    assert begun(facts, found, to)["rises"] is rises


def test_what_green_has_at_least():
    assert begun(share(50, 25), 49.9)["present"] == 50
    assert begun(share(50, 25), None)["present"] == 25
    assert begun(share(25, 50), None)["present"] == 25
    assert begun(settled(50), 10.0, "green:50", "moved")["present"] == 10


def test_a_refused_step_says_where_green_stays():
    assert begun(settled(25), 25.0)["stays"].strip() == "Green stays at 25 %."
    assert "not judged: -t cutover -e mesh_cutover_to=green:25 takes it back" in begun(share(50, 25), None)["stays"]


# -- the watchdog ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("watched", "epoch", "operator", "state", "settled", "elsewhere"),
    [
        ("3-50", 3, "me", "active", False, False),  # killed, or hangs
        (None, 3, "me", "active", True, False),
        ("4-50", 4, "me", "active", True, True),  # a newer run has taken it up again
        ("3-50", 4, "me", "active", False, True),  # ... or may be about to
        ("3-50", 4, "me", "closed", False, False),  # ... or has not
        ("3-50", 4, "watchdog", "active", False, False),  # another of this step's, which was lost
    ],
)  # fmt: skip
def test_a_watchdog_leaves_a_step_to_whoever_is_at_it(watched, epoch, operator, state, settled, elsewhere):
    (play,) = role_tasks.load("../playbooks/watchdog.yml")
    journal = {"facts": {"watchdog": watched} if watched else {}, "epoch": epoch, "run": {"operator": operator, "state": state}}
    given = {"watchdog_journal": journal, "watchdog_step": "3-50", "watchdog_epoch": 3}
    templar = Templar(loader=role_tasks.LOADER, variables={**play["vars"], **given})
    found = [templar.template(trust_as_template("{{ watchdog_" + name + " }}")) for name in ("settled", "elsewhere")]
    assert found == [settled, elsewhere]
    unread = Templar(loader=role_tasks.LOADER, variables={**play["vars"], **given, "watchdog_journal": {"failed": True}})
    assert unread.template(trust_as_template("{{ watchdog_settled or watchdog_elsewhere }}")) is False


@pytest.mark.parametrize(
    ("begun", "renewed", "over"),
    [(-10, None, False), (-40, None, True), (-400, -10, False), (-400, -40, True), (-10, -400, False)],
)
def test_a_run_that_is_at_it_renews_the_watch(begun, renewed, over):
    """Seconds from now, with a deadline of 30."""
    (play,) = role_tasks.load("../playbooks/watchdog.yml")
    facts = {} if renewed is None else {"watchdog_at": time.time() + renewed}
    given = {"watchdog_journal": {"facts": facts}, "watchdog_begun": time.time() + begun, "watchdog_deadline": 30}
    templar = Templar(loader=role_tasks.LOADER, variables={**play["vars"], **given})
    assert templar.template(trust_as_template("{{ watchdog_over }}")) is over
    unread = Templar(loader=role_tasks.LOADER, variables={**play["vars"], **given, "watchdog_journal": {"failed": True}})
    assert unread.template(trust_as_template("{{ watchdog_over }}")) is (begun == -40 or begun == -400)


# -- the way back ------------------------------------------------------------------------------------------------------
def server(backend: str, colour: str, health: str = "UP", admin: str = "ready") -> dict[str, str]:
    return {"backend": backend, "colour": colour, "health": health, "admin": admin}


SERVERS = [server("http", "blue"), server("http", "blue", "DOWN"), server("http", "green"), server("https", "blue")]


@pytest.mark.parametrize(
    ("shared", "blue", "against"),
    [
        ({"green_percent": 50.0, "backends": SERVERS}, {"reasons": []}, []),
        ({"green_percent": 50.0, "backends": SERVERS}, {"reasons": ["no pods"]}, ["no pods"]),
        ({"green_percent": 50.0, "backends": SERVERS}, {"msg": "no answer", "failed": True}, ["no answer"]),
        ({"unknown": "no socket"}, {"reasons": []}, ["no socket"]),
        ({"green_percent": None, "backends": [server("http", "blue", "DOWN"), *SERVERS[2:]]}, {"reasons": []},
         ["http: the balancer finds no server of blue up"]),
        ({"green_percent": 50.0, "backends": [server("a", "blue", admin="maint"), server("a", "green")]}, {"reasons": []},
         ["a: the balancer finds no server of blue up"]),
    ],
)  # fmt: skip
def test_what_is_against_going_back(shared, blue, against):
    found = evaluate("rollback", "rollback_against", "rollback_moves", rollback_shared=shared, rollback_blue=blue)
    assert found == {"rollback_against": against, "rollback_moves": True}


def test_what_greens_connections_need_is_undone_after_them():
    """Steps as the journal has them, newest first."""
    made = [
        ("unbind", "virtual_service_gateways"), ("soak", "service_endpoints"), ("cutover", "elb_listener_weights"),
        ("cutover", "elb_target_group_twin"), ("cutover", "replicas_pin"), ("cutover", "haproxy_weights"),
        ("deploy", "replicas_pin"), ("keep", "resource_keep"),
    ]  # fmt: skip
    undo = [{"phase": phase, "key": "same", "inverse": {"module": module}} for phase, module in made]
    names = ("rollback_weights", "rollback_moving", "rollback_rest")
    found = evaluate("rollback", *names, rollback_journal={"undo": undo})
    assert [[(s["phase"], s["inverse"]["module"]) for s in found[name]] for name in names] == [
        [made[2]], [made[1], made[5]], [*made[2:5], *made[6:]],
    ]  # fmt: skip


def test_blue_is_not_asked_where_it_has_all_traffic():
    shared = {"green_percent": 0.0, "backends": SERVERS}
    assert evaluate("rollback", "rollback_moves", rollback_shared=shared) == {"rollback_moves": False}
    assert evaluate("rollback", "rollback_moves") == {"rollback_moves": True}, "what is not known"


# -- the way back of hosts ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wanted", "expected", "found", "back"),
    [
        (25, 0, 0.0, False),
        (50, 50, 50.0, False),
        (25, 50, 50.0, True),
        (0, None, 50.0, True),
        # A record is neither's: a look at what was judged good, and a step, refuse it; the way back goes around it.
        (50, 50, None, False),
        (100, 50, None, False),
        (25, 50, None, True),
        (0, None, None, True),
    ],
)
def test_only_the_way_back_goes_around_a_record_that_somebody_else_has_set(wanted, expected, found, back):
    result = evaluate(
        "cutover", "cutover_goes_back", cutover_wanted=wanted, cutover_expected=expected,
        cutover_shared={"green_percent": found}, _mesh_journal={"facts": {}},
    )  # fmt: skip
    assert result["cutover_goes_back"] is back
