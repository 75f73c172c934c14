# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import load_balancer_annotations as trap
from fake_mesh import WORKLOAD, mesh, only, service


def blue(**annotations):
    return ("services", service("edge/old", {"app": "old"}, annotations=annotations))


@pytest.mark.parametrize(
    "key",
    [
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "service.beta.kubernetes.io/azure-load-balancer-internal",
        "networking.gke.io/load-balancer-type",
        "cloud.google.com/neg",
        "metallb.universe.tf/address-pool",
        "service.kubernetes.io/topology-mode",
    ],
)
def test_one_that_green_lacks(key):
    finding = only(trap, mesh(blue(**{key: "x"}), ("services", service("gw/new", {"app": "new"}))))
    assert finding.severity == "warning" and f"{key}=x" in finding.found
    assert trap.check(mesh(blue(**{key: "x"}))) == [], "by the values it comes along"
    assert only(trap, mesh(blue(**{key: "x"}), workloads=[{**WORKLOAD, "method": "clone"}]))


def test_what_names_one_balancer_stays_behind_and_is_said():
    key = "service.beta.kubernetes.io/aws-load-balancer-name"
    assert f"{key}=x" in only(trap, mesh(blue(**{key: "x"}))).found


def test_green_has_it_or_will_by_the_charts_values():
    key = "service.beta.kubernetes.io/aws-load-balancer-scheme"
    green = ("services", service("gw/new", {"app": "new"}, annotations={key: "internal"}))
    assert trap.check(mesh(blue(**{key: "internal"}), green)) == []
    values = {"service": {"annotations": {key: "internal"}}}
    workload = {**WORKLOAD, "green": {**WORKLOAD["green"], "chart_values": values}}
    assert trap.check(mesh(blue(**{key: "internal"}), workloads=[workload])) == []
    assert trap.check(mesh(blue(**{key: "other"}), workloads=[workload])) != []


def test_annotations_of_others_are_fine():
    assert trap.check(mesh(blue(**{"meta.helm.sh/release-name": "old", "kubectl.kubernetes.io/x": "y"}))) == []
