# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import service_name_user as trap
from fake_mesh import mesh, only, service, thing, virtual_service


@pytest.mark.parametrize(
    "host", ["old.edge.svc.cluster.local", "old.edge.svc.cluster.local.", "old.edge.svc", "old.edge"]
)
def test_an_external_name(host):
    finding = only(trap, mesh(("services", service("shop/alias", type="ExternalName", externalName=host))))
    assert (
        finding.severity == "error"
        and finding.object == "Service shop/alias"
        and "new.gw.svc.cluster.local" in finding.fix
    )


def test_a_rewrite_of_the_clusters_dns():
    corefile = ".:53 {\n    rewrite name www.example old.edge.svc.cluster.local\n    forward . /etc/resolv.conf\n}"
    item = ("coredns", {**thing("ConfigMap", "kube-system/coredns"), "data": {"Corefile": corefile}})
    finding = only(trap, mesh(item))
    assert finding.object == "ConfigMap kube-system/coredns"
    assert finding.found.startswith("rewrite name www.example old.edge.svc.cluster.local is")


@pytest.mark.parametrize(
    ("name", "key", "counts"),
    [
        ("rke2-coredns-rke2-coredns", "Corefile", True),
        ("coredns-custom", "blue.server", True),
        ("anything", "more.override", True),
        ("coredns-custom", "text", True),
        ("somebodys", "notes", False),
    ],
)
def test_distributions_have_dns_of_other_names(name, key, counts):
    item = {**thing("ConfigMap", f"kube-system/{name}"), "data": {key: "rewrite name www.example old.edge.svc.cluster.local"}}
    assert bool(trap.check(mesh(("coredns", item)))) is counts


def test_a_route_to_blue_as_from_a_mesh_to_its_egress():
    spec = {"http": [{"route": [{"destination": {"host": "old.edge.svc.cluster.local"}}]}]}
    assert only(trap, mesh(("virtual_services", virtual_service("shop/out", ["mesh"], **spec)))).severity == "error"
    short = {"http": [{"route": [{"destination": {"host": "old"}}]}]}
    assert only(trap, mesh(("virtual_services", virtual_service("edge/out", ["mesh"], **short)))).object.endswith(
        "edge/out"
    )


def test_an_ingress_before_blue_is_a_warning():
    backend = {"service": {"name": "old", "port": {"number": 443}}}
    rules = [{"http": {"paths": [{"path": "/", "backend": backend}]}}]
    assert only(trap, mesh(("ingresses", thing("Ingress", "edge/alb", {"rules": rules})))).severity == "warning"
    assert (
        only(trap, mesh(("ingresses", thing("Ingress", "edge/alb", {"defaultBackend": backend})))).severity == "warning"
    )
    assert trap.check(mesh(("ingresses", thing("Ingress", "shop/alb", {"defaultBackend": backend})))) == []


def test_names_that_are_alike_are_fine():
    for host in ("very-old.edge.svc.cluster.local", "old.edges.svc", "old.edge-2", "my.old.edge", "www.example"):
        assert trap.check(mesh(("services", service("shop/alias", type="ExternalName", externalName=host)))) == []
