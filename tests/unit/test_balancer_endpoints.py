# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where clients are sent, by the status of Services and Ingresses: read once, held in the journal, never followed."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
import role_tasks
from ansible_collections.bluegreen.mesh.plugins.module_utils import _balancer_endpoints as ends
from ansible_collections.bluegreen.mesh.plugins.module_utils import _dns, _route53
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import balancer_endpoints_info, migration_journal
from fake_cluster import FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st

BLUE, GREEN, OTHER = "192.0.2.10", "192.0.2.20", "192.0.2.30"
BOTH = [{"blue": [BLUE], "green": [GREEN]}]
WORKLOAD = {
    "name": "public",
    "blue": {"namespace": "edge", "service": "old"},
    "green": {"namespace": "gw", "release": "new", "labels": {"app": "new"}, "node_ports": {"https": 30444}},
}
JOURNAL = {"namespace": "bluegreen-mesh", "name": "m"}


def status(*values: str) -> dict[str, t.Any]:
    entries = [{"ip" if ends.address_of(value) else "hostname": value} for value in values]
    return {"status": {"loadBalancer": {"ingress": entries} if entries else {}}}


def service(ref: str, *values: str) -> dict[str, t.Any]:
    namespace, name = ref.split("/")
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": {}, **status(*values)}


def ingress(name: str, *values: str, of: str = "nginx", old: bool = False) -> dict[str, t.Any]:
    meta = {"namespace": "apps", "name": name, "annotations": {"kubernetes.io/ingress.class": of} if old else {}}
    spec = {} if old else {"ingressClassName": of}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec, **status(*values)}


def run(*objects: dict[str, t.Any], cluster: FakeCluster | None = None, **params: t.Any) -> dict[str, t.Any]:
    return run_module(
        balancer_endpoints_info, {"workloads": [WORKLOAD], **params}, cluster if cluster else FakeCluster(*objects)
    )  # fmt: skip


# -- what is there -----------------------------------------------------------------------------------------------------
def test_the_services_say_where_clients_are_sent() -> None:
    cluster = FakeCluster(service("edge/old", BLUE), service("gw/new", GREEN))
    result = run(cluster=cluster, classes=[{"name": "nginx", "side": "blue"}])
    assert result["endpoints"] == BOTH and not result["changed"]
    assert cluster.requests == {"GET": 2} and cluster.writes == 0, "Ingresses are not listed for nothing"


def test_an_address_counts_before_a_name_and_each_once() -> None:
    both = service("edge/old")
    both["status"]["loadBalancer"]["ingress"] = [{"ip": BLUE, "hostname": "b.test"}, {"ip": "2001:DB8::1"}, {"ip": BLUE}]
    assert ends.published(both) == (BLUE, "2001:db8::1")
    assert ends.published(service("edge/old", "Blue.Edge.test.")) == ("blue.edge.test",)
    assert ends.published({}) == ends.published({"status": {}}) == ends.published({"status": {"loadBalancer": None}}) == ()


@pytest.mark.parametrize("old", [False, True])
def test_an_ingress_controller_tells_its_address_in_its_ingresses(old: bool) -> None:
    """Those of other classes, and those that it has not looked at yet, say nothing."""
    apps = [ingress("a", BLUE, old=old), ingress("b", BLUE, old=old), ingress("c", old=old), ingress("d", OTHER, of="x")]
    classes = [{"name": "nginx", "side": "blue", "workload": "public"}]
    assert run(service("edge/old"), service("gw/new", GREEN), *apps, classes=classes)["endpoints"] == BOTH


def test_of_istio_to_linkerd_it_is_green() -> None:
    objects = [service("edge/old", BLUE), service("gw/new"), ingress("a", GREEN, of="haproxy")]
    assert run(*objects, classes=[{"name": "haproxy", "side": "green"}])["endpoints"] == BOTH


NGINX = [{"name": "nginx", "side": "blue"}]
LACKS = "expected addresses, or one name"


