# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._goes_with_blue import going
from ansible_collections.bluegreen.mesh.plugins.module_utils._keep_target import RECORD_REASONS
from fake_blue import JOURNAL, blue, gateway, info, kept, obj, secret

RELEASE = {"release": "blue", "namespace": "edge", "revision": 1, "status": "deployed", "storage": "Secret edge/x"}
GONE = {**RELEASE, "revision": None, "status": None, "storage": None}
FLUX = {"owner": "flux_kustomization", "name": "Kustomization flux-system/edge", "safe": True, "source": False}
OPERATOR = {"owner": "istio_operator", "name": "IstioOperator edge/plane", "safe": True, "source": True}
ARGO = {"owner": "argo_cd", "name": "Application argocd/edge", "safe": True, "source": True}


def item(kind: str, ref: str, owner=None, claims=(), kept_by="night", shared=False):
    namespace, name = ref.split("/")
    return {"kind": kind, "namespace": namespace, "name": name, "owner": owner, "claims": list(claims), "kept_by": kept_by,
            "shared": shared}  # fmt: skip


def names(items, migration="night", rest=None):
    releases, found, _ended = going(items, ["edge/old"], migration, rest)
    return releases, [f"{one['kind']} {one['namespace']}/{one['name']}" for one in found]


def test_what_is_of_the_release_of_blues_service():
    items = [item("Service", "edge/old", RELEASE), item("Gateway", "edge/public", RELEASE),
             item("Gateway", "shop/own", {**RELEASE, "release": "shop"})]  # fmt: skip
    assert names(items) == ([RELEASE], ["Service edge/old", "Gateway edge/public"])


def test_what_was_of_a_release_that_is_gone():
    items = [item("Service", "edge/old", GONE), item("Gateway", "edge/public", GONE, kept_by="another")]
    assert names(items) == ([], ["Service edge/old"])
    assert names(items, None) == ([], []), "before it is kept there is none that it was kept from"


@pytest.mark.parametrize("claim", [FLUX, ARGO])
def test_what_is_of_the_source_of_blues_service(claim):
    items = [
        item("Service", "edge/old", claims=[claim]),
        item("Deployment", "edge/old", claims=[claim]),
        item("Gateway", "shop/own", claims=[claim]),  # an application's, of a source for everything
        item("Secret", "edge/cert", claims=[{**claim, "name": "Kustomization flux-system/certs"}]),
        item("Secret", "edge/other", claims=[claim], kept_by="another"),
        item("Secret", "edge/own", claims=[claim], kept_by=None),  # let go by a run that was killed then, or not kept yet
    ]
    assert names(items) == ([], ["Service edge/old", "Deployment edge/old", "Secret edge/own"])


def test_the_rest_of_a_source_goes_when_the_service_is_gone():
    items = [item("Gateway", "edge/public", claims=[FLUX]), item("Gateway", "shop/own", claims=[FLUX])]
    assert names(items) == ([], ["Gateway edge/public"])


def test_what_a_release_has_no_more_goes_by_name_and_the_release_stays():
    left = {"record_reason": RECORD_REASONS["not_in_manifest"]}
    umbrella = {**RELEASE, "release": "umbrella"}
    items = [
        item("Service", "edge/old", umbrella) | left, item("Secret", "edge/cert", umbrella) | left,
        item("Secret", "edge/other", umbrella, kept_by="another") | left, item("Secret", "edge/held", umbrella),
    ]  # fmt: skip
    assert names(items) == ([], ["Service edge/old", "Secret edge/cert"])


# -- an IstioOperator --------------------------------------------------------------------------------------------------
PLANE = {**RELEASE, "release": "plane"}
LEFT = {**RELEASE, "release": "operator"}


def operated(**iop):
    return [
        item("Service", "edge/old", claims=[OPERATOR]), item("Deployment", "edge/old", claims=[OPERATOR]),
        item("Deployment", "edge/istiod", claims=[OPERATOR], shared=True), item("Gateway", "edge/public", PLANE),
        item("IstioOperator", "edge/plane", PLANE, shared=True) | iop,
    ]  # fmt: skip


def rest(*made, at_work=False, left=(LEFT,)):
    return {"made": {OPERATOR["name"]: list(made)}, "at_work": at_work, "left": list(left)}


OF_BLUE = ["Service edge/old", "Deployment edge/old"]


def test_an_istio_operator_with_nothing_left_to_do_goes_with_its_release_and_its_operators():
    all_of_it = [*OF_BLUE, "Gateway edge/public", "IstioOperator edge/plane"]
    assert names(operated(), rest=rest("edge/old")) == ([PLANE, LEFT], all_of_it)
    assert going(operated(), ["edge/old"], "night", rest("edge/old"))[2] == {OPERATOR["name"]}
    # Kept by another migration, it is that one's.
    assert "IstioOperator edge/plane" not in names(operated(kept_by="another"), rest=rest("edge/old"))[1]


@pytest.mark.parametrize(
    "rest",
    [
        None,
        rest("edge/old", at_work=True),  # an operator that somebody wants
        rest("edge/old", "edge/istiod"),  # istiod is its alone
        rest("edge/old", "else/internal"),  # a gateway that is not migrated
    ],
)
def test_an_istio_operator_with_more_to_do_stays_and_so_does_its_release(rest):
    assert names(operated(), rest=rest) == ([], OF_BLUE)


def test_the_rest_of_it_goes_when_a_run_was_killed_in_between():
    gone = {**PLANE, "storage": None}
    items = [item("Gateway", "edge/public", gone), item("IstioOperator", "edge/plane", gone, shared=True),
             item("Deployment", "edge/istiod", RELEASE, claims=[OPERATOR], shared=True)]  # fmt: skip
    assert names(items, rest=rest(left=())) == ([], ["Gateway edge/public", "IstioOperator edge/plane"])


def test_what_nobody_owns_and_what_others_need_stays():
    items = [item("Service", "edge/old"), item("Secret", "edge/cert"), item("Namespace", "/edge", RELEASE, shared=True),
             item("Service", "edge/old", RELEASE, shared=True)]  # fmt: skip
    assert names(items) == ([RELEASE], [])


def test_by_the_module():
    service = obj("v1", "Service", "public-ingressgateway")
    cluster = blue(objects=[gateway(), secret(), service])
    asked = {"gateways": ["istio-system/public"], "services": ["istio-system/public-ingressgateway"]}
    ref = {"api_version": "v1", "kind": "Service", "namespace": "istio-system", "name": service["metadata"]["name"]}
    kept(cluster, resources=[ref])
    told = info(cluster, **asked, journal={name: JOURNAL[name] for name in ("namespace", "name")})
    assert [owner["release"] for owner in told["releases"]] == ["blue"]
    assert sorted(one["kind"] for one in told["going"]) == ["Gateway", "Secret", "Service"]
    alone = info(cluster, services=asked["services"])
    assert [owner["release"] for owner in alone["releases"]] == ["blue"]
    assert [one["kind"] for one in alone["going"]] == ["Service"]
