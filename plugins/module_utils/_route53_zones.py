# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing hosted zones of Route 53: all hosts of a request together, and all requests, or none."""

from __future__ import annotations

import time
import typing as t

from . import _dns, _route53
from ._aws import Client
from ._module import Refusal

POLL = 2.0  # seconds between two looks at whether all of Route 53's servers have a change


class Zones:
    """ids: of hosted zones; timeout: seconds that Route 53's servers have to take a change over."""

    def __init__(self, client: Client, ids: t.Sequence[str], timeout: float) -> None:
        self.client, self.timeout = client, timeout
        self.ids = [_route53.zone_id(one) for one in ids]
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise Refusal("bad_option", f"zones: expected ids of different hosted zones, found {list(ids)}.")
        self.names: dict[str, str] = {}  # of zones, by id

    # -- reading -----------------------------------------------------------------------------------------------------
    def read(
        self, hosts: t.Sequence[str], endpoints: t.Sequence[_route53.Endpoint], missing: str
    ) -> tuple[list[_route53.Host], list[str]]:
        """The hosts, in their order, and those without a record. missing: refuse or skip.

        Raises Refusal(no_such_zone, bad_option, no_record)."""
        if not self.names:
            self._read_names()
        known: dict[str, _route53.Host] = {}
        where = {host: _dns.zone_of(host, self.names.values()) for host in hosts}
        for zone, name in self.names.items():
            mine = [host for host in hosts if where[host] == name]
            if mine:
                known |= _route53.hosts_in(zone, self.record_sets(zone), mine, endpoints)
        without = [host for host in hosts if host not in known]
        if without and missing == "refuse":
            raise Refusal(
                "no_record",
                f"No A, AAAA or CNAME record in {', '.join(self.names.values())} for {', '.join(without)}. Nothing was"
                " changed. Leave these out of hosts, or add their zone to zones.",
                hosts=without,
            )
        return [known[host] for host in hosts if host in known], without

    def _read_names(self) -> None:
        for zone in self.ids:
            try:
                name = self.client.call("route53", "get_hosted_zone", Id=zone)["HostedZone"]["Name"]
            except Refusal as refusal:
                if refusal.details.get("error") != "NoSuchHostedZone":
                    raise
                raise Refusal(
                    "no_such_zone",
                    f"zones: this account has no hosted zone {zone}. Look for its id: aws route53 list-hosted-zones.",
                    zone=zone,
                ) from refusal
            plain = _route53.plain_name(name)
            if plain in self.names.values():
                raise Refusal(
                    "bad_option",
                    f"zones: found two of the name {plain} (one public, one private?), expected one, since a host is"
                    " in one zone. Move them one after the other.",
                )
            self.names[zone] = plain

    def record_sets(self, zone: str) -> list[_route53.Set]:
        """All of them, in pages. A page may begin with what the one before ended with."""
        found: dict[tuple[str, str, str], _route53.Set] = {}
        params: dict[str, t.Any] = {"HostedZoneId": zone}
        while True:
            answer = self.client.call("route53", "list_resource_record_sets", **params)
            for one in answer["ResourceRecordSets"]:
                found[one["Name"], one["Type"], one.get("SetIdentifier", "")] = one
            if not answer.get("IsTruncated"):
                return list(found.values())
            for ask in ("Name", "Type", "Identifier"):
                params.pop(f"StartRecord{ask}", None)
                if answer.get(f"NextRecord{ask}"):
                    params[f"StartRecord{ask}"] = answer[f"NextRecord{ask}"]

    # -- writing -----------------------------------------------------------------------------------------------------
    def apply(self, changes: t.Sequence[_route53.Change]) -> None:
        """Returns when every server of Route 53 has them. When a request is refused, those before it are taken back.

        Raises Refusal(foreign_change, set_failed, not_in_sync, aws, unreachable)."""
        done: list[list[_route53.Change]] = []
        waiting = []
        for zone in self.ids:
            for batch in _route53.batches([change for change in changes if change.host.zone == zone]):
                try:
                    waiting.append(self._write(zone, batch))
                except Refusal as exc:
                    if not done:
                        raise
                    raise Refusal(exc.code, f"{exc} {self._take_back(done)}", **exc.details) from exc
                done.append(batch)
        for change_id in filter(None, waiting):
            self._await(change_id)
        self._read_back(changes)

    def _write(self, zone: str, batch: t.Sequence[_route53.Change]) -> str:
        """The id of what AWS has to do yet; empty if its answer was lost."""
        acts = [act for change in batch for act in change.acts()]
        request = {"HostedZoneId": zone, "ChangeBatch": {"Changes": acts}}
        try:
            return self.client.call("route53", "change_resource_record_sets", **request)["ChangeInfo"]["Id"]
        except Refusal as exc:
            if exc.code == "unreachable":  # the answer may be what was lost, and not the request
                if self._lacking(zone, batch):
                    raise
                return ""
            if exc.details.get("error") != "InvalidChangeBatch":
                raise
            names = ", ".join(change.host.name for change in batch)
            raise Refusal(
                "foreign_change",
                f"Hosted zone {self.names[zone]} ({zone}): {exc} Nothing of {names} was changed. If somebody else"
                " changed one of them since it was read, find out who and look again.",
                zone=zone,
            ) from exc

    def _lacking(self, zone: str, batch: t.Sequence[_route53.Change]) -> list[str]:
        """Hosts that are not as they were to become."""
        there = [_route53.canonical(one) for one in self.record_sets(zone)]
        found = []
        for change in batch:
            before, after = ([_route53.canonical(one) for one in sets] for sets in (change.before, change.after))
            if any(one not in there for one in after) or any(one in there for one in before if one not in after):
                found.append(change.host.name)
        return found

    def _await(self, change_id: str) -> None:
        end = time.monotonic() + self.timeout
        while self.client.call("route53", "get_change", Id=change_id)["ChangeInfo"]["Status"] != "INSYNC":
            if time.monotonic() > end:
                raise Refusal(
                    "not_in_sync",
                    f"After {self.timeout:g} s change {change_id} is PENDING, expected INSYNC: some servers of Route 53"
                    " still give the records of before. Run this again.",
                )
            time.sleep(POLL)

    def _read_back(self, changes: t.Sequence[_route53.Change]) -> None:
        for zone in self.ids:
            mine = [change for change in changes if change.host.zone == zone]
            wrong = self._lacking(zone, mine) if mine else []
            if wrong:
                raise Refusal(
                    "set_failed",
                    f"Hosted zone {self.names[zone]} ({zone}) took the change, and then had other records for"
                    f" {', '.join(wrong)}. Somebody else changes them at the same time; look again.",
                    hosts=wrong,
                )

    def _take_back(self, done: t.Sequence[list[_route53.Change]]) -> str:
        said = []
        for batch in reversed(done):
            zone, names = batch[0].host.zone, ", ".join(change.host.name for change in batch)
            try:
                self._write(zone, [_route53.reverse(change) for change in batch])
                said.append(f"{names} have their records of before again.")
            except Refusal as exc:
                said.append(f"{names} could NOT be put back, do that by hand: {exc}")
        return " ".join(said)
