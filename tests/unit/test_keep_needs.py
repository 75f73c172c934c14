# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resource_keep with all that Gateways need: kept, shown by what owners would delete, looked at again, and released."""

from __future__ import annotations

import json

import pytest
import role_tasks
from ansible_collections.bluegreen.mesh.plugins.module_utils import _blue_proxies, _keep_target
from ansible_collections.bluegreen.mesh.plugins.module_utils import _deletion_guard as guard
from fake_blue import JOURNAL, act, annotations_of, blue, encoded, gateway, info, kept, manifest_of, obj, record, refused, secret

LABELS = {"app": "public"}
ISTIOD = {"app": "istiod"}
DOCUMENT = "---\napiVersion: {0}\nkind: {1}\nmetadata:\n  name: {2}\n  namespace: istio-system\n"
WHERE = {"namespace": "bluegreen-mesh", "name": "night"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(guard.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(guard.time, "sleep", lambda seconds: clock.update(now=clock["now"] + seconds))


def deployment(name, labels, account):
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": account}}
    return obj("apps/v1", "Deployment", name, labels=labels, spec={"template": template})


def whole():
    """One release with everything in it, istiod too."""
    public = gateway()
    public["spec"]["selector"] = LABELS
    objects = [
        public, secret(), deployment("public", LABELS, "public"), deployment("istiod", ISTIOD, "istiod"),
        obj("v1", "Service", "public", spec={"selector": LABELS}),
        obj("v1", "ServiceAccount", "public"), obj("v1", "ServiceAccount", "istiod"),
    ]  # fmt: skip
    manifest = "".join(
        DOCUMENT.format(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in objects
    )  # fmt: skip
    ca = obj("v1", "Secret", "istio-ca-secret")
    ca["metadata"]["annotations"] = {}
    return blue(ca, objects=objects, records=[record(encoded(manifest))])


def names(items):
    return {f"{item['kind']} {item['name']}" for item in items}


GOES = {"Gateway public", "Secret public-cert", "Deployment public", "Service public", "ServiceAccount public"}
STAYS = {"Deployment istiod", "ServiceAccount istiod", "Secret istio-ca-secret", "Namespace istio-system"}


def test_all_of_it_is_kept():
    cluster = whole()
    result = kept(cluster, needs=True)
    assert names(p for p in result["protected"] if not p["shared"]) == GOES
    assert names(p for p in result["protected"] if p["shared"]) == STAYS
    assert all(p["guard"] and p["safe"] for p in result["protected"])
    assert manifest_of(cluster).count("helm.sh/resource-policy: keep") == 7
    writes = cluster.writes
    assert kept(cluster, needs=True)["changed"] is False and cluster.writes == writes


def test_the_certificate_of_an_applications_own_gateway_is_where_the_pods_are():
    cluster = whole()
    own = gateway()
    own["metadata"].update(namespace="shop", name="own")
    own["spec"]["selector"] = LABELS
    cluster.add(own)
    pod = obj("v1", "Pod", "public-1", labels=LABELS)
    pod["status"] = {"phase": "Running"}
    cluster.add(pod)
    given = {"gateways": ["shop/own"], "needs": True}
    assert info(cluster, **given)["missing"] == []
    kept(cluster, **given)
    assert annotations_of(cluster, "secrets", "public-cert")[guard.KEPT_BY]
    cluster.delete("/api/v1/namespaces/istio-system/pods/public-1")
    assert "Secret shop/public-cert" in refused(cluster, "not_found", **given), "beside it, where there are no pods"


def test_what_owners_would_delete_of_it():
    cluster = whole()
    before = info(cluster, gateways=["istio-system/public"], needs=True)
    (helm,) = before["would_delete"]
    assert names(helm["objects"]) == GOES | STAYS - {"Secret istio-ca-secret", "Namespace istio-system"}
    kept(cluster)  # the Gateway and its Secret alone leave a Gateway with no pods
    (helm,) = info(cluster, gateways=["istio-system/public"], needs=True)["would_delete"]
    assert "Deployment istiod" in names(helm["objects"]) and "Gateway public" not in names(helm["objects"])
    kept(cluster, needs=True)
    assert info(cluster, gateways=["istio-system/public"], needs=True)["would_delete"] == []


def test_all_of_it_is_released_also_when_nothing_leads_to_it_any_more():
    cluster = whole()
    before = manifest_of(cluster)
    kept(cluster, needs=True)
    with cluster._lock:
        del cluster._store[("networking.istio.io", "gateways", "istio-system", "public")]
    result = kept(cluster, state="released", needs=True)
    assert names(result["missing"]) == {"Gateway public"}
    assert not cluster.names(guard.POLICIES)
    assert guard.KEPT_BY not in annotations_of(cluster, "deployments", "public")
    assert manifest_of(cluster).replace(DOCUMENT.format("networking.istio.io/v1", "Gateway", "public"), "") != before
    assert all(not p["live"] for p in result["protected"])


def test_what_another_migration_shares_is_left_to_it():
    cluster = whole()
    cluster.edit("namespaces", "", "istio-system",
                 lambda b: b["metadata"].setdefault("annotations", {}).update({guard.KEPT_BY: "other"}))  # fmt: skip
    result = kept(cluster, needs=True)
    assert "Namespace istio-system" not in names(result["protected"]) and "other" in json.dumps(result["warnings"])


def test_what_is_gone_or_made_anew_is_seen():
    cluster = whole()
    kept(cluster, needs=True)
    ask = {"gateways": ["istio-system/public"], "journal": WHERE}
    result = info(cluster, **ask)
    assert result["missing"] == [] and all(o["intact"] for o in result["owners"])
    assert {f"{o['kind']} {o['name']}" for o in result["owners"] if o["shared"]} == STAYS, "as noted on them"
    with cluster._lock:
        del cluster._store[("", "serviceaccounts", "istio-system", "public")]
    cluster.edit("deployments", "istio-system", "public", lambda b: b["metadata"].update(uid="another"))
    cluster.edit("services", "istio-system", "public",
                 lambda b: b["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"]))  # fmt: skip
    result = info(cluster, **ask)
    assert names(result["missing"]) == {"ServiceAccount public"}
    assert names(o for o in result["owners"] if not o["intact"]) == {"Deployment public", "Service public"}


def test_check_mode_before_anything_is_there():
    cluster = whole()
    writes = cluster.writes
    predicted = act(cluster, check=True, needs=True)
    assert cluster.writes == writes
    result = kept(cluster, needs=True)
    assert predicted["protected"] == result["protected"] and predicted["diff"] == result["diff"]


def test_a_record_that_was_uninstalled_is_no_danger_to_what_outlived_it():
    cluster = whole()
    kept(cluster, needs=True)
    with cluster._lock:
        del cluster._store[("", "secrets", "istio-system", "sh.helm.release.v1.blue.v1")]
    assert info(cluster, gateways=["istio-system/public"], needs=True)["would_delete"] == []
    # Of what was not edited, nobody knows where its record is.
    unknown = blue(records=[])
    assert info(unknown, gateways=["istio-system/public"])["would_delete"]


# -- proxies ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("envoy_control_plane_connected_state{} 1\n", True), ("envoy_control_plane_connected_state 0\n", False),
        ('a 1\nenvoy_cluster_upstream_rq_active{cluster_name="xds-grpc"} 1\n', True),
        ('envoy_cluster_upstream_rq_active{a="b",cluster_name="xds-grpc"} 0\n', False),
        ('envoy_cluster_upstream_rq_active{cluster_name="other"} 1\n', None), ("", None),
    ],
)  # fmt: skip
def test_connected(text, expected):
    assert _blue_proxies.connected(text) is expected


