# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import network_policy_backend as trap
from fake_mesh import mesh, only, thing

NAMED = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
GREEN = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gw"}}}
LABELLED = ("namespaces", thing("Namespace", "edge", labels={"team": "platform"}))


def policy(*peers, ref="shop/in", pods=None, **rule):
    spec = {"podSelector": pods or {}, "ingress": [{"from": list(peers), **rule}]}
    return ("network_policies", thing("NetworkPolicy", ref, spec))


@pytest.mark.parametrize(
    "peer",
    [
        NAMED,
        {"namespaceSelector": {"matchLabels": {"team": "platform"}}},
        {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "old"}}},
    ],
)
def test_peers_that_mean_blue_alone(peer):
    finding = only(trap, mesh(LABELLED, policy(peer)))
    assert finding.severity == "error" and finding.field == "spec.ingress[0].from" and "gw" in finding.fix


@pytest.mark.parametrize(
    "peer", [{"namespaceSelector": {}}, GREEN, {"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]
)
def test_peers_that_mean_both_or_neither(peer):
    assert trap.check(mesh(LABELLED, policy(peer))) == []


def test_a_pod_selector_alone_means_the_policys_own_namespace():
    inside = policy({"podSelector": {"matchLabels": {"app": "old"}}}, ref="edge/in")
    assert only(trap, mesh(inside)).object == "NetworkPolicy edge/in"


def test_green_may_be_let_in_beside_it():
    pods = {"matchLabels": {"app": "web"}}
    blue = policy(NAMED, pods=pods)
    assert trap.check(mesh(policy(NAMED, GREEN))) == []
    assert trap.check(mesh(blue, policy(GREEN, ref="shop/green", pods=pods))) == []
    assert trap.check(mesh(blue, policy(GREEN, ref="shop/green"))) == []
    assert trap.check(mesh(blue, policy(ref="shop/all"))) == []
    assert trap.check(mesh(blue, policy(GREEN, ref="shop/green", pods={"matchLabels": {"app": "else"}}))) != []
    assert trap.check(mesh(blue, policy(GREEN, ref="other/green"))) != []
    assert trap.check(mesh(blue, policy(GREEN, ref="shop/green", ports=[{"port": 1}]))) != []


def test_a_namespace_with_blues_label_admits_green_too():
    green = ("namespaces", thing("Namespace", "gw", labels={"team": "platform"}))
    peer = {"namespaceSelector": {"matchLabels": {"team": "platform"}}}
    assert trap.check(mesh(LABELLED, green, policy(peer))) == []


def test_nothing_is_claimed_when_namespaces_can_not_be_listed():
    assert trap.check(mesh(policy(NAMED), unread={"namespaces"})) == []
