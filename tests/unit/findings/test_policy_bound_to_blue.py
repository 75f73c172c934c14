# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import policy_bound_to_blue as trap
from fake_mesh import mesh, only, pod, thing


def policy(kind, ref, labels=None, **spec):
    key = "workloadSelector" if kind == "EnvoyFilter" else "selector"
    inner = "labels" if kind == "EnvoyFilter" else "matchLabels"
    return thing(kind, ref, {**({key: {inner: labels}} if labels else {}), **spec})


@pytest.mark.parametrize(
    ("plural", "kind", "severity"),
    [
        ("authorization_policies", "AuthorizationPolicy", "error"),
        ("request_authentications", "RequestAuthentication", "error"),
        ("envoy_filters", "EnvoyFilter", "error"),
        ("wasm_plugins", "WasmPlugin", "error"),
        ("telemetries", "Telemetry", "warning"),
        ("proxy_configs", "ProxyConfig", "warning"),
    ],
)
def test_every_kind_in_blues_namespace(plural, kind, severity):
    finding = only(trap, mesh((plural, policy(kind, "edge/p", {"app": "old"}))))
    assert finding.severity == severity and finding.object == f"{kind} edge/p"
    assert only(trap, mesh((plural, policy(kind, "edge/all")))).field == "metadata.namespace"
    assert trap.check(mesh((plural, policy(kind, "edge/p", {"app": "else"})))) == []
    assert trap.check(mesh((plural, policy(kind, "shop/p")))) == []


def test_istiods_configuration_says_which_is_the_root_namespace():
    config = {**thing("ConfigMap", "istio-system/istio"), "data": {"mesh": "rootNamespace: root"}}
    by_label = ("authorization_policies", policy("AuthorizationPolicy", "root/p", {"app": "old"}))
    of_system = ("authorization_policies", policy("AuthorizationPolicy", "istio-system/p", {"app": "old"}))
    assert only(trap, mesh(by_label, ("mesh_configs", config))).object.endswith("root/p")
    assert trap.check(mesh(by_label)) == [] and only(trap, mesh(of_system)).object.endswith("istio-system/p")
    assert trap.check(mesh(of_system, ("mesh_configs", config))) == []
    broken = {**config, "data": {"mesh": "a: [", "meshNetworks": "networks: {}"}}
    assert only(trap, mesh(of_system, ("mesh_configs", broken))).object.endswith("istio-system/p")
    of_revision = {**thing("ConfigMap", "istio-system/istio-canary"), "data": {"mesh": "rootNamespace: root"}}
    assert only(trap, mesh(by_label, ("mesh_configs", of_revision))).object.endswith("root/p")


def test_the_root_namespace_reaches_both_sides():
    everywhere = ("authorization_policies", policy("AuthorizationPolicy", "root/p"))
    assert trap.check(mesh(everywhere, root_namespace="root")) == []
    by_label = ("authorization_policies", policy("AuthorizationPolicy", "root/p", {"app": "old"}))
    assert only(trap, mesh(by_label, root_namespace="root")).field == "spec.selector"
    telemetry = ("telemetries", policy("Telemetry", "root/p", {"app": "old"}))
    assert trap.check(mesh(telemetry, root_namespace="root")) == []  # with a selector: its own namespace only
    assert (
        only(trap, mesh(("telemetries", policy("Telemetry", "edge/p", {"app": "old"})), root_namespace="edge")).severity
        == "warning"
    )


def test_a_policy_that_says_the_same_for_green_is_enough():
    rules = [{"to": [{"operation": {"methods": ["GET"]}}]}]
    blue = (
        "authorization_policies",
        policy("AuthorizationPolicy", "edge/p", {"app": "old"}, action="ALLOW", rules=rules),
    )
    green = (
        "authorization_policies",
        policy("AuthorizationPolicy", "gw/p", {"app": "new"}, action="ALLOW", rules=rules),
    )
    other = (
        "authorization_policies",
        policy("AuthorizationPolicy", "gw/p", {"app": "new"}, action="DENY", rules=rules),
    )
    assert trap.check(mesh(blue, green)) == []
    assert only(trap, mesh(blue, other)).object == "AuthorizationPolicy edge/p"


def test_target_refs_reach_their_own_namespace():
    refs = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "k8s"}]
    labels = {"app": "old", "gateway.networking.k8s.io/gateway-name": "k8s"}
    inventory = mesh(
        ("pods", pod("edge/old-1", labels)),
        ("authorization_policies", policy("AuthorizationPolicy", "edge/p", targetRefs=refs)),
    )  # fmt: skip
    assert only(trap, inventory).field == "spec.targetRefs"
    assert trap.check(mesh(("authorization_policies", policy("AuthorizationPolicy", "edge/p", targetRefs=refs)))) == []


def test_one_pod_that_it_applies_to_is_enough():
    inventory = mesh(
        ("pods", pod("edge/old-2", {"app": "old", "canary": "yes"})),
        ("authorization_policies", policy("AuthorizationPolicy", "edge/p", {"canary": "yes"})),
    )
    assert only(trap, inventory).object == "AuthorizationPolicy edge/p"
