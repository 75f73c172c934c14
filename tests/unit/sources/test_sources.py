# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What objects name as their source, and the rules that all sources share."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils import sources
from ansible_collections.bluegreen.mesh.plugins.module_utils.sources import base
from fake_sources import BLUE, GREEN, PAIRS, applied, in_release, last_applied, virtual_service

FLUX = "toolkit.fluxcd.io"
HELM_RELEASE = {f"helm.{FLUX}/name": "apps", f"helm.{FLUX}/namespace": "flux"}
KUSTOMIZATION = {f"kustomize.{FLUX}/name": "apps", f"kustomize.{FLUX}/namespace": "flux"}
OWNED = [{"apiVersion": "a/v1", "kind": "App", "name": "x", "controller": True}]


@pytest.mark.parametrize(
    ("meta", "ids"),
    [
        ({}, []),
        ({"annotations": last_applied()}, ["last_applied"]),
        ({"annotations": in_release()}, ["helm:team/shop"]),
        ({"annotations": in_release(), "managedFields": applied()}, ["helm:team/shop"]),
        ({"annotations": {**in_release(), **last_applied()}}, ["helm:team/shop", "last_applied"]),
        ({"managedFields": applied("pipeline")}, ["applied:pipeline"]),
        ({"managedFields": [{**applied()[0], "operation": "Update"}]}, []),
        ({"managedFields": [{**applied()[0], "fieldsV1": {"f:metadata": {}}}]}, []),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:shop/web"}},
            ["argocd:shop"],
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:a/copy"}}, []),
        ({"labels": {"argocd.argoproj.io/instance": "teams_shop"}}, ["argocd:teams/shop"]),
        ({"labels": {"app.kubernetes.io/instance": "shop"}}, []),
        (
            {"labels": {"app.kubernetes.io/instance": "shop"}, "managedFields": applied("argocd-controller")},
            ["argocd:shop"],
        ),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}, "annotations": last_applied()}, ["argocd:shop"]),
        ({"labels": KUSTOMIZATION, "managedFields": applied("kustomize-controller")}, ["flux_kustomize:flux/apps"]),
        ({"labels": HELM_RELEASE, "annotations": in_release()}, ["flux_helm:flux/apps"]),
        ({"ownerReferences": OWNED}, ["controller:App/shop/x"]),
        ({"ownerReferences": [{**OWNED[0], "controller": False}]}, []),
    ],
)
def test_sources_of_an_object(meta, ids):
    found = sources.of(virtual_service(**meta))
    assert [source.id for source in found] == ids
    assert all(source.title and sources.effect(source) for source in found)


def test_every_kind_is_complete():
    names = ("CODE", "EFFECT", "of", "desired", "puts_back", "fights", "overrides")
    assert [kind.CODE for kind in sources.KINDS if not all(hasattr(kind, name) for name in names)] == []
    assert len(sources.BY_CODE) == len(sources.KINDS) == 7


@pytest.mark.parametrize(
    ("live", "desired", "green"),
    [
        ([BLUE, GREEN], [GREEN], True),
        ([BLUE, GREEN], [BLUE, GREEN], True),
        ([BLUE, GREEN], [BLUE], False),
        ([BLUE, GREEN], ["other/gw"], False),
        ([BLUE, GREEN], [], False),
        ([GREEN], ["public.gw.svc.cluster.local"], True),
        ([BLUE], ["mesh", "gw/public"], True),
    ],
)
def test_what_counts_as_green(live, desired, green):
    assert sources.is_green({vs.TOP: live}, {vs.TOP: desired} if desired else {}, "shop", PAIRS) is green


def test_one_list_that_names_blue_alone_is_not_green():
    desired = {vs.TOP: [BLUE, GREEN], "/spec/http/0/match/0/gateways": [BLUE]}
    assert not sources.is_green({vs.TOP: [BLUE, GREEN]}, desired, "shop", PAIRS)


def test_every_pair_that_is_concerned_must_be_green():
    pairs = (*PAIRS, vs.Pair("edge/two", "gw/two"), vs.Pair("edge/three", "gw/three"))
    live = {vs.TOP: [BLUE, GREEN, "edge/two"]}
    assert not sources.is_green(live, {vs.TOP: [GREEN]}, "shop", pairs)
    assert sources.is_green(live, {vs.TOP: [GREEN, "gw/two"]}, "shop", pairs)


# -- values ----------------------------------------------------------------------------------------------------------
def found(tree):
    return {base.dotted(path): value for path, value in base.references(tree, "shop", PAIRS)}


