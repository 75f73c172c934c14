# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import threading

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, virtual_service_gateways
from fake_cluster import FakeCluster, run_module

API = "networking.istio.io/v1"
BLUE, GREEN = "istio-system/public", "istio-gateway/public-ingressgateway"
PAIRS = [{"blue": BLUE, "green": GREEN}]
JOURNAL = {"namespace": "bluegreen-mesh", "name": "demo"}


def gateway(key):
    namespace, name = key.split("/")
    return {"apiVersion": API, "kind": "Gateway", "metadata": {"namespace": namespace, "name": name}, "spec": {}}


def virtual_service(name, gateways, namespace="team", http=None, hosts=("a.test",), **meta):
    spec = {"gateways": gateways, "hosts": list(hosts), "http": http}
    spec = {key: value for key, value in spec.items() if value}
    return {
        "apiVersion": API, "kind": "VirtualService",
        "metadata": {"namespace": namespace, "name": name, **meta}, "spec": spec,
    }  # fmt: skip


@pytest.fixture
def cluster():
    return FakeCluster(
        gateway(BLUE), gateway(GREEN),
        virtual_service("blue", [BLUE]),
        virtual_service("green", [GREEN]),
        virtual_service("both", ["mesh", BLUE, GREEN]),
        virtual_service("mesh", None),
        virtual_service("other", ["other/gw"]),
        virtual_service("short", ["public"], "istio-system", labels={"tier": "1"}),
        virtual_service("root", [BLUE], http=[{"delegate": {"name": "leaf", "namespace": "team-b"}}]),
        virtual_service("leaf", None, "team-b", http=[{"match": [{"gateways": [BLUE]}]}], hosts=()),
    )  # fmt: skip


def run(cluster, check=False, **params):
    if params.get("state") != "restored":
        params.setdefault("pairs", PAIRS)
    return run_module(virtual_service_gateways, params, cluster, check=check)


def gateways(cluster, name, namespace="team"):
    return cluster.peek("virtualservices", namespace, name)["spec"].get("gateways")


def names(result, verdict):
    return sorted(entry["name"] for entry in result["virtual_services"][verdict])


def snapshot(cluster):
    return {
        key: body["spec"] for key, body in ((k, cluster.peek("virtualservices", *k)) for k in KEYS) if body
    }  # fmt: skip


KEYS = [("team", n) for n in ("blue", "green", "both", "mesh", "other", "root")] + [
    ("istio-system", "short"), ("team-b", "leaf"),
]  # fmt: skip


def with_journal(cluster, phase="bind", **params):
    opened = run_module(migration_journal, {"name": "demo", "state": "open", **params}, cluster)
    return {**JOURNAL, "epoch": opened["epoch"], "phase": phase}


def undo(cluster, journal):
    """What the rollback role does."""
    steps = run_module(migration_journal, {"name": "demo", "undo_from": journal["phase"]}, cluster)["undo"]
    for step in steps:
        result = run(cluster, **step["inverse"]["params"], journal={**journal, "phase": "rollback"})
        assert not result.get("failed"), result
        note = {"name": "demo", "state": "recorded", "epoch": journal["epoch"], "undone": [step["id"]]}
        assert not run_module(migration_journal, note, cluster).get("failed")
    return steps


# -- bind and unbind -------------------------------------------------------------------------------------------------
def test_bind_everything(cluster):
    result = run(cluster)
    assert result["changed"] and names(result, "changed") == ["blue", "green", "leaf", "root", "short"]
    assert names(result, "unchanged") == ["both", "mesh", "other"] and result["counts"]["changed"] == 5
    assert gateways(cluster, "blue") == gateways(cluster, "green") == [BLUE, GREEN]
    assert gateways(cluster, "short", "istio-system") == ["public", GREEN]
    leaf = cluster.peek("virtualservices", "team-b", "leaf")
    assert leaf["spec"] == {"http": [{"match": [{"gateways": [BLUE, GREEN]}]}]}
    assert result["diff"]["before"]["team/blue"] == {"spec.gateways": [BLUE]}
    assert result["diff"]["after"]["team-b/leaf"] == {"spec.http[0].match[0].gateways": [BLUE, GREEN]}


