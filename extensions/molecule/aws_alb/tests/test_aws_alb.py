# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and back by Application Load Balancers, of everything, and of one host after another."""

from __future__ import annotations

import aws
import lab
import pytest
import yaml

BALANCER = yaml.safe_load((lab.ROOT / "tests/demo/backends/aws_alb.yml").read_text(encoding="utf-8"))["mesh_balancer"]
# The bridge brings HAProxy what listeners do by default, and no rules: clients do not see hosts move.
GATE = {"min_samples": 100, "min_green_samples": 0, "p99_floor_ms": 5000}


class TestApplicationLoadBalancers(aws.ThereAndBack):
    kind, balancers = "aws_alb", ("front", "front-passthrough")


class TestHostsOneAfterAnother:
    """By rules of their own, which are made for it. The tests build on each other, in their order."""

    @pytest.fixture
    def cutover(self) -> aws.Cutover:
        return aws.Cutover("aws_alb", ("front", "front-passthrough"))

    def moving(self, **hosts: list[str]) -> dict:
        balancer = {**BALANCER, "temporary_rules": True, **hosts}
        return {"mesh_balancer": balancer, "mesh_cutover_steps": [100], "mesh_gate": GATE}

    def test_a_host_without_a_rule_gets_one_and_moves_alone(self, cutover: aws.Cutover) -> None:
        cutover.play(self.moving(hosts=["orders.lab.test"]), "--tags", "preflight,keep,bind,deploy,verify,cutover")
        assert cutover.rules() == {"orders.lab.test": {100}} and set(cutover.shares().values()) == {0}

    def test_the_next_host_begins_at_nothing(self, cutover: aws.Cutover) -> None:
        cutover.play(self.moving(hosts=["catalog.lab.test"]), "--tags", "cutover")
        assert cutover.rules() == {"orders.lab.test": {100}, "catalog.lab.test": {100}}
        assert set(cutover.shares().values()) == {0}

    def test_hosts_of_different_shares_are_not_moved_together(self, cutover: aws.Cutover) -> None:
        said = cutover.fails(self.moving(hosts=["orders.lab.test", "shop.lab.test"]), "--tags", "cutover")
        assert "different shares" in said and cutover.rules()["orders.lab.test"] == {100}

    def test_a_rule_stays_while_it_gives_green_more_than_the_default_action(self, cutover: aws.Cutover) -> None:
        done = cutover.finalise(self.moving(hosts=["orders.lab.test"]))
        assert done.returncode != 0 and "Move the other hosts, or this one back, first" in done.stdout, done.stdout[-4000:]
        assert cutover.rules() == {"orders.lab.test": {100}, "catalog.lab.test": {100}}

    def test_clean_up_removes_the_rules_once_everything_is_greens(self, cutover: aws.Cutover) -> None:
        others = self.moving(except_hosts=["orders.lab.test", "catalog.lab.test"])
        cutover.play(others, "--tags", "cutover")
        assert set(cutover.shares().values()) == {100}
        done = cutover.finalise(others)
        assert done.returncode == 0, done.stdout[-4000:]
        assert cutover.rules() == {} and set(cutover.shares().values()) == {100}

    def test_an_abort_gives_blue_all_of_them_back(self, cutover: aws.Cutover) -> None:
        cutover.play(self.moving(except_hosts=["orders.lab.test", "catalog.lab.test"]), "--tags", "abort")
        assert set().union(*cutover.rules().values(), {0}) == {0} and set(cutover.shares().values()) == {0}
        assert cutover.greens() == []
