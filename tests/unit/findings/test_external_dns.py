# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import external_dns as trap
from fake_mesh import gateway, mesh, only, service

NAME = {"external-dns.alpha.kubernetes.io/hostname": "www.example"}


def test_names_that_come_from_blues_service_or_gateway():
    finding = only(trap, mesh(("services", service("edge/old", {"app": "old"}, annotations=NAME))))
    assert finding.severity == "warning" and finding.object == "Service edge/old" and "www.example" in finding.found
    own = gateway(mode="SIMPLE", credentialName="cert")
    own["metadata"]["annotations"] = {"external-dns.alpha.kubernetes.io/target": "192.0.2.1"}
    assert only(trap, mesh(("gateways", own))).object == "Gateway edge/public"


def test_other_annotations_and_other_services_are_fine():
    assert trap.check(mesh(("services", service("edge/old", {"app": "old"}, annotations={"x": "y"})))) == []
    assert trap.check(mesh(("services", service("shop/web", {"app": "web"}, annotations=NAME)))) == []
