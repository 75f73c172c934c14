# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._goes_with_blue import going
from fake_blue import JOURNAL, blue, gateway, info, kept, obj, secret

RELEASE = {"release": "blue", "namespace": "edge", "revision": 1, "status": "deployed", "storage": "Secret edge/x"}
GONE = {**RELEASE, "revision": None, "status": None, "storage": None}
FLUX = {"owner": "flux_kustomization", "name": "Kustomization flux-system/edge", "safe": True, "source": False}
ARGO = {"owner": "argo_cd", "name": "Application argocd/edge", "safe": True, "source": True}


def item(kind: str, ref: str, owner=None, claims=(), kept_by="night", shared=False):
    namespace, name = ref.split("/")
    return {"kind": kind, "namespace": namespace, "name": name, "owner": owner, "claims": list(claims), "kept_by": kept_by,
            "shared": shared}  # fmt: skip


def names(items, migration="night"):
    releases, found = going(items, ["edge/old"], migration)
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