def test_a_second_run_changes_nothing(cluster):
    run(cluster)
    writes = cluster.writes
    result = run(cluster)
    assert not result["changed"] and cluster.writes == writes and result["counts"]["changed"] == 0


def test_check_mode_says_the_same_and_writes_nothing(cluster):
    planned = run(cluster, check=True)
    assert cluster.writes == 0
    done = run(cluster)
    for key in ("changed", "virtual_services", "counts", "diff", "owned_elsewhere"):
        assert planned[key] == done[key]


def test_unbind_from_blue(cluster):
    run(cluster)
    result = run(cluster, state="unbound", **{"from": "blue"})
    assert names(result, "changed") == ["blue", "both", "green", "leaf", "root", "short"]
    assert gateways(cluster, "both") == ["mesh", GREEN]
    assert not run(cluster, state="unbound", **{"from": "blue"})["changed"]


def test_unbind_skips_what_has_not_been_bound(cluster):
    result = run(cluster, state="unbound", **{"from": "blue"})
    assert names(result, "skipped") == ["blue", "leaf", "root", "short"] and names(result, "changed") == ["both"]
    assert all("bind it first" in entry["reason"] for entry in result["virtual_services"]["skipped"])


def test_roots_are_written_first_when_adding_and_last_when_removing(cluster):
    def written():
        return [request.path.rsplit("/", 1)[1] for request in cluster.log if request.method == "PATCH"]

    run(cluster, names=["team/root"])
    assert written() == ["root", "leaf"]
    run(cluster, state="unbound", names=["team/root"], **{"from": "blue"})
    assert written() == ["root", "leaf", "leaf", "root"]


def test_a_delegate_is_not_written_when_its_root_could_not_be(cluster):
    cluster.fail("PATCH", "*/virtualservices/root", 403, "Forbidden", "no")
    result = run(cluster)
    failed = {e["name"]: e["reason"] for e in result["failure"]["virtual_services"]["failed"]}
    assert set(failed) == {"root", "leaf"} and "team/root" in failed["leaf"]
    assert cluster.peek("virtualservices", "team-b", "leaf")["spec"]["http"][0]["match"][0]["gateways"] == [BLUE]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"namespaces": ["istio-system"]}, ["short"]),
        ({"labels": {"tier": 1}}, ["short"]),
        ({"names": ["team/blue", "istio-system/short"]}, ["blue", "short"]),
        ({"names": ["team/root"]}, ["leaf", "root"]),
        ({"names": ["team/root"], "delegates": False}, ["root"]),
        ({"namespaces": ["team-b"]}, []),
        ({"both_ways": False}, ["blue", "leaf", "root", "short"]),
    ],
)
def test_selection(cluster, selection, expected):
    assert names(run(cluster, **selection), "changed") == expected


def test_requests_are_few():
    cluster = FakeCluster(gateway(BLUE), gateway(GREEN), *(virtual_service(f"s{i}", [BLUE]) for i in range(1020)))
    journal = with_journal(cluster)
    before = cluster.total
    result = run(cluster, journal=journal)
    assert result["counts"]["changed"] == 1020
    assert result["api_requests"] == cluster.total and cluster.total - before <= 1020 + 10


def test_writes_are_parallel_as_far_as_asked():
    cluster = FakeCluster(gateway(BLUE), gateway(GREEN), *(virtual_service(f"s{i}", [BLUE]) for i in range(8)))
    together = threading.Barrier(4)

    def wait(_request):
        together.wait(10)

    cluster.on("PATCH", "*/virtualservices/*", wait)
    assert run(cluster, concurrency=4)["counts"]["changed"] == 8 and cluster.max_in_flight == 4


def test_older_istio(cluster):
    cluster.fail("*", f"/apis/{API}/*", 404, "NotFound", "the server could not find the requested resource")
    assert run(cluster)["counts"]["changed"] == 5
    assert gateways(cluster, "blue") == [BLUE, GREEN]


