# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deletion guard: its two objects, and how they come, change and go."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _deletion_guard as guard
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref, Resources
from fake_cluster import FakeCluster
from fake_guard import serve_guard

NAME = "bluegreen-mesh-keep-night"
GATEWAY = Ref("networking.istio.io/v1", "Gateway", "istio-system", "public")
SECRET = Ref("v1", "Secret", "istio-system", "public-cert")
WIDGET = Ref("example.com/v1", "Widget", "", "w")
WIDGETS = {"/apis/example.com/v1": [{"kind": "Widget", "name": "widgets", "namespaced": False}]}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Time passes only by sleeping."""
    clock = {"now": 0.0}
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(guard.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


def marked(ref: Ref) -> dict:
    meta = {
        "name": ref.name,
        "annotations": {guard.KEPT_BY: "night"},
        **({"namespace": ref.namespace} if ref.namespace else {}),
    }
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}


def make(*objects, **served):
    cluster = FakeCluster(*objects)
    serve_guard(cluster, **{"kinds": WIDGETS, **served})
    return cluster, guard.Guard(cluster, Resources(cluster), "night")


def test_the_policy_concerns_only_what_carries_the_annotation():
    policy = guard.policy("night", guard.COVERED, ["b", "a", "a"])
    assert policy["metadata"]["annotations"] == {guard.KEPT: '["a","b"]'}
    spec = policy["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert "bluegreen.mesh/kept-by'] == 'night'" in spec["matchConditions"][0]["expression"]
    assert spec["matchConditions"][0]["expression"].index("has(") < spec["matchConditions"][0]["expression"].index("==")
    assert all(rule["operations"] == ["DELETE"] for rule in spec["matchConstraints"]["resourceRules"])
    assert guard.covered_by(policy) == guard.COVERED
    message = spec["validations"][0]["messageExpression"]
    assert all(words in message for words in ("night", "-t cleanup", "-t rollback", "state=released", guard.KEPT_BY))
    assert guard.binding("night")["spec"] == {"policyName": NAME, "validationActions": ["Deny"]}


def test_it_comes_once_and_grows():
    cluster, this = make()
    assert this.available()
    assert this.ensure([GATEWAY]) is True
    writes = cluster.writes
    assert this.ensure([GATEWAY]) is False
    assert cluster.writes == writes == 2
    assert this.ensure([WIDGET, SECRET]) is True
    stored = cluster.peek(guard.POLICIES, "", NAME)
    assert guard.kept_entries(stored) == {guard.entry(r) for r in (GATEWAY, SECRET, WIDGET)}
    assert ("example.com", "widgets") in guard.covered_by(stored)
    assert this.ensure([SECRET]) is False
    assert cluster.peek(guard.BINDINGS, "", NAME)["spec"]["policyName"] == NAME


def test_it_goes_with_the_last_of_what_it_lists():
    cluster, this = make()
    this.ensure([GATEWAY, SECRET])
    assert this.withdraw([GATEWAY]) is True
    assert guard.kept_entries(cluster.peek(guard.POLICIES, "", NAME)) == {guard.entry(SECRET)}
    assert this.withdraw([GATEWAY]) is False
    assert this.withdraw([SECRET]) is True
    assert cluster.names(guard.POLICIES) == cluster.names(guard.BINDINGS) == []
    assert this.withdraw([SECRET]) is False


def test_a_dry_run_writes_nothing():
    cluster, this = make()
    assert this.ensure([GATEWAY], dry_run=True) is True
    assert cluster.writes == 0
    this.ensure([GATEWAY])
    writes = cluster.writes
    assert this.withdraw([GATEWAY], dry_run=True) is True
    assert cluster.writes == writes


def test_what_others_did_to_it_is_put_right():
    cluster, this = make()
    this.ensure([GATEWAY])
    cluster.edit(guard.POLICIES, "", NAME, lambda body: body["spec"].update(failurePolicy="Ignore"))
    cluster.edit(guard.BINDINGS, "", NAME, lambda body: body["spec"].update(validationActions=["Audit"]))
    assert this.ensure([GATEWAY]) is True
    assert cluster.peek(guard.POLICIES, "", NAME)["spec"]["failurePolicy"] == "Fail"
    assert cluster.peek(guard.BINDINGS, "", NAME)["spec"]["validationActions"] == ["Deny"]
    cluster.edit(guard.POLICIES, "", NAME, lambda body: body["metadata"]["annotations"].update({guard.KEPT: "{broken"}))
    assert this.ensure([SECRET]) is True
    assert guard.kept_entries(cluster.peek(guard.POLICIES, "", NAME)) == {guard.entry(SECRET)}


def test_a_policy_of_that_name_that_is_not_ours():
    foreign = {"apiVersion": guard.API, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": NAME}, "spec": {}}
    cluster, this = make(foreign)
    for act in (this.ensure, this.withdraw):
        with pytest.raises(Refusal, match="not ours") as caught:
            act([GATEWAY])
        assert caught.value.code == "foreign_policy"
    assert cluster.names(guard.POLICIES) == [NAME]


@pytest.mark.parametrize("act", ["ensure", "withdraw"])
def test_a_change_in_between_is_not_overwritten(act):
    cluster, this = make()
    this.ensure([GATEWAY])
    others = {guard.KEPT: f'["{guard.entry(GATEWAY)}","other","third"]'}
    cluster.on(
        "PUT", f"*/{guard.POLICIES}/*",
        lambda _r: cluster.edit(
            guard.POLICIES, "", NAME,
            lambda body: body["metadata"]["annotations"].update(others),
        ),
        times=1,
    )  # fmt: skip
    if act == "ensure":
        this.ensure([SECRET])
        assert guard.kept_entries(cluster.peek(guard.POLICIES, "", NAME)) >= {"other", "third", guard.entry(SECRET)}
    else:
        this.ensure([SECRET])
        this.withdraw([SECRET])
        assert guard.kept_entries(cluster.peek(guard.POLICIES, "", NAME)) == {"other", "third", guard.entry(GATEWAY)}


def test_endless_conflict():
    cluster, this = make()
    cluster.fail("POST", f"*/{guard.POLICIES}", 409, "AlreadyExists")
    with pytest.raises(Refusal) as caught:
        this.ensure([GATEWAY])
    assert caught.value.code == "conflict"


def test_waiting_until_it_holds():
    cluster, this = make(marked(GATEWAY), marked(SECRET), after=3)
    this.ensure([GATEWAY, SECRET])
    objects = [
        (r, cluster.peek(p, r.namespace, r.name)["metadata"]["uid"])
        for r, p in ((GATEWAY, "gateways"), (SECRET, "secrets"))
    ]
    this.await_active(objects, 30)
    assert cluster.requests["DELETE"] >= 4
    assert cluster.names("gateways") and cluster.names("secrets")  # dry runs, all of them
    assert all(r.body["dryRun"] == ["All"] for r in cluster.log if r.method == "DELETE")


def test_waiting_in_vain():
    cluster, this = make(marked(GATEWAY), after=10**6)
    this.ensure([GATEWAY])
    with pytest.raises(Refusal, match="would still delete Gateway istio-system/public") as caught:
        this.await_active([(GATEWAY, cluster.peek("gateways", "istio-system", "public")["metadata"]["uid"])], 10)
    assert caught.value.code == "guard_inactive"
    assert cluster.names("gateways")


def test_another_refusal_is_no_proof():
    cluster, this = make(marked(GATEWAY), after=1)
    cluster.fail("DELETE", "*/gateways/*", 403, "Forbidden", 'User "x" cannot delete resource "gateways"')
    this.ensure([GATEWAY])
    with pytest.raises(ApiError, match="cannot delete"):
        this.refuses(GATEWAY, "u")


def test_api_servers_without_it():
    _cluster, this = make(served=False)
    assert not this.available()
    bare = FakeCluster()
    assert not guard.Guard(bare, Resources(bare), "night").available()
    assert guard.Guard(bare, Resources(bare), "night").withdraw([GATEWAY]) is False