def test_proxies_and_roots():
    pod = obj("v1", "Pod", "p", labels=LABELS, status={"phase": "Running"})
    root = obj("v1", "ConfigMap", _blue_proxies.ROOT, data={"root-cert.pem": "one"})
    public = gateway()
    public["spec"]["selector"] = LABELS
    cluster = blue(pod, root, objects=[public, secret()])
    state = {"text": b"envoy_control_plane_connected_state 1\n"}
    cluster.on("GET", "*/proxy/stats/prometheus", lambda _r: (state.get("status", 200), state["text"]))
    ask = {"gateways": ["istio-system/public"], "proxies": True}
    before = info(cluster, **ask)
    assert before["proxies"] == [{"namespace": "istio-system", "name": "p", "connected": True, "problem": None}]
    state["text"] = b"envoy_control_plane_connected_state 0\n"
    cluster.edit("configmaps", "istio-system", _blue_proxies.ROOT, lambda b: b["data"].update({"root-cert.pem": "two"}))
    after = info(cluster, **ask)
    assert after["proxies"][0]["connected"] is False and after["roots"] != before["roots"]
    state["status"] = 403
    unknown = info(cluster, **ask)["proxies"][0]
    assert unknown["connected"] is None and "403" in unknown["problem"]


def test_the_uid_is_of_the_object_that_was_kept():
    cluster = whole()
    kept(cluster, needs=True)
    body = cluster.peek("gateways", "istio-system", "public")
    assert body["metadata"]["annotations"][_keep_target.UID] == body["metadata"]["uid"]
    assert JOURNAL["name"] == body["metadata"]["annotations"][guard.KEPT_BY]


