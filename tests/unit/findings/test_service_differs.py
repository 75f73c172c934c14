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


def valued(**fields):
    return [{**WORKLOAD, "green": {**WORKLOAD["green"], "chart_values": {"service": fields}}}]


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
