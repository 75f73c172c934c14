# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import service_differs as trap
from fake_mesh import WORKLOAD, mesh, only, service


def blue(**spec):
    return ("services", service("edge/old", {"app": "old"}, **spec))


def green(**spec):
    return ("services", service("gw/new", {"app": "new"}, **spec))


def valued(method="helm", **fields):
    return [{**WORKLOAD, "method": method, "green": {**WORKLOAD["green"], "chart_values": {"service": fields}}}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sessionAffinity", "ClientIP"),
        ("externalTrafficPolicy", "Local"),
        ("ipFamilies", ["IPv4", "IPv6"]),
        ("ipFamilyPolicy", "RequireDualStack"),
        ("externalIPs", ["192.0.2.1"]),
    ],
)
def test_a_field_that_green_lacks(field, value):
    finding = only(trap, mesh(blue(**{field: value}), green()))
    assert finding.severity == "warning" and finding.field == f"spec.{field}" and finding.object == "Service gw/new"
    assert trap.check(mesh(blue(**{field: value}), green(**{field: value}))) == []


def test_ranges_that_are_lost_let_everybody_in():
    ranges = {"loadBalancerSourceRanges": ["192.0.2.0/24"]}
    assert only(trap, mesh(blue(**ranges), green())).severity == "error"
    foretold = only(trap, mesh(blue(**ranges)))
    assert foretold.severity == "error" and foretold.found.startswith("will be")
    assert trap.check(mesh(blue(**ranges), workloads=valued(**ranges))) == []
    assert only(trap, mesh(green(**ranges))).severity == "warning"


def test_what_the_deployment_takes_over_and_what_the_cluster_fills_in_is_fine():
    assert trap.check(mesh(blue(externalTrafficPolicy="Local"))) == []
    assert trap.check(mesh(blue(ipFamilies=["IPv4"]))) == []
    assert trap.check(mesh(blue(sessionAffinity="None", internalTrafficPolicy="Cluster"), green())) == []


@pytest.mark.parametrize("method", ["helm", "bigbang"])
def test_what_the_chart_has_no_value_for_is_not_given_by_one(method):
    ours = {"sessionAffinity": "ClientIP"}
    finding = only(trap, mesh(blue(**ours), workloads=valued(method, **ours)))
    assert finding.found.startswith("will be None") and "no value for it" in finding.fix and "chart_values" not in finding.fix
    assert "no value for it" in only(trap, mesh(blue(**ours), green(), workloads=valued(method, **ours))).fix
    assert trap.check(mesh(blue(**ours), green(**ours), workloads=valued(method, **ours))) == []
    assert trap.check(mesh(blue(ipFamilyPolicy="PreferDualStack"), workloads=valued(method))) == []
    assert "chart_values" in only(trap, mesh(blue(externalIPs=["192.0.2.1"]), workloads=valued(method))).fix


def test_what_the_values_take_over_from_blue():
    ours = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"], "internalTrafficPolicy": "Local"}
    assert trap.check(mesh(blue(**ours))) == []
    assert only(trap, mesh(blue(**ours), workloads=valued(internalTrafficPolicy="Cluster"))).found.startswith("will be Cluster")
    assert len(trap.check(mesh(blue(**ours), workloads=valued("existing")))) == 2
    assert len(trap.check(mesh(blue(**ours), green(type="LoadBalancer")))) == 2, "once it is there, it counts"


@pytest.mark.parametrize("workloads", [valued("bigbang"), valued(type="NodePort")])
def test_ranges_are_lost_where_green_is_no_load_balancer(workloads):
    ours = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}
    for sides in ([blue(**ours)], [blue(**ours), green(type="NodePort")]):
        finding = only(trap, mesh(*sides, workloads=workloads))
        assert finding.severity == "error" and "type NodePort can have none" in finding.fix


def test_others_may_say_what_theirs_will_have():
    ours = {"sessionAffinity": "ClientIP"}
    assert trap.check(mesh(blue(**ours), workloads=valued("existing", **ours))) == []
    assert only(trap, mesh(blue(**ours), workloads=valued("existing"))).field == "spec.sessionAffinity"


def test_a_clone_has_what_blue_has_but_for_its_addresses():
    ours = {"sessionAffinity": "ClientIP", "loadBalancerSourceRanges": ["192.0.2.0/24"], "externalIPs": ["192.0.2.1"]}
    assert only(trap, mesh(blue(**ours), workloads=valued("clone"))).field == "spec.externalIPs"
    assert len(trap.check(mesh(blue(**ours), green(), workloads=valued("clone")))) == 3, "once it is there, it counts"