# -- a user who may not do everything --------------------------------------------------------------------------------
def test_what_is_shared_and_may_not_be_touched_is_said_and_left():
    cluster = whole()
    cluster.fail("PATCH", "*/deployments/istiod", 403, "Forbidden", "no")
    cluster.fail("DELETE", "*/secrets/istio-ca-secret", 403, "Forbidden", "no")
    result = kept(cluster, needs=True)
    assert "Deployment istiod" not in names(result["protected"]) and "Deployment" in json.dumps(result["warnings"])
    assert "Secret istio-ca-secret" in names(result["protected"])
    kept(cluster, state="released", needs=True)
    assert not cluster.names(guard.POLICIES)


def test_what_is_blues_own_must_be_kept():
    cluster = whole()
    cluster.fail("PATCH", "*/deployments/public", 403, "Forbidden", "no")
    assert act(cluster, needs=True)["failure"]["status"] == 403


# -- the gate of keep, deploy and cutover ------------------------------------------------------------------------------
GATE = "keep/tasks/intact.yml"


def serving(says=(200, b"envoy_control_plane_connected_state 1\n")):
    """All of it, with a proxy that says so of istiod."""
    cluster = whole()
    pod = obj("v1", "Pod", "p", labels=LABELS, status={"phase": "Running"})
    cluster.add(pod, obj("v1", "ConfigMap", _blue_proxies.ROOT, data={"root-cert.pem": "one"}))
    cluster.on("GET", "*/proxy/stats/prometheus", lambda _r: says)
    kept(cluster, needs=True)
    return cluster


def gate(cluster, **facts):
    """What each refusal of the gate says, '' where it lets through; and what it has read."""
    asked = role_tasks.task(GATE, "Read back")["bluegreen.mesh.resource_keep_info"]
    assert asked["needs"] is True and asked["proxies"] is True
    read = info(cluster, gateways=["istio-system/public"], needs=True, journal=WHERE, proxies=True)
    journal = {"phases": {"keep": {"state": "done"}}, "facts": facts}
    given = {"keep_read": read, "_mesh_journal": journal, "mesh_migration": "night", "keep_stays": "Green stays at 0 %."}
    refusals = [task for task in role_tasks.load(GATE) if task["name"].startswith("Refuse")]
    return [role_tasks.refusal(task, **given) for task in refusals], read


def test_the_gate_lets_through_what_stands():
    cluster = serving()
    before = cluster.total
    says, read = gate(cluster)
    assert says == ["", "", ""] and read["roots"].keys() == {"istio-system"}
    assert cluster.total - before < 80, "asked in every run of a cutover"
    assert gate(cluster, keep_roots=read["roots"])[0] == ["", "", ""]


def test_the_gate_refuses_what_an_owner_would_delete():
    cluster = serving()
    manifest = DOCUMENT.format("v1", "ServiceAccount", "istiod")
    cluster.add(record(encoded(manifest, version=2), version=2))  # an upgrade, since it was kept
    says, _read = gate(cluster)
    assert says[1:] == ["", ""] and "Helm release istio-system/blue" in says[0]
    assert "would delete ServiceAccount istio-system/istiod (" in says[0]
    assert says[0].endswith("run -t keep again, or take them out of that owner. Green stays at 0 %.")


