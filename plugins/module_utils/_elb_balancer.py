# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing AWS' load balancers: all listeners of a gateway together, or none."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import _elb, _elb_rules
from ._aws import Client
from ._elb import Forward, Health, Pair, Weights
from ._module import Refusal

POLL = 2.0  # seconds between two looks at something that takes its time
SETTLE = 10.0  # seconds in which a write has to be readable
INSTANCES = 200  # that are asked for at once


@dataclasses.dataclass(frozen=True)
class View:
    """What was read. listeners: title by ARN; every: forwards of all hosts; forwards: those that are ours to move."""

    listeners: dict[str, str]
    rules: dict[str, list[dict[str, t.Any]]]  # by listener's ARN, of an Application Load Balancer
    every: list[Forward]
    forwards: list[Forward]
    balancers: list[str]  # ARNs
    hosts: t.Sequence[str] | None = None

    @property
    def shared(self) -> list[Forward]:
        """What decides about the traffic that is ours: where a host has no rule of its own yet, the default action."""
        bare = {arn for arn, _host in _elb.without_rule(self.forwards, self.listeners, self.hosts or [])}
        return self.forwards + [forward for forward in self.every if forward.arn in bare]


class Balancer:
    def __init__(
        self, client: Client, kind: str, listeners: t.Sequence[str], target_groups: t.Sequence[dict[str, str]],
        hosts: t.Sequence[str] | None = None, except_hosts: t.Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        if not listeners or len(set(listeners)) != len(listeners):
            raise Refusal(
                "bad_option", f"listeners: expected a list of different listeners, found {list(listeners or [])}."
            )
        for name in listeners:
            if not name.startswith("arn:") and not name.rpartition(":")[2].isdigit():
                raise Refusal("bad_option", f"listeners: {name!r}: expected an ARN, or LOAD BALANCER'S NAME:PORT.")
        for option, given in (("hosts", hosts), ("except_hosts", except_hosts)):
            if given is not None and (kind != "application" or not given):
                raise Refusal("bad_option", f"{option}: found {given}; expected hosts, at an Application Load Balancer.")
        self.client, self.kind, self.hosts, self.except_hosts = client, kind, hosts, except_hosts
        self._listeners, self._wanted = list(listeners), list(target_groups)
        self.pairs: list[Pair] = []
        self.groups: dict[str, dict[str, t.Any]] = {}

    # -- reading -----------------------------------------------------------------------------------------------------
    def read_groups(self) -> None:
        """All target groups at once, since one that does not exist fails a request for several."""
        found = self.client.pages("elbv2", "describe_target_groups", "TargetGroups")
        self.groups = {group["TargetGroupArn"]: group for group in found}
        self.pairs = _elb.pairs_of(self._wanted, found)

    def read(self) -> View:
        """Raises Refusal(no_such_load_balancer, no_such_listener, other_kind, not_forwarded, ...)."""
        if not self.pairs:
            self.read_groups()
        described = self._describe_listeners()
        titles, rules, every = {}, {}, []
        for title, listener in described.items():
            _elb.check_kind(self.kind, title, listener)
            arn = listener["ListenerArn"]
            titles[arn] = title
            found = []
            if self.kind == "network":
                found = [_elb.make_forward(self.pairs, arn, title, arn, listener["DefaultActions"])]
            else:
                rules[arn] = self.client.pages("elbv2", "describe_rules", "Rules", ListenerArn=arn)
                for rule in rules[arn]:
                    default = rule.get("IsDefault") or rule["Priority"] == "default"
                    named = _elb.rule_title(title, rule)
                    at = arn if default else rule["RuleArn"]
                    found.append(_elb.make_forward(self.pairs, at, named, arn, rule["Actions"], rule))
            mine = [forward for forward in found if forward]
            if not mine:
                actions = listener["DefaultActions"]
                says = ", ".join(map(_elb.name_of, _elb.weights_in(actions) or {})) or actions[0]["Type"]
                raise Refusal(
                    "not_forwarded",
                    f"listener {title}: its default action is {says}{', and no rule forwards' if rules else ''};"
                    f" expected one of blue's target groups ({', '.join(pair.blue_name for pair in self.pairs)}). Leave out"
                    " a listener that only redirects, or correct target_groups.",
                    listener=title,
                )  # fmt: skip
            every += mine
        forwards = every
        if self.hosts is not None or self.except_hosts is not None:
            forwards = _elb.of_hosts(every, self.hosts or self.except_hosts or [], others=self.hosts is None)
        balancers = sorted({listener["LoadBalancerArn"] for listener in described.values()})
        return View(titles, rules, every, forwards, balancers, self.hosts)

    def _describe_listeners(self) -> dict[str, dict[str, t.Any]]:
        """By title, in the order in which they were asked for."""
        arns = [name for name in self._listeners if name.startswith("arn:")]
        named = [name.rpartition(":")[::2] for name in self._listeners if not name.startswith("arn:")]
        found: dict[str, dict[str, t.Any]] = {}
        if arns:
            for listener in self.client.pages("elbv2", "describe_listeners", "Listeners", ListenerArns=arns):
                found[f"{listener['ListenerArn'].split('/')[2]}:{listener['Port']}"] = listener
        if named:
            names = sorted({name for name, _port in named})
            balancers = self.client.pages("elbv2", "describe_load_balancers", "LoadBalancers", Names=names)
            at = {}
            for balancer in balancers:
                arn = balancer["LoadBalancerArn"]
                for listener in self.client.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn):
                    at[balancer["LoadBalancerName"], str(listener["Port"])] = listener
            for name, port in named:
                if (name, port) not in at:
                    ports = ", ".join(p for n, p in at if n == name) or "none"
                    raise Refusal(
                        "no_such_listener",
                        f"listeners: load balancer {name} has no listener on port {port}. It has: {ports}.",
                        listener=f"{name}:{port}",
                    )
                found[f"{name}:{port}"] = at[name, port]
        return found

    def health(self) -> dict[str, Health]:
        """Of each target group of the pairs that exists; by ARN."""
        arns = [arn for pair in self.pairs for arn in (pair.blue, pair.green) if arn]
        return {arn: self.target_health(arn) for arn in arns}

    def target_health(self, arn: str) -> Health:
        answer = self.client.call("elbv2", "describe_target_health", TargetGroupArn=arn)
        return Health.of(answer.get("TargetHealthDescriptions") or [])

    def zones(self, health: dict[str, Health]) -> dict[str, str]:
        """Zones of all instances, by id."""
        ids = sorted({target for state in health.values() for target in state.states if target.startswith("i-")})
        return {instance["InstanceId"]: instance["Placement"]["AvailabilityZone"] for instance in self.instances(ids)}

    def instances(self, ids: t.Sequence[str]) -> list[dict[str, t.Any]]:
        found = []
        for start in range(0, len(ids), INSTANCES):
            some = list(ids[start : start + INSTANCES])
            for reservation in self.client.pages("ec2", "describe_instances", "Reservations", InstanceIds=some):
                found += reservation["Instances"]
        return found

    # -- planning ------------------------------------------------------------------------------------------------------
    def plan(
        self, view: View, percent: float | None, weights: dict[str, t.Any] | None, attach: bool, dry: bool
    ) -> dict[str, Weights]:
        """By the forward's ARN. dry: green's target groups and rules may be made later.

        Raises Refusal(no_such_target_group, host_without_rule), or as _elb's plans do.
        """
        if weights is not None:
            return _elb.plan_weights(view.every, weights, attach)
        if percent is None:
            return {}
        missing = [pair.green_name for pair in self.pairs if not pair.green]
        if missing and (percent or attach) and not dry:
            raise Refusal(
                "no_such_target_group",
                f"target_groups: green's {', '.join(missing)} does not exist. Make it as blue's is, with green's"
                " NodePort, or have it made: missing: make (elb_target_group_twin).",
                missing=missing,
            )
        if self.hosts is not None and percent and not dry:
            bare = _elb.without_rule(view.forwards, view.listeners, self.hosts)
            if bare:
                raise Refusal(
                    "host_without_rule",
                    "hosts: no rule takes all requests of "
                    + ", ".join(f"{host} at {view.listeners[arn]}" for arn, host in bare)
                    + ". Give it a rule of its own, or have a temporary one made: temporary_rules.",
                    hosts=sorted({host for _arn, host in bare}),
                )
        return {forward.arn: _elb.plan_percent(forward, percent, attach) for forward in view.forwards}

    def await_health(
        self, view: View, plans: dict[str, Weights], timeout: float, dry: bool = False
    ) -> dict[str, Health]:
        """Returns every target group's health once all that are to have more traffic can take it. dry: of what is not
        attached nothing is known, as AWS does not check it.

        Raises Refusal(green_not_up, no_server_up).
        """
        changed = _elb.ordered(view.every, plans)
        raised = {f.pair for f in changed if (_elb.share(f, plans[f.arn]) or 0) > (_elb.share(f) or 0)}
        raised = {f.pair for f in changed if f.pair in raised and (f.attached or not dry)}
        kept = {forward.pair for forward in changed if plans[forward.arn].get(forward.pair.blue)}
        end = time.monotonic() + timeout
        while True:
            health = self.health()
            zones = self.zones(health) if raised else {}
            sick = [_elb.not_ready(p, health[p.blue], health.get(p.green, Health({})), zones) for p in raised]
            sick = sorted(text for text in sick if text)
            if not sick:
                break
            if time.monotonic() > end:
                raise Refusal(
                    "green_not_up",
                    f"green would get traffic, but {'; '.join(sick)}, after {timeout:g} s. Look at green's status"
                    " NodePort from a node, at the health check's port and at the nodes' security groups.",
                    target_groups=sorted(p.green_name for p in raised),
                )
            time.sleep(POLL)
        down = sorted(pair.blue_name for pair in kept if not health[pair.blue].healthy and pair not in raised)
        if down:
            raise Refusal(
                "no_server_up",
                f"blue would get traffic, but {', '.join(down)} has no healthy target. Repair it, or set require_health"
                " to false.",
                target_groups=down,
            )
        return health

    # -- writing -------------------------------------------------------------------------------------------------------
    def write(self, forward: Forward, weights: Weights) -> None:
        actions = _elb.with_weights(forward.actions, weights)
        if forward.is_rule:
            self.client.call("elbv2", "modify_rule", RuleArn=forward.arn, Actions=actions)
        else:
            self.client.call("elbv2", "modify_listener", ListenerArn=forward.arn, DefaultActions=actions)

    def make_rule(self, default: Forward, host: str, priority: int, tags: dict[str, str]) -> None:
        """A rule for one host that does what a listener's default action does."""
        self.client.call(
            "elbv2", "create_rule", ListenerArn=default.listener, Priority=priority,
            Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
            Actions=_elb.with_weights(default.actions, default.weights),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )  # fmt: skip

    def every_listener(self, view: View) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
        """(load balancer's ARN, listener) of all that these load balancers have, named to us or not."""
        for arn in view.balancers:
            for listener in self.client.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn):
                yield arn, listener

    def rules_of(self, view: View, listener: str) -> list[dict[str, t.Any]]:
        """Of a listener of an Application Load Balancer, by its ARN."""
        known = view.rules.get(listener)
        return self.client.pages("elbv2", "describe_rules", "Rules", ListenerArn=listener) if known is None else known

    def check_rule_quota(self, view: View, new: t.Sequence[str]) -> None:
        """new: a listener's ARN for each rule. The quota is one of the load balancer, default rules not counted."""
        told = self.client.pages("elbv2", "describe_account_limits", "Limits")
        limit = next((int(entry["Max"]) for entry in told if entry["Name"] == _elb_rules.LIMIT), None)
        rules, mine = dict.fromkeys(view.balancers, 0), dict.fromkeys(view.balancers, 0)
        for arn, listener in self.every_listener(view):
            at = listener["ListenerArn"]
            rules[arn] += sum(not _elb_rules.is_default(rule) for rule in self.rules_of(view, at))
            mine[arn] += list(new).count(at)
        for arn in view.balancers:
            _elb_rules.check_quota(arn.split("/")[-2], rules[arn], mine[arn], limit)

    def apply(self, view: View, plans: dict[str, Weights]) -> View:
        """Sets the weights everywhere and reads them back; on any failure all are put back.

        Raises Refusal(set_failed) with details put_back and not_put_back, by title.
        """
        touched: list[Forward] = []
        try:
            for forward in _elb.ordered(view.every, plans):
                touched.append(forward)
                self.write(forward, plans[forward.arn])
            return self._read_back({forward.arn: plans[forward.arn] for forward in touched})
        except Refusal as exc:
            done, failed = self._put_back(touched)
            outcome = (
                f"Their weights could NOT be put back: {'; '.join(failed)}. Set them by hand." if failed else
                f"The weights of before are in force again at {', '.join(done)}." if done else
                "Nothing had been changed."
            )  # fmt: skip
            raise Refusal(
                "set_failed", f"{str(exc).rstrip('.')}. {outcome}", cause=exc.code, put_back=done, not_put_back=failed
            ) from exc

    def _read_back(self, wanted: dict[str, Weights]) -> View:
        end = time.monotonic() + SETTLE
        while True:
            view = self.read()
            found = {forward.arn: forward for forward in view.every}
            wrong = [arn for arn, weights in wanted.items() if arn not in found or found[arn].weights != weights]
            if not wrong:
                return view
            if time.monotonic() > end:
                says = "; ".join(
                    f"{found[arn].title}: {found[arn].weights}" if arn in found else f"{arn} is gone" for arn in wrong
                )
                raise Refusal("set_failed", f"the weights did not stay: {says}")
            time.sleep(POLL / 4)

    def _put_back(self, touched: t.Sequence[Forward]) -> tuple[list[str], list[str]]:
        """Last first. What was never written is at its weights still, so that writing them again does no harm."""
        done, failed = [], []
        for forward in reversed(touched[:-1]):
            try:
                self.write(forward, forward.weights)
                done.append(forward.title)
            except Refusal as exc:
                failed.append(f"{forward.title}: {exc}")
        # Whether the last one took it is not known.
        for forward in touched[-1:]:
            try:
                now = {f.arn: f.weights for f in self.read().every}
                if now.get(forward.arn, forward.weights) != forward.weights:
                    self.write(forward, forward.weights)
                    done.append(forward.title)
            except Refusal as exc:
                failed.append(f"{forward.title}: {exc}")
        return done, failed
