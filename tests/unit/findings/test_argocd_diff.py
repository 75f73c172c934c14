# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import argocd_diff as trap
from fake_mesh import mesh, only, thing, virtual_service

HEAL = {"syncPolicy": {"automated": {"selfHeal": True}}}
IGNORE = {"ignoreDifferences": [{
    "group": "networking.istio.io", "kind": "VirtualService", "jsonPointers": ["/spec/gateways"],
}]}  # fmt: skip
ANSWER = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true,IncludeMutationWebhook=true"}


def made(ref="shop/web", **annotations):
    vs = virtual_service(ref)
    tracking = f"shop:networking.istio.io/VirtualService:{ref}"
    vs["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": tracking, **annotations}
    return ("virtual_services", vs)


def application(spec=None, ref="argocd/shop", **metadata):
    return ("applications", thing("Application", ref, spec, **metadata))


def looked(*added, binding="admission_policy", **settings):
    return mesh(*added, binding=binding, **settings)


def test_with_self_heal_it_is_an_error():
    found = only(trap, looked(made(), application(HEAL)))
    assert found.severity == "error" and found.object == "Application argocd/shop"
    assert "again and again" in found.found and found.found.endswith("It makes shop/web")
    assert "ServerSideDiff=true,IncludeMutationWebhook=true" in found.fix and "ignoreDifferences" in found.fix


def test_without_it_is_a_warning_one_for_all_that_it_makes():
    found = only(trap, looked(*[made(f"shop/v{n}") for n in range(7)], application()))
    assert found.severity == "warning" and "OutOfSync" in found.found and found.found.endswith("and 2 more")


@pytest.mark.parametrize(
    ("spec", "metadata"), [({**HEAL, **IGNORE}, {}), (HEAL, {"annotations": ANSWER}), (IGNORE, {})]
)
def test_what_its_comparison_foresees_is_fine(spec, metadata):
    assert trap.check(looked(made(), application(spec, **metadata))) == []


def test_server_side_diff_alone_leaves_admission_out():
    half = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}
    assert only(trap, looked(made(), application(HEAL, annotations=half))).severity == "error"


@pytest.mark.parametrize("binding", ["", "direct"])
def test_only_where_a_policy_binds(binding):
    assert trap.check(looked(made(), application(HEAL), binding=binding)) == []


def test_one_that_is_elsewhere_is_not_known_to_be_harmless():
    found = only(trap, looked(made()))
    assert found.severity == "warning" and "not known" in found.found and found.object == "Application shop"


def test_applications_that_may_not_be_listed_are_told_by_unreadable():
    assert trap.check(looked(made(), unread=["applications"])) == []


def test_what_names_both_sides_at_its_source_has_no_difference():
    applied = virtual_service(gateways=["edge/public", "gw/public"])
    last = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    assert trap.check(looked(made(**last), application(HEAL))) == []


def test_what_is_left_alone_is_not_touched():
    kind, vs = made()
    vs["metadata"]["labels"] = {"bluegreen.mesh/bind": "false"}
    assert trap.check(looked((kind, vs), application(HEAL))) == []