def test_the_gate_refuses_what_is_gone_or_made_anew():
    cluster = serving()
    with cluster._lock:
        del cluster._store[("", "serviceaccounts", "istio-system", "public")]
    cluster.edit("deployments", "istio-system", "public", lambda b: b["metadata"].update(uid="another"))
    says, _read = gate(cluster)
    assert says[0] == says[2] == "" and says[1].startswith("ServiceAccount public, Deployment public is gone,")
    assert says[1].endswith("Green stays at 0 %.")


def test_the_gate_refuses_another_root():
    says, _read = gate(serving(), keep_roots={"istio-system": "another"})
    assert says[:2] == ["", ""] and says[2].startswith("The root certificate in istio-system is not the one of when")
    assert says[2].endswith("Green stays at 0 %.")


def test_the_gate_refuses_a_proxy_that_has_lost_istiod():
    says, _read = gate(serving((200, b"envoy_control_plane_connected_state 0\n")))
    assert says[:2] == ["", ""] and says[2].startswith("p has no connection to istiod. Blue serves on")


def test_a_proxy_that_can_not_be_asked_is_named_and_no_refusal():
    says, read = gate(serving((403, b"no")))
    unknown = role_tasks.evaluate(role_tasks.task(GATE, "Say which")["loop"], keep_read=read)
    assert says == ["", "", ""] and [item["name"] for item in unknown] == ["p"]


@pytest.mark.parametrize(
    ("taken", "percent", "asks"), [(0, 10, True), (1, 25, False), (0, 5, False), (0, 0, False)]
)  # fmt: skip
def test_cutover_asks_again_before_green_gets_more(taken, percent, asks):
    """Once in each run; a step down is never held up by it."""
    again = next(
        task for task in role_tasks.load("cutover/tasks/unchanged/gateway.yml")
        if task.get("ansible.builtin.include_role", {}).get("name") == "bluegreen.mesh.keep"
    )  # fmt: skip
    assert again["ansible.builtin.include_role"]["tasks_from"] == "intact.yml"
    given = {"cutover_taken": taken, "cutover_percent": percent, "cutover_last_good": 5}
    assert role_tasks.holds(again["when"], **given) is asks


# -- the gate of cleanup, before it uninstalls -------------------------------------------------------------------------
def uninstalling(cluster):
    """What each refusal of cleanup's release.yml says of blue's release, '' where it lets through."""
    name = "cleanup/tasks/release.yml"
    would = info(cluster, release={"name": "blue", "namespace": "istio-system"})
    read = info(cluster, gateways=["istio-system/public"], needs=True, services=["istio-system/public"], journal=WHERE)
    release = {"release": "blue", "namespace": "istio-system"}
    given = {"cleanup_would": would, "cleanup_kept": read, "cleanup_release": release}
    return [role_tasks.refusal(task, **given) for task in role_tasks.load(name) if task["name"].startswith("Refuse")]


def upgraded(*documents):
    """Blue's release has a new revision since all of it was kept."""
    cluster = whole()
    kept(cluster, needs=True)
    manifest = "".join(DOCUMENT.format(*document) for document in documents)
    cluster.add(record(encoded(manifest, version=2), version=2))
    return cluster


def test_what_is_blues_alone_may_be_uninstalled():
    assert uninstalling(upgraded(("v1", "ServiceAccount", "public"))) == ["", ""]


@pytest.mark.parametrize(
    "document", [("v1", "ServiceAccount", "istiod"), ("v1", "Namespace", "else"), ("install.istio.io/v1alpha1", "IstioOperator", "x")]
)  # fmt: skip
def test_what_more_than_blue_needs_is_not_uninstalled(document):
    says = uninstalling(upgraded(("v1", "ServiceAccount", "public"), document))
    words = f"helm uninstall blue would also delete {document[1]} {document[2]}, which more than blue needs."
    assert says[0].startswith(words) and says[1] == ""


def test_what_another_release_has_taken_over_is_not_uninstalled():
    cluster = upgraded(("v1", "ServiceAccount", "public"))
    theirs = {"meta.helm.sh/release-name": "green"}
    cluster.edit("serviceaccounts", "istio-system", "public", lambda b: b["metadata"]["annotations"].update(theirs))
    says = uninstalling(cluster)
    assert says[0] == "" and "would also delete ServiceAccount public, which green has now." in says[1]
    assert "delete Secret istio-system/sh.helm.release.v1.blue.v1, Secret istio-system/sh.helm.release.v1.blue.v2" in says[1]
