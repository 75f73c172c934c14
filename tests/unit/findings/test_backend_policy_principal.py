# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import backend_policy_principal as trap
from fake_mesh import WORKLOAD, mesh, only, thing


def policy(*froms, when=()):
    rule = {"from": [{"source": f} for f in froms], "when": list(when)}
    return mesh(("authorization_policies", thing("AuthorizationPolicy", "shop/p", {"rules": [{}, rule]})))


@pytest.mark.parametrize(
    "source",
    [
        {"principals": ["cluster.local/ns/edge/sa/old-sa"]},
        {"principals": ["other.domain/ns/edge/sa/old-sa"]},
        {"principals": ["*/ns/edge/sa/old-sa"]},
        {"principals": ["cluster.local/ns/edge/*"]},
        {"notPrincipals": ["cluster.local/ns/edge/sa/old-sa"]},
        {"namespaces": ["edge"]},
        {"notNamespaces": ["edge"]},
        {"serviceAccounts": ["edge/old-sa"]},
    ],
)
def test_blues_identity_alone(source):
    finding = only(trap, policy(source))
    assert finding.severity == "error" and finding.field == f"spec.rules[1].from[0].source.{next(iter(source))}"


@pytest.mark.parametrize(
    "source",
    [
        {"principals": ["cluster.local/ns/edge/sa/old-sa", "cluster.local/ns/gw/sa/new"]},
        {"principals": ["*"]},
        {"principals": ["cluster.local/ns/shop/sa/old-sa"]},
        {"principals": ["cluster.local/ns/edge/sa/other"]},
        {"namespaces": ["edge", "gw"]},
        {"namespaces": ["*"]},
        {"notNamespaces": ["shop"]},
        {"ipBlocks": ["10.0.0.0/8"]},
        {},
    ],
)
def test_identities_that_mean_both_or_neither(source):
    assert trap.check(policy(source)) == []


def test_green_in_an_entry_of_its_own_is_enough_and_an_exclusion_is_not():
    assert trap.check(policy({"namespaces": ["edge"]}, {"namespaces": ["gw"]})) == []
    assert only(trap, policy({"namespaces": ["edge"]}, {"notNamespaces": ["gw"]})).field.endswith(
        "from[0].source.namespaces"
    )


def test_conditions_count():
    finding = only(trap, policy(when=[{"key": "source.namespace", "values": ["edge"]}]))
    assert finding.field == "spec.rules[1].when[0].values"
    assert trap.check(policy(when=[{"key": "request.headers[x]", "values": ["edge"]}])) == []


def test_green_may_have_another_account():
    green = {**WORKLOAD["green"], "chart_values": {"serviceAccount": {"name": "edge-sa"}}}
    rule = {"from": [{"source": {"principals": ["*/sa/old-sa", "cluster.local/ns/gw/sa/edge-sa"]}}]}
    item = ("authorization_policies", thing("AuthorizationPolicy", "shop/p", {"rules": [rule]}))
    assert trap.check(mesh(item, workloads=[{**WORKLOAD, "green": green}])) == []
    assert only(trap, mesh(item)).object == "AuthorizationPolicy shop/p"


def test_without_pods_any_account_of_blues_namespace_may_be_blues():
    rule = {"from": [{"source": {"principals": ["cluster.local/ns/edge/sa/whoever"]}}]}
    item = ("authorization_policies", thing("AuthorizationPolicy", "shop/p", {"rules": [rule]}))
    assert trap.check(mesh(item)) == []
    assert only(trap, mesh(item, drop=["pods"])).object == "AuthorizationPolicy shop/p"
