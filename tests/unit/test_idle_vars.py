# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where it is looked whether a side is still in use: mesh_soak.sources of both sides, as the role hands them to
traffic_idle_info."""

from __future__ import annotations

import typing as t

import pytest
import role_tasks
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bluegreen.mesh.plugins.module_utils.idle_sources import SOURCES

SERVERS = {"runtime_apis": ["tcp:lb1:9999"], "backends": ["http", "https"]}
BOTH = {**SERVERS, "blue_servers": "^blue-", "green_servers": "^green-"}
HAPROXY, NLB = {"type": "haproxy", **BOTH}, {"type": "aws_nlb", "region": "eu-central-1"}
WORKLOADS = [
    {"blue": {"namespace": "edge", "service": name}, "green": {"namespace": "gw", "release": f"{name}-gateway"}}
    for name in ("public", "passthrough")
]
BLUE_PODS, GREEN_PODS = ["edge/public", "edge/passthrough"], ["gw/public-gateway", "gw/passthrough-gateway"]
BLUE_SERVERS, GREEN_SERVERS = {**SERVERS, "servers": "^blue-"}, {**SERVERS, "servers": "^green-"}
QUERIES = {"url": "https://prometheus.test", "open_connections": 'sum(open{ns="$colour"})', "timeout": 3.0}
COMBINED, OWN = {"files": ["/var/log/all.log"], "only": " http/blue-"}, {"files": ["/var/log/green.log"]}


def looked_at(
    sources: dict[str, t.Any] | None, balancer: dict[str, t.Any] | None = None, journey: str = "gateway"
) -> list[dict[str, t.Any]]:
    """Blue's sources and green's; each has to be as the module takes it."""
    given = {
        "mesh_soak": {} if sources is None else {"sources": sources}, "mesh_workloads": WORKLOADS,
        "mesh_journey": journey, **({} if balancer is None else {"mesh_balancer": balancer}),
    }  # fmt: skip
    of = role_tasks.load("mesh/vars/main.yml")
    sides = [role_tasks.evaluate(of[f"_mesh_idle_{side}"], **given) for side in ("blue", "green")]
    taken = ArgumentSpecValidator({name: {"type": "dict", "options": s.OPTIONS} for name, s in SOURCES.items()})
    for side in sides:
        assert taken.validate(side).error_messages == [], side
    return sides


# fmt: off
@pytest.mark.parametrize(
    ("sources", "balancer", "blue", "green"),
    [
        (None, None, {"gateway": {"services": BLUE_PODS}}, {"gateway": {"services": GREEN_PODS}}),
        (None, NLB, {"gateway": {"services": BLUE_PODS}}, {"gateway": {"services": GREEN_PODS}}),
        # HAProxy is asked where it is the balancer, whether named or not, and its settings need not be said again.
        (None, HAPROXY,
         {"gateway": {"services": BLUE_PODS}, "haproxy": BLUE_SERVERS},
         {"gateway": {"services": GREEN_PODS}, "haproxy": GREEN_SERVERS}),
        ({"gateway": {"counts": ["requests"]}}, HAPROXY,
         {"gateway": {"services": BLUE_PODS, "counts": ["requests"]}, "haproxy": BLUE_SERVERS},
         {"gateway": {"services": GREEN_PODS, "counts": ["requests"]}, "haproxy": GREEN_SERVERS}),
        ({"haproxy": {}}, HAPROXY, {"haproxy": BLUE_SERVERS}, {"haproxy": GREEN_SERVERS}),
        ({"haproxy": {"backends": ["http"], "timeout": 2.0}}, HAPROXY,
         {"haproxy": {**BLUE_SERVERS, "backends": ["http"], "timeout": 2.0}},
         {"haproxy": {**GREEN_SERVERS, "backends": ["http"], "timeout": 2.0}}),
        ({"haproxy": BOTH}, NLB, {"haproxy": BLUE_SERVERS}, {"haproxy": GREEN_SERVERS}),
        ({"access_log": {"blue": COMBINED, "green": OWN, "format": "haproxy", "ignore": ["probe"]}}, NLB,
         {"access_log": {**COMBINED, "format": "haproxy", "ignore": ["probe"]}},
         {"access_log": {**OWN, "format": "haproxy", "ignore": ["probe"]}}),
        # Without green's logs, this source is not asked before a rollback.
        ({"gateway": {}, "access_log": {"blue": COMBINED}}, NLB,
         {"gateway": {"services": BLUE_PODS}, "access_log": COMBINED}, {"gateway": {"services": GREEN_PODS}}),
        ({"prometheus": QUERIES}, NLB,
         {"prometheus": {**QUERIES, "colour": "blue"}}, {"prometheus": {**QUERIES, "colour": "green"}}),
        ({"prometheus": {**QUERIES, "blue": "edge", "green": "gw"}}, NLB,
         {"prometheus": {**QUERIES, "colour": "edge"}}, {"prometheus": {**QUERIES, "colour": "gw"}}),
    ],
    ids=[
        "nothing said", "nothing said, another balancer", "nothing said, haproxy", "gateway", "haproxy",
        "haproxy in part", "haproxy behind another balancer", "access_log", "access_log of blue alone", "prometheus",
        "prometheus, named sides",
    ],
)
# fmt: on
def test_each_side_is_looked_at_by_its_own_name(sources, balancer, blue, green):
    assert looked_at(sources, balancer) == [blue, green]


def test_all_of_them_are_asked_together():
    sources = {"gateway": {}, "haproxy": {}, "access_log": {"blue": COMBINED, "green": COMBINED}, "prometheus": QUERIES}
    blue, green = looked_at(sources, HAPROXY)
    assert blue.keys() == green.keys() == SOURCES.keys()


def test_an_ingress_controller_has_no_such_pods():
    """Blue of one journey, green of the other."""
    assert looked_at(None, HAPROXY, "ingress_to_istio") == [{"haproxy": BLUE_SERVERS}, {"haproxy": GREEN_SERVERS}]
    assert looked_at(None, HAPROXY, "istio_to_linkerd") == [
        {"gateway": {"services": BLUE_PODS}, "haproxy": BLUE_SERVERS}, {"haproxy": GREEN_SERVERS},
    ]  # fmt: skip
