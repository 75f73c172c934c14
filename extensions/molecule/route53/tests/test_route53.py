# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cutover by weighted records of Route 53 and back, as moto's API has them. moto answers no resolver, so that the lab's
clients stay where they are: what live clients do when records move is shown by the scenario dns. Of weighted CNAMEs moto
takes only one of a name: these are for the unit tests.

The tests build on each other, in their order.
"""

from __future__ import annotations

import os
import typing as t

import boto3
import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic

URL = "http://172.30.0.44:5000"
BLUE, GREEN = "172.30.0.20", "172.30.0.22"
HOSTS = ["shop.lab.test", "\\052.wild.lab.test"]
OLD_TTL, LOW_TTL = 4, 2
TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-route53"


class Zone:
    """The hosted zone, past our own code."""

    def __init__(self) -> None:
        self.api = boto3.client("route53", region_name="eu-west-1", endpoint_url=URL)
        self.id = self.api.create_hosted_zone(Name="lab.test", CallerReference="scenario")["HostedZone"]["Id"]
        for name in HOSTS:
            self.write("CREATE", name, BLUE, TTL=OLD_TTL)

    def write(self, action: str, name: str, value: str, **more: t.Any) -> None:
        record = {"Name": name, "Type": "A", "ResourceRecords": [{"Value": value}], **more}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        self.api.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch=batch)

    def records(self) -> dict[str, list[tuple[str, int | None, int]]]:
        """Name -> value, weight and TTL of each record set."""
        found: dict[str, list[tuple[str, int | None, int]]] = {}
        for one in self.api.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]:
            if one["Type"] == "A":
                value = one["ResourceRecords"][0]["Value"]
                found.setdefault(one["Name"].removesuffix("."), []).append((value, one.get("Weight"), one["TTL"]))
        return {name: sorted(sets) for name, sets in found.items()}

    def settings(self, *steps: int) -> dict[str, t.Any]:
        return {
            "mesh_migration": "by-route53",
            "mesh_journal_namespace": "mesh-route53",
            "mesh_balancer": {
                "type": "route53", "endpoint_url": URL, "zones": [self.id.rpartition("/")[2]],
                "endpoints": [{"blue": [BLUE], "green": [GREEN]}],
                "hosts": [name.replace("\\052", "*") for name in HOSTS], "ttl": LOW_TTL,
            },
            "mesh_traffic": {"probe": {"dir": TRAFFIC}},
            "mesh_cutover_steps": list(steps),
            **lab.QUICK,
            "mesh_gate": {**lab.QUICK["mesh_gate"], "min_green_samples": 0},
        }  # fmt: skip

    def play(self, settings: dict[str, t.Any], *argv: str) -> str:
        done = lab.play(settings, *argv)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def weighted(self, blue: int, green: int, ttl: int) -> dict[str, list[tuple[str, int | None, int]]]:
        return {name: [(BLUE, blue, ttl), (GREEN, green, ttl)] for name in HOSTS}

    def simple(self, address: str, ttl: int) -> dict[str, list[tuple[str, int | None, int]]]:
        return {name: [(address, None, ttl)] for name in HOSTS}


@pytest.fixture(scope="module")
def zone() -> t.Iterator[Zone]:
    made = Zone()
    yield made
    for name, sets in made.records().items():
        assert len(sets) == 1, "the way back has left simple records"
        made.write("DELETE", name, sets[0][0], TTL=sets[0][2])
    made.api.delete_hosted_zone(Id=made.id)


def test_half_of_the_answers_lead_to_green_at_a_low_ttl(zone: Zone) -> None:
    zone.play(zone.settings(50), "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert zone.records() == zone.weighted(50, 50, LOW_TTL)


def test_a_second_run_changes_nothing(zone: Zone) -> None:
    before = zone.records()
    assert "changed=0 " in zone.play(zone.settings(50), "--tags", "cutover")
    assert zone.records() == before


def test_what_somebody_else_sets_is_refused_and_left(zone: Zone) -> None:
    zone.write("UPSERT", "shop.lab.test", GREEN, TTL=LOW_TTL, SetIdentifier="green", Weight=90)
    before = zone.records()
    refused = lab.play(zone.settings(50, 75), "--tags", "cutover")
    assert refused.returncode != 0 and "different shares" in refused.stdout, refused.stdout[-3000:]
    assert zone.records() == before
    zone.write("UPSERT", "shop.lab.test", GREEN, TTL=LOW_TTL, SetIdentifier="green", Weight=50)


def test_cleanup_leaves_greens_records_alone_as_simple_as_blues_were(zone: Zone) -> None:
    zone.play(zone.settings(50, 100), "--tags", "cutover")
    assert zone.records() == zone.weighted(0, 100, LOW_TTL)
    done = lab.finalise(zone.settings(100))
    assert done.returncode == 0, done.stdout[-4000:]
    assert zone.records() == zone.simple(GREEN, OLD_TTL)


def test_the_way_back_gives_everything_what_it_had(zone: Zone) -> None:
    zone.play({**zone.settings(100), "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert zone.records() == zone.simple(BLUE, OLD_TTL)


def test_no_request_was_lost(zone: Zone) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 1000, str(seen["errors"])