@pytest.mark.parametrize(
    ("objects", "classes", "says"),
    [
        ([], [], f"Service edge/old, {ends.FIELD}: found no such Service, {LACKS}"),
        ([service("edge/old")], [], f"Service edge/old, {ends.FIELD}: found no address, {LACKS}"),
        ([service("edge/old", "a.test", "b.test")], [], f"found a.test b.test, {LACKS}"),
        ([service("edge/old", "a.test", BLUE)], [], f"found {BLUE} a.test, {LACKS}"),
        ([service("edge/old"), ingress("a", OTHER, of="x")], NGINX, "found no address, and none at an Ingress of class nginx"),
        (
            [service("edge/old"), ingress("a", BLUE), ingress("b", OTHER)], NGINX,
            f"Ingresses of class nginx, {ends.FIELD}: found {BLUE} at apps/a, {OTHER} at apps/b, {LACKS}",
        ),
        ([service("edge/old"), ingress("a", "a.test", "b.test")], NGINX, f"Ingress apps/a, {ends.FIELD}: found a.test b.test"),
        ([ingress("a", BLUE)], NGINX, "found no such Service"),
        ([service("edge/old"), ingress("a", BLUE)], [{**NGINX[0], "workload": "another"}], "found no address"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_named_with_what_to_do(objects: list, classes: list, says: str) -> None:
    result = run(*objects, service("gw/new", GREEN), classes=classes)
    assert result["failure"]["code"] == "address_unknown" and says in result["msg"]
    assert "set mesh_balancer.endpoints" in result["msg"] and "gw/new" not in result["msg"]
    assert run(*objects, service("gw/new", GREEN), classes=classes, missing="skip")["endpoints"] == []


def test_services_that_share_both_addresses_are_one_place() -> None:
    tcp = {**WORKLOAD, "name": "tcp", "blue": {"namespace": "edge", "service": "tcp"}}
    objects = [service("edge/old", BLUE), service("edge/tcp", BLUE), service("gw/new", GREEN)]
    assert run(*objects, workloads=[WORKLOAD, tcp])["endpoints"] == BOTH


# -- what is held ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("objects", "side", "says"),
    [
        ([service("edge/old", OTHER), service("gw/new", GREEN)], "blue", f"found {OTHER}, expected blue's {BLUE}"),
        ([service("edge/old", BLUE), service("gw/new", OTHER)], "green", f"found {OTHER}, expected green's {GREEN}"),
        ([service("edge/old", BLUE), service("gw/new")], "green", f"found no address, expected green's {GREEN}"),
    ],
)
def test_an_address_that_has_changed_is_refused_or_said_and_never_followed(objects: list, side: str, says: str) -> None:
    refused = run(*objects, known=BOTH, unmoved=[side])
    assert refused["failure"]["code"] == "foreign_change" and says in refused["msg"]
    assert "Nothing was changed" in refused["msg"] and "mesh_balancer.endpoints" in refused["msg"]
    for unmoved in ([], [{"blue": "green", "green": "blue"}[side]]):
        left = run(*objects, known=BOTH, unmoved=unmoved)
        assert left["endpoints"] == BOTH and says in str(left["warnings"])


def test_blue_may_be_gone_where_nobody_goes_back_to_it() -> None:
    left = run(service("gw/new", GREEN), known=BOTH, unmoved=["green"])
    assert left["endpoints"] == BOTH and not left.get("warnings")
    assert "found no such Service" in run(service("gw/new", GREEN), known=BOTH)["msg"]


def test_sides_that_have_changed_places_are_refused() -> None:
    tcp = {"name": "tcp", "blue": {"namespace": "edge", "service": "t"}, "green": {"namespace": "gw", "release": "t"}}
    two = [*BOTH, {"blue": ["192.0.2.11"], "green": ["192.0.2.21"]}]
    objects = [service("edge/old", BLUE), service("gw/new", "192.0.2.21"), service("edge/t", "192.0.2.11"), service("gw/t", GREEN)]
    assert run(*objects, workloads=[WORKLOAD, tcp], known=two)["failure"]["code"] == "foreign_change"


def recorded(cluster: FakeCluster, op: str, endpoints: list, phase: str = "cutover") -> None:
    inverse = {"module": "dns_records", "params": {"endpoints": endpoints, "records": []}}
    step = {"op": op, "key": f"shop.test {op}", "inverse": inverse}
    done = run_module(
        migration_journal, {**JOURNAL, "state": "recorded", "epoch": 1, "phase": phase, "step": step}, cluster
    )  # fmt: skip
    assert not done.get("failed"), done


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster(service("edge/old", BLUE), service("gw/new", GREEN))
    run_module(migration_journal, {**JOURNAL, "state": "open", "operator": "ada"}, cluster)
    return cluster


def again(cluster: FakeCluster, **params: t.Any) -> dict[str, t.Any]:
    return run(cluster=cluster, migration="m", **params)


def test_until_a_record_was_changed_the_cluster_is_read(cluster: FakeCluster) -> None:
    assert again(cluster)["endpoints"] == BOTH
    cluster.edit("services", "gw", "new", lambda body: body.update(status(OTHER)))
    assert again(cluster)["endpoints"] == [{"blue": [BLUE], "green": [OTHER]}]
    assert run(cluster=cluster, migration="none")["endpoints"], "a migration without journal, as when it is planned"


@pytest.mark.parametrize("op", sorted(ends.OPS))
def test_from_then_on_the_journal_says_it(cluster: FakeCluster, op: str) -> None:
    zones = [{**BOTH[0], "blue_zone": "Z1", "green_zone": None}]
    recorded(cluster, op, zones)
    assert again(cluster)["endpoints"] == [{**BOTH[0], "blue_zone": "Z1"}]
    cluster.edit("services", "edge", "old", lambda body: body.update(status(OTHER)))
    assert again(cluster)["failure"]["code"] == "foreign_change"


def test_the_newest_step_counts_until_it_is_undone(cluster: FakeCluster) -> None:
    recorded(cluster, "dns_ttl", BOTH)
    recorded(cluster, "dns_records", [{"blue": [BLUE], "green": [OTHER]}])
    recorded(cluster, "archive", [], phase="cleanup")
    assert f"expected green's {OTHER}" in again(cluster)["msg"]
    steps = json.loads(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]["steps"])
    undone = [step["id"] for step in steps if step["op"] == "dns_records"]
    run_module(migration_journal, {**JOURNAL, "state": "recorded", "epoch": 1, "undone": undone}, cluster)
    assert again(cluster)["endpoints"] == BOTH


# -- for any cluster ---------------------------------------------------------------------------------------------------
ADDRESS = st.integers(0, 2**32 - 1).map(lambda number: str(ends.ipaddress.IPv4Address(number)))
VALUES = st.one_of(
    st.lists(st.one_of(ADDRESS, st.ip_addresses(v=6).map(str)), min_size=1, max_size=3),
    st.from_regex(r"[a-z]{1,8}\.test\.?", fullmatch=True).map(lambda name: [name]),
)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4)


