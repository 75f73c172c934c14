# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import malformed_reference as trap
from fake_mesh import mesh, only, virtual_service


@pytest.mark.parametrize("reference", ["edge/", "/public", "a/b/c", "Public", "edge//public", ""])
def test_what_is_no_reference(reference):
    finding = only(trap, mesh(("virtual_services", virtual_service(gateways=["edge/public", reference]))))
    assert finding.severity == "error" and finding.field == "spec.gateways[1]" and repr(reference) in finding.found


def test_what_means_no_gateway():
    finding = only(trap, mesh(("virtual_services", virtual_service(gateways=["edge/publik"]))))
    assert finding.severity == "warning" and "edge/public?" in finding.fix


def test_match_lists_count():
    http = [{"match": [{"gateways": ["public"]}], "route": []}]
    finding = only(trap, mesh(("virtual_services", virtual_service(http=http))))
    assert finding.field == "spec.http[0].match[0].gateways[0]" and "means shop/public" in finding.found


@pytest.mark.parametrize("reference", ["edge/public", "mesh", "gw/public", "public.edge.svc.cluster.local"])
def test_good_references_are_fine_and_green_need_not_be_there_yet(reference):
    assert trap.check(mesh(("virtual_services", virtual_service(gateways=[reference])))) == []