# -- bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"pairs": [{"blue": "public", "green": GREEN}]}, "malformed_reference", "pairs[0].blue is 'public'"),
        ({"pairs": [{"blue": BLUE, "green": "a/b/c"}]}, "malformed_reference", "pairs[0].green"),
        ({"pairs": [{"blue": BLUE, "green": BLUE}]}, "bad_pairs", "both istio-system/public"),
        ({"pairs": []}, "bad_options", "pairs is empty"),
        ({"names": []}, "bad_options", "names is empty"),
        ({"names": ["blue"]}, "malformed_reference", "'blue'"),
        ({"from": "blue"}, "bad_options", "only with state=unbound"),
        ({"concurrency": 17}, "bad_options", "1 to 16"),
        ({"state": "restored", "restore": [{"name": "a/b", "lists": {"/spec/gateways": {"from": [BLUE], "to": []}}}]},
         "bad_options", "/spec/gateways"),
        ({"state": "restored", "restore": [{"name": "a/b", "lists": {"/metadata/name": {"from": ["a"], "to": ["b"]}}}]},
         "bad_options", "/metadata/name"),
        ({"journal": {**JOURNAL, "epoch": 1, "phase": "binding"}}, "unknown_phase", "binding"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_before_anything_is_asked(cluster, params, code, text):
    result = run(cluster, **params)
    assert result["failed"] and result["failure"]["code"] == code and text in result["msg"] and cluster.total == 0


def test_a_gateway_that_is_not_there(cluster):
    cluster.add(gateway("old/public"))
    result = run(cluster, pairs=[{"blue": "istio-system/publik", "green": GREEN}])
    assert result["failure"]["code"] == "no_gateway" and BLUE in result["msg"] and "pairs[0].blue" in result["msg"]
    result = run(cluster, pairs=[{"blue": "istio/public", "green": GREEN}])
    assert {BLUE, "old/public"} <= set(result["failure"]["similar"]) and cluster.writes == 0


def test_green_may_come_later_but_must_be_there_to_leave_blue(cluster):
    pairs = [{"blue": BLUE, "green": "istio-gateway/later"}]
    assert not run(cluster, pairs=pairs).get("failed")
    writes = cluster.writes
    result = run(cluster, pairs=pairs, state="unbound", **{"from": "blue"})
    assert result["failure"]["code"] == "no_gateway" and "pairs[0].green" in result["msg"] and cluster.writes == writes
    assert not run(cluster, pairs=pairs, state="unbound", **{"from": "green"}).get("failed")


def test_unbinding_can_be_looked_at_before_there_is_something_to_unbind(cluster):
    ahead = {"state": "unbound", "from": "blue", "bound_first": True}
    told = run(cluster, check=True, **ahead)
    assert cluster.writes == 0
    run(cluster)
    now = run(cluster, check=True, state="unbound", **{"from": "blue"})
    assert told["diff"] == now["diff"] and set(now["diff"]["after"]) >= {"team/blue", "team-b/leaf", "team/root"}
    assert told["diff"]["before"]["team/blue"] == {"spec.gateways": [BLUE, GREEN]}
    assert told["diff"]["after"]["team-b/leaf"] == {"spec.http[0].match[0].gateways": [GREEN]}
    assert run(cluster, **ahead)["failure"]["code"] == "bad_options"
    assert run(cluster, check=True, bound_first=True)["failure"]["code"] == "bad_options"


def test_check_gateways_can_be_turned_off(cluster):
    assert not run(cluster, pairs=[{"blue": "no/such", "green": GREEN}], check_gateways=False).get("failed")


def test_names_that_are_not_there(cluster):
    result = run(cluster, names=["team/bleu"])
    assert result["failure"]["code"] == "no_virtual_service" and "team/blue" in result["msg"] and cluster.writes == 0
    result = run(cluster, names=["team/bleu", "team/blue"], missing_names="skip")
    assert names(result, "skipped") == ["bleu"] and names(result, "changed") == ["blue"]


def test_no_istio(cluster):
    cluster.fail("GET", "*/virtualservices", 404, "NotFound")
    assert run(cluster)["failure"]["code"] == "no_istio"


def test_a_missing_permission_is_named(cluster):
    cluster.fail("GET", "*/virtualservices", 403, "Forbidden", 'User "x" cannot list resource "virtualservices"')
    result = run(cluster)
    assert result["failure"]["status"] == 403 and "cannot list resource" in result["msg"]


# -- others write too ------------------------------------------------------------------------------------------------
def meddle(cluster, name, change, times=1, namespace="team"):
    """Someone else's write, just before ours arrives."""
    cluster.on(
        "PATCH", f"*/{namespace}/virtualservices/{name}",
        lambda _request: cluster.edit("virtualservices", namespace, name, change), times,
    )  # fmt: skip


def test_a_change_under_our_hands_is_kept(cluster):
    meddle(cluster, "blue", lambda body: body["spec"].update(gateways=["mesh", BLUE], hosts=["new.test"]))
    result = run(cluster)
    assert "blue" in names(result, "changed")
    spec = cluster.peek("virtualservices", "team", "blue")["spec"]
    assert spec == {"hosts": ["new.test"], "gateways": ["mesh", BLUE, GREEN]}


def test_what_someone_else_has_bound_meanwhile_is_unchanged(cluster):
    meddle(cluster, "blue", lambda body: body["spec"].update(gateways=[BLUE, GREEN]))
    assert "blue" in names(run(cluster), "unchanged")


def test_what_has_lost_its_lists_meanwhile_is_looked_at_again(cluster):
    cluster.add(virtual_service("match", [BLUE], http=[{"match": [{"gateways": [BLUE]}]}]))
    meddle(cluster, "match", lambda body: body["spec"].pop("http"))
    assert "match" in names(run(cluster), "changed") and gateways(cluster, "match") == [BLUE, GREEN]


def test_what_was_deleted_meanwhile_is_skipped(cluster):
    cluster.on(
        "PATCH", "*/virtualservices/blue",
        lambda _request: cluster.delete(f"/apis/{API}/namespaces/team/virtualservices/blue") and None, 1,
    )  # fmt: skip
    result = run(cluster)
    assert names(result, "skipped") == ["blue"] and "deleted" in result["virtual_services"]["skipped"][0]["reason"]


def test_what_never_stands_still_fails_and_the_others_are_done(cluster):
    counter = iter(range(100))
    meddle(cluster, "blue", lambda body: body["metadata"].update(labels={"n": str(next(counter))}), times=None)
    result = run(cluster)
    assert result["failed"] and result["failure"]["code"] == "write_failed"
    assert [e["name"] for e in result["failure"]["virtual_services"]["failed"]] == ["blue"]
    assert "team/blue" in result["msg"] and "5 tries" in result["msg"] and result["failure"]["counts"]["changed"] == 4
    assert gateways(cluster, "blue") == [BLUE] and gateways(cluster, "green") == [BLUE, GREEN]


def test_a_refused_object_fails_with_the_reason_and_the_others_are_done(cluster):
    cluster.fail("PATCH", "*/virtualservices/blue", 422, "Invalid", "admission webhook says no")
    result = run(cluster)
    assert "admission webhook says no" in result["msg"] and result["failure"]["counts"] == {
        "changed": 4, "unchanged": 3, "skipped": 0, "failed": 1,
    }  # fmt: skip


def test_a_lost_api_server_is_not_asked_a_thousand_times():
    class Lost(FakeCluster):
        def raw(self, method, path, **kwargs):
            if method == "PATCH":
                self.requests["PATCH"] = self.requests.get("PATCH", 0) + 1
                raise _client.ClusterError("the API server can't be reached")
            return super().raw(method, path, **kwargs)

    cluster = Lost(gateway(BLUE), gateway(GREEN), *(virtual_service(f"s{i}", [BLUE]) for i in range(100)))
    result = run(cluster)
    assert result["failure"]["counts"]["failed"] == 100 and cluster.requests["PATCH"] <= 16


# -- journal ---------------------------------------------------------------------------------------------------------
def test_the_journal_holds_the_way_back_before_the_first_write(cluster):
    journal = with_journal(cluster)
    seen = []

    def look(_request):
        seen.append(json.loads(cluster.peek("configmaps", "bluegreen-mesh", "demo")["data"]["steps"]))

    cluster.on("PATCH", "*/virtualservices/*", look, 1)
    run(cluster, journal=journal)
    assert {step["state"] for step in seen[0]} == {"recorded"} and seen[0][0]["phase"] == "bind"
    steps = run_module(migration_journal, {"name": "demo"}, cluster)["steps"]
    assert {step["state"] for step in steps} == {"done"}


@pytest.mark.parametrize("second", [None, {"state": "unbound", "from": "blue"}, {"state": "unbound", "from": "green"}])
def test_rollback_leads_back_exactly(cluster, second):
    cluster.add(
        virtual_service("half", [BLUE, GREEN], http=[{"match": [{"gateways": [BLUE]}]}]),
        virtual_service("form", ["public", "public-ingressgateway.istio-gateway"], "istio-system"),
    )
    KEYS_ALL = [*KEYS, ("team", "half"), ("istio-system", "form")]
    before = {key: cluster.peek("virtualservices", *key)["spec"] for key in KEYS_ALL}
    journal = with_journal(cluster)
    run(cluster, journal=journal)
    if second:
        run(cluster, **second, journal={**journal, "phase": "unbind"})
    assert {key: cluster.peek("virtualservices", *key)["spec"] for key in KEYS_ALL} != before
    undo(cluster, journal)
    assert {key: cluster.peek("virtualservices", *key)["spec"] for key in KEYS_ALL} == before
    assert undo(cluster, journal) == []


def test_a_killed_run_is_resumed_and_still_leads_back(cluster):
    before = snapshot(cluster)
    journal = with_journal(cluster)
    cluster.fail("PATCH", "*/virtualservices/[gr]*", 500, times=2)
    assert run(cluster, journal=journal)["failed"]
    assert run(cluster, journal=journal)["changed"]
    assert not run(cluster, journal=journal)["changed"]
    undo(cluster, journal)
    assert snapshot(cluster) == before


def test_what_changed_under_our_hands_leads_back_to_what_it_was_then(cluster):
    journal = with_journal(cluster)
    half = [{"match": [{"gateways": [BLUE]}]}]
    meddle(cluster, "blue", lambda body: body["spec"].update(gateways=[BLUE, GREEN], http=half))
    run(cluster, journal=journal)
    assert cluster.peek("virtualservices", "team", "blue")["spec"]["http"][0]["match"][0]["gateways"] == [BLUE, GREEN]
    undo(cluster, journal)
    assert cluster.peek("virtualservices", "team", "blue")["spec"]["http"] == half
    assert gateways(cluster, "blue") == [BLUE, GREEN]


def undo_names(cluster):
    steps = run_module(migration_journal, {"name": "demo", "undo_from": "bind"}, cluster)["undo"]
    assert {step["state"] for step in steps} <= {"done"}
    return sorted(name for step in steps for name in step["inverse"]["params"].get("names", ()))


def test_what_has_failed_is_not_to_be_undone(cluster):
    journal = with_journal(cluster)
    cluster.fail("PATCH", "*/virtualservices/blue", 422, "Invalid", "no", times=1)
    run(cluster, journal=journal, delegates=False)
    assert undo_names(cluster) == ["istio-system/short", "team-b/leaf", "team/green", "team/root"]


def test_when_all_has_failed_there_is_nothing_to_undo(cluster):
    journal = with_journal(cluster)
    cluster.fail("PATCH", "*/virtualservices/*", 403, "Forbidden", "no")
    assert run(cluster, journal=journal)["failed"] and undo_names(cluster) == []


def test_what_may_have_been_written_although_it_failed_is_to_be_undone(cluster):
    def lost(request):
        cluster.raw(*request)
        return 504, {"reason": "Timeout"}

    journal = with_journal(cluster)
    cluster.on("PATCH", "*/virtualservices/blue", lost, times=1)
    assert run(cluster, journal=journal, names=["team/blue"])["failed"]
    assert undo_names(cluster) == ["team/blue"]
    undo(cluster, journal)
    assert gateways(cluster, "blue") == [BLUE]


def test_what_was_written_by_a_try_whose_answer_was_lost_is_to_be_undone(cluster):
    def repeated(request):
        cluster.raw(*request)
        return 409, {"reason": "Conflict"}

    journal = with_journal(cluster)
    cluster.on("PATCH", "*/virtualservices/blue", repeated, times=1)
    assert names(run(cluster, journal=journal, names=["team/blue"]), "unchanged") == ["blue"]
    undo(cluster, journal)
    assert gateways(cluster, "blue") == [BLUE]


def test_a_run_that_changes_nothing_records_nothing(cluster):
    run(cluster)
    journal = with_journal(cluster)
    run(cluster, journal=journal)
    assert run_module(migration_journal, {"name": "demo"}, cluster)["steps"] == []


def test_an_older_run_changes_nothing(cluster):
    old = with_journal(cluster)
    with_journal(cluster, takeover=True, operator="bob")
    writes = cluster.writes
    result = run(cluster, journal=old)
    assert result["failure"]["code"] == "stale_epoch" and "of bob" in result["msg"] and cluster.writes == writes


def test_a_run_that_is_overtaken_stops_between_batches():
    cluster = FakeCluster(gateway(BLUE), gateway(GREEN), *(virtual_service(f"s{i:04}", [BLUE]) for i in range(900)))
    old = with_journal(cluster)
    cluster.on("PATCH", "*/virtualservices/s0001", lambda _request: with_journal(cluster, takeover=True) and None, 1)
    result = run(cluster, journal=old)
    assert result["failure"]["code"] == "stale_epoch"
    assert gateways(cluster, "s0399") == [BLUE, GREEN] and gateways(cluster, "s0400") == [BLUE]


def test_check_mode_needs_no_journal(cluster):
    result = run(cluster, check=True, journal={**JOURNAL, "epoch": 1, "phase": "bind"})
    assert result["changed"] and cluster.writes == 0


# -- sources ---------------------------------------------------------------------------------------------------------
def test_objects_that_are_made_elsewhere_are_named(cluster):
    release = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "team"}
    for name, gws in (("h1", [BLUE]), ("h2", [BLUE]), ("h3", [BLUE, GREEN])):
        cluster.add(virtual_service(name, gws, annotations=release))
    result = run(cluster, check=True)
    assert result["owned_elsewhere"] == [
        {
            "source": "Helm release team/shop", "effect": "its next upgrade puts the gateways back",
            "virtual_services": ["team/h1", "team/h2"],
        }
    ]  # fmt: skip


