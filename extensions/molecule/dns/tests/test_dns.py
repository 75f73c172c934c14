# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cutover by DNS under live traffic of clients that honour the TTL: half, all, and back. Nobody notices.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import time
import typing as t

import dns.message
import dns.query
import dns.rdatatype
import dns.tsig
import dns.update
import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-dns"
SERVER, PRIMARY, SECONDARY = "172.30.0.43", 53, 5353
BLUE, GREEN = {"172.30.0.20", "172.30.0.21"}, {"172.30.0.22", "172.30.0.23"}
BALANCER = yaml.safe_load((lab.ROOT / "tests/demo/backends/dns.yml").read_text(encoding="utf-8"))["mesh_balancer"]
BALANCER["key_file"] = f"{STATE}/dns/mover.key"
OLD_TTL, LOW_TTL = 10, BALANCER["ttl"]
SETTINGS = {
    "mesh_migration": "dns",
    "mesh_journal_namespace": "mesh-dns",
    "mesh_balancer": BALANCER,
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [50],
    **lab.QUICK,
    **lab.UNHURRIED,
}
ALL = {**SETTINGS, "mesh_cutover_steps": [50, 100]}
# As the clients ask for them; what stands for the wildcard is any name under it.
HOSTS = sorted(
    {re.sub(r"^https?://([^/]+).*", r"\1", target["url"])
     for target in yaml.safe_load((lab.ROOT / "tests/lab/apps/targets.yml").read_text(encoding="utf-8"))}
)  # fmt: skip


def ask(name: str, port: int) -> tuple[int, set[str]]:
    """TTL and addresses, past our own code."""
    answer = dns.query.udp(dns.message.make_query(name, "A"), SERVER, timeout=5, port=port)
    (found,) = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A]
    return found.ttl, {item.to_text() for item in found}


def where(port: int = PRIMARY) -> dict[str, str]:
    """Each host's colour."""
    found = {}
    for host in HOSTS:
        values = ask(host, port)[1]
        found[host] = "blue" if values <= BLUE else "green" if values <= GREEN else "neither"
    return found


def ttls() -> set[int]:
    return {ask(host, port)[0] for host in HOSTS for port in (PRIMARY, SECONDARY)}


def secret() -> str:
    return re.search(r'secret "([^"]+)"', pathlib.Path(BALANCER["key_file"]).read_text(encoding="utf-8"))[1]


def edit(name: str, address: str, ttl: int) -> None:
    """Somebody else's change."""
    message = dns.update.UpdateMessage("lab.test")
    message.use_tsig(dns.tsig.Key("mover", secret(), "hmac-sha256"))
    message.replace(name + ".", ttl, "A", address)
    assert dns.query.tcp(message, SERVER, timeout=5).rcode() == 0


def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "mesh-dns", "dns"))["data"]
    assert secret() not in json.dumps(data)
    return {name: json.loads(data[name]) for name in ("phases", "steps", "facts", "run")}


