# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosted zones in moto's server, which keeps Route 53's rules as the lab's does (tests/lab/bglab/moto_server.py)."""

from __future__ import annotations

import contextlib
import typing as t
from unittest import mock

import boto3
from ansible_collections.bluegreen.mesh.plugins.module_utils import _aws, _route53
from moto_aws import REGION, Cloud

Set = dict[str, t.Any]


class HostedZones:
    def __init__(self, cloud: Cloud) -> None:
        self.url = cloud.url
        self.client = boto3.client("route53", region_name=REGION, endpoint_url=cloud.url)

    def make(self, name: str) -> str:
        answer = self.client.create_hosted_zone(Name=name, CallerReference=f"{name} {len(self.ids())}")
        return answer["HostedZone"]["Id"].rpartition("/")[2]

    def ids(self) -> list[str]:
        return [zone["Id"].rpartition("/")[2] for zone in self.client.list_hosted_zones()["HostedZones"]]

    def clear(self) -> None:
        for zone in self.ids():
            self.become(zone, [])
            self.client.delete_hosted_zone(Id=zone)

    def sets(self, zone: str) -> list[Set]:
        """All but what belongs to the zone itself; past our own code."""
        pages = self.client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        return [one for page in pages for one in page["ResourceRecordSets"] if one["Type"] not in ("NS", "SOA")]

    def told(self, zone: str, name: str, kind: str = "A") -> dict[str, t.Any]:
        """Of one name: TTL, and the weight by target; None of a simple record."""
        mine = [one for one in self.sets(zone) if (_route53.plain_name(one["Name"]), one["Type"]) == (name, kind)]
        ttl = {"ttl": one["TTL"] for one in mine if "TTL" in one}
        return {**ttl, **{_route53.shown(one): one.get("Weight") for one in mine}}

    def put(self, zone: str, *sets: Set) -> None:
        """As somebody else would."""
        new = {(one["Name"], one["Type"]) for one in sets}
        self.become(zone, [one for one in self.sets(zone) if (one["Name"], one["Type"]) not in new] + list(sets))

    def become(self, zone: str, sets: t.Sequence[Set]) -> None:
        gone = [{"Action": "DELETE", "ResourceRecordSet": one} for one in self.sets(zone)]
        new = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
        if gone or new:
            self.client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": gone + new})


def record(name: str, *values: str, kind: str = "A", ttl: int = 600, **more: t.Any) -> Set:
    records = [{"Value": value} for value in values]
    return {"Name": f"{name}.", "Type": kind, "TTL": ttl, "ResourceRecords": records, **more}


def alias(name: str, zone: str, target: str, kind: str = "A", **more: t.Any) -> Set:
    leads = {"HostedZoneId": zone, "DNSName": f"{target}.", "EvaluateTargetHealth": True}
    return {"Name": f"{name}.", "Type": kind, "AliasTarget": leads, **more}


@contextlib.contextmanager
def sent_to(zones: HostedZones, meanwhile: t.Callable[[], None] | None = None) -> t.Iterator[list[list[str]]]:
    """Yields the actions of each request. meanwhile: what somebody else does after the records were read."""
    call, sent = _aws.Client.call, []

    def note(self: _aws.Client, service: str, operation: str, **params: t.Any) -> dict[str, t.Any]:
        if operation == "change_resource_record_sets":
            if meanwhile:
                meanwhile()
            acts = params["ChangeBatch"]["Changes"]
            sent.append([f"{act['Action']} {_route53.plain_name(act['ResourceRecordSet']['Name'])}" for act in acts])
        return call(self, service, operation, **params)

    with mock.patch.object(_aws.Client, "call", note):
        yield sent
