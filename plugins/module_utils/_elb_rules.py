# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary rules, by which a host that shares a listener's default action can move by itself."""

from __future__ import annotations

import fnmatch
import typing as t

from . import _elb
from ._module import Refusal

TAG = "bluegreen.mesh/temporary-for"  # on rules that were made here, with the host
LAST = 50000  # the highest number that a priority may have
LIMIT = "rules-per-application-load-balancer"
Rule = dict[str, t.Any]


def is_default(rule: Rule) -> bool:
    return bool(rule.get("IsDefault")) or rule["Priority"] == "default"


def taken_by(rules: t.Sequence[Rule], host: str) -> Rule | None:
    """The rule that takes all requests of a host, before the default action does."""
    for rule in sorted((r for r in rules if not is_default(r)), key=lambda r: int(r["Priority"])):
        conditions = rule.get("Conditions") or []
        whole = all(condition.get("Field") == "host-header" for condition in conditions)
        if conditions and whole and any(fnmatch.fnmatchcase(host, pattern) for pattern in _elb.hosts_of(rule)):
            return rule
    return None


def new_rules(
    title: str, rules: t.Sequence[Rule], default: _elb.Forward | None, hosts: t.Iterable[str]
) -> list[tuple[str, int]]:
    """(host, priority) of each rule that a listener lacks. It comes last, so that it takes from nobody but the default
    action. Raises Refusal(shared_rule, not_forwarded, no_priority)."""
    made = []
    priority = max([int(rule["Priority"]) for rule in rules if not is_default(rule)], default=0)
    for host in hosts:
        rule = taken_by(rules, host)
        if rule is not None:
            if _elb.hosts_of(rule) == (host,):
                continue
            raise Refusal(
                "shared_rule",
                f"{_elb.rule_title(title, rule)}: takes {host} and others. Give {host} a rule of its own before it, or"
                " move all its hosts.",
                host=host,
            )
        if default is None or any(action["Type"].startswith("authenticate") for action in default.actions):
            why = (
                "does not forward to blue" if default is None else "authenticates with a secret that AWS does not tell"
            )
            raise Refusal(
                "not_forwarded",
                f"listener {title}: {host} has no rule, and the default action {why}; expected one that can be copied."
                f" Make the rule for {host} by hand.",
                host=host,
            )
        priority += 1
        if priority > LAST:
            raise Refusal(
                "no_priority",
                f"listener {title}: a rule for {host} has to come last, and a rule has the priority {LAST} already."
                " Renumber the rules.",
                host=host,
            )
        made.append((host, priority))
    return made


def check_quota(title: str, there: int, new: int, limit: int | None) -> None:
    if limit is not None and there + new > limit:
        raise Refusal(
            "quota",
            f"load balancer {title}: has {there} rules, {new} more are needed, and the quota {LIMIT} is {limit}. Have"
            " it raised, or move fewer hosts at a time.",
            there=there, new=new, limit=limit,
        )  # fmt: skip


def check_removal(forward: _elb.Forward, default: _elb.Forward | None) -> None:
    """Refuses to remove a rule whose requests would then go elsewhere. Raises Refusal(still_needed)."""
    then = _elb.share(default) if default else None
    if _elb.share(forward) != then:
        raise Refusal(
            "still_needed",
            f"{forward.title}: gives green {_elb.share(forward)} %, and without it the default action would, which"
            f" gives green {then} %; expected the same. Move the other hosts, or this one back, first.",
            forward=forward.title,
        )
