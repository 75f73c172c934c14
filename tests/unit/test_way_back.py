# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether blue is good to go back to, and which routes only one side serves."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _way_back
from ansible_collections.bluegreen.mesh.plugins.modules import way_back_info
from fake_cluster import FakeCluster, run_module
from fake_mesh import PAIR, WORKLOAD, base, deployment, gateway, mesh, pod, thing, tls_secret, virtual_service

NOW = datetime.datetime.now(datetime.timezone.utc)
BOTH = ("virtual_services", virtual_service(gateways=["edge/public", "gw/public"]))
CERTIFICATE = ("secrets", tls_secret("edge/cert", "web.test"))
GREEN = ("gateways", gateway("gw/public", {"app": "new"}, mode="SIMPLE", credentialName="cert"))


def reasons(*added, **more):
    return _way_back.reasons(mesh(CERTIFICATE, BOTH, GREEN, *added, **more), NOW)


def sides(*added):
    return [(route.side, route.object, route.field) for route in _way_back.one_sided(mesh(CERTIFICATE, GREEN, *added))]


def test_a_blue_with_its_pods_certificates_and_routes_is_good():
    assert reasons() == []
    assert sides(BOTH) == []


# -- pods --------------------------------------------------------------------------------------------------------------
def test_as_many_pods_as_it_was_pinned_to_have_to_be_ready():
    two = ("deployments", deployment("edge/old", {"app": "old"}, replicas=2))
    assert reasons(two) == ["Service edge/old: 1 of its pods are ready, 2 are to be"]
    assert reasons(two, ("pods", pod("edge/old-2", {"app": "old"}))) == []


def test_an_autoscalers_minimum_is_the_pin():
    target = {"kind": "Deployment", "name": "old"}
    hpa = ("hpas", thing("HPA", "edge/h", {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 9}))
    deployed = ("deployments", deployment("edge/old", {"app": "old"}, replicas=1))
    assert reasons(deployed, hpa) == ["Service edge/old: 1 of its pods are ready, 3 are to be"]


