# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cutover by weighted records of Route 53 under live traffic of clients that honour the TTL: half, all, and back. Nobody
notices. The API is moto's, with Route 53's rules for changes; the name server answers as the weights there say.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import boto3
import dns.message
import dns.query
import dns.rdatatype
import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-route53"
SERVER = "172.30.0.44"
BACKEND = "tests/demo/backends/route53.yml"
BALANCER = yaml.safe_load((lab.ROOT / BACKEND).read_text(encoding="utf-8"))["mesh_balancer"]
HOSTS: list[str] = BALANCER["hosts"]
BLUE, GREEN = ({one[side][0] for one in BALANCER["endpoints"]} for side in ("blue", "green"))
OLD_TTL, LOW_TTL = 10, BALANCER["ttl"]
SETTINGS = {
    "mesh_migration": "route53",
    "mesh_journal_namespace": "mesh-route53",
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [50],
    **lab.QUICK,
    **lab.UNHURRIED,
}
ALL = {**SETTINGS, "mesh_cutover_steps": [50, 100]}
ROUTE53 = boto3.client("route53", region_name="us-east-1", endpoint_url=BALANCER["endpoint_url"])
ZONE = pathlib.Path(STATE, "moto.zone").read_text(encoding="utf-8")
Set = dict[str, t.Any]


def play(settings: dict[str, t.Any], *argv: str) -> t.Any:
    return lab.play(settings, "--extra-vars", f"@{BACKEND}", *argv)


def sets() -> dict[str, list[Set]]:
    """Record sets of the hosts, by name, past our own code."""
    found: dict[str, list[Set]] = {}
    for one in ROUTE53.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]:
        if one["Type"] == "A":
            found.setdefault(one["Name"].replace(r"\052", "*").rstrip("."), []).append(one)
    return found


def share(of: list[Set]) -> dict[str, int | None]:
    """Weight by colour; None of a simple record."""
    return {"blue" if one["ResourceRecords"][0]["Value"] in BLUE else "green": one.get("Weight") for one in of}


def shares() -> list[dict[str, int | None]]:
    """Those that are there, each once."""
    found = [share(one) for one in sets().values()]
    return [one for n, one in enumerate(found) if one not in found[:n]]


def ttls() -> set[int]:
    return {one["TTL"] for of in sets().values() for one in of}


def ask(name: str) -> str:
    answer = dns.query.udp(dns.message.make_query(name, "A"), SERVER, timeout=5)
    (found,) = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A]
    return str(found[0].to_text())


def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "mesh-route53", "route53"))["data"]
    return {name: json.loads(data[name]) for name in ("phases", "steps", "facts")}


@pytest.fixture(scope="module")
def half(cluster: Cluster) -> str:
    assert shares() == [{"blue": None}] and ttls() == {OLD_TTL} and set(sets()) == set(HOSTS)
    done = play(SETTINGS, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    return str(done.stdout)


def test_all_hosts_are_shared_at_a_low_ttl(half: str) -> None:
    assert shares() == [{"blue": 50, "green": 50}] and ttls() == {LOW_TTL}


def test_the_old_ttl_was_waited_out_before_the_first_weight(half: str, cluster: Cluster) -> None:
    facts = journal(cluster)["facts"]["dns"]
    lowered, moved = facts[f"ttl {ZONE}"], facts[f"records {ZONE}"]
    assert lowered["ttl"] == OLD_TTL and moved["ttl"] == LOW_TTL
    assert moved["at"] - lowered["at"] >= OLD_TTL


def test_clients_are_answered_by_both_sides(half: str) -> None:
    """The green side's own listeners at HAProxy were given connections, and the weights there are nobody's business."""
    rows = [line.split(",") for line in lab.ask("show stat").splitlines() if line.startswith("green_")]
    assert sum(int(row[7] or 0) for row in rows if row[1] == "BACKEND") > 0
    assert {weight for server, weight in lab.weights().items() if "/green-" in server} == {0}
    assert {ask("shop.lab.test") for _number in range(64)} == {"172.30.0.20", "172.30.0.22"}


def test_what_somebody_else_changed_is_refused_and_left(half: str) -> None:
    before = sets()["status.lab.test"]
    theirs = [{**one, "Weight": weight} for one, weight in zip(before, (80, 20))]
    edit(theirs)
    refused = play(ALL, "--tags", "cutover")
    assert refused.returncode != 0 and "status.lab.test" in refused.stdout, refused.stdout[-3000:]
    assert sets()["status.lab.test"] == theirs and share(sets()["shop.lab.test"]) == {"blue": 50, "green": 50}
    edit(before)


def edit(to: list[Set]) -> None:
    """Somebody else's change."""
    changes = [{"Action": "UPSERT", "ResourceRecordSet": one} for one in to]
    ROUTE53.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": changes})


@pytest.fixture(scope="module")
def everything(half: str) -> None:
    done = play(ALL, "--tags", "cutover")
    assert done.returncode == 0, done.stdout[-4000:]


def test_all_answers_are_greens(everything: None, cluster: Cluster) -> None:
    assert shares() == [{"blue": 0, "green": 100}] and ttls() == {LOW_TTL}
    assert {ask(host.replace("*", "any")) for host in HOSTS} == GREEN
    assert journal(cluster)["phases"]["cutover"]["state"] == "done"


def test_a_second_run_changes_nothing(everything: None) -> None:
    again = play(ALL, "--tags", "cutover")
    assert again.returncode == 0 and " changed=0 " in again.stdout, again.stdout[-3000:]


def test_clean_up_leaves_greens_records_alone_as_blues_were(everything: None) -> None:
    """Simple, and with their TTL."""
    done = lab.part(ALL, "cutover", "finalise.yml", argv=("--extra-vars", f"@{BACKEND}"))
    assert done.returncode == 0, done.stdout[-4000:]
    assert shares() == [{"green": None}] and ttls() == {OLD_TTL}


def test_terraform_is_told_what_is_in_force(everything: None, tmp_path: pathlib.Path) -> None:
    settings = {**ALL, "mesh_infrastructure": {"dir": str(tmp_path)}}
    done = lab.part(settings, "cleanup", "handover.yml", argv=("--extra-vars", f"@{BACKEND}"))
    assert done.returncode == 0, done.stdout[-4000:]
    text = (tmp_path / "snippets" / "route53.tf").read_text(encoding="utf-8")
    assert text.count('resource "aws_route53_record"') == len(HOSTS) and "weighted_routing_policy" not in text
    assert f'zone_id         = "{ZONE}"' in text and "172.30.0.22" in text and "172.30.0.20" not in text


@pytest.fixture(scope="module")
def back(everything: None) -> None:
    """First of all the traffic, then step by step as a rollback does."""
    done = play(SETTINGS, "--tags", "abort")
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_way_back_gives_blue_its_records_of_before(back: None) -> None:
    assert shares() == [{"blue": None}] and ttls() == {OLD_TTL} and set(sets()) == set(HOSTS)
    assert {ask(host.replace("*", "any")) for host in HOSTS} == BLUE


def test_no_request_was_lost(back: None) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 10000, str(seen["errors"])
