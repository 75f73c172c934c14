# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighted target groups at AWS' load balancers: what is there, and what it is to be. Nothing here sends a request.

A forward is what carries weights: the default action of a listener, or the action of a rule of an Application Load
Balancer's listener. AWS replaces actions as a whole, so what stands beside the weights (authentication, order) is sent
along as it was.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ._module import Refusal

MAX_WEIGHT = 999
TOLERANCE = 0.5  # percentage points that still count as "as expected"
KINDS = {
    "network": ("TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC"),
    "application": ("HTTP", "HTTPS"),
}
Actions = list[dict[str, t.Any]]
Weights = dict[str, int]  # by target group's ARN


@dataclasses.dataclass(frozen=True)
class Pair:
    """Blue's target group and green's, by ARN; green's is empty while it does not exist."""

    blue: str
    green: str
    blue_name: str
    green_name: str

    def colour(self, arn: str) -> str:
        return {self.blue: "blue", self.green: "green"}.get(arn, "")


@dataclasses.dataclass(frozen=True)
class Forward:
    arn: str  # of the rule, or of the listener whose default action this is
    title: str  # for people: public:443, or public:443 rule 10
    listener: str  # its ARN
    hosts: tuple[str, ...]  # that the rule asks for; () where it asks for none
    whole: bool  # it asks for hosts and nothing else, or is the default action
    actions: Actions
    pair: Pair

    @property
    def is_rule(self) -> bool:
        return self.arn != self.listener

    @property
    def weights(self) -> Weights:
        return weights_in(self.actions) or {}

    @property
    def attached(self) -> bool:
        return self.pair.green in self.weights


# -- one action --------------------------------------------------------------------------------------------------------
def forwarding(actions: Actions) -> dict[str, t.Any] | None:
    return next((action for action in actions if action.get("Type") == "forward"), None)


def weights_in(actions: Actions) -> Weights | None:
    """None where nothing is forwarded. One target group alone has weight 1, as AWS has it."""
    action = forwarding(actions)
    if action is None:
        return None
    groups = (action.get("ForwardConfig") or {}).get("TargetGroups")
    if not groups:
        return {action["TargetGroupArn"]: 1} if action.get("TargetGroupArn") else {}
    return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}


def with_weights(actions: Actions, weights: Weights) -> Actions:
    """The actions with other weights, as AWS takes them. The secret of an identity provider is never told, so that what
    was read can only be written back by saying that the secret stays."""
    changed = copy.deepcopy(actions)
    for action in changed:
        if action.get("Type") == "forward":
            config = action.setdefault("ForwardConfig", {})
            config["TargetGroups"] = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
            action.pop("TargetGroupArn", None)  # would have to be the only one
        if "AuthenticateOidcConfig" in action:
            action["AuthenticateOidcConfig"]["UseExistingClientSecret"] = True
    return changed


def sticky(actions: Actions) -> bool:
    config = (forwarding(actions) or {}).get("ForwardConfig") or {}
    return bool((config.get("TargetGroupStickinessConfig") or {}).get("Enabled"))


def share(forward: Forward, weights: Weights | None = None) -> float | None:
    """Green's percentage, two decimals; None where nothing has weight."""
    found = forward.weights if weights is None else weights
    total = sum(found.values())
    return round(100 * found.get(forward.pair.green, 0) / total, 2) if total else None


def weights_for(percent: float) -> tuple[int, int]:
    """(blue's weight, green's). Whole percentages add up to 100, since they read well at night."""
    if percent == int(percent):
        return 100 - int(percent), int(percent)
    green = min(MAX_WEIGHT, max(1, round(10 * percent)))
    return 1000 - green, green


# -- finding forwards --------------------------------------------------------------------------------------------------
def pairs_of(wanted: t.Sequence[dict[str, str]], groups: t.Sequence[dict[str, t.Any]]) -> list[Pair]:
    """wanted: blue and green of each pair, as name or ARN. groups: as AWS describes them. A green one may be missing.

    Raises Refusal(bad_option, no_such_target_group).
    """
    known = {group[key]: group for group in groups for key in ("TargetGroupArn", "TargetGroupName")}
    pairs = []
    for entry in wanted:
        if entry["blue"] not in known:
            raise Refusal(
                "no_such_target_group",
                f"target_groups: blue's {entry['blue']} does not exist in this account and region. There are:"
                f" {', '.join(sorted(group['TargetGroupName'] for group in groups)) or 'none'}.",
                target_group=entry["blue"],
            )
        blue, green = known[entry["blue"]], known.get(entry["green"]) or {}
        pairs.append(
            Pair(
                blue["TargetGroupArn"],
                green.get("TargetGroupArn", ""),
                blue["TargetGroupName"],
                green.get("TargetGroupName") or entry["green"].rpartition("targetgroup/")[2].partition("/")[0],
            )
        )
    names = [name for pair in pairs for name in (pair.blue_name, pair.green_name)]
    if not pairs or len(names) != len(set(names)):
        raise Refusal("bad_option", f"target_groups: expected pairs of different target groups, found {names}.")
    return pairs


