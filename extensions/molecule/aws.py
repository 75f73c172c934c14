# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios of AWS' load balancers share: half a migration and back under live traffic, as moto's API and
HAProxy itself show it. The API is moto's; the lab's bridge makes HAProxy follow it."""

from __future__ import annotations

import csv
import http.client
import json
import os
import pathlib
import re
import subprocess
import time
import typing as t

import boto3
import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

GREEN_PORTS = {30081, 30444, 30022, 32081, 32444, 32022}
Row = dict[str, str]


def ask(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/", headers={"Host": "shop.lab.test"})
    answer = client.getresponse()
    answer.read()
    assert answer.status == 301


class Cutover:
    def __init__(self, kind: str, balancers: tuple[str, ...]) -> None:
        self._kind, self._balancers = kind, balancers
        make = {"region_name": "eu-west-1", "endpoint_url": "http://172.30.0.44:5000"}
        self._elb, self._ec2 = boto3.client("elbv2", **make), boto3.client("ec2", **make)
        self._autoscaling = boto3.client("autoscaling", **make)
        self._folder = f"{os.environ['LAB_STATE']}/traffic-{kind}"
        self._settings = {
            "mesh_migration": f"by-{kind.replace('_', '-')}",
            "mesh_journal_namespace": f"mesh-{kind.replace('_', '-')}",
            "mesh_traffic": {"probe": {"dir": self._folder}},
            **lab.QUICK,
            **lab.UNHURRIED,
        }

    # -- migrate.yml -------------------------------------------------------------------------------------------------
    def _run(self, settings: dict[str, t.Any], *argv: str) -> t.Any:
        backend = f"@tests/demo/backends/{self._kind}.yml"
        return lab.play({**self._settings, **settings}, "--extra-vars", backend, *argv)

    def play(self, settings: dict[str, t.Any], *argv: str) -> None:
        done = self._run(settings, *argv)
        assert done.returncode == 0, done.stdout[-4000:]

    def kill(self, settings: dict[str, t.Any], *argv: str, when: t.Callable[[], bool]) -> None:
        """Starts a run, and kills it as soon as `when`."""
        backend = f"@tests/demo/backends/{self._kind}.yml"
        lab.kill_when(when, {**self._settings, **settings}, "--extra-vars", backend, *argv)

    def hand_over(self, infrastructure: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
        """What cleanup says to the infrastructure code, and asks of its plans."""
        backend = ("--extra-vars", f"@tests/demo/backends/{self._kind}.yml")
        settings = {**self._settings, "mesh_infrastructure": infrastructure}
        return lab.part(settings, "cleanup", "handover.yml", argv=backend)

    def finalise(self, settings: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
        """What clean-up says to the balancer before it removes anything."""
        backend = ("--extra-vars", f"@tests/demo/backends/{self._kind}.yml")
        return lab.part({**self._settings, **settings}, "cutover", "finalise.yml", argv=backend)

    def fails(self, settings: dict[str, t.Any], *argv: str) -> str:
        done = self._run(settings, *argv)
        assert done.returncode != 0, done.stdout[-4000:]
        return str(done.stdout)

    def journal(self, cluster: Cluster) -> dict[str, t.Any]:
        space, name = self._settings["mesh_journal_namespace"], self._settings["mesh_migration"]
        data = cluster.get(path_of("v1", "configmaps", space, name))["data"]
        return {part: json.loads(data[part]) for part in ("run", "facts")}

    def balancer(self) -> dict[str, t.Any]:
        backend = (lab.ROOT / f"tests/demo/backends/{self._kind}.yml").read_text(encoding="utf-8")
        return dict(yaml.safe_load(backend)["mesh_balancer"])

    # -- moto --------------------------------------------------------------------------------------------------------
    def raw(self) -> dict[str, list[tuple[str, int]]]:
        """Target group and weight, by the listener's ARN."""
        found = {}
        for balancer in self._elb.describe_load_balancers(Names=list(self._balancers))["LoadBalancers"]:
            arn = balancer["LoadBalancerArn"]
            for listener in self._elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
                (action,) = listener["DefaultActions"]
                groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
                found[listener["ListenerArn"]] = [(group["TargetGroupArn"], group["Weight"]) for group in groups]
        assert len(found) == 4
        return found

    def shares(self) -> dict[str, float]:
        found = {}
        for arn, groups in self.raw().items():
            green = sum(weight for group, weight in groups if "-green/" in group)
            found[arn] = 100 * green / sum(weight for _group, weight in groups)
        return found

    def rules(self) -> dict[str, set[float]]:
        """Host -> green's shares, by the rules for it alone at all listeners."""
        found: dict[str, set[float]] = {}
        for listener in self.raw():
            for rule in self._elb.describe_rules(ListenerArn=listener)["Rules"]:
                hosts = [host for one in rule["Conditions"] for host in one.get("HostHeaderConfig", {}).get("Values", [])]
                groups = [group for one in rule["Actions"] for group in one.get("ForwardConfig", {}).get("TargetGroups", [])]
                if len(hosts) == 1 and groups:
                    green = sum(group["Weight"] for group in groups if "-green/" in group["TargetGroupArn"])
                    found.setdefault(hosts[0], set()).add(100 * green / sum(group["Weight"] for group in groups))
        return found

    def set(self, listener: str, weights: list[int]) -> None:
        groups = [{"TargetGroupArn": arn, "Weight": w} for (arn, _old), w in zip(self.raw()[listener], weights)]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
        self._elb.modify_listener(ListenerArn=listener, DefaultActions=[action])

    def greens(self) -> list[str]:
        names = [group["TargetGroupName"] for group in self._elb.describe_target_groups()["TargetGroups"]]
        return [name for name in names if name.endswith("-green")]

    def open_ports(self) -> set[int]:
        (group,) = self._ec2.describe_security_groups(GroupNames=["nodes"])["SecurityGroups"]
        return {rule["FromPort"] for rule in group["IpPermissions"]}

    def nodes_are_replaced_by(self, check: str) -> None:
        """EC2: when the instance fails; ELB: also when a target group does not call it healthy."""
        self._autoscaling.update_auto_scaling_group(AutoScalingGroupName="nodes", HealthCheckType=check)

    def attached(self) -> set[str]:
        """Target groups that the nodes' Auto Scaling group registers its nodes in, by ARN."""
        (group,) = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"]
        return set(group["TargetGroupARNs"])

    # -- HAProxy -----------------------------------------------------------------------------------------------------
    def haproxy(self) -> dict[str, float]:
        """Green's share by the weights in force, once the bridge has brought what the API says."""
        wanted = sorted(self.shares().values())
        end = time.monotonic() + 30
        while True:
            weights, found = lab.weights(), {}
            for name in {server.partition("/")[0] for server in weights}:
                mine = {server: weight for server, weight in weights.items() if server.startswith(f"{name}/")}
                green = sum(weight for server, weight in mine.items() if "/green-" in server)
                found[name] = 100 * green / sum(mine.values())
            if sorted(found.values()) == wanted or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def _connections(self) -> dict[str, int]:
        rows = csv.DictReader(lab.ask("show stat").removeprefix("# ").splitlines())
        found = {"blue": 0, "green": 0}
        for row in rows:
            colour = row["svname"].partition("-")[0]
            if colour in found:
                found[colour] += int(row["stot"])
        return found

    def measured(self, connections: int) -> float:
        """Green's share, in percent, of new connections: as many of ours, and those that the clients make meanwhile."""
        before = self._connections()
        for _number in range(connections):
            client = http.client.HTTPConnection("172.30.0.20", 80, timeout=5)
            ask(client)
            client.close()
        now = self._connections()
        new = {colour: now[colour] - before[colour] for colour in now}
        assert sum(new.values()) >= connections, new
        return 100 * new["green"] / sum(new.values())

    def traffic(self) -> tuple[dict[str, t.Any], t.Any]:
        seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(self._folder)))
        return seen["total"], str(seen["errors"])


