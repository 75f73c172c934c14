# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import desired_state_info
from fake_cluster import FakeCluster, run_module
from fake_sources import BLUE, GREEN, in_release, last_applied, record_secret, thing
from fake_sources import virtual_service as make

PAIRS = [{"blue": BLUE, "green": GREEN}]
ARGO = {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:a/argo"}


@pytest.fixture
def cluster():
    return FakeCluster(
        make([BLUE, GREEN], "a/plain"),
        make([BLUE, GREEN], "a/hand", annotations=last_applied([BLUE], ref="a/hand")),
        make([BLUE, GREEN], "a/done", annotations=last_applied([GREEN], ref="a/done")),
        make([BLUE, GREEN], "shop/web", annotations=in_release()),
        make([BLUE, GREEN], "a/argo", annotations=ARGO),
        make(["mesh"], "a/mesh", annotations=last_applied(["mesh"], ref="a/mesh")),
        make(None, "a/none"),
        record_secret(bodies=[make([BLUE])], values={"gateway": BLUE, "password": "hunter2"}),
        thing("argoproj.io/v1alpha1", "Application", "argocd/shop", {"syncPolicy": {"automated": {"selfHeal": True}}}),
    )


def run(cluster, **params):
    return run_module(desired_state_info, {"pairs": PAIRS, **params}, cluster)


def blocked(result, which="blocking"):
    return [entry["virtual_service"] for entry in result[which]]


def test_what_does_not_stay_on_green_blocks(cluster):
    result = run(cluster)
    assert blocked(result) == ["a/argo", "a/hand", "shop/web"] and not result["changed"] and cluster.writes == 0
    assert [entry["green"] for entry in result["blocking"]] == [None, False, False]
    assert blocked(result, "sources") == ["a/argo", "a/done", "a/hand", "shop/web"] and result["without_source"] == 1
    assert result["blocking"][2] == {
        "virtual_service": "shop/web", "source": "helm:team/shop", "title": "Helm release team/shop", "names": [BLUE],
        "told_by": "Secret team/sh.helm.release.v1.shop.v3, revision 3 (deployed)", "green": False, "puts_back": "",
        "fights_policy": "", "overrides": ["helm/team.shop.yaml"],
        "text": f"shop/web: Helm release team/shop: it names {BLUE} (Secret team/sh.helm.release.v1.shop.v3, revision 3"
        " (deployed))",
    }  # fmt: skip
    assert blocked(result, "contested") == blocked(result, "fights") == ["a/argo"]


def test_files_and_no_secrets(cluster):
    result = run(cluster)
    assert {file["path"] for file in result["overrides"]} == {
        "helm/team.shop.yaml", "kustomize/a.hand.yaml", "kustomize/a.argo.yaml", "kustomize/kustomization.yaml",
    }  # fmt: skip
    assert "hunter2" not in json.dumps(result)


def test_waivers_by_object_and_by_source(cluster):
    result = run(cluster, waived=["a/argo", "helm:team/shop", "last_applied", "a/nothing"])
    assert result["blocking"] == [] and blocked(result, "waived") == ["a/argo", "a/hand", "shop/web"]
    assert result["unused_waivers"] == ["a/nothing"]


@pytest.mark.parametrize("waived", ["typo", "helmet:team/shop", "a/b/c"])
def test_a_waiver_that_can_not_be_one_is_refused(cluster, waived):
    result = run(cluster, waived=[waived])
    assert result["failure"]["code"] == "bad_option" and cluster.total == 0


def test_what_may_not_be_read_is_unknown_and_blocks(cluster):
    for path in ("/api/v1/secrets", "/apis/argoproj.io/*"):
        cluster.fail("GET", path, 403, "Forbidden")
    result = run(cluster)
    assert [(e["virtual_service"], e["green"]) for e in result["blocking"]] == [
        ("a/argo", None), ("a/hand", False), ("shop/web", None),
    ]  # fmt: skip
    assert all("not allowed (403)" in result["blocking"][n]["told_by"] for n in (0, 2))


def test_requests_do_not_grow_with_objects(cluster):
    run(cluster)
    first = cluster.total
    for n in range(50):
        cluster.add(make([BLUE], f"a/h{n}", annotations=in_release()))
        cluster.add(make([BLUE], f"a/l{n}", annotations=last_applied([BLUE])))
    before = cluster.total
    run(cluster)
    assert cluster.total - before == first


def test_nothing_is_read_that_nobody_asks_for():
    cluster = FakeCluster(make([BLUE]))
    run(cluster)
    assert cluster.total == 1


def test_a_release_that_is_stored_twice_is_unknown(cluster):
    other = record_secret(bodies=[make([GREEN])])
    other["metadata"]["namespace"] = "elsewhere"
    cluster.add(other)
    entry = next(e for e in run(cluster)["blocking"] if e["virtual_service"] == "shop/web")
    assert entry["green"] is None and "stored more than once" in entry["told_by"]


def test_owners_of_any_kind_are_read(cluster):
    owner = {"apiVersion": "apps.test/v1", "kind": "App", "name": "x", "controller": True}
    cluster.add(
        thing("apps.test/v1", "App", "a/x", {"gateway": GREEN}), make([BLUE, GREEN], "a/owned", ownerReferences=[owner])
    )
    listed = {"resources": [{"kind": "App", "name": "apps", "namespaced": True}]}
    cluster.on("GET", "/apis/apps.test/v1", lambda _request: (200, listed))
    (entry,) = [e for e in run(cluster)["sources"] if e["virtual_service"] == "a/owned"]
    assert entry["green"] is True and entry["told_by"] == "App a/x at spec.gateway"
