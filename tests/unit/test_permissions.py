# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions that are shipped. That modules ask for nothing else is asserted wherever one is run: see permissions."""

from __future__ import annotations

import permissions
import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import resource_keep_info
from fake_cluster import FakeCluster, run_module

PHASES = sorted({path.name for path in (permissions.ROOT / "roles").iterdir()} - {"mesh"})


def test_every_phase_has_a_row_and_every_file_is_named():
    assert set(permissions.files()) == {*PHASES, "preview"}
    page = (permissions.ROOT / "docs/permissions.md").read_text(encoding="utf-8")
    assert all(f"](rbac/{path.name})" in page for path in (permissions.ROOT / "docs/rbac").glob("*.yml"))


def test_who_uses_what_is_found_through_every_include():
    uses = permissions.uses()
    assert permissions.Use("bind", "present", False, False) in uses["binding_policy"]
    assert permissions.Use("preflight", "chosen", False, True) in uses["binding_policy"]
    assert {use.phase for use in uses["gateway_twin"]} >= {"deploy", "rollback"}
    assert {use.check for use in uses["virtual_service_gateways"] if use.phase == "cutover"} == {True}


def test_a_balancer_that_is_read_is_not_set():
    asked = ("create", "discovery.k8s.io", "endpointslices")
    assert not permissions.lacking("service_endpoints", {"green_percent": 50}, False, [asked])
    assert any("phase report" in words for words in permissions.lacking("service_endpoints", {}, False, [asked]))


@pytest.mark.parametrize(
    ("module", "state", "check", "asked", "lacks"),
    [
        ("traffic_idle_info", "", False, ("list", "", "pods"), False),
        ("traffic_idle_info", "", False, ("list", "batch", "cronjobs"), True),
        ("binding_policy", "present", True, ("create", "networking.istio.io", "virtualservices"), False),
        ("binding_policy", "chosen", True, ("create", "networking.istio.io", "virtualservices"), True),
        ("mesh_findings_info", "", False, ("list", "networking.istio.io", "anything"), False),
        ("mesh_findings_info", "", False, ("get", "networking.istio.io", "gateways"), True),
        ("gateway_drain", "", False, ("create", "", "pods/eviction"), False),
        ("gateway_drain", "", False, ("delete", "", "pods"), True),
    ],
)
def test_what_is_lacking_is_said(module, state, check, asked, lacks):
    assert bool(permissions.lacking(module, {"state": state}, check, [asked])) is lacks


def test_a_module_that_asks_for_more_fails_its_tests(monkeypatch):
    monkeypatch.setattr(permissions, "given", lambda *_asked: False)
    with pytest.raises(AssertionError, match="resource_keep_info: phase cleanup may not get services"):
        run_module(resource_keep_info, {"resources": [
            {"api_version": "v1", "kind": "Service", "namespace": "a", "name": "b"}]}, FakeCluster())  # fmt: skip


# -- what depends on the cluster and not on a module -------------------------------------------------------------------
def kept():
    """(group, resource) of what keep may delete, by dry runs: all that blue alone needs."""
    return [
        (group, resource)
        for rule in permissions.rules("keep")
        if {"patch", "delete"} <= set(rule["verbs"])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]


@pytest.mark.parametrize(("group", "resource"), kept())
def test_what_is_kept_can_be_archived_and_deleted_and_made_again(group, resource):
    for verb in ("get", "delete", "create"):
        assert permissions.allowed("cleanup", verb, group, resource), verb