def hosts_of(rule: dict[str, t.Any]) -> tuple[str, ...]:
    found: list[str] = []
    for condition in rule.get("Conditions") or []:
        if condition.get("Field") == "host-header":
            found += (condition.get("HostHeaderConfig") or {}).get("Values") or condition.get("Values") or []
    return tuple(host.lower() for host in found)


def rule_title(listener: str, rule: dict[str, t.Any]) -> str:
    if rule.get("IsDefault") or rule["Priority"] == "default":
        return f"{listener} default"
    return f"{listener} rule {rule['Priority']}" + (f" ({', '.join(hosts_of(rule))})" if hosts_of(rule) else "")


def check_kind(kind: str, title: str, listener: dict[str, t.Any]) -> None:
    if listener["Protocol"] not in KINDS[kind]:
        raise Refusal(
            "other_kind",
            f"listener {title}: its protocol is {listener['Protocol']}; expected {' or '.join(KINDS[kind])}, as at"
            f" {'a Network' if kind == 'network' else 'an Application'} Load Balancer. Name other listeners, or use the"
            " other type of balancer.",
            listener=title,
        )


def make_forward(
    pairs: t.Sequence[Pair], arn: str, title: str, listener: str, actions: Actions, rule: dict[str, t.Any] | None = None
) -> Forward | None:
    """None where it forwards to no target group of ours. Raises Refusal(unmatched_target_group) where to others too."""
    weights = weights_in(actions) or {}
    mine = [pair for pair in pairs if pair.blue in weights or pair.green in weights]
    if not mine:
        return None
    others = [name_of(group) for group in weights if mine[0].colour(group) == ""]
    if others:
        raise Refusal(
            "unmatched_target_group",
            f"{title}: forwards to {mine[0].blue_name} and to {', '.join(others)}, which is neither its blue nor its"
            " green. Only one pair can share what is forwarded: take the others out, or name other listeners or hosts.",
            forward=title, target_groups=others,
        )  # fmt: skip
    conditions = (rule or {}).get("Conditions") or []
    whole = all(
        c.get("Field") == "host-header" and "RegexValues" not in (c.get("HostHeaderConfig") or {}) for c in conditions
    )
    return Forward(arn, title, listener, hosts_of(rule or {}), whole, actions, mine[0])


def name_of(arn: str) -> str:
    """A target group's name, which its ARN has."""
    return arn.split("/")[1] if arn.startswith("arn:") and "/" in arn else arn


def of_hosts(forwards: t.Sequence[Forward], hosts: t.Sequence[str], others: bool = False) -> list[Forward]:
    """The rules of these hosts alone, or all but these. Raises Refusal(shared_rule) where one serves both."""
    wanted, found = {host.lower() for host in hosts}, []
    for forward in forwards:
        mine, more = wanted & set(forward.hosts), set(forward.hosts) - wanted
        if mine and more:
            raise Refusal(
                "shared_rule",
                f"{forward.title}: serves {', '.join(sorted(mine))} and {', '.join(sorted(more))}."
                " A rule moves as a whole: name all its hosts, or give them rules of their own.",
                forward=forward.title,
            )
        if bool(mine) != others:
            found.append(forward)
    return found


def without_rule(
    forwards: t.Sequence[Forward], listeners: dict[str, str], hosts: t.Sequence[str]
) -> list[tuple[str, str]]:
    """(listener's ARN, host) where a host has no rule that takes all of its requests. listeners: title by ARN."""
    return [
        (arn, host.lower())
        for arn in listeners
        for host in hosts
        if not any(f.listener == arn and f.whole and host.lower() in f.hosts for f in forwards)
    ]


# -- planning ----------------------------------------------------------------------------------------------------------
def plan_percent(forward: Forward, percent: float, attach: bool) -> Weights:
    """The wanted weights. A share that is there already stays as it is written. attach: green's target group is there
    with weight 0 too, so that AWS begins to check its health. Raises Refusal(sticky)."""
    found = share(forward)
    if found == round(percent, 2) and (forward.attached or not attach):
        return forward.weights
    if sticky(forward.actions) and percent > (found or 0):
        raise Refusal(
            "sticky",
            f"{forward.title}: TargetGroupStickinessConfig.Enabled is true, expected false. Clients would stay with the"
            " target group that they once had, on the way to green and on the way back. Turn it off; stickiness within"
            " a target group may stay.",
            forward=forward.title,
        )
    blue, green = weights_for(percent)
    return {forward.pair.blue: blue, forward.pair.green: green}