def test_pods_that_are_not_ready_or_going_do_not_count():
    sick = pod("edge/old-1", {"app": "old"})
    sick["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    assert reasons(("pods", sick)) == ["Service edge/old: 0 of its pods are ready, 1 are to be"]
    assert reasons(("pods", pod("edge/old-1", {"app": "old"}, deletionTimestamp="2026-01-01T00:00:00Z")))


# -- certificates ------------------------------------------------------------------------------------------------------
def test_a_certificate_that_expired():
    (text,) = reasons(("secrets", tls_secret("edge/cert", "web.test", days=-1)))
    assert text.startswith("Secret edge/cert of Gateway edge/public: its certificate expired on ")


def test_a_secret_that_is_gone_or_holds_no_certificate():
    (text,) = _way_back.reasons(mesh(BOTH, GREEN, drop=["secrets"]), NOW)
    assert "Secret edge/cert of Gateway edge/public does not exist" in text
    broken = tls_secret("edge/cert", "web.test")
    broken["data"]["tls.crt"] = "bm9uZQ=="
    assert "tls.crt can't be read" in reasons(("secrets", broken))[0]


def test_blues_gateway_itself_is_gone():
    assert reasons(drop=["gateways"])[0] == "Gateway edge/public does not exist any more"


# -- routes ------------------------------------------------------------------------------------------------------------
def test_a_route_that_is_greens_alone_would_be_lost():
    moved = ("virtual_services", virtual_service(gateways=["gw/public"]))
    assert reasons(moved) == [
        "going back would lose a route: VirtualService shop/web spec.gateways: names gw/public and not edge/public"
    ]
    assert sides(moved) == [("green", "VirtualService shop/web", "spec.gateways")]


def test_a_match_that_is_greens_alone_is_one_too():
    http = [{"match": [{"gateways": ["gw/public"]}], "route": [{"destination": {"host": "web"}}]}]
    moved = ("virtual_services", virtual_service(gateways=["edge/public", "gw/public"], http=http))
    assert sides(moved) == [("green", "VirtualService shop/web", "spec.http[0].match[0].gateways")]


def test_a_route_that_is_blues_alone_is_no_reason_not_to_go_back():
    blue = ("virtual_services", virtual_service())
    assert reasons(blue) == [] and sides(blue) == [("blue", "VirtualService shop/web", "spec.gateways")]
    left = virtual_service()
    left["metadata"]["labels"] = {"bluegreen.mesh/bind": "false"}
    assert sides(("virtual_services", left)) == []


def test_a_host_that_only_greens_gateway_takes():
    wider = ("gateways", gateway("gw/public", {"app": "new"}, hosts=["*.test", "shop/api.example.com"]))
    vs = ("virtual_services", virtual_service(gateways=["edge/public", "gw/public"], hosts=["web.test", "api.example.com"]))
    assert sides(wider, vs) == [("green", "VirtualService shop/web", "spec.hosts")]
    assert sides(wider, BOTH) == [], "a host of a Gateway without a route on it"


# -- the module --------------------------------------------------------------------------------------------------------
VERSIONS = {kind.name: kind.versions[0][0] for kind in _inventory.KINDS}


def cluster():
    fake = FakeCluster()
    added = {"secrets": [CERTIFICATE[1]], "virtual_services": [BOTH[1]]}
    added["gateways"] = [gateway(mode="SIMPLE", credentialName="cert"), GREEN[1]]
    for kind, items in {**base(), **added}.items():
        for item in items:
            fake.add({**item, "apiVersion": VERSIONS[kind]})
    return fake


def run(fake, **options):
    return run_module(way_back_info, {"pairs": [PAIR], "workloads": [WORKLOAD], **options}, fake)


def test_it_reads_a_fixed_number_of_lists():
    fake = cluster()
    result = run(fake)
    assert (result["good"], result["reasons"], result["one_sided"]) == (True, [], [])
    assert fake.total == 3 + 2 * 4


def test_what_may_not_be_read_is_not_good():
    fake = cluster()
    fake.fail("GET", "*/secrets", 403, "Forbidden", "no")
    result = run(fake)
    assert not result["good"] and "secrets in edge (core) can't be read" in result["reasons"][0]


def test_pods_alone_need_nothing_else_to_be_readable():
    fake = cluster()
    for plural in ("secrets", "gateways", "virtualservices"):
        fake.fail("GET", f"*/{plural}", 403, "Forbidden", "no")
    result = run(fake, aspects=["pods"])
    assert (result["good"], result["one_sided"]) == (True, []) and fake.total == 1 + 2 * 3
    assert not run(fake, aspects=["pods", "routes"])["good"]


@pytest.mark.parametrize("aspect", _way_back.ASPECTS)
def test_an_aspect_tells_what_is_its_own(aspect):
    inventory = mesh(
        ("secrets", tls_secret("edge/cert", "web.test", days=-1)), GREEN, ("deployments", deployment("edge/old", {"app": "old"}, replicas=9)),
        ("virtual_services", virtual_service(gateways=["gw/public"])),
    )  # fmt: skip
    words = {"pods": "9 are to be", "certificates": "expired", "routes": "lose a route"}
    (text,) = _way_back.reasons(inventory, NOW, [aspect])
    assert words[aspect] in text and len(_way_back.reasons(inventory, NOW)) == 3


@pytest.mark.parametrize(
    ("workload", "words"), [({"blue": {"namespace": "x"}}, "workloads[0].blue: lacks service"), ({"green": {}}, "release")]
)
def test_a_workload_without_its_names_is_refused(workload, words):
    fake = cluster()
    result = run(fake, workloads=[{**WORKLOAD, **workload}])
    assert result["failure"]["code"] == "bad_option" and words in result["msg"] and fake.total == 0
