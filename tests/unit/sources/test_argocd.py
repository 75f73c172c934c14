# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from fake_sources import BLUE, GREEN, Known, files, judge, last_applied, thing
from fake_sources import virtual_service as make

HEAL = {"automated": {"selfHeal": True}}
IGNORE = {"group": "networking.istio.io", "kind": "VirtualService", "jsonPointers": ["/spec/gateways"]}
ANSWER = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true,IncludeMutationWebhook=true"}
SET = {"op": "add", "path": "/spec/gateways", "value": [GREEN]}


def made(gateways=(BLUE, GREEN), name="shop", **annotations):
    tracking = {"argocd.argoproj.io/tracking-id": f"{name}:networking.istio.io/VirtualService:shop/web"}
    return make(gateways, annotations={**tracking, **annotations})


def application(key="argocd/shop", annotations=None, status=None, **spec):
    return thing("argoproj.io/v1alpha1", "Application", key, spec, annotations=annotations or {}, status=status or {})


@pytest.mark.parametrize(
    ("spec", "annotations", "puts_back", "fights"),
    [
        ({}, {}, False, False),
        ({"syncPolicy": {"automated": {}}}, {}, False, False),
        ({"syncPolicy": HEAL}, {}, True, True),
        ({"syncPolicy": {"automated": {"selfHeal": True, "enabled": False}}}, {}, False, False),
        ({"syncPolicy": HEAL, "ignoreDifferences": [IGNORE]}, {}, False, False),
        ({"syncPolicy": HEAL, "ignoreDifferences": [{**IGNORE, "name": "other"}]}, {}, True, True),
        ({"syncPolicy": HEAL, "ignoreDifferences": [{**IGNORE, "jsonPointers": ["/spec/hosts"]}]}, {}, True, True),
        ({"syncPolicy": HEAL}, ANSWER, True, False),
        ({"syncPolicy": HEAL}, {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}, True, True),
    ],
)
def test_self_heal_and_what_it_overlooks(spec, annotations, puts_back, fights):
    found = judge(made(), Known(application(annotations=annotations, **spec)))
    assert (bool(found.puts_back), bool(found.fights)) == (puts_back, fights)


def test_jq_paths_with_question_marks_are_understood():
    body = make((BLUE, GREEN), match=[BLUE], annotations=made()["metadata"]["annotations"])
    paths = {"group": "networking.istio.io", "kind": "VirtualService"}
    for given, covers in (([".spec.gateways"], False), ([".spec.gateways", ".spec.http[]?.match[]?.gateways"], True)):
        found = judge(body, Known(application(syncPolicy=HEAL, ignoreDifferences=[{**paths, "jqPathExpressions": given}])))
        assert bool(found.fights) is not covers


def test_what_it_applied_last_tells():
    known = Known(application())
    assert judge(made(**last_applied([BLUE])), known).green is False
    assert judge(made(**last_applied([GREEN])), known).green is True
    assert judge(made(), known).green is None


def test_it_is_found_by_name_and_by_what_it_lists():
    resources = {"resources": [{"kind": "VirtualService", "namespace": "shop", "name": "web"}]}
    healing = application("teams/shop", status=resources, syncPolicy=HEAL)
    two = Known(application(), healing)
    assert judge(made(), two).puts_back and judge(made(name="teams_shop"), two).puts_back
    assert not judge(made(name="argocd_shop"), two).puts_back
    neither = Known(application(), application("teams/shop"))
    assert "more than once" in judge(made(), neither).puts_back


def test_one_that_is_elsewhere_or_denied_is_not_known_to_be_harmless():
    for known in (Known(), Known(denied=["argoproj.io"])):
        found = judge(made(), known)
        assert found.green is None and "not known" in found.puts_back and "not known" in found.fights


@pytest.mark.parametrize(
    ("helm", "patch"),
    [
        ({"valuesObject": {"istio": {"gateways": [BLUE]}, "password": "hunter2"}},
         {"op": "add", "path": "/spec/source/helm/parameters", "value": [{"name": "istio.gateways[0]", "value": GREEN}]}),
        ({"values": f"gateway: {BLUE}\npassword: hunter2"},
         {"op": "add", "path": "/spec/source/helm/parameters", "value": [{"name": "gateway", "value": GREEN}]}),
        ({"parameters": [{"name": "a.gateway", "value": BLUE}, {"name": "password", "value": "hunter2"}]},
         {"op": "add", "path": "/spec/source/helm/parameters/-", "value": {"name": "a.gateway", "value": GREEN}}),
    ],
)  # fmt: skip
def test_values_are_overridden_by_parameters(helm, patch):
    assert files(made(), Known(application(source={"helm": helm}))) == {"argocd/argocd.shop.yaml": [patch]}


def test_the_source_among_several_that_names_blue_is_patched():
    known = Known(application(sources=[{"helm": {}}, {"helm": {"valuesObject": {"gateway": BLUE}}}]))
    (patch,) = files(made(), known)["argocd/argocd.shop.yaml"]
    assert patch["path"] == "/spec/sources/1/helm/parameters"


def test_a_kustomization_gets_a_patch():
    for known in (
        Known(application(source={"kustomize": {}})),
        Known(application(source={"path": "x"}, status={"sourceType": "Kustomize"})),
    ):
        (patch,) = files(made(), known)["argocd/argocd.shop.yaml"]
        assert patch["path"].startswith("/spec/source/kustomize")
        value = patch["value"] if isinstance(patch["value"], list) else patch["value"]["patches"]
        assert yaml.safe_load(value[0]["patch"]) == [SET]
        assert judge(made(), Known(application(source={"kustomize": {"patches": value}}))).green is True


def test_anything_else_gets_a_component():
    for known in (Known(), Known(application(source={"directory": {}}))):
        assert files(made(), known)["kustomize/shop.web.yaml"] == [SET]