def sides(values: list[tuple[list[str], list[str]]]) -> list[ends.Pair]:
    return [
        {
            colour: ends.side_of(f"{colour}/{index}", service(f"{colour}/{index}", *own), (), ())
            for colour, own in zip(ends.COLOURS, pair)
        }
        for index, pair in enumerate(values)
    ]


@given(PAIRS)
def test_what_was_read_is_held_and_is_what_the_balancers_take(values: list) -> None:
    found = ends.endpoints_of(sides(values))
    assert ends.held(sides(values), found, ends.COLOURS) == []
    assert {tuple(one[colour]) for one in found for colour in ends.COLOURS} == {
        ends.plain_values(own) for pair in values for own in pair
    }
    for module in (_dns, _route53):
        try:
            assert len(module.endpoints_of(found)) == len(found)
        except Refusal as exc:  # of two sides that can't be told apart, or are of two types
            assert exc.code == "bad_option" and "expected addresses" not in str(exc)


@given(PAIRS, st.data())
def test_a_change_of_any_side_is_seen(values: list, data: st.DataObject) -> None:
    known = ends.endpoints_of(sides(values))
    at, colour = data.draw(st.integers(0, len(values) - 1)), data.draw(st.sampled_from([0, 1]))
    new = data.draw(VALUES.filter(lambda own: list(ends.plain_values(own)) not in [one[ends.COLOURS[colour]] for one in known]))
    after = [tuple(new if (i, j) == (at, colour) else own for j, own in enumerate(pair)) for i, pair in enumerate(values)]
    with pytest.raises(Refusal, match=f"{ends.COLOURS[colour]}/{at}, "):
        ends.held(sides(after), known, ends.COLOURS)
    assert len(ends.held(sides(after), known, [])) == 1


# -- the role ----------------------------------------------------------------------------------------------------------
CONVERSION = {"classes": [{"name": "nginx", "gateway": "gw/shop", "workload": "public", "http_port": 80}]}


