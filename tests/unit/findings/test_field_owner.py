# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import field_owner as trap
from fake_mesh import mesh, only, virtual_service


def owned(ref, **metadata):
    vs = virtual_service(ref)
    vs["metadata"].update(metadata)
    return ("virtual_services", vs)


def test_one_finding_for_each_source():
    argo = {"labels": {"argocd.argoproj.io/instance": "shop"}}
    inventory = mesh(*[owned(f"shop/v{n}", **argo) for n in range(7)])
    finding = only(trap, inventory)
    assert finding.severity == "warning" and finding.object == "Source Argo CD Application shop"
    assert finding.found.startswith("makes 7 VirtualService(s)") and "..." in finding.found


def test_a_source_is_told_once_however_it_writes():
    fields = [{"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:gateways": {}}}}]
    annotations = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}
    found = only(trap, mesh(owned("shop/v", managedFields=fields, annotations=annotations)))
    assert found.object == "Source Helm release shop/web" and "its next upgrade puts the gateways back" in found.found


def test_no_source_and_no_route_of_blues_are_fine():
    assert trap.check(mesh()) == []
    other = virtual_service("shop/v", ["else/where"])
    other["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    assert trap.check(mesh(("virtual_services", other))) == []
