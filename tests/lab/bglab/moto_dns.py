"""Answers for the hosted zone that is in moto, as Route 53's servers give them, for as long as it runs."""

from __future__ import annotations

import random
import socketserver
import threading
import time
import typing as t

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from . import moto
from .moto_bridge import EVERY, client

Set = dict[str, t.Any]


class Zone:
    """The zone's record sets, by name and type. read() is called by one thread, while others answer."""

    def __init__(self) -> None:
        self._client = client("route53")
        self._id = moto.ZONE_ID.read_text()
        self._sets: dict[tuple[str, str], list[Set]] = {}

    def read(self) -> None:
        found: dict[tuple[str, str], list[Set]] = {}
        pages = self._client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self._id)
        for one in (one for page in pages for one in page["ResourceRecordSets"]):
            name = one["Name"].replace(r"\052", "*").lower()
            found.setdefault((name, one["Type"]), []).append(one)
        self._sets = found

    def answer(self, name: str, kind: str) -> Set | None:
        """One of its record sets, as often as its weight says: by turns of chance, as Route 53 has it. A wildcard stands
        for names that are not there themselves."""
        labels = name.split(".")
        owners = [name, *(".".join(["*", *labels[up:]]) for up in range(1, len(labels)))]
        sets = next((found for owner in owners if (found := self._sets.get((owner, kind)))), [])
        weights = [one.get("Weight", 1) for one in sets]
        if not any(weights):
            weights = [1] * len(sets)  # all are 0: each as often as the others
        return random.choices(sets, weights)[0] if sets else None


class Answers(socketserver.BaseRequestHandler):
    zone: Zone

    def handle(self) -> None:
        wire, sock = self.request
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        asked = query.question[0]
        kind = dns.rdatatype.to_text(asked.rdtype)
        if found := self.zone.answer(asked.name.to_text().lower(), kind):
            values = [record["Value"] for record in found["ResourceRecords"]]
            reply.answer.append(dns.rrset.from_text_list(asked.name, found["TTL"], "IN", kind, values))
        sock.sendto(reply.to_wire(), self.client_address)


def main() -> None:
    Answers.zone = zone = Zone()
    zone.read()
    server = socketserver.ThreadingUDPServer((moto.ADDRESS, 53), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        zone.read()
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
