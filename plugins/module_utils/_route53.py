# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighted records of Route 53: whose they are, and which have to change. Nothing here sends a request.

A record set is kept as AWS tells it, since deleting one asks for all of it: whatever stands beside the weight (health
check, alias) goes back as it came. All record sets of one name and type are a group; a host is all groups of one name.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from . import _dns, _infrastructure
from ._module import Refusal

MAX_WEIGHT = 255
TOLERANCE = 0.5  # percentage points that still count as "as expected"
EXACT = 0.05  # by which weights may miss a wanted share
ALIAS_TTL = 60  # seconds for which Route 53 lets an alias be cached
ALIASED = ("A", "AAAA")
POLICIES = (
    "Region", "Failover", "GeoLocation", "MultiValueAnswer", "CidrRoutingConfig", "GeoProximityLocation",
    "TrafficPolicyInstanceId",
)  # fmt: skip
BATCH = 1000  # values that one request may have
Set = dict[str, t.Any]  # a ResourceRecordSet
Target = tuple[str, ...]  # what a record set leads to: values, or "alias" with zone and name


@dataclasses.dataclass(frozen=True)
class Side:
    """Where one side's clients are sent: values by type, or a name in a hosted zone of AWS' own."""

    values: dict[str, tuple[str, ...]]
    zone: str = ""
    name: str = ""

    def target(self, kind: str) -> Target | None:
        if self.zone:
            return ("alias", self.zone, plain_target(self.name)) if kind in ALIASED else None
        return ("values", *self.values[kind]) if kind in self.values else None

    def leads(self, like: Set) -> Set:
        """The fields of a record set that leads here; `like` is the other side's."""
        if self.zone:
            asked = (like.get("AliasTarget") or {}).get("EvaluateTargetHealth", False)
            alias = {"HostedZoneId": self.zone, "DNSName": f"{self.name}.", "EvaluateTargetHealth": asked}
            return {"AliasTarget": alias}
        return {"ResourceRecords": [{"Value": value} for value in self.values[like["Type"]]]}


@dataclasses.dataclass(frozen=True)
class Endpoint:
    blue: Side
    green: Side


@dataclasses.dataclass(frozen=True)
class Group:
    """wrong: why this can't be shared between blue and green, or ""."""

    name: str
    type: str
    sets: tuple[Set, ...]
    endpoint: Endpoint | None
    wrong: str = ""

    def of(self, colour: str) -> Set | None:
        side = getattr(self.endpoint, colour).target(self.type) if self.endpoint else None
        return next((one for one in self.sets if target_of(one) == side), None)

    @property
    def simple(self) -> bool:
        return all("SetIdentifier" not in one for one in self.sets)

    @property
    def share(self) -> float | None:
        """Green's percentage. Route 53 shares evenly where all weights are 0."""
        if not self.endpoint:
            return None
        weights = {colour: one.get("Weight", 1) for colour in _dns.COLOURS if (one := self.of(colour))}
        if not sum(weights.values()):
            weights = dict.fromkeys(weights, 1)
        return round(100 * weights.get("green", 0) / sum(weights.values()), 2)

    def plain(self) -> dict[str, t.Any]:
        return {"name": self.name, "type": self.type, "sets": list(self.sets)}


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    zone: str  # its id
    rrsets: tuple[Group, ...]

    @property
    def wrong(self) -> str:
        return "; ".join(f"{self.name} {group.type}: {group.wrong}" for group in self.rrsets if group.wrong)

    @property
    def share(self) -> float | None:
        """None if its types disagree, or if one is neither blue's nor green's."""
        shares = {group.share for group in self.rrsets}
        return shares.pop() if len(shares) == 1 else None

    @property
    def colour(self) -> str:
        """As _dns_journal asks for it: "" if it is left alone."""
        if self.wrong:
            return ""
        return {0: "blue", 100: "green"}.get(self.share, "both")  # type: ignore[arg-type]


class Change(t.NamedTuple):
    """before, after: all record sets of a host. What is in both is not touched."""

    host: Host
    before: tuple[Set, ...]
    after: tuple[Set, ...]

    def acts(self) -> list[dict[str, t.Any]]:
        """As AWS takes them. What is deleted has to be as it was read, or nothing of the request is done: so nobody
        else's change is written over."""
        gone = [one for one in self.before if one not in self.after]
        new = [one for one in self.after if one not in self.before]
        return [
            {"Action": action, "ResourceRecordSet": one}
            for action, sets in (("DELETE", gone), ("CREATE", new))
            for one in sets
        ]


