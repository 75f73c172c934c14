# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import external_traffic_local as trap
from fake_mesh import mesh, node, only, pod, service

LOCAL = ("services", service("edge/old", {"app": "old"}, externalTrafficPolicy="Local"))


def test_nodes_without_a_pod_are_named():
    finding = only(trap, mesh(LOCAL, ("nodes", node("n2")), ("nodes", node("n3"))))
    assert finding.object == "Service edge/old" and "2 of 3 nodes have no ready pod of it: n2, n3" in finding.found


def test_green_is_looked_at_once_it_is_there():
    green = ("services", service("gw/new", {"app": "new"}, externalTrafficPolicy="Local"))
    assert only(trap, mesh(green)).object == "Service gw/new"
    assert trap.check(mesh(green, ("pods", pod("gw/new-1", {"app": "new"})))) == []


def test_a_pod_on_every_node_or_the_other_policy_are_fine():
    assert trap.check(mesh(LOCAL)) == []
    assert trap.check(mesh(("nodes", node("n2")))) == []
