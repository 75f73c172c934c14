# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import circuit_breaker as trap
from fake_mesh import both, mesh, only, thing

POOL = {"tcp": {"maxConnections": 100}}


def rule(ref="shop/web", host="web", **spec):
    return ("destination_rules", thing("DestinationRule", ref, {"host": host, **spec}))


def test_a_limit_of_each_proxy():
    finding = only(trap, mesh(rule(trafficPolicy={"connectionPool": POOL})))
    assert finding.severity == "warning" and finding.object == "DestinationRule shop/web"
    assert finding.field == "spec.trafficPolicy.connectionPool.tcp.maxConnections"
    assert finding.found.startswith("maxConnections 100, for each proxy by itself: blue has 1 pods; with as many")


@pytest.mark.parametrize(
    ("blue", "green", "words"),
    [
        (2, 2, "2 times as much while both serve (workload"),
        (2, 4, "3 times as much while both serve, and 2 times on green alone"),
        (4, 2, "1.5 times as much while both serve, and 0.5 times on green alone"),
    ],
)
def test_it_doubles_or_halves_with_the_pods(blue, green, words):
    sides = both({"replicas": blue}, {"replicas": green})
    assert words in only(trap, mesh(*sides, rule(trafficPolicy={"connectionPool": POOL}))).found


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"subsets": [{"name": "v1", "trafficPolicy": {"connectionPool": POOL}}]}, "spec.subsets[0].trafficPolicy"),
        (
            {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "connectionPool": POOL}]}},
            "spec.trafficPolicy.portLevelSettings[0]",
        ),
    ],
)
def test_in_subsets_and_for_ports(spec, field):
    assert only(trap, mesh(rule(**spec))).field == f"{field}.connectionPool.tcp.maxConnections"


def test_every_limit_is_named():
    pool = {"http": {"http2MaxRequests": 5, "http1MaxPendingRequests": 7}}
    assert "http1MaxPendingRequests 7, http2MaxRequests 5" in only(trap, mesh(rule(trafficPolicy={"connectionPool": pool}))).found


def test_rules_without_limits_or_for_others_are_fine():
    assert trap.check(mesh(rule(trafficPolicy={"connectionPool": {"http": {"idleTimeout": "5s"}}}))) == []
    assert trap.check(mesh(rule(trafficPolicy={"outlierDetection": {"consecutive5xxErrors": 5}}))) == []
    assert trap.check(mesh(rule(host="other", trafficPolicy={"connectionPool": POOL}))) == []
    assert trap.check(mesh(rule(exportTo=["."], trafficPolicy={"connectionPool": POOL}))) == []