# -- options ---------------------------------------------------------------------------------------------------------
def endpoints_of(options: t.Sequence[dict[str, t.Any]]) -> list[Endpoint]:
    """Raises Refusal(bad_option) unless a record can tell where it belongs."""
    found, seen = [], {}
    for index, option in enumerate(options):
        where = f"endpoints[{index}]"
        sides = {colour: _side(f"{where}.{colour}", option, colour) for colour in _dns.COLOURS}
        if bool(sides["blue"].zone) != bool(sides["green"].zone):
            raise Refusal("bad_option", f"{where}: found one of blue_zone and green_zone, expected both or none.")
        if sides["blue"].values.keys() != sides["green"].values.keys():
            kinds = {colour: "/".join(one.values) for colour, one in sides.items()}
            raise Refusal(
                "bad_option",
                f"{where}: blue has {kinds['blue']} and green has {kinds['green']}; expected the same types, since each"
                " record is shared.",
            )
        for colour, one in sides.items():
            for kind in [*one.values, *(ALIASED if one.zone else ())]:
                target = (kind, one.target(kind))
                other = seen.setdefault(target, f"{where}.{colour}")
                if other != f"{where}.{colour}":
                    raise Refusal(
                        "bad_option",
                        f"{where}.{colour}: {' '.join(option[colour])} is {other} too, so that a record does not say"
                        " whose it is. Give each side one of its own.",
                    )
        found.append(Endpoint(**sides))
    if not found:
        raise Refusal("bad_option", "endpoints is empty; name blue's and green's addresses.")
    return found


def _side(field: str, option: dict[str, t.Any], colour: str) -> Side:
    values = _dns.side(field, option[colour])
    zone = zone_id(option.get(f"{colour}_zone") or "")
    if not zone:
        return Side(values)
    if "CNAME" not in values:
        raise Refusal("bad_option", f"{field}: found addresses, expected the one name of an alias in {zone}.")
    return Side({}, zone, values["CNAME"][0].removesuffix("."))


def zone_id(text: str) -> str:
    return text.rpartition("/")[2]


def weights_for(percent: float) -> tuple[int, int]:
    """(blue's weight, green's). Whole percentages add up to 100. Raises Refusal(bad_option) where no two weights up to
    255 give the share."""
    if percent == int(percent):
        return 100 - int(percent), int(percent)
    best, missed = (0, 0), 100.0
    for total in range(2, 2 * MAX_WEIGHT + 1):
        green = min(max(round(percent * total / 100), 1), total - 1)
        miss = abs(100 * green / total - percent)
        if max(green, total - green) <= MAX_WEIGHT and miss < missed - 1e-9:
            best, missed = (total - green, green), miss
    if missed > EXACT:
        near = round(100 * best[1] / sum(best), 2)
        raise Refusal(
            "bad_option",
            f"green_percent: {percent:g} can't be given by weights from 0 to {MAX_WEIGHT}; the nearest is {near:g}.",
        )
    return best


# -- what is there ---------------------------------------------------------------------------------------------------
def plain_name(name: str) -> str:
    """As people write it: AWS writes the asterisk as an octal number."""
    return name.lower().replace("\\052", "*").removesuffix(".")


def plain_target(name: str) -> str:
    """The console writes dualstack. before the name of a load balancer, and means the same."""
    return plain_name(name).removeprefix("dualstack.")


def target_of(one: Set) -> Target:
    if "AliasTarget" in one:
        return "alias", zone_id(one["AliasTarget"]["HostedZoneId"]), plain_target(one["AliasTarget"]["DNSName"])
    return "values", *sorted(_value(one["Type"], record["Value"]) for record in one.get("ResourceRecords") or ())


def _value(kind: str, text: str) -> str:
    if kind == "CNAME":
        return f"{plain_name(text)}."
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def canonical(one: Set) -> Set:
    """AWS does not promise an order of values."""
    records = sorted(one.get("ResourceRecords") or (), key=lambda record: record["Value"])
    return {**one, **({"ResourceRecords": records} if records else {})}


def shown(one: Set) -> str:
    """Where a record set leads, for people."""
    kind, *rest = target_of(one)
    return f"alias {rest[1]}" if kind == "alias" else " ".join(rest) or "nothing"