def tracked(name):
    return {"argocd.argoproj.io/tracking-id": f"shop:networking.istio.io/VirtualService:team/{name}"}


def argo(cluster, self_heal, *names):
    """Makes objects of an Argo CD Application, and the Application."""
    for name in names:
        cluster.add(virtual_service(name, [BLUE], annotations=tracked(name)))
    spec = {"syncPolicy": {"automated": {"selfHeal": self_heal}}}
    meta = {"namespace": "argocd", "name": "shop"}
    cluster.add({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": meta, "spec": spec})


@pytest.mark.parametrize("check", [True, False])
def test_what_would_be_put_back_is_refused_and_nothing_is_changed(cluster, check):
    argo(cluster, True, "a1", "a2")
    result = run(cluster, check)
    assert result["failure"]["code"] == "contested" and cluster.writes == 0
    assert [one["virtual_service"] for one in result["failure"]["contested"]] == ["team/a1", "team/a2"]
    assert "Argo CD Application shop" in result["msg"] and "selfHeal" in result["msg"]


def test_what_would_be_put_back_is_changed_where_that_is_wanted(cluster):
    argo(cluster, True, "a1")
    result = run(cluster, contested="report")
    assert result["contested"][0]["virtual_service"] == "team/a1" and gateways(cluster, "a1") == [BLUE, GREEN]
    assert result["owned_elsewhere"][0]["source"] == "Argo CD Application shop"


def test_a_source_that_leaves_it_alone_is_not_in_the_way(cluster):
    argo(cluster, False, *(f"a{n}" for n in range(20)))
    before = cluster.total
    result = run(cluster)
    assert result["contested"] == [] and result["counts"]["changed"] == 25
    assert cluster.total - before == 25 + 3  # one list more, however many objects


def test_only_what_is_to_be_changed_is_contested(cluster):
    argo(cluster, True, "a1")
    cluster.edit("virtualservices", "team", "a1", lambda body: body["spec"].update(gateways=[BLUE, GREEN]))
    assert run(cluster)["counts"]["changed"] == 5


def test_the_way_back_is_never_refused(cluster):
    journal = with_journal(cluster)
    assert run(cluster, journal=journal)["changed"]
    argo(cluster, True)
    cluster.edit("virtualservices", "team", "blue", lambda body: body["metadata"].update(annotations=tracked("blue")))
    assert run(cluster, state="unbound", **{"from": "green"})["failure"]["code"] == "contested"
    undo(cluster, journal)
    assert gateways(cluster, "blue") == [BLUE]


# -- field ownership -------------------------------------------------------------------------------------------------
OURS = _client.FIELD_MANAGER


def entry(manager, operation, *fields):
    own = {"f:spec": {f"f:{field}": {} for field in fields}}
    return {"manager": manager, "operation": operation, "apiVersion": API, "fieldsType": "FieldsV1", "fieldsV1": own}


def with_owners(cluster, name, **more):
    """An object that helm applies, on an API server that gives what a patch changes to the one who patches."""
    owner = entry("helm", "Apply", "gateways", "hosts")
    cluster.add(virtual_service(name, [BLUE], managedFields=[owner], **more))

    def taken(request):
        if any(operation["path"].startswith("/spec/") for operation in request.body):
            body = cluster._store[("networking.istio.io", "virtualservices", "team", name)]
            body["metadata"]["managedFields"] = [entry("helm", "Apply", "hosts"), entry(OURS, "Update", "gateways")]

    cluster.on("PATCH", f"*/virtualservices/{name}", taken)


def owners(cluster, name):
    managed = cluster.peek("virtualservices", "team", name)["metadata"]["managedFields"]
    return {e["manager"]: sorted(e["fieldsV1"]["f:spec"]) for e in managed}


def test_fields_are_given_back_to_who_applied_them(cluster):
    with_owners(cluster, "applied")
    before = cluster.total
    result = run(cluster)
    assert (
        gateways(cluster, "applied") == [BLUE, GREEN]
        and result["owned_elsewhere"][0]["source"] == "server-side apply by helm"
    )
    assert owners(cluster, "applied") == {"helm": ["f:gateways", "f:hosts"]} and result["not_given_back"] == []
    assert cluster.total - before == 2 + 6 + 1  # for this object alone one request more
    run(cluster, state="unbound", **{"from": "blue"})
    assert gateways(cluster, "applied") == [GREEN] and owners(cluster, "applied") == {"helm": ["f:gateways", "f:hosts"]}


def test_fields_are_given_back_after_a_change_of_others_in_between(cluster):
    with_owners(cluster, "applied")

    def label(request):
        if any(operation["path"] == "/metadata/managedFields" for operation in request.body):
            cluster.edit("virtualservices", "team", "applied", lambda b: b["metadata"].update(labels={"a": "b"}))
            return None

    writes = iter([None, label])

    def second(request):
        write = next(writes, None)
        return write(request) if write else None

    cluster.on("PATCH", "*/virtualservices/applied", second)
    run(cluster, names=["team/applied"])
    assert owners(cluster, "applied") == {"helm": ["f:gateways", "f:hosts"]}
    assert cluster.peek("virtualservices", "team", "applied")["metadata"]["labels"] == {"a": "b"}


def test_fields_are_given_back_when_the_answer_was_lost(cluster):
    with_owners(cluster, "applied")
    lost = []

    def lose(request):
        """Carries the write out, and answers that the object had been changed, as a repeated request is."""
        if lost:
            return None
        lost.append(request)
        body = cluster._store[("networking.istio.io", "virtualservices", "team", "applied")]
        body["spec"]["gateways"] = [BLUE, GREEN]
        body["metadata"]["resourceVersion"] = cluster._next_version()
        return 409, {"kind": "Status", "code": 409, "reason": "Conflict"}

    cluster.on("PATCH", "*/virtualservices/applied", lose)
    run(cluster, names=["team/applied"])
    assert owners(cluster, "applied") == {"helm": ["f:gateways", "f:hosts"]}


def test_fields_that_can_not_be_given_back_are_told(cluster):
    with_owners(cluster, "applied")

    def refuse(request):
        if any(operation["path"] == "/metadata/managedFields" for operation in request.body):
            return 403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}

    cluster.on("PATCH", "*/virtualservices/applied", refuse)
    result = run(cluster, names=["team/applied"])
    (changed,) = result["virtual_services"]["changed"]
    assert "could not be given back to helm" in changed["reason"] and gateways(cluster, "applied") == [BLUE, GREEN]
    assert [one["virtual_service"] for one in result["not_given_back"]] == ["team/applied"]
    assert "1 VirtualServices: team/applied: fields could not be given back to helm" in json.dumps(result["warnings"])
