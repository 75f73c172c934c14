# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

from ansible_collections.bluegreen.mesh.plugins.module_utils import findings
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import field_owner as trap
from fake_mesh import mesh, only, thing, virtual_service


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


# -- strategy direct: one for each VirtualService ----------------------------------------------------------------------
ARGO = {"labels": {"argocd.argoproj.io/instance": "shop"}}
HELM = {"annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}}
HEAL = ("applications", thing("Application", "argocd/shop", {"syncPolicy": {"automated": {"selfHeal": True}}}))


def test_where_they_are_patched_there_is_one_for_each():
    found = trap.check(mesh(*[owned(f"shop/v{n}", **HELM) for n in range(7)], binding="direct"))
    assert [f.object for f in found] == [f"VirtualService shop/v{n}" for n in range(7)]
    assert {f.severity for f in found} == {"warning"}
    assert all("Helm release shop/web makes it" in f.found and "its next upgrade" in f.found for f in found)
    waivers = ["field_owner:shop/v3"]
    standing, waived, unused = findings.examine(
        mesh(*[owned(f"shop/v{n}", **HELM) for n in range(7)], binding="direct"), waivers
    )
    assert [f.object for f in waived] == ["VirtualService shop/v3"] and len(standing) == 6 and unused == []


def test_what_is_put_back_unasked_is_an_error():
    assert only(trap, mesh(owned("shop/v", **ARGO), HEAL, binding="direct")).severity == "error"
    calm = ("applications", thing("Application", "argocd/shop"))
    assert only(trap, mesh(owned("shop/v", **ARGO), calm, binding="direct")).severity == "warning"
    labels = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in (("name", "apps"), ("namespace", "flux"))}
    at_work = ("kustomizations", thing("Kustomization", "flux/apps"))
    found = only(trap, mesh(owned("shop/v", labels=labels), at_work, binding="direct"))
    assert found.severity == "error" and "at every interval" in found.found
    held = ("kustomizations", thing("Kustomization", "flux/apps", {"suspend": True}))
    assert only(trap, mesh(owned("shop/v", labels=labels), held, binding="direct")).severity == "warning"


def test_a_policy_leaves_it_at_one_for_each_source():
    found = only(trap, mesh(*[owned(f"shop/v{n}", **ARGO) for n in range(7)], HEAL, binding="admission_policy"))
    assert found.severity == "warning" and found.object.startswith("Source ")


def test_a_source_that_names_both_sides_harms_nothing():
    both = json.dumps(virtual_service("shop/v", ["edge/public", "gw/public"]))
    last = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": both}}
    assert trap.check(mesh(owned("shop/v", **last), binding="direct")) == []
    blue = json.dumps(virtual_service("shop/v"))
    last = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": blue}}
    assert "the next apply" in only(trap, mesh(owned("shop/v", **last), binding="direct")).found
    alone = owned("shop/v", labels={"bluegreen.mesh/bind": "false"}, **last)
    assert trap.check(mesh(alone, binding="direct")) == []
