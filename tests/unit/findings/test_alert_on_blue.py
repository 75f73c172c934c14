# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import alert_on_blue as trap
from fake_mesh import WORKLOAD, mesh, only, thing


def rule(expr):
    groups = [{"rules": [{"alert": "Fine", "expr": "up == 0"}, {"alert": "Errors", "expr": expr}]}]
    return ("prometheus_rules", thing("PrometheusRule", "watch/r", {"groups": groups}))


def test_an_alert_for_blue():
    finding = only(trap, mesh(rule('rate(requests{source_workload="old"}[5m]) > 1')))
    assert finding.severity == "warning" and finding.field == "spec.groups[0].rules[1].expr"
    assert "Errors asks for old" in finding.found


def test_an_alert_for_both_or_for_neither_is_fine():
    assert trap.check(mesh(rule('rate(requests{source_workload=~"old|new"}[5m]) > 1'))) == []
    assert trap.check(mesh(rule('rate(requests{source_workload="older"}[5m]) > 1'))) == []


def test_where_both_have_one_name_the_namespace_decides():
    green = {"namespace": "gw", "release": "old", "labels": {"app": "old"}}
    workloads = [{**WORKLOAD, "green": green}]
    assert only(trap, mesh(rule('x{app="old",namespace="edge"}'), workloads=workloads)).found.endswith("is blue")
    assert trap.check(mesh(rule('x{app="old",namespace=~"edge|gw"}'), workloads=workloads)) == []
    assert trap.check(mesh(rule('x{app="old"}'), workloads=workloads)) == []