@pytest.fixture(scope="module")
def half(cluster: Cluster) -> str:
    assert set(where().values()) == {"blue"} and ttls() == {OLD_TTL} and len(HOSTS) > 12
    done = lab.play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_half_of_the_hosts_go_to_green_at_a_low_ttl(half: str) -> None:
    found = list(where().values())
    assert found.count("green") == -(-len(found) // 2) and found.count("blue") == len(found) // 2
    assert where() == where(SECONDARY) and ttls() == {LOW_TTL}


def test_the_first_in_order_have_gone(half: str) -> None:
    """By name, the wildcard last."""
    found = where()
    order = sorted(HOSTS, key=lambda host: (".wild." in host, host))
    assert [found[host] for host in order] == sorted(found.values(), reverse=True)


def test_the_old_ttl_was_waited_out_before_the_first_host_moved(half: str, cluster: Cluster) -> None:
    facts = journal(cluster)["facts"]["dns"]
    lowered, moved = facts["ttl lab.test"], facts["records lab.test"]
    assert lowered["ttl"] == OLD_TTL and moved["ttl"] == LOW_TTL
    assert moved["at"] - lowered["at"] >= OLD_TTL


def test_hosts_of_blue_without_a_record_are_named(half: str) -> None:
    assert re.search(r"they have no record in lab\.test, so they stay as they are: .*wiki\.lab\.test", half, re.S)


def test_clients_are_answered_by_both_sides(half: str) -> None:
    """The green side's own listeners at HAProxy were given connections."""
    rows = [line.split(",") for line in lab.ask("show stat").splitlines() if line.startswith("green_")]
    assert sum(int(row[7] or 0) for row in rows if row[1] == "BACKEND") > 0
    assert {weight for server, weight in lab.weights().items() if "/green-" in server} == {0}


@pytest.fixture
def balanced(half: str, cluster: Cluster) -> t.Iterator[list[dict[str, t.Any]]]:
    """mesh_workloads of Services whose load balancers are where the clients are sent. They are no gateways': those are
    of type NodePort, and the API server takes such a status of type LoadBalancer alone."""
    sides = [(f"{colour}-{number}", endpoint[colour][0])
             for number, endpoint in enumerate(BALANCER["endpoints"]) for colour in ("blue", "green")]  # fmt: skip
    try:
        for name, address in sides:
            spec = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 9}]}
            body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
            cluster.create(path_of("v1", "services", "mesh-dns"), body)
            tell(cluster, name, address)
        yield [
            {"name": name, "blue": {"namespace": "mesh-dns", "service": f"blue-{number}"},
             "green": {"namespace": "mesh-dns", "release": f"green-{number}", "labels": {}, "node_ports": {}}}
            for number, name in enumerate(("public", "passthrough"))
        ]  # fmt: skip
    finally:
        for name, _address in sides:
            if cluster.find(path_of("v1", "services", "mesh-dns", name)):
                cluster.delete(path_of("v1", "services", "mesh-dns", name))


def tell(cluster: Cluster, name: str, address: str) -> None:
    """As a controller of load balancers does. With this mode kube-proxy leaves the address alone."""
    status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "Proxy"}]}}
    cluster.patch(path_of("v1", "services", "mesh-dns", name, "status"), {"status": status})


