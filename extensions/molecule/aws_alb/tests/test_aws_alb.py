# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live traffic follows the weights of Application Load Balancers, there and back, and loses no request.

The API is moto's; the lab's bridge makes HAProxy follow it.
"""

from __future__ import annotations

import typing as t

import aws
import pytest


@pytest.fixture(scope="module")
def cutover() -> t.Iterator[aws.Cutover]:
    yield aws.Cutover("aws_alb", ("front", "front-passthrough"))


def test_the_lab_is_as_it_was_found(cutover: aws.Cutover) -> None:
    assert set(cutover.shares().values()) == {0} and set(cutover.haproxy().values()) == {0}
    assert cutover.greens() == [] and cutover.open_ports() & aws.GREEN_PORTS == set()


def test_half_of_the_connections_go_to_green(cutover: aws.Cutover) -> None:
    cutover.play({"mesh_cutover_steps": [50]}, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert set(cutover.shares().values()) == {50}
    assert len(cutover.greens()) == 4 and cutover.open_ports() >= aws.GREEN_PORTS
    assert set(cutover.haproxy().values()) == {50}
    # HAProxy's own counters, over clients' connections that are made from now on.
    assert 45 < cutover.measured(connections=200) < 55


def test_a_second_run_changes_no_weight(cutover: aws.Cutover) -> None:
    before = cutover.raw()
    cutover.play({"mesh_cutover_steps": [50]}, "--tags", "cutover")
    assert cutover.raw() == before


def test_what_somebody_else_sets_is_noticed(cutover: aws.Cutover) -> None:
    before = cutover.raw()
    listener = next(iter(before))
    cutover.set(listener, [10, 90])
    said = cutover.fails({"mesh_cutover_steps": [50, 75]}, "--tags", "cutover")
    assert "Listeners or instances have different shares" in said
    cutover.set(listener, [50, 50])
    assert cutover.raw() == before


def test_the_way_back_leaves_nothing(cutover: aws.Cutover) -> None:
    cutover.play({"mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert cutover.greens() == [] and cutover.open_ports() & aws.GREEN_PORTS == set()
    assert set(cutover.shares().values()) == {0} and set(cutover.haproxy().values()) == {0}
    assert cutover.measured(connections=50) == 0


def test_no_request_was_lost(cutover: aws.Cutover) -> None:
    total, errors = cutover.traffic()
    assert total["failed"] == 0, errors
    assert total["requests"] > 3000
