# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosted zones in moto's server, with the rules of Route 53 that moto does not keep.

moto deletes a record set whatever values are named, and with it all that have its set identifier, in the whole zone;
and it takes a simple record beside weighted ones. So requests are judged here, as AWS documents it, and moto is sent
what they lead to.
"""

from __future__ import annotations

import contextlib
import typing as t
from unittest import mock

import boto3
from ansible_collections.bluegreen.mesh.plugins.module_utils import _aws, _route53
from botocore.exceptions import ClientError
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
        new = [{"Action": "UPSERT", "ResourceRecordSet": one} for one in sets]
        if gone or new:
            self.client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": gone + new})


def record(name: str, *values: str, kind: str = "A", ttl: int = 600, **more: t.Any) -> Set:
    records = [{"Value": value} for value in values]
    return {"Name": f"{name}.", "Type": kind, "TTL": ttl, "ResourceRecords": records, **more}


def alias(name: str, zone: str, target: str, kind: str = "A", **more: t.Any) -> Set:
    leads = {"HostedZoneId": zone, "DNSName": f"{target}.", "EvaluateTargetHealth": True}
    return {"Name": f"{name}.", "Type": kind, "AliasTarget": leads, **more}


def judged(there: t.Sequence[Set], acts: t.Sequence[dict[str, t.Any]]) -> tuple[list[Set], str]:
    """(what a request leads to, why AWS refuses it or "")."""
    found = [_route53.canonical(one) for one in there]
    for act in acts:
        one = _route53.canonical(act["ResourceRecordSet"])
        what = f"resource record set [name='{one['Name']}', type='{one['Type']}']"
        same = [other for other in found if (other["Name"], other["Type"]) == (one["Name"], one["Type"])]
        if act["Action"] == "DELETE":
            if one not in found:
                return [], f"Tried to delete {what} but the values provided do not match the current values"
            found.remove(one)
            continue
        assert act["Action"] == "CREATE" and 0 <= one.get("Weight", 0) <= 255
        if any(other.get("SetIdentifier") == one.get("SetIdentifier") for other in same):
            return [], f"Tried to create {what} but it already exists"
        if any("SetIdentifier" not in other for other in [*same, *([one] if same else [])]):
            return [], f"RRSet {what} can't be created as other RRSets exist with the same name and type"
        found.append(one)
    return found, ""


@contextlib.contextmanager
def as_aws(zones: HostedZones, meanwhile: t.Callable[[], None] | None = None) -> t.Iterator[list[list[str]]]:
    """Yields the actions of each request. meanwhile: what somebody else does after the records were read."""
    call, sent = _aws.Client.call, []

    def judge(self: _aws.Client, service: str, operation: str, **params: t.Any) -> dict[str, t.Any]:
        if operation != "change_resource_record_sets":
            return call(self, service, operation, **params)
        if meanwhile:
            meanwhile()
        acts, there = params["ChangeBatch"]["Changes"], zones.sets(params["HostedZoneId"])
        sent.append([f"{act['Action']} {_route53.plain_name(act['ResourceRecordSet']['Name'])}" for act in acts])
        after, refused = judged(there, acts)
        if refused:
            error = ClientError({"Error": {"Code": "InvalidChangeBatch", "Message": f"[{refused}]"}}, operation)
            raise self._refusal(service, operation, error.response["Error"], params)
        gone = [{"Action": "DELETE", "ResourceRecordSet": one} for one in there]
        new = [{"Action": "UPSERT", "ResourceRecordSet": one} for one in after]
        return call(self, service, operation, **{**params, "ChangeBatch": {"Changes": gone + new}})

    with mock.patch.object(_aws.Client, "call", judge):
        yield sent