def group_of(name: str, kind: str, sets: t.Sequence[Set], endpoints: t.Sequence[Endpoint]) -> Group:
    def wrong(text: str) -> Group:
        return Group(name, kind, tuple(sets), None, text)

    policies = sorted({policy for one in sets for policy in POLICIES if policy in one})
    if policies:
        return wrong(f"routing policy is {', '.join(policies)}, expected simple or weighted")
    targets = [target_of(one) for one in sets]
    for endpoint in endpoints:
        sides = [endpoint.blue.target(kind), endpoint.green.target(kind)]
        if set(targets) <= set(sides):
            if len(set(targets)) < len(targets):
                return wrong("several record sets lead to one side, expected one for each side")
            return Group(name, kind, tuple(sets), endpoint)
    return wrong(f"leads to {', '.join(map(shown, sets))}, which is not one of blue's with green's")


def hosts_in(
    zone: str, sets: t.Sequence[Set], names: t.Iterable[str], endpoints: t.Sequence[Endpoint]
) -> dict[str, Host]:  # fmt: skip
    """By name. A name without address or alias is left out."""
    by: dict[str, dict[str, list[Set]]] = {name: {} for name in names}
    for one in sets:
        if one["Type"] in _dns.TYPES and plain_name(one["Name"]) in by:
            by[plain_name(one["Name"])].setdefault(one["Type"], []).append(one)
    return {
        name: Host(name, zone, tuple(group_of(name, kind, own, endpoints) for kind, own in sorted(kinds.items())))
        for name, kinds in by.items()
        if kinds
    }


def check_wrong(hosts: t.Sequence[Host]) -> None:
    wrong = [host.wrong for host in hosts if host.wrong]
    if wrong:
        raise Refusal(
            "foreign_record",
            f"{'; '.join(wrong)}. Nothing was changed. Find out who set it; put it right, add it to endpoints, or leave"
            " the host out of hosts.",
            records=wrong,
        )


def check_expected(hosts: t.Sequence[Host], expected: float, wanted: float | None) -> None:
    """Raises Refusal(foreign_change). A host that is at the wanted share already is where a run that was killed left
    it."""
    done = None if wanted is None else given_by(wanted)
    wrong = []
    for host in hosts:
        exact = host.share == expected if expected in (0, 100) else abs((host.share or 0) - expected) <= TOLERANCE
        if not host.wrong and host.share != done and (host.share is None or not exact):
            wrong.append(f"{host.name}: expected {expected:g} % on green, found {said(host)}")
    if wrong:
        raise Refusal(
            "foreign_change",
            f"Somebody else changed the weights: {'; '.join(wrong)}. Nothing was changed. Find out who (infrastructure"
            " code that was applied), then go on from the share that is there, or set the expected one first.",
            hosts=wrong,
        )


def said(host: Host) -> str:
    if host.share is not None:
        return f"{host.share:g} %"
    return ", ".join(f"{group.type} {'?' if group.share is None else f'{group.share:g} %'}" for group in host.rrsets)


def given_by(percent: float) -> float:
    """The share that the weights for it give."""
    blue, green = weights_for(percent)
    return round(100 * green / (blue + green), 2)


def share(hosts: t.Sequence[Host]) -> float | None:
    """Green's share where it is one; "none" and "nearly none" are not one share."""
    values = [host.share for host in hosts]
    known = [value for value in values if value is not None]
    if not known or len(known) != len(values) or max(known) - min(known) > TOLERANCE:
        return None
    if {0.0, 100.0} & set(known) and len(set(known)) > 1:
        return None
    return round(sum(known) / len(known), 2)


# -- what has to change ----------------------------------------------------------------------------------------------
def changes(hosts: t.Sequence[Host], after: t.Callable[[Group], t.Sequence[Set]]) -> list[Change]:
    """after: the record sets that a group is to have. Hosts that are neither's are left."""
    found = []
    for host in hosts:
        if not host.wrong:
            before = tuple(one for group in host.rrsets for one in group.sets)
            found.append(Change(host, before, tuple(one for group in host.rrsets for one in after(group))))
    return [change for change in found if change.acts()]


def move(hosts: t.Sequence[Host], percent: float) -> list[Change]:
    return changes(hosts, lambda group: weighted(group, percent))