def plan_weights(forwards: t.Sequence[Forward], wanted: dict[str, t.Any], attach: bool = False) -> dict[str, Weights]:
    """The given weights, by the forward's ARN. attach: green's target group, where it is attached and not among them,
    stays with weight 0. Raises Refusal(bad_option)."""
    plans: dict[str, Weights] = {}
    for forward in forwards:
        given = wanted.get(forward.arn)
        if given is None:
            continue
        if not isinstance(given, dict) or not given:
            raise Refusal("bad_option", f"weights: {forward.arn}: expected {{TARGET GROUP'S ARN: WEIGHT}}.")
        for group, weight in given.items():
            if not forward.pair.colour(group):
                raise Refusal("bad_option", f"weights: {forward.title} forwards to no {group}.")
            if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MAX_WEIGHT:
                raise Refusal(
                    "bad_option",
                    f"weights: {forward.title}, {name_of(group)}: {weight!r} is not a whole number from 0 to"
                    f" {MAX_WEIGHT}.",
                )
        kept = {forward.pair.green: 0} if attach and forward.attached else {}
        plans[forward.arn] = {**kept, **given}
    return plans


def check_expected(forward: Forward, expected: float, wanted: Weights | None) -> str | None:
    """What is wrong when the share is not the expected one. One that is at the wanted weights already is where a run
    that was killed left it."""
    found = share(forward)
    if wanted is not None and forward.weights == wanted:
        return None
    if found is not None and (found == expected if expected in (0, 100) else abs(found - expected) <= TOLERANCE):
        return None
    weights = ", ".join(f"{name_of(group)}={weight}" for group, weight in forward.weights.items())
    return f"{forward.title}: expected {expected:g} % on green, found {found} % ({weights})"


def common_share(forwards: t.Sequence[Forward], weights: dict[str, Weights] | None = None) -> float | None:
    """Green's share where it is one; "none" and "nearly none" are not one share."""
    values = [share(forward, (weights or {}).get(forward.arn)) for forward in forwards]
    known = [value for value in values if value is not None]
    if not known or len(known) != len(values) or max(known) - min(known) > TOLERANCE:
        return None
    if {0.0, 100.0} & set(known) and len(set(known)) > 1:
        return None
    return round(sum(known) / len(known), 2)


def ordered(forwards: t.Sequence[Forward], plans: dict[str, Weights]) -> list[Forward]:
    """What has to be written."""
    return [forward for forward in forwards if plans.get(forward.arn, forward.weights) != forward.weights]


def named(forwards: t.Sequence[Forward], plans: dict[str, Weights] | None = None) -> dict[str, dict[str, int]]:
    """For a diff: weights by target group's name, by forward."""
    return {
        f"ELB {forward.title}": {
            (forward.pair.green_name if not arn else name_of(arn)): weight
            for arn, weight in (plans or {}).get(forward.arn, forward.weights).items()
        }
        for forward in forwards
    }


# -- health ------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Health:
    """Of one target group: its targets' states by id, with the zone where it is known."""

    states: dict[str, str]
    zones: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, descriptions: t.Sequence[dict[str, t.Any]]) -> Health:
        states = {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in descriptions}
        zones = {d["Target"]["Id"]: d["Target"].get("AvailabilityZone", "") for d in descriptions}
        return cls(states, {target: zone for target, zone in zones.items() if zone and zone != "all"})

    @property
    def healthy(self) -> list[str]:
        return [target for target, state in self.states.items() if state == "healthy"]

    @property
    def word(self) -> str:
        if self.healthy:
            return "UP"
        return "UNCHECKED" if self.states and set(self.states.values()) == {"unavailable"} else "DOWN"

    def zones_served(self, zones: dict[str, str]) -> set[str]:
        known = {**self.zones, **zones}
        return {known[target] for target in self.healthy if target in known}

    @property
    def text(self) -> str:
        return ", ".join(f"{target} {state}" for target, state in sorted(self.states.items())) or "no targets"


def not_ready(pair: Pair, blue: Health, green: Health, zones: dict[str, str]) -> str | None:
    """Why green's target group can't take traffic, or None. zones: of instances, by id."""
    if not green.healthy:
        return f"target group {pair.green_name}: no target is healthy ({green.text})"
    lacking = blue.zones_served(zones) - green.zones_served(zones)
    if lacking:
        return (
            f"target group {pair.green_name}: no target is healthy in {', '.join(sorted(lacking))}, where"
            f" {pair.blue_name} has some ({green.text})"
        )
    return None


def servers(
    forwards: t.Sequence[Forward], health: dict[str, Health], plans: dict[str, Weights] | None = None
) -> list[dict[str, t.Any]]:
    """As docs/balancers.md wants them. AWS tells nobody how many connections are open, so scur is null."""
    found = []
    for forward in forwards:
        weights = (plans or {}).get(forward.arn, forward.weights)
        for arn, name in ((forward.pair.blue, forward.pair.blue_name), (forward.pair.green, forward.pair.green_name)):
            if arn not in weights and arn not in forward.weights:
                continue
            states = health.get(arn, Health({}))
            found.append(
                {
                    "backend": forward.title, "server": name, "colour": forward.pair.colour(arn),
                    "weight": weights.get(arn, 0), "admin": "ready", "health": states.word, "scur": None,
                    "targets": dict(sorted(states.states.items())), "arn": forward.arn, "target_group": arn,
                }
            )  # fmt: skip
    return found
