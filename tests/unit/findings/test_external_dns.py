# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import external_dns as trap
from fake_cluster import FakeCluster
from fake_mesh import PAIR, WORKLOAD, deployment, gateway, mesh, only, service, virtual_service

PREFIX = "external-dns.alpha.kubernetes.io"
NAME = {f"{PREFIX}/hostname": "www.example"}
TARGET = {f"{PREFIX}/target": "192.0.2.1"}


def test_names_that_come_from_blues_service_or_gateway():
    finding = only(trap, mesh(("services", service("edge/old", {"app": "old"}, annotations=NAME))))
    assert finding.severity == "warning" and finding.object == "Service edge/old" and "www.example" in finding.found
    own = gateway(mode="SIMPLE", credentialName="cert")
    own["metadata"]["annotations"] = {"external-dns.alpha.kubernetes.io/target": "192.0.2.1"}
    assert only(trap, mesh(("gateways", own))).object == "Gateway edge/public"


def test_other_annotations_and_other_services_are_fine():
    assert trap.check(mesh(("services", service("edge/old", {"app": "old"}, annotations={"x": "y"})))) == []
    assert trap.check(mesh(("services", service("shop/web", {"app": "web"}, annotations=NAME)))) == []


def test_the_name_that_newer_releases_give_the_annotation():
    newer = {"external-dns.kubernetes.io/hostname": "www.example"}
    assert only(trap, mesh(("services", service("edge/old", {"app": "old"}, annotations=newer)))).severity == "warning"


# -- VirtualServices ---------------------------------------------------------------------------------------------------
def route(*gateways, **annotations):
    vs = virtual_service(gateways=gateways or ["edge/public"])
    vs["metadata"]["annotations"] = annotations
    return ("virtual_services", vs)


def test_a_virtual_service_is_published_with_greens_address_once_it_is_bound():
    finding = only(trap, mesh(route(**NAME)))
    assert finding.severity == "warning" and finding.object == "VirtualService shop/web"
    assert "www.example" in finding.found and "of green's, too, once it is bound" in finding.found


def test_one_that_says_where_its_records_point_and_one_of_others_are_fine():
    assert trap.check(mesh(route(**NAME, **TARGET))) == []
    assert trap.check(mesh(route("edge/other", **NAME))) == []


# -- what external-dns is told to look at ------------------------------------------------------------------------------
def told(*args, ref="dns/external-dns", **more):
    return ("external_dns", deployment(ref, {"app": "dns"}, args=args, **more))


BALANCER = ("services", service("edge/old", {"app": "old"}, type="LoadBalancer"))
FORMS = [
    told("--provider=aws", "--source=service", "--source=istio-virtualservice"),
    told("--source", "istio-virtualservice", "--provider=aws"),
    told(env={"EXTERNAL_DNS_SOURCE": "service\nistio-virtualservice"}),
]


@pytest.mark.parametrize("form", FORMS, ids=["one word", "two words", "environment"])
def test_a_source_that_needs_no_annotation(form):
    finding = only(trap, mesh(BALANCER, form))
    assert finding.severity == "error" and finding.object == "Deployment dns/external-dns"
    assert finding.field.startswith("spec.template.spec.containers[0].") and "shop/web" in finding.found
    assert "green's (main) is among them, and clients come past every gate" in finding.found


def test_the_gateways_have_a_source_of_their_own():
    finding = only(trap, mesh(BALANCER, told("--source=istio-gateway")))
    assert finding.severity == "error" and "such as gw/public" in finding.found


@pytest.mark.parametrize("source", ["istio-gateway", "istio-virtualservice"])
def test_without_an_address_of_greens_nobody_is_moved(source):
    nodes = ("services", service("gw/new", {"app": "new"}, type="NodePort"))
    for added, severity in (([BALANCER, nodes], "warning"), ([], "warning"), ([BALANCER], "error")):
        assert only(trap, mesh(*added, told(f"--source={source}"))).severity == severity
    own = ("services", service("gw/new", {"app": "new"}, externalIPs=["192.0.2.9"]))
    assert only(trap, mesh(own, told(f"--source={source}"))).severity == "error"
    values = {"service": {"type": "NodePort"}}
    moved = [{**WORKLOAD, "green": {**WORKLOAD["green"], "chart_values": values}}]
    bigbang = [{**WORKLOAD, "method": "bigbang"}]
    for workloads in (moved, bigbang):
        assert only(trap, mesh(BALANCER, told(f"--source={source}"), workloads=workloads)).severity == "warning"


def test_other_sources_are_fine():
    assert trap.check(mesh(BALANCER, told("--source=service", "--source=istio-gateways", "--provider=aws"))) == []


def test_what_the_text_says_to_do_mends_it():
    sides = [gateway("edge/public"), gateway("gw/public", {"app": "new"})]
    for side in sides:
        side["metadata"]["annotations"] = TARGET
    both = [("gateways", side) for side in sides]
    routes, gateways = told("--source=istio-virtualservice"), told("--source=istio-gateway")
    assert trap.check(mesh(BALANCER, routes, route(**TARGET))) == []
    targeted = [f.object for f in trap.check(mesh(BALANCER, routes, *both))]
    assert targeted == ["Gateway edge/public"], "that of blue's annotation, and nothing of VirtualServices"
    assert [f.object for f in trap.check(mesh(BALANCER, gateways, *both))] == ["Gateway edge/public"]
    assert "Deployment dns/external-dns" in [f.object for f in trap.check(mesh(BALANCER, gateways, both[0]))]


@pytest.mark.parametrize(
    ("ref", "labels", "found"),
    [
        ("dns/external-dns", {}, True),
        ("dns/records", {"app.kubernetes.io/name": "external-dns"}, True),
        ("dns/external-dns", {"app.kubernetes.io/name": "external-dns"}, True),
        ("dns/other", {"app.kubernetes.io/name": "other"}, False),
    ],
)
def test_it_is_found_by_its_label_or_its_name_in_any_namespace(ref, labels, found):
    fake = FakeCluster()
    fake.add({**told("--source=istio-gateway", ref=ref, labels=labels)[1], "apiVersion": "apps/v1"})
    inventory = _inventory.read(fake, _inventory.Inventory(*_inventory.parse([PAIR], [WORKLOAD])))
    assert [f.object for f in trap.check(inventory)] == ([f"Deployment {ref}"] if found else [])