def weighted(group: Group, percent: float) -> list[Set]:
    """A share that is there already stays as it is written."""
    if group.share == given_by(percent):
        return list(group.sets)
    return [
        {**side_of(group, colour), "Weight": weight} for colour, weight in zip(_dns.COLOURS, weights_for(percent))
    ]


def side_of(group: Group, colour: str) -> Set:
    """One side's record set of weighted ones: its own, or made like the other side's. A health check is of one side."""
    own = group.of(colour)
    if own is not None:
        return {**own, "SetIdentifier": own.get("SetIdentifier", colour)}
    (like,) = group.sets
    taken = like.get("SetIdentifier") == colour
    made = {key: like[key] for key in ("Name", "Type", "TTL") if key in like}
    return {
        **made, "SetIdentifier": f"bluegreen-{colour}" if taken else colour,
        **getattr(group.endpoint, colour).leads(like),
    }  # fmt: skip


def lower(hosts: t.Sequence[Host], ttl: int) -> list[Change]:
    """No TTL above this one. An alias has none."""
    return changes(hosts, lambda group: [
        {**one, "TTL": min(ttl, one["TTL"])} if "TTL" in one else one for one in group.sets
    ])  # fmt: skip


def recorded(records: t.Sequence[dict[str, t.Any]]) -> dict[tuple[str, str], list[Set]]:
    """By name and type. Of several the last counts. Raises Refusal(bad_option)."""
    for one in records:
        if one.keys() != {"name", "type", "sets"} or not one["sets"]:
            raise Refusal("bad_option", f"records: {one} is not of name, type and sets.")
    return {(one["name"], one["type"]): one["sets"] for one in records}


def restore(hosts: t.Sequence[Host], records: t.Sequence[dict[str, t.Any]]) -> list[Change]:
    """As these records say. A type that a host has got since goes with its others."""
    known = recorded(records)

    def after(group: Group) -> t.Sequence[Set]:
        if (group.name, group.type) in known:
            return known[group.name, group.type]
        own = [sets for (name, _kind), sets in known.items() if name == group.name]
        like = group_of(group.name, own[0][0]["Type"], own[0], [group.endpoint]) if own and group.endpoint else None
        return group.sets if like is None or like.share is None else weighted(group, like.share)

    return changes(hosts, after)


def finish(hosts: t.Sequence[Host], records: t.Sequence[dict[str, t.Any]]) -> list[Change]:
    """Green alone is left, by the TTL that these records have, and simple if they are.

    Raises Refusal(not_all_green)."""
    known = recorded(records)
    wrong = [f"{host.name}: {said(host)}" for host in hosts if not host.wrong and host.share != 100]
    if wrong:
        raise Refusal(
            "not_all_green",
            f"finish: expected 100 % on green, found {'; '.join(wrong)}. Nothing was changed. Cut over first.",
        )

    def after(group: Group) -> t.Sequence[Set]:
        green, before = group.of("green"), known.get((group.name, group.type))
        if not before or green is None:
            return group.sets
        ttls = [one["TTL"] for one in before if "TTL" in one]
        left = {**green, **({"TTL": max(ttls)} if ttls and "TTL" in green else {})}
        if all("SetIdentifier" not in one for one in before):
            left = {key: value for key, value in left.items() if key not in ("SetIdentifier", "Weight")}
        return [left]

    return changes(hosts, after)


def with_changes(
    hosts: t.Sequence[Host], made: t.Sequence[Change], endpoints: t.Sequence[Endpoint]
) -> list[Host]:  # fmt: skip
    """The hosts as they will be."""
    after = {change.host.name: change.after for change in made}
    return [
        hosts_in(host.zone, after[host.name], [host.name], endpoints).get(host.name, host)
        if host.name in after else host
        for host in hosts
    ]  # fmt: skip


def batches(made: t.Sequence[Change]) -> list[list[Change]]:
    """As many hosts in one request as it may have. Each host is in one."""
    found: list[list[Change]] = []
    room = 0
    for change in made:
        need = sum(max(1, len(act["ResourceRecordSet"].get("ResourceRecords", ()))) for act in change.acts())
        if not found or need > room:
            found.append([])
            room = BATCH
        found[-1].append(change)
        room -= need
    return found


def reverse(change: Change) -> Change:
    return Change(change.host, change.after, change.before)