class ThereAndBack:
    """Live traffic follows the weights, there and back, and loses no request. The tests build on each other, in their
    order; a scenario's own class only says what they are about."""

    kind: str
    balancers: tuple[str, ...]

    @pytest.fixture
    def cutover(self) -> Cutover:
        return Cutover(self.kind, self.balancers)

    def test_the_lab_is_as_it_was_found(self, cutover: Cutover) -> None:
        assert set(cutover.shares().values()) == {0} and set(cutover.haproxy().values()) == {0}
        assert cutover.greens() == [] and cutover.open_ports() & GREEN_PORTS == set()

    def test_half_of_the_connections_go_to_green(self, cutover: Cutover) -> None:
        cutover.play({"mesh_cutover_steps": [50]}, "--tags", "preflight,keep,bind,deploy,verify,cutover")
        assert set(cutover.shares().values()) == {50}
        assert len(cutover.greens()) == 4 and cutover.open_ports() >= GREEN_PORTS
        assert set(cutover.haproxy().values()) == {50}
        # HAProxy's own counters, over clients' connections that are made from now on.
        assert 45 < cutover.measured(connections=200) < 55

    def test_a_second_run_changes_no_weight(self, cutover: Cutover) -> None:
        before = cutover.raw()
        cutover.play({"mesh_cutover_steps": [50]}, "--tags", "cutover")
        assert cutover.raw() == before

    def test_the_infrastructure_code_is_told_what_there_is(self, cutover: Cutover, tmp_path: pathlib.Path) -> None:
        done = cutover.hand_over({"dir": str(tmp_path)})
        assert done.returncode == 0, done.stdout[-4000:]
        imports = (tmp_path / "imports.tf").read_text(encoding="utf-8")
        greens = {arn for groups in cutover.raw().values() for arn, _weight in groups if "-green/" in arn}
        assert len(greens) == 4 and all(f'"{arn}"' in imports for arn in greens), imports
        assert (tmp_path / "snippets" / "attachments.tf").exists()
        listeners = (tmp_path / "snippets" / "listeners.tf").read_text(encoding="utf-8")
        assert all(arn in listeners for arn in greens), listeners
        assert set(re.findall(r"weight = (\d+)", listeners)) == {"50"}, listeners

    def test_a_plan_that_takes_the_migration_back_is_refused(self, cutover: Cutover, tmp_path: pathlib.Path) -> None:
        listener, groups = next(iter(cutover.raw().items()))
        (blue,) = (arn for arn, _weight in groups if "-green/" not in arn)

        def said(*targets: tuple[str, int]) -> dict[str, t.Any]:
            one = targets[0][0] if len(targets) == 1 else ""
            blocks = [{"stickiness": [], "target_group": [{"arn": arn, "weight": weight} for arn, weight in targets]}]
            action = {"type": "forward", "order": 1, "target_group_arn": one, "forward": [] if one else blocks}
            return {"arn": listener, "id": listener, "port": 443, "protocol": "TCP", "default_action": [action]}

        change = {"actions": ["update"], "before": said(*groups), "after": said((blue, 1)), "after_unknown": {},
                  "before_sensitive": {}, "after_sensitive": {}}  # fmt: skip
        of = {"address": "aws_lb_listener.one", "mode": "managed", "type": "aws_lb_listener", "name": "one",
              "provider_name": "registry.terraform.io/hashicorp/aws", "change": change}  # fmt: skip
        plan = tmp_path / "plan.json"
        whole = {"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": [of]}
        plan.write_text(json.dumps(whole), encoding="utf-8")
        done = cutover.hand_over({"dir": str(tmp_path), "plans": [str(plan)]})
        assert done.returncode != 0 and "Do not apply this plan" in done.stdout, done.stdout[-4000:]
        change["after"], change["actions"] = change["before"], ["no-op"]
        plan.write_text(json.dumps(whole), encoding="utf-8")
        done = cutover.hand_over({"dir": str(tmp_path), "plans": [str(plan)]})
        assert done.returncode == 0, done.stdout[-4000:]

    def test_what_somebody_else_sets_is_noticed(self, cutover: Cutover) -> None:
        before = cutover.raw()
        listener = next(iter(before))
        cutover.set(listener, [10, 90])
        said = cutover.fails({"mesh_cutover_steps": [50, 75]}, "--tags", "cutover")
        assert "Listeners or instances have different shares" in said
        cutover.set(listener, [50, 50])
        assert cutover.raw() == before

    def test_a_step_whose_run_was_killed_is_taken_back(self, cutover: Cutover, cluster: Cluster) -> None:
        """By the watchdog, at all listeners, as if the run had come to one of them only."""
        # Samples that never come: the run is in the gate until it is killed.
        gate = {"min_samples": 10**9, "deadline": 600}
        watched = {"mesh_cutover_steps": [75], "mesh_watchdog": {"deadline": 60}, "mesh_gate": gate}

        def at_the_gate() -> bool:
            """The module that has made the step outlives its run, and would take half a step back itself."""
            facts = cutover.journal(cluster)["facts"]
            return set(cutover.shares().values()) == {75} and float(facts.get("watchdog_at") or 0) > float(facts["share"]["at"])

        cutover.kill(watched, "--tags", "cutover", when=at_the_gate)
        first, *others = cutover.raw()
        for listener in others:
            cutover.set(listener, [50, 50])
        assert cutover.shares()[first] == 75
        lab.until(lambda: set(cutover.shares().values()) == {50}, 300)
        lab.until(lambda: cutover.journal(cluster)["run"]["state"] == "closed", 300)
        assert cutover.journal(cluster)["run"]["operator"] == "watchdog"
        left = cutover.journal(cluster)["facts"]["share"]
        assert (left["asked"], left["settled"], left["judged"]) == (50, 50, True)

    def test_no_node_is_replaced_because_blue_goes(self, cutover: Cutover) -> None:
        """As clean-up sees to it; the rollback below takes it back."""
        mine = {arn for groups in cutover.raw().values() for arn, _weight in groups}
        blues = {arn for arn in mine if "-green/" not in arn}
        assert cutover.attached() >= mine
        cutover.nodes_are_replaced_by("ELB")
        done = cutover.finalise({"mesh_balancer": {**cutover.balancer(), "missing": "refuse"}})
        assert done.returncode != 0 and "HealthCheckType is ELB" in done.stdout, done.stdout[-4000:]
        assert cutover.attached() >= mine
        done = cutover.finalise({})
        assert done.returncode == 0, done.stdout[-4000:]
        assert cutover.attached() & mine == mine - blues

    def test_what_greens_connections_need_stays_while_they_are_open(self, cutover: Cutover) -> None:
        clients = [http.client.HTTPConnection("172.30.0.20", 80, timeout=5) for _number in range(12)]
        for client in clients:  # half of them at green
            ask(client)
            assert client.sock is not None, "it stays open"
        said = cutover.fails({"mesh_rollback_to": "cutover", "mesh_rollback_wait": 5}, "--tags", "rollback")
        assert "New connections go to blue, but after 5 s green is still in use" in said, said[-4000:]
        assert set(cutover.shares().values()) == {0} == set(cutover.haproxy().values())
        mine = {arn for groups in cutover.raw().values() for arn, _weight in groups}
        assert len(mine) == 8 and cutover.attached() >= mine, "all are attached, blue's again"
        assert len(cutover.greens()) == 4 and cutover.open_ports() >= GREEN_PORTS
        for client in clients:
            opened = client.sock
            ask(client)
            assert client.sock is opened
            client.close()

    def test_the_way_back_leaves_nothing(self, cutover: Cutover) -> None:
        cutover.nodes_are_replaced_by("EC2")
        cutover.play({"mesh_rollback_to": "keep"}, "--tags", "rollback")
        assert cutover.greens() == [] and cutover.open_ports() & GREEN_PORTS == set()
        assert set(cutover.shares().values()) == {0} and set(cutover.haproxy().values()) == {0}
        assert cutover.measured(connections=50) == 0

    def test_no_request_was_lost(self, cutover: Cutover) -> None:
        total, errors = cutover.traffic()
        assert total["failed"] == 0, str(errors)
        assert total["requests"] > 3000
