# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import same_workload as trap
from fake_mesh import WORKLOAD, gateway, mesh, only


def green_labelled(labels, namespace="gw"):
    return [{**WORKLOAD, "green": {**WORKLOAD["green"], "labels": labels, "namespace": namespace}}]


def test_blues_gateway_must_not_select_greens_pods():
    finding = only(trap, mesh(workloads=green_labelled({"app": "old", "colour": "green"})))
    assert finding.object == "Gateway edge/public" and finding.field == "spec.selector"


def test_greens_gateway_must_not_select_blues_pods():
    finding = only(trap, mesh(("gateways", gateway("gw/public", {"app": "old"}))))
    assert finding.object == "Gateway gw/public" and "blue's pods" in finding.found


def test_blues_service_must_not_take_greens_pods():
    pods = [("gateways", gateway(selector={"app": "old", "only": "blue"}, mode="SIMPLE", credentialName="cert"))]
    finding = only(trap, mesh(*pods, workloads=green_labelled({"app": "old"}, "edge")))
    assert finding.object == "Service edge/old"


def test_a_gateway_without_a_selector_selects_everything():
    assert only(trap, mesh(("gateways", gateway(selector={})))).object == "Gateway edge/public"


def test_with_big_bang_deploying_mends_it():
    workloads = [{**w, "method": "bigbang"} for w in green_labelled({"app": "old"})]
    finding = only(trap, mesh(workloads=workloads))
    assert finding.severity == "warning" and "Deploying adds a label" in finding.fix
    finding = only(trap, mesh(("gateways", gateway("gw/public", {"app": "old"})), workloads=[{**WORKLOAD, "method": "bigbang"}]))
    assert finding.severity == "warning" and finding.object == "Gateway gw/public"


def test_labels_of_their_own_are_fine():
    assert trap.check(mesh(("gateways", gateway("gw/public", {"app": "new"})))) == []


def test_a_selector_that_asks_for_more_than_blues_pods_have_is_fine():
    assert trap.check(mesh(("gateways", gateway("gw/public", {"app": "old", "colour": "green"})))) == []