def stale_for(made: t.Sequence[Change]) -> int:
    """Seconds for which caches may keep giving out what is changed. A TTL that only rises makes nothing stale."""
    stale = 0
    for change in made:
        new = {(one["Type"], one.get("SetIdentifier")): one for one in change.after}
        for old in change.before:
            now = new.get((old["Type"], old.get("SetIdentifier")), {})
            if {**old, "TTL": 0} != {**now, "TTL": 0} or now.get("TTL", 0) < old.get("TTL", 0):
                stale = max(stale, old.get("TTL", ALIAS_TTL))
    return stale


# -- what is told ----------------------------------------------------------------------------------------------------
def diff(made: t.Sequence[Change]) -> dict[str, t.Any]:
    """{before, after}: {"Route 53 record NAME TYPE": {TTL, and the weight of each target}}."""
    return {
        when: {
            f"Route 53 record {change.host.name} {kind}": _told([one for one in sets if one["Type"] == kind])
            for change in made
            for sets in [getattr(change, when)]
            for kind in dict.fromkeys(one["Type"] for one in sets)
        }
        for when in ("before", "after")
    }


def _told(sets: t.Sequence[Set]) -> dict[str, t.Any]:
    ttl = {"ttl": sets[0]["TTL"]} if "TTL" in sets[0] else {}
    return {**ttl, **{shown(one): f"weight {one['Weight']}" if "Weight" in one else "simple" for one in sets}}


def backends(hosts: t.Sequence[Host]) -> list[dict[str, t.Any]]:
    """Each record with both sides' targets, as the seam of the balancers wants servers. DNS counts no sessions."""
    return [
        {
            "backend": f"{group.name} {group.type}", "server": shown(one), "colour": colour,
            "weight": one.get("Weight", 1), "admin": "ready", "health": "UNCHECKED", "scur": None,
            "name": one["Name"], "type": group.type, "ttl": one.get("TTL", ALIAS_TTL),
            "set_identifier": one.get("SetIdentifier", ""), "zone": host.zone,
        }
        for host in hosts
        for group in host.rrsets
        for colour in _dns.COLOURS
        if (one := group.of(colour))
    ]  # fmt: skip


def weights(hosts: t.Sequence[Host]) -> list[dict[str, t.Any]]:
    """The records in force, as infrastructure_files takes them."""
    found = []
    for host in hosts:
        for group in host.rrsets:
            if group.endpoint:
                ttls = [one["TTL"] for one in group.sets if "TTL" in one]
                found.append(
                    {"kind": "route53", "name": group.name, "record_type": group.type, "zone": host.zone,
                     "simple": group.simple, **({"ttl": max(ttls)} if ttls else {}),
                     "targets": [_target(group, one) for one in group.sets]}
                )  # fmt: skip
    return found


def made(hosts: t.Sequence[Host], before: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Weighted record sets that came beside such as were there before, as infrastructure_files takes resources. One that
    was simple is the same resource when clean-up is over. Raises Refusal(bad_option)."""
    known = recorded(before)
    found = []
    for host in hosts:
        for group in host.rrsets:
            there = {one.get("SetIdentifier") for one in known.get((group.name, group.type), ())}
            if not there or None in there or group.simple:
                continue
            for colour in _dns.COLOURS:
                one = group.of(colour)
                if one and one["SetIdentifier"] not in there:
                    # As the provider's page of aws_route53_record has it.
                    of = "_".join((host.zone, group.name, group.type, one["SetIdentifier"]))
                    name = _infrastructure.record_name(group.name, colour)
                    found.append({"type": "aws_route53_record", "name": name, "id": of})
    return found


def _target(group: Group, one: Set) -> dict[str, t.Any]:
    target = {"weight": one.get("Weight", 1), "colour": "green" if one is group.of("green") else "blue"}
    if "SetIdentifier" in one:
        target["set_identifier"] = one["SetIdentifier"]
    if "HealthCheckId" in one:
        target["health_check"] = one["HealthCheckId"]
    if "AliasTarget" in one:
        alias = one["AliasTarget"]
        health = {"alias_zone": zone_id(alias["HostedZoneId"]), "alias_health": alias["EvaluateTargetHealth"]}
        return {"name": alias["DNSName"].removesuffix("."), **target, **health}
    return {"name": " ".join(target_of(one)[1:]), **target}