def test_references_are_found_in_every_form_and_keep_what_is_beside_them():
    tree = {
        "istio": {"shop": {"gateways": [BLUE, "mesh"], "hosts": ["a.test"]}},
        "route": {"gateway": BLUE, "host": "a.test"},
        "legacy": "public.edge.svc.cluster.local",
        "both": {"gateways": [BLUE, GREEN]},
        "unrelated": {"gateways": ["edge/other"], "image": "edge/image"},
    }
    assert found(tree) == {
        "istio.shop.gateways": [GREEN, "mesh"], "route.gateway": GREEN, "legacy": GREEN, "both.gateways": [GREEN],
    }  # fmt: skip


def test_a_bare_name_counts_below_a_key_that_speaks_of_gateways_only():
    tree = {"gateway": {"name": "public"}, "audience": "public"}
    assert {base.dotted(p): v for p, v in base.references(tree, "edge", PAIRS)} == {"gateway.name": GREEN}
    assert found(tree) == {}


def test_nothing_else_is_ever_repeated():
    tree = {
        "ingresses": [{"gateway": BLUE, "password": "hunter2"}],
        "gateways": [BLUE, "not a gateway: hunter2"],
        "mixed": [BLUE, {"password": "hunter2"}],
    }
    assert found(tree) == {}


def test_references_as_a_tree_of_values():
    tree = {"a": {"b": {"gateway": BLUE}, "c": {"gateways": [BLUE]}}, "d": {"x": 1}}
    assert base.nested(base.references(tree, "shop", PAIRS)) == {
        "a": {"b": {"gateway": GREEN}, "c": {"gateways": [GREEN]}}
    }


# -- patches ---------------------------------------------------------------------------------------------------------
def test_a_list_is_made_where_it_is_missing_and_added_to_where_it_is_not():
    assert base.appended({"spec": {}}, "/spec/a/b", [1]) == [{"op": "add", "path": "/spec/a", "value": {"b": [1]}}]
    assert base.appended({"spec": {"a": {}}}, "/spec/a/b", [1]) == [{"op": "add", "path": "/spec/a/b", "value": [1]}]
    assert base.appended({"spec": {"a": {"b": [0]}}}, "/spec/a/b", [1, 2]) == [
        {"op": "add", "path": "/spec/a/b/-", "value": 1}, {"op": "add", "path": "/spec/a/b/-", "value": 2},
    ]  # fmt: skip
    holder = {"spec": {"sources": [{}, {"helm": {}}]}}
    assert base.appended(holder, "/spec/sources/1/helm/p", [1]) == [
        {"op": "add", "path": "/spec/sources/1/helm/p", "value": [1]}
    ]


@pytest.mark.parametrize(
    ("paths", "covered"),
    [
        (["/spec/gateways", "/spec/http/0/match/0/gateways"], True),
        (["/spec/gateways"], False),
        (["/spec"], True),
        ([".spec.gateways", ".spec.http[].match[].gateways"], True),
        ([".spec.gateways[]", ".spec.http"], True),
        ([".spec.hosts"], False),
        ([""], True),
        ([], False),
    ],
)
def test_paths_that_cover_the_gateways(paths, covered):
    assert base.covered(virtual_service(match=[BLUE]), paths) is covered


@pytest.mark.parametrize(
    ("patch", "lists"),
    [
        ("[{op: replace, path: /spec/gateways, value: [gw/public]}]", {vs.TOP: [GREEN]}),
        ("{kind: VirtualService, metadata: {name: web}, spec: {gateways: [gw/public]}}", {vs.TOP: [GREEN]}),
        ("[{op: replace, path: /spec/hosts, value: [x]}]", None),
        ("[{op: remove, path: /spec/gateways}]", None),
        ("{{{", None),
    ],
)
def test_inline_patches_tell_what_is_made(patch, lists):
    target = {"kind": "VirtualService", "name": "web", "namespace": "shop"}
    assert base.patched([{"target": target, "patch": patch}], virtual_service(), PAIRS) == lists
    other = {**target, "name": "other"}
    if patch.startswith("["):
        assert base.patched([{"target": other, "patch": patch}], virtual_service(), PAIRS) is None


def test_inline_patches_that_leave_a_list_alone_do_not_tell():
    patch = "[{op: replace, path: /spec/gateways, value: [gw/public]}]"
    target = {"kind": "VirtualService", "name": "web", "namespace": "shop"}
    assert base.patched([{"target": target, "patch": patch}], virtual_service(match=[BLUE]), PAIRS) is None
