# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import app_owned_gateway as trap
from fake_mesh import PAIR, gateway, mesh, only, pod


def test_a_gateway_on_blues_pods_that_no_pair_names():
    finding = only(trap, mesh(("gateways", gateway("apps/own"))))
    assert finding.severity == "error" and finding.object == "Gateway apps/own" and "main" in finding.found


def test_one_without_a_selector_is_on_every_gateway():
    assert only(trap, mesh(("gateways", gateway("apps/own", {})))).object == "Gateway apps/own"


def test_pods_labels_count_and_not_the_services_selector():
    assert trap.check(mesh(("gateways", gateway("apps/own", {"app": "old", "extra": "x"})))) == []
    labelled = ("pods", pod("edge/old-2", {"app": "old", "extra": "x"}))
    assert (
        only(trap, mesh(labelled, ("gateways", gateway("apps/own", {"app": "old", "extra": "x"})))).object
        == "Gateway apps/own"
    )


def test_listed_ones_and_other_workloads_are_fine():
    own = ("gateways", gateway("apps/own"))
    assert trap.check(mesh(own, pairs=[PAIR, {"blue": "apps/own", "green": "gw/own", "workload": "main"}])) == []
    assert trap.check(mesh(("gateways", gateway("apps/own", {"app": "else"})))) == []


def test_blue_scaled_to_nothing_is_known_by_its_service():
    assert only(trap, mesh(("gateways", gateway("apps/own")), drop=["pods"])).object == "Gateway apps/own"