def test_where_clients_are_sent_is_read_from_the_services_and_a_change_is_refused(
    balanced: list[dict[str, t.Any]], cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    """As the API server has it; then as the journal has it, since records were moved."""
    before = where()
    read = lab.run("balancer_endpoints_info", tmp_path, workloads=balanced)
    assert read["endpoints"] == BALANCER["endpoints"] and not read["changed"], read
    settings = {**SETTINGS, "mesh_workloads": balanced}
    settings["mesh_balancer"] = {name: value for name, value in BALANCER.items() if name != "endpoints"}
    done = lab.part(settings, "cutover", "in_place.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    tell(cluster, "green-0", "172.30.0.99")
    refused = lab.part(settings, "cutover", "in_place.yml")
    says = r"Service mesh-dns/green-0, status\.loadBalancer\.ingress: found 172\.30\.0\.99, expected green's 172\.30\.0\.22"
    assert refused.returncode != 0 and re.search(says, refused.stdout), refused.stdout[-4000:]
    looked = lab.part(settings, "cutover", "dns/read.yml")
    assert looked.returncode == 0, looked.stdout[-4000:]
    assert where() == before == where(SECONDARY) and ttls() == {LOW_TTL}


def test_what_somebody_else_changed_is_refused_and_left(half: str) -> None:
    """By a host that blue serves and no client asks for: what it is given leads nowhere."""
    before = where()
    edit("wiki.lab.test", "172.30.0.99", LOW_TTL)
    refused = lab.play(ALL, "--tags", "cutover")
    assert refused.returncode != 0 and "different shares" in refused.stdout, refused.stdout[-3000:]
    assert re.search(r"'neither': \['wiki\.lab\.test'\]", refused.stdout), refused.stdout[-3000:]
    assert where() == before and ask("wiki.lab.test", PRIMARY)[1] == {"172.30.0.99"}
    edit("wiki.lab.test", "172.30.0.20", LOW_TTL)


def test_a_step_whose_run_was_killed_is_taken_back(half: str, cluster: Cluster) -> None:
    """By the watchdog, which has the zone's key."""
    before = where()
    # Samples that never come: the run waits for caches, or is in the gate, when it is killed.
    gate = {**SETTINGS["mesh_gate"], "min_samples": 10**9, "deadline": 600}
    watched = {**SETTINGS, "mesh_cutover_steps": [50, 75], "mesh_watchdog": {"deadline": 60}, "mesh_gate": gate}
    lab.kill_when(lambda: where() != before, watched, "--tags", "cutover")
    assert list(where().values()).count("green") > list(before.values()).count("green")
    asked = journal(cluster)["facts"]["share"]
    assert (asked["asked"], asked["settled"], asked["judged"]) == (75, 50, False)
    lab.until(
        lambda: where() == before == where(SECONDARY) and journal(cluster)["run"]["state"] == "closed", 300
    )  # fmt: skip
    assert journal(cluster)["run"]["operator"] == "watchdog"
    left = journal(cluster)["facts"]["share"]
    assert (left["asked"], left["settled"], left["judged"]) == (50, 50, True)


@pytest.fixture(scope="module")
def everything(half: str) -> float:
    begin = time.time()
    done = lab.play(ALL, "--tags", "cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    return begin


def test_all_hosts_are_greens(everything: float, cluster: Cluster) -> None:
    assert set(where().values()) == {"green"} == set(where(SECONDARY).values()) and ttls() == {LOW_TTL}
    assert ask("wiki.lab.test", PRIMARY)[1] <= GREEN
    assert journal(cluster)["phases"]["cutover"]["state"] == "done"


def test_a_second_run_changes_nothing(everything: float) -> None:
    again = lab.play(ALL, "--tags", "cutover")
    assert again.returncode == 0 and " changed=0 " in again.stdout, again.stdout[-3000:]


def test_clean_up_gives_the_hosts_their_ttl_back_and_leaves_them_with_green(everything: float) -> None:
    done = lab.part(ALL, "cutover", "finalise.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert set(where().values()) == {"green"} and ttls() == {OLD_TTL}


def test_the_zone_is_told_what_is_in_force(everything: float, tmp_path: pathlib.Path) -> None:
    done = lab.part({**ALL, "mesh_infrastructure": {"dir": str(tmp_path)}}, "cleanup", "handover.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    lines = (tmp_path / "snippets" / "zone").read_text(encoding="utf-8").splitlines()
    records = [line.split() for line in lines if line and not line.startswith(";")]
    assert {record[-1] for record in records} == GREEN, lines
    late = "wiki.lab.test."  # which came with a TTL of its own
    assert {record[1] for record in records if record[0] != late} == {str(OLD_TTL)}, lines
    assert {"shop.lab.test.", "*.lab.test."} & {record[0] for record in records}, lines


def test_a_report_has_the_commands_and_no_secret(everything: float, tmp_path: pathlib.Path) -> None:
    done = lab.play({**ALL, "mesh_report_dir": str(tmp_path)}, "--tags", "report")
    assert done.returncode == 0, done.stdout[-3000:]
    (text,) = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.txt")]
    assert f"nsupdate -v -k {BALANCER['key_file']}" in text and secret() not in text + done.stdout


@pytest.fixture(scope="module")
def back(everything: float, cluster: Cluster) -> None:
    """First of all the traffic, then step by step as a rollback does."""
    done = lab.play(SETTINGS, "--tags", "abort")
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_way_back_gives_blue_all_hosts_with_their_ttl(back: None) -> None:
    assert set(where().values()) == {"blue"} and where() == where(SECONDARY) and ttls() == {OLD_TTL}
    assert ask("wiki.lab.test", PRIMARY)[1] <= BLUE, "it came after the first step"


def test_no_request_was_lost(back: None) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 10000, str(seen["errors"])
