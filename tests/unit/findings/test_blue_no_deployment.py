# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import blue_no_deployment as trap
from fake_mesh import both, deployment, mesh, only, pod


def made_by(kind: str, name: str):
    return ("pods", pod("edge/old-1", {"app": "old"}, ownerReferences=[{"kind": kind, "name": name, "controller": True}]))


def test_a_daemon_set():
    finding = only(trap, mesh(made_by("DaemonSet", "old-ds")))
    assert finding.severity == "error" and finding.object == "Service edge/old" and "DaemonSet old-ds" in finding.found


def test_another_services_deployment_does_not_count():
    other = ("deployments", deployment("edge/other", {"app": "x"}))
    assert only(trap, mesh(made_by("StatefulSet", "old"), other)).found.startswith("pods of StatefulSet old")


def test_a_deployment_and_pods_of_nobody_are_fine():
    assert trap.check(mesh(*both(), made_by("ReplicaSet", "old-deploy-1"))) == []
    assert trap.check(mesh()) == []
    assert trap.check(mesh(made_by("ReplicaSet", "old-deploy-1"))) == []


def test_deployments_that_may_not_be_listed_are_a_finding_of_their_own():
    assert trap.check(mesh(made_by("DaemonSet", "old-ds"), unread=["deployments"])) == []
