# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import handshake_surge as trap
from fake_mesh import both, gateway, mesh, only, thing


def cpu(replicas, request=None, limit=None):
    values = {"requests": request, "limits": limit}
    return {"replicas": replicas, "resources": {k: {"cpu": v} for k, v in values.items() if v}}


def test_less_cpu_in_all():
    finding = only(trap, mesh(*both(cpu(4, "500m"), cpu(2, "500m"))))
    assert finding.severity == "warning" and finding.object == "Deployment gw/new"
    assert finding.found == "requests.cpu 2 x 500m, blue 4 x 500m"
    assert "limits.cpu 2 x 1, blue 2 x 2" in only(trap, mesh(*both(cpu(2, "1", "2"), cpu(2, "1", "1")))).found


def test_fewer_but_larger_pods_are_fine_and_the_other_way_round():
    assert trap.check(mesh(*both(cpu(4, "500m", "1"), cpu(2, "1", "2")))) == []
    assert trap.check(mesh(*both(cpu(2, "1"), cpu(4, "500m")))) == []


def test_an_autoscaler_comes_too_late():
    target = {"kind": "Deployment", "name": "new"}
    hpa = ("hpas", thing("HPA", "gw/h", {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}))
    assert "1 x 1, blue 4 x 1" in only(trap, mesh(*both(cpu(4, "1"), cpu(4, "1")), hpa)).found


def test_nothing_set_aside():
    assert "requests.cpu is not set" in only(trap, mesh(*both(cpu(2, "1"), cpu(2)))).found
    assert trap.check(mesh(*both(cpu(2, "1", "1"), cpu(2, "1")))) == [], "no limit throttles nothing"


def test_what_blue_has_not_green_does_not_lack():
    assert trap.check(mesh(*both())) == []
    assert trap.check(mesh(*both(cpu(4, None, "1"), cpu(4, None, "1")))) == []
    assert "limits.cpu" in only(trap, mesh(*both(cpu(4, None, "1"), cpu(2, None, "1")))).found


def test_where_no_tls_is_ended_there_is_no_handshake():
    passing = ("gateways", gateway(mode="PASSTHROUGH"))
    assert trap.check(mesh(*both(cpu(4, "1"), cpu(2, "1")), passing)) == []


def test_before_the_deployment_nothing_is_said():
    assert trap.check(mesh(*both(cpu(4, "1"))[:2])) == []