@pytest.mark.parametrize(
    ("journey", "classes"),
    [
        ("gateway", []),
        ("ingress_to_istio", [{"name": "nginx", "workload": "public", "side": "blue"}]),
        ("istio_to_linkerd", [{"name": "haproxy", "side": "green"}]),
    ],
)
def test_which_side_is_an_ingress_controller_is_known_by_the_journey(journey: str, classes: list) -> None:
    assert (
        role_tasks.evaluate(
            role_tasks.load("cutover/vars/main.yml")["cutover_classes"], mesh_journey=journey,
            mesh_conversion=CONVERSION, mesh_ingress={"class_name": "haproxy"},
        ) == classes
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "sides_"),
    [
        ({}, []),
        ({"cutover_dns_ttl": 30}, ["blue", "green"]),
        ({"cutover_dns_percent": 50}, ["blue", "green"]),
        ({"cutover_dns_percent": 0, "cutover_dns_back": True}, ["blue"]),
        ({"cutover_dns_percent": 0, "cutover_everywhere": True}, ["blue"]),
        ({"cutover_unmoved": ["green"]}, ["green"]),
    ],
)
def test_green_may_have_another_address_on_the_way_back_and_both_for_a_look(given_: dict, sides_: list) -> None:
    task = role_tasks.task("cutover/tasks/dns/endpoints.yml", "Read where")
    asked = task["bluegreen.mesh.balancer_endpoints_info"]["unmoved"]
    assert role_tasks.evaluate(asked, **task["vars"], **given_) == sides_


@pytest.mark.parametrize(
    ("given_", "missing"),
    [
        ({}, "refuse"),
        ({"cutover_dns_percent": 0, "cutover_dns_back": True}, "refuse"),
        ({"cutover_unmoved": ["blue", "green"]}, "refuse"),
        ({"cutover_everywhere": True}, "skip"),  # an abort
        ({"cutover_unmoved": ["blue"]}, "skip"),  # a rollback
    ],
)
def test_who_goes_back_need_not_know_where_nothing_was_moved(given_: dict, missing: str) -> None:
    task = role_tasks.task("cutover/tasks/dns/endpoints.yml", "Read where")
    assert role_tasks.evaluate(task["bluegreen.mesh.balancer_endpoints_info"]["missing"], **given_) == missing


@pytest.mark.parametrize("balancer", ["dns", "route53"])
@pytest.mark.parametrize("file", ["records", "finalise"])
def test_what_is_said_is_taken_and_what_is_not_is_read(balancer: str, file: str) -> None:
    tasks = role_tasks.load(f"cutover/tasks/{balancer}/{file}.yml")
    (include,) = [task for task in tasks if "dns/endpoints.yml" in str(task.get("ansible.builtin.include_tasks"))]
    (use,) = [task for task in tasks for name in ("dns_records", "route53_weights") if f"bluegreen.mesh.{name}" in task]
    (options,) = [value for key, value in use.items() if key.startswith("bluegreen.mesh.")]
    assert tasks.index(include) < tasks.index(use)
    said = {"mesh_balancer": {"type": balancer, "endpoints": BOTH}}
    assert not role_tasks.holds(include["when"], **said) and role_tasks.evaluate(options["endpoints"], **said) == BOTH
    read = {"mesh_balancer": {"type": balancer}, "cutover_endpoints": BOTH}
    assert role_tasks.holds(include["when"], **read) and role_tasks.evaluate(options["endpoints"], **read) == BOTH
    if file == "records":
        assert role_tasks.holds(use["when"], **said) and role_tasks.holds(use["when"], **read)
        assert not role_tasks.holds(use["when"], cutover_endpoints=[])


def test_the_watchdog_is_told_what_was_read() -> None:
    (task,) = role_tasks.load("cutover/tasks/arm.yml")
    told = task["vars"]["cutover_watchdog_vars"]["mesh_balancer"]
    assert role_tasks.evaluate(told, mesh_balancer={"type": "dns"}, cutover_endpoints=BOTH) == {"type": "dns", "endpoints": BOTH}
    assert role_tasks.evaluate(told, mesh_balancer={"type": "haproxy"}) == {"type": "haproxy"}


def test_what_is_told_of_records_that_were_never_changed_is_what_the_roles_ask_for() -> None:
    untouched = role_tasks.load("cutover/vars/main.yml")["cutover_untouched"]
    files = [*(role_tasks.ROLES / "cutover/tasks").glob("*/*.yml"), role_tasks.ROLES / "abort/tasks/traffic.yml"]
    texts = [path.read_text(encoding="utf-8") for path in files if path.parent.name in ("dns", "route53", "tasks")]
    asked = {name for text in texts for name in re.findall(r"cutover_shared\.(\w+)", text)}
    assert {"backends", "missing"} < asked <= untouched.keys()
