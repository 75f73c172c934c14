"""moto's server, with the rules of Route 53 that moto does not keep: python -m bglab.moto_server -H ADDRESS -p PORT

moto deletes a record set whatever values are named, and with it all that have its set identifier in the whole zone; takes a
simple one beside weighted ones; does not carry out a request that deletes and makes a weighted one; and does half of a
request that it refuses. AWS carries out all of a request or nothing of it, asks for a record set as it is to delete
it, and has simple record sets and others of one name and type exclude each other (API reference of
ChangeResourceRecordSets, "Values specific for weighted records").
"""

from __future__ import annotations

import typing as t

from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet, Route53Backend
from moto.server import main


def record_set(asked: dict[str, t.Any]) -> RecordSet:
    """As moto keeps it. AWS writes a wildcard's asterisk as an octal code, takes both, and ends names with a dot."""
    values = [record["Value"] for record in asked.get("ResourceRecords", ())]
    name = asked["Name"].rstrip(".") + "."
    return RecordSet({**asked, "Name": name.replace("*", r"\052"), "ResourceRecords": values})


def known_by(one: RecordSet) -> tuple[str, t.Any, t.Any]:
    return one.name.lower(), one.type, one.set_identifier


def as_it_is(one: RecordSet) -> dict[str, t.Any]:
    """What two record sets are compared by: AWS promises no order of values."""
    return {**vars(one), "name": one.name.lower(), "records": sorted(one.records)}


def judged(there: t.Sequence[RecordSet], changes: t.Sequence[dict[str, t.Any]]) -> list[RecordSet]:
    """The record sets that a request leads to. Raises Route53ClientError, as AWS would answer."""
    found = list(there)
    for change in changes:
        one = record_set(change["ResourceRecordSet"])
        what = f"resource record set [name='{one.name}', type='{one.type}', set identifier='{one.set_identifier}']"
        same = next((other for other in found if known_by(other) == known_by(one)), None)
        if change["Action"] == "DELETE":
            if same is None:
                refuse(f"Tried to delete {what} but it was not found")
            if as_it_is(same) != as_it_is(one):
                refuse(f"Tried to delete {what} but the values provided do not match the current values")
            found.remove(same)
            continue
        if same and change["Action"] == "CREATE":
            refuse(f"Tried to create {what} but it already exists")
        if one.weight is not None and not 0 <= one.weight <= 255:
            refuse(f"{what}: weight {one.weight} is not between 0 and 255")
        beside = [other for other in found if other is not same and known_by(other)[:2] == known_by(one)[:2]]
        if beside and None in {other.set_identifier for other in [one, *beside]}:
            refuse(f"RRSet {what} cannot be created as other RRSets exist with the same name and type")
        if same:
            found.remove(same)
        found.append(one)
    return found


def refuse(why: str) -> t.NoReturn:
    raise Route53ClientError("InvalidChangeBatch", f"[{why}]")


def change_resource_record_sets(backend: Route53Backend, zoneid: str, changes: list[dict[str, t.Any]]) -> None:
    zone = backend.get_hosted_zone(zoneid)
    zone.rrsets = judged(zone.rrsets, changes)


if __name__ == "__main__":
    Route53Backend.change_resource_record_sets = change_resource_record_sets  # type: ignore[method-assign, assignment]
    main()
