# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import dashboard_on_blue as trap
from fake_mesh import mesh, only, thing


def dashboard(text):
    return ("dashboards", {**thing("ConfigMap", "watch/d"), "data": {"edge.json": text}})


def test_a_dashboard_of_blue():
    finding = only(trap, mesh(dashboard('{"expr": "x{service=\\"old\\"}"}')))
    assert finding.severity == "warning" and finding.field == "data[edge.json]"


def test_a_dashboard_of_both_or_of_something_else_is_fine():
    assert trap.check(mesh(dashboard('{"expr": "x{service=~\\"old|new\\"}"}'))) == []
    assert trap.check(mesh(dashboard('{"expr": "x{service=\\"web\\"}"}'))) == []
