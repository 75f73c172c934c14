# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import monitor_on_blue as trap
from fake_mesh import mesh, only, service, thing

BLUE = ("services", {**service("edge/old", {"app": "old"})})
BLUE[1]["metadata"]["labels"] = {"app": "old", "tier": "edge"}


def monitor(kind, ref, labels, **where):
    spec = {"selector": {"matchLabels": labels}, **({"namespaceSelector": where} if where else {})}
    return (kind, thing({"service_monitors": "ServiceMonitor", "pod_monitors": "PodMonitor"}[kind], ref, spec))


def test_one_that_selects_blue():
    finding = only(trap, mesh(BLUE, monitor("service_monitors", "edge/m", {"app": "old"})))
    assert finding.severity == "warning" and finding.object == "ServiceMonitor edge/m"
    pods = monitor("pod_monitors", "watch/m", {"app": "old"}, any=True)
    assert only(trap, mesh(pods)).object == "PodMonitor watch/m"


def test_one_that_selects_green_as_well():
    wide = monitor("service_monitors", "watch/m", {"tier": "edge"}, any=True)
    assert trap.check(mesh(BLUE, wide)) == []  # green's Service is to come
    there = service("gw/new", {"app": "new"})
    there["metadata"]["labels"] = {"app": "new"}
    assert only(trap, mesh(BLUE, wide, ("services", there))).object == "ServiceMonitor watch/m"
    own = monitor("service_monitors", "gw/m", {"app": "new"})
    assert trap.check(mesh(BLUE, wide, ("services", there), own)) == []


def test_others_are_fine():
    assert trap.check(mesh(BLUE, monitor("service_monitors", "edge/m", {"app": "else"}))) == []
    assert trap.check(mesh(BLUE, monitor("service_monitors", "shop/m", {"app": "old"}))) == []
    assert trap.check(mesh(monitor("pod_monitors", "edge/m", {"app": "old"}, matchNames=["shop"]))) == []
