# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that shares a service: its steps in their order, what it refuses, and that all of it can be undone."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _canary, _canary_settle, _probe
from ansible_collections.bluegreen.mesh.plugins.modules import canary_routes, migration_journal
from fake_cluster import FakeCluster, run_module

API = "networking.istio.io/v1"
HOST = "web.shop.svc.cluster.local"
SUBSETS = [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]
OURS = "bluegreen-canary-web"


def body(kind, name, namespace="shop", spec=None, **meta):
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name, **meta},
        "spec": spec or {},
    }


def vs(name="web", http=None, gateways=("istio-system/public",), hosts=("web.test",), **more):
    http = [{"route": [{"destination": {"host": "web"}}]}] if http is None else http
    return body("VirtualService", name, spec={"hosts": list(hosts), "gateways": list(gateways), "http": http}, **more)


def rule(name="web", host="web", namespace="shop", **spec):
    return body(
        "DestinationRule", name, namespace, {"host": host, "trafficPolicy": {"tls": {"mode": "DISABLE"}}, **spec}
    )


def pod(name, version, ready=True):
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    meta = {"namespace": "shop", "name": name, "labels": {"app": "web", "version": version}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
}  # fmt: skip


@pytest.fixture
def cluster():
    return FakeCluster(SERVICE, pod("a", "v1"), vs())


def run(cluster, state, check=False, **params):
    params = {**({} if "host" in params else {"service": "shop/web"}), "subsets": SUBSETS, "state": state, **params}
    return run_module(canary_routes, params, cluster, check=check)


def good(cluster, state, **params):
    result = run(cluster, state, **params)
    assert not result.get("failed"), result["msg"]
    return result


def refused(cluster, state, code, **params):
    writes = cluster.writes
    result = run(cluster, state, **params)
    assert result.get("failed") and result["failure"]["code"] == code, result
    assert cluster.writes == writes
    return result["msg"]


def weights(cluster, name="web", at=-1):
    found = cluster.peek("virtualservices", "shop", name)["spec"]["http"][at]["route"]
    return {one["destination"].get("subset"): one.get("weight") for one in found}


def subsets(cluster, name="web"):
    found = cluster.peek("destinationrules", "shop", name)
    return [one["name"] for one in found["spec"].get("subsets") or ()] if found else None


def look(cluster):
    """All of it, as far as it can be undone."""
    found = {}
    for plural in ("virtualservices", "destinationrules", "serviceentries"):
        for name in cluster.names(plural):
            item = cluster.peek(plural, "shop", name)
            item["metadata"] = {
                key: item["metadata"].get(key) or None for key in ("labels", "annotations", "managedFields")
            }
            found[plural, name] = item
    return found


# -- there and back ----------------------------------------------------------------------------------------------------
def test_the_seed_s_objects(cluster):
    good(cluster, "subsets")
    made = cluster.peek("destinationrules", "shop", OURS)
    assert made["spec"] == {"host": HOST, "subsets": SUBSETS}
    good(cluster, "routed", weights={"v1": 100}, mesh=False)
    cluster.add(pod("b", "v2"))
    result = good(cluster, "routed", weights={"v1": 95, "v2": 5}, mesh=False)
    assert (
        weights(cluster) == {"v1": 95, "v2": 5}
        and result["weights"] == {"v1": 95, "v2": 5}
        and result["ready"] == {"v1": 1, "v2": 1}
    )
    assert result["diff"]["before"]["VirtualService shop/web"]["http"][0]["route"][1]["weight"] == 0


def test_all_of_it_goes_back_to_the_letter():
    cluster = FakeCluster(
        SERVICE, pod("a", "v1"), vs(annotations={"mine": "1"}), rule(subsets=[{"name": "old", "labels": {"a": "b"}}])
    )
    before = look(cluster)
    good(cluster, "subsets")
    assert subsets(cluster) == ["old", "v1", "v2"]
    good(cluster, "routed", weights={"v1": 100})
    assert cluster.names("virtualservices") == [OURS, "web"] and weights(cluster, OURS) == {"v1": 100, "v2": 0}
    good(cluster, "unrouted")
    good(cluster, "absent")
    assert look(cluster) == before


@pytest.mark.parametrize("state", ["subsets", "routed", "unrouted", "absent"])
def test_a_second_run_changes_nothing_and_check_mode_tells_the_first(cluster, state):
    given = {"weights": {"v1": 100}} if state == "routed" else {}
    order = ["subsets", "routed", "unrouted", "absent"]
    for earlier in order[: order.index(state)]:
        good(cluster, earlier, **({"weights": {"v1": 100}} if earlier == "routed" else {}))
    writes, before = cluster.writes, look(cluster)
    planned = run(cluster, state, check=True, **given)
    assert cluster.writes == writes and look(cluster) == before
    done = good(cluster, state, **given)
    assert done["changed"] and {key: planned[key] for key in ("changed", "objects", "weights", "diff")} == {
        key: done[key] for key in ("changed", "objects", "weights", "diff")
    }  # fmt: skip
    writes = cluster.writes
    assert not good(cluster, state, **given)["changed"] and cluster.writes == writes


def test_read_changes_nothing(cluster):
    assert good(cluster, "read")["weights"] is None and cluster.writes == 0


# -- the order ---------------------------------------------------------------------------------------------------------
def test_routes_want_subsets_and_subsets_outlive_routes(cluster):
    assert "Make the subsets first" in refused(cluster, "routed", "no_subset", weights={"v1": 100})
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100})
    assert "VirtualService shop/web spec.http[0] still names" in refused(cluster, "absent", "subset_in_use").replace(
        OURS, "web"
    )


def test_a_subset_without_pods_gets_nothing(cluster):
    cluster.add(pod("b", "v2", ready=False))
    good(cluster, "subsets")
    refused(cluster, "routed", "subset_not_ready", weights={"v1": 95, "v2": 5})
    refused(
        cluster,
        "routed",
        "subset_not_ready",
        weights={"v1": 100},
        match=[{"subset": "v2", "header": {"name": "x", "exact": "y"}}],
    )
    good(cluster, "routed", weights={"v1": 100})


def test_without_its_routes_two_versions_would_mix(cluster):
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100})
    cluster.add(pod("b", "v2"))
    assert "1 pods of v1 and 1 pods of v2 are ready" in refused(cluster, "unrouted", "would_mix")
    good(cluster, "unrouted", allow_mixed=True)


def test_a_subset_that_a_route_named_before_must_have_pods():
    pinned = vs(http=[{"route": [{"destination": {"host": "web", "subset": "v1"}}]}])
    cluster = FakeCluster(SERVICE, pod("a", "v1"), pod("b", "v2"), pinned, rule(subsets=SUBSETS))
    good(cluster, "routed", weights={"v2": 100}, mesh=False)
    cluster.edit("pods", "shop", "a", lambda item: item.update(status={}))
    assert "named subset v1 before" in refused(cluster, "unrouted", "no_pods")
    cluster.edit("pods", "shop", "a", lambda item: item.update(pod("a", "v1")))
    good(cluster, "unrouted")
    assert weights(cluster) == {"v1": None}


# -- what is refused ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("objects", "code", "says"), [
    ([rule(), rule("again", HOST)], "two_rules", "shop/again, shop/web"),
    ([rule(namespace="team")], None, ""),  # web.team is another host
    ([rule(host=HOST, namespace="team")], "rule_elsewhere", "Move it to shop"),
    ([rule(host="*.shop.svc.cluster.local")], "wildcard_rule", "shop/web (host *.shop.svc.cluster.local)"),
    ([rule(host="*.local", namespace="istio-system")], "wildcard_rule", "istio-system/web"),
    ([rule(), rule("wide", "*.local")], None, ""),
    ([rule(workloadSelector={"matchLabels": {"a": "b"}})], "rule_for_some", "spec.workloadSelector"),
    ([rule(exportTo=["."])], "not_exported", "spec.exportTo: found ."),
    ([rule(subsets=[{"name": "v1", "labels": {"version": "1"}}])], "subset_differs", "has subset v1 with labels {'version': '1'}"),
])  # fmt: skip
def test_destination_rules_that_can_t_take_the_subsets(cluster, objects, code, says):
    cluster.add(*objects)
    if code:
        assert says in refused(cluster, "subsets", code)
    else:
        assert good(cluster, "subsets")["changed"]


@pytest.mark.parametrize(("objects", "params", "code", "says"), [
    ([], {"mesh": False, "names": ["shop/other"]}, "no_virtual_service", "shop/other"),
    ([vs("other", [])], {"mesh": False, "names": ["shop/other"]}, "no_route", "in names sends to"),
    ([vs("api", [{"route": [{"destination": {"host": "web", "subset": "v7"}}]}])], {}, "no_subset", "shop/api spec.http[0] names subset v7"),
    ([vs("front", [], hosts=["new.test"])], {"gateways": ["istio-system/public"], "hosts": ["new.test"]}, "host_taken", "shop/front"),
    ([], {"gateways": ["istio-system/public"]}, "bad_option", "gateways and hosts"),
    ([], {"gateways": ["public"], "hosts": ["x"]}, "malformed_reference", "public"),
    ([], {"weights": {"v1": 50.5, "v2": 49.5}}, "bad_weights", "weights.v1: found 50.5"),
    ([], {"weights": {"v1": 99}}, "bad_weights", "add up to 99"),
    ([], {"match": [{"subset": "v1"}]}, "bad_match", "match[0]: expected one of header and cookie, found none"),
    ([], {"match": [{"subset": "v1", "header": {"name": "x"}}]}, "bad_match",
     "match[0].header: expected one of exact, prefix, regex, found none"),
    ([], {"match": [{"subset": "v1", "header": {"name": "x", "prefix": "a", "regex": "b"}}]}, "bad_match",
     "match[0].header: expected one of exact, prefix, regex, found prefix and regex"),
    ([], {"match": [{"subset": "v1", "header": {"name": "x", "regex": "["}}]}, "bad_match",
     "match[0].header.regex: found '['"),
    ([], {"settle": {}}, "bad_option", "names neither urls nor istiod_url"),
    ([], {"settle": {"urls": ["web.test/"]}}, "bad_option", "'web.test/' is no URL"),
])  # fmt: skip
def test_routes_that_can_t_be(cluster, objects, params, code, says):
    good(cluster, "subsets")
    cluster.add(*objects)
    assert says in refused(cluster, "routed", code, **{"weights": {"v1": 100}, **params})


@pytest.mark.parametrize(("params", "code"), [
    ({"subsets": SUBSETS[:1]}, "bad_option"),
    ({"subsets": [SUBSETS[0], {**SUBSETS[0], "name": "v2"}]}, "bad_option"),
    ({"service": "web"}, "malformed_reference"),
    ({"service": "shop/none"}, "no_service"),
])  # fmt: skip
def test_options_that_can_t_be(cluster, params, code):
    refused(cluster, "subsets", code, **params)


def test_a_tcp_route_to_it_is_refused_by_name(cluster):
    cluster.add(
        body("VirtualService", "raw", spec={"hosts": ["web"], "tcp": [{"route": [{"destination": {"host": "web"}}]}]})
    )
    assert "VirtualService shop/raw spec.tcp[0]" in refused(cluster, "subsets", "not_http")


def test_a_port_that_is_not_http_keeps_the_mesh_from_being_shared(cluster):
    ports = [{"name": "http", "port": 80}, {"name": "tcp-x", "port": 90}]
    cluster.edit("services", "shop", "web", lambda item: item["spec"].update(ports=ports))
    good(cluster, "subsets")
    assert "port 90 speaks tcp" in refused(cluster, "routed", "not_http", weights={"v1": 100})
    good(cluster, "routed", weights={"v1": 100}, port=80)
    destination = cluster.peek("virtualservices", "shop", OURS)["spec"]["http"][0]["route"][0]["destination"]
    assert destination == {"host": HOST, "port": {"number": 80}, "subset": "v1"}


# -- ours --------------------------------------------------------------------------------------------------------------
def test_where_there_is_none_one_is_made_for_gateways(cluster):
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100}, gateways=["istio-system/public"], hosts=["new.test"])
    made = cluster.peek("virtualservices", "shop", OURS)
    assert made["spec"]["gateways"] == ["mesh", "istio-system/public"] and made["spec"]["hosts"] == [HOST, "new.test"]
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "bluegreen.mesh"


def test_none_is_made_where_the_mesh_is_served(cluster):
    cluster.add(vs("inside", gateways=["mesh"], hosts=["web"]))
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100})
    assert OURS not in cluster.names("virtualservices") and weights(cluster, "inside") == {"v1": 100, "v2": 0}


def test_one_that_asks_to_be_left_alone_is(cluster):
    cluster.add(vs("alone", labels={"bluegreen.mesh/bind": "false"}))
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100})
    assert weights(cluster, "alone") == {None: None}


def test_what_somebody_adds_to_our_rule_stays(cluster):
    good(cluster, "subsets")
    cluster.edit(
        "destinationrules",
        "shop",
        OURS,
        lambda item: item["spec"]["subsets"].append({"name": "x", "labels": {"x": "y"}}),
    )
    good(cluster, "absent")
    assert subsets(cluster, OURS) == ["x"]


EXTERNAL = {
    "ports": [{"number": 443, "name": "http", "protocol": "HTTP"}],
    "endpoints": [{"address": "a.example.org", "labels": {"version": "v1"}}, {"address": "b.example.org", "labels": {"version": "v2"}}],
}  # fmt: skip


def test_an_external_host_is_declared_first_and_forgotten_last(cluster):
    where = {"host": "api.example.com", "namespace": "shop", "external": EXTERNAL}
    before = look(cluster)
    done = good(cluster, "subsets", **where)
    name = "bluegreen-canary-api-example-com"
    assert [one["object"] for one in done["objects"]] == [f"ServiceEntry shop/{name}", f"DestinationRule shop/{name}"]
    assert cluster.peek("serviceentries", "shop", name)["spec"] == {
        "hosts": ["api.example.com"], "location": "MESH_EXTERNAL", "resolution": "DNS", **EXTERNAL,
    }  # fmt: skip
    good(cluster, "routed", weights={"v1": 95, "v2": 5}, **where)
    assert weights(cluster, name) == {"v1": 95, "v2": 5}
    good(cluster, "unrouted", **where)
    good(cluster, "absent", **where)
    assert look(cluster) == before


@pytest.mark.parametrize(("external", "code"), [
    ({**EXTERNAL, "resolution": "NONE"}, "bad_external"),
    ({**EXTERNAL, "endpoints": EXTERNAL["endpoints"][:1]}, "bad_external"),
    (None, "no_service"),
])  # fmt: skip
def test_an_external_host_needs_endpoints_with_labels(cluster, external, code):
    refused(cluster, "subsets", code, host="api.example.com", namespace="shop", external=external)


@pytest.mark.parametrize("protocol", ["TLS", "HTTPS"])
def test_an_external_host_that_is_known_by_its_server_name_alone_is_not_shared(cluster, protocol):
    ports = [{"number": 443, "name": "out", "protocol": protocol}]
    where = {"host": "api.example.com", "namespace": "shop", "external": {**EXTERNAL, "ports": ports}}
    good(cluster, "subsets", **where)
    said = refused(cluster, "routed", "not_http", weights={"v1": 100}, **where)
    assert f"ServiceEntry shop/bluegreen-canary-api-example-com port 443 speaks {protocol.lower()}" in said


def test_a_declared_host_is_not_declared_again(cluster):
    cluster.add(body("ServiceEntry", "api", spec={"hosts": ["api.example.com"], "endpoints": EXTERNAL["endpoints"]}))
    where = {"host": "api.example.com", "namespace": "shop"}
    assert "shop/api declares" in refused(cluster, "subsets", "host_taken", external=EXTERNAL, **where)
    good(cluster, "subsets", **where)
    assert cluster.names("serviceentries") == ["api"]


# -- writing -----------------------------------------------------------------------------------------------------------
def test_fields_are_given_back_to_who_had_applied_them():
    owner = {
        "manager": "helm",
        "operation": "Apply",
        "apiVersion": API,
        "fieldsV1": {"f:spec": {"f:http": {}, "f:hosts": {}}},
    }
    cluster = FakeCluster(SERVICE, pod("a", "v1"), vs(managedFields=[owner]))
    good(cluster, "subsets")

    def took(request):
        if any(one["path"] == "/spec/http" for one in request.body):
            ours = {
                "manager": "bluegreen-mesh",
                "operation": "Update",
                "apiVersion": API,
                "fieldsV1": {"f:spec": {"f:http": {}}},
            }
            left = {**owner, "fieldsV1": {"f:spec": {"f:hosts": {}}}}
            # The next read is of the object as the API server would have it.
            cluster.edit(
                "virtualservices", "shop", "web", lambda item: item["metadata"].update(managedFields=[left, ours])
            )
            request.body[0]["value"] = cluster.peek("virtualservices", "shop", "web")["metadata"]["resourceVersion"]

    cluster.on("PATCH", "*/virtualservices/web", took, times=1)
    good(cluster, "routed", weights={"v1": 100}, mesh=False)
    fields = cluster.peek("virtualservices", "shop", "web")["metadata"]["managedFields"]
    assert fields == [{**owner, "fieldsV1": {"f:spec": {"f:hosts": {}, "f:http": {}}}}]


def test_a_conflict_is_planned_again_from_a_fresh_read(cluster):
    good(cluster, "subsets")
    other = {"match": [{"uri": {"exact": "/x"}}], "redirect": {"uri": "/y"}}

    def meanwhile(_request):
        cluster.edit("virtualservices", "shop", "web", lambda item: item["spec"]["http"].insert(0, other))

    cluster.on("PATCH", "*/virtualservices/web", meanwhile, times=1)
    good(cluster, "routed", weights={"v1": 100}, mesh=False)
    http = cluster.peek("virtualservices", "shop", "web")["spec"]["http"]
    assert http[0] == other and weights(cluster) == {"v1": 100, "v2": 0}


def test_one_that_is_put_back_by_its_source_is_refused(cluster):
    owners = [{"apiVersion": "x.test/v1", "kind": "App", "name": "web", "controller": True, "uid": "u"}]
    cluster.edit("virtualservices", "shop", "web", lambda item: item["metadata"].update(ownerReferences=owners))
    good(cluster, "subsets")
    refused(cluster, "routed", "contested", weights={"v1": 100}, mesh=False)
    assert good(cluster, "routed", weights={"v1": 100}, mesh=False, contested="report")["warnings"]


# -- the journal -------------------------------------------------------------------------------------------------------
def open_journal(cluster):
    opened = run_module(migration_journal, {"name": "demo", "state": "open"}, cluster)
    return {"namespace": "bluegreen-mesh", "name": "demo", "epoch": opened["epoch"], "phase": "cutover"}


def steps_of(cluster):
    return run_module(migration_journal, {"name": "demo", "undo_from": "cutover"}, cluster)["undo"]


def undo(cluster, journal, step):
    params = {**step["inverse"]["params"], "journal": {**journal, "phase": "rollback"}}
    result = run_module(canary_routes, params, cluster)
    if not result.get("failed"):
        note = {"name": "demo", "state": "recorded", "epoch": journal["epoch"], "undone": [step["id"]]}
        assert not run_module(migration_journal, note, cluster).get("failed")
    return result


def test_the_way_back_first_pins_then_waits_for_v2_to_be_gone(cluster):
    before = look(cluster)
    journal = open_journal(cluster)
    match = [{"subset": "v2", "cookie": {"name": "tester", "exact": "yes"}}]
    good(cluster, "subsets", journal=journal)
    good(cluster, "routed", weights={"v1": 100}, journal=journal)
    cluster.add(pod("b", "v2"))
    for percent in (5, 50):
        good(cluster, "routed", weights={"v1": 100 - percent, "v2": percent}, match=match, journal=journal)
    todo = steps_of(cluster)
    assert [step["key"] for step in todo] == [f"{HOST} weights", f"{HOST} routes", f"{HOST} subsets"]
    assert {step["state"] for step in todo} == {"done"}
    undo(cluster, journal, todo[0])
    assert (
        weights(cluster) == {"v1": 100, "v2": 0}
        and len(cluster.peek("virtualservices", "shop", "web")["spec"]["http"]) == 1
    )
    assert undo(cluster, journal, todo[1])["failure"]["code"] == "would_mix"
    cluster.edit("pods", "shop", "b", lambda item: item.update(status={}))
    for step in steps_of(cluster):
        assert not undo(cluster, journal, step).get("failed")
    assert look(cluster) == before and steps_of(cluster) == []


def test_matches_of_every_kind_are_told_and_come_back(cluster):
    journal = open_journal(cluster)
    cluster.add(pod("b", "v2"))
    mobile = [
        {"subset": "v2", "header": {"name": "user-agent", "prefix": "Shop/2."}},
        {"subset": "v2", "header": {"name": "user-agent", "regex": ".*(Mobile|Android).*"}},
    ]
    good(cluster, "subsets")
    told = good(cluster, "routed", weights={"v1": 100}, match=mobile, mesh=False)
    assert told["match"] == mobile == good(cluster, "read")["match"]
    before = look(cluster)
    good(cluster, "routed", weights={"v1": 50, "v2": 50}, mesh=False, journal=journal)
    assert good(cluster, "read")["match"] == []
    (step,) = steps_of(cluster)
    assert step["inverse"]["params"]["match"] == mobile and not undo(cluster, journal, step).get("failed")
    assert look(cluster) == before


def test_what_was_taken_away_comes_back_in_the_right_order(cluster):
    journal = open_journal(cluster)
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100})
    before = look(cluster)
    good(cluster, "unrouted", journal=journal)
    good(cluster, "absent", journal=journal)
    for step in steps_of(cluster):
        assert not undo(cluster, journal, step).get("failed")
    assert look(cluster) == before


def test_an_older_run_is_stopped(cluster):
    old = open_journal(cluster)
    run_module(migration_journal, {"name": "demo", "state": "open", "takeover": True}, cluster)
    refused(cluster, "subsets", "stale_epoch", journal=old)


# -- waiting -----------------------------------------------------------------------------------------------------------
class Proxies:
    """Gateways that take up what is stored so many questions after it was written, and subsets as the rule has them."""

    def __init__(self, cluster, late=3):
        self.cluster, self.late, self.seen, self.age, self.asked = cluster, late, None, 0, []

    def ask(self, requests, emit, **_options):
        for request in requests:
            stored = self.cluster.peek("virtualservices", "shop", "web")["spec"]["http"]
            if stored != self.seen and self.age >= self.late:
                self.seen, self.age = copy.deepcopy(stored), 0
            self.age += 1
            wanted = dict(request.headers)[_canary.HEADER]
            self.asked.append(wanted)
            emit(request, self.answer(wanted))

    def answer(self, wanted):
        for route in self.seen or ():
            if any(
                (m.get("headers") or {}).get(_canary.HEADER, {}).get("exact") == wanted
                for m in route.get("match") or ()
            ):
                marker = route["headers"]["response"]["set"][_canary.HEADER]
                shown = f"RequestHeader=X-Bluegreen-Canary:{wanted}\nRequestHeader=B3:{_canary_settle.TRACE['b3']}\n"
                return _probe.Answer(200, headers=[(_canary.HEADER, marker)], body=shown.encode())
        return _probe.Answer(200)


@pytest.fixture
def proxies(cluster, monkeypatch):
    found = Proxies(cluster)
    make = _canary_settle.Scouts
    monkeypatch.setattr(_canary_settle, "Scouts", lambda options, expected: make(options, expected, found.ask))
    monkeypatch.setattr(_canary_settle, "POLL_SECONDS", 0)
    return found


SETTLE = {"urls": ["https://web.test/"], "connect_to": ["192.0.2.1:443"], "answers": 5, "deadline": 5}


def test_weights_follow_when_every_proxy_knows_the_subset(cluster, proxies):
    good(cluster, "subsets", settle=SETTLE)
    written = []
    cluster.on(
        "PATCH",
        "*/virtualservices/web",
        lambda request: written.append((len(proxies.asked), request.body[-1]["value"])) and None,
    )
    done = good(cluster, "routed", weights={"v1": 100}, mesh=False, settle=SETTLE)
    (_asked, scouts), (asked, final) = written
    assert [route["route"][0]["destination"].get("subset") for route in scouts] == ["v1", "v2", None]
    assert [route.get("name") for route in final][-1] is None and weights(cluster) == {"v1": 100, "v2": 0}
    assert asked >= SETTLE["answers"] and len(done["settled"]) == 2
    assert set(proxies.asked) == {one for one in proxies.asked if one.endswith(".v1")}  # of v2 there are no pods
    assert done["settled"][1]["trace"]["v1"] == {"b3": True, "traceparent": False, "x-request-id": False}
    writes = cluster.writes
    assert (
        not good(cluster, "routed", weights={"v1": 100}, mesh=False, settle=SETTLE)["changed"]
        and cluster.writes == writes
    )


def test_before_v2_gets_more_its_scout_has_answered(cluster, proxies):
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100}, mesh=False, settle=SETTLE)
    cluster.add(pod("b", "v2"))
    begin = len(proxies.asked)
    good(cluster, "routed", weights={"v1": 95, "v2": 5}, mesh=False, settle=SETTLE)
    assert {one.rpartition(".")[2] for one in proxies.asked[begin:]} == {"v1", "v2"} and weights(cluster) == {
        "v1": 95,
        "v2": 5,
    }


def test_the_scouts_go_with_the_canary(cluster, proxies):
    before = look(cluster)
    good(cluster, "subsets")
    good(cluster, "routed", weights={"v1": 100}, mesh=False, settle=SETTLE)
    begin = len(proxies.asked)
    good(cluster, "unrouted", mesh=False, settle=SETTLE)
    assert {one.rpartition(".")[2] for one in proxies.asked[begin:]} == {""}
    good(cluster, "absent")
    assert look(cluster) == before


def test_where_nothing_is_known_nothing_moves(cluster, proxies):
    proxies.late = 10**9
    good(cluster, "subsets")
    result = run(cluster, "routed", weights={"v1": 100}, mesh=False, settle={**SETTLE, "deadline": 0.05})
    assert result["failure"]["code"] == "not_settled" and "https://web.test/ at 192.0.2.1:443 for v1" in result["msg"]
    assert weights(cluster) == {None: None}  # scouts stand before it, and all clients go where they went
    proxies.late = 0
    good(cluster, "routed", weights={"v1": 100}, mesh=False, settle=SETTLE)


@pytest.mark.parametrize(("answer", "says"), [
    (_probe.Answer(error="tls", detail="x"), "tls: x"),
    (_probe.Answer(200), "not there"),
    (_probe.Answer(200, headers=[(_canary.HEADER, "old")]), "is old"),
    (_probe.Answer(503, headers=[(_canary.HEADER, "new")]), "status 503"),
    (_probe.Answer(404, headers=[(_canary.HEADER, "new")]), ""),
])  # fmt: skip
def test_which_answers_count(answer, says):
    found = _canary_settle.wrong(answer, "new")
    assert says in found and bool(found) == bool(says)


def test_a_row_begins_anew_with_each_wrong_answer():
    answers = iter([200, 200, 503, 200, 200, 200])
    expected = _canary_settle.Expected("m", ("v1",), HOST)

    def ask(requests, emit, **_options):
        emit(requests[0], _probe.Answer(next(answers), headers=[(_canary.HEADER, "m")]))

    scouts = _canary_settle.Scouts({**SETTLE, "answers": 3, "timeout": 1, "ca_file": ""}, expected, ask)
    assert [scouts.done() for _n in range(6)] == [False] * 5 + [True]


def test_what_became_of_the_trace():
    shown = "RequestHeader=X-Bluegreen-Canary:m.v1\nRequestHeader=Traceparent:00-b1ee9c0ffee0000000000000000ca9a7-1111111111111111-01\n"
    assert _canary_settle.kept(shown) == {"traceparent": True, "b3": False, "x-request-id": False}
    assert _canary_settle.kept("hello") == {"traceparent": None, "b3": None, "x-request-id": None}
    zipkin = json.dumps(
        {
            "headers": {
                "X-Bluegreen-Canary": "m.v1",
                "X-B3-Traceid": "b1ee9c0ffee0000000000000000ca9a7",
                "X-Request-Id": "9",
            }
        }
    )
    assert _canary_settle.kept(zipkin) == {"traceparent": False, "b3": True, "x-request-id": True}


def synced(proxy, sent="2", acked="2"):
    return {"proxy": proxy, "cluster_sent": "1", "cluster_acked": "1", "route_sent": sent, "route_acked": acked}


def istiod(status, dumps):
    return lambda path: status if path == "/debug/syncz" else dumps[path.partition("=")[2]]


@pytest.mark.parametrize(("status", "dumps", "says"), [
    ([synced("a"), synced("b")], {"a": ["m", f"outbound|80|v1|{HOST}"], "b": ["other.host"]}, ""),
    ([synced("a"), synced("g")], {"a": ["m", f"|v1|{HOST}"], "g": [f"outbound|80||{HOST}"]}, ""),
    ([synced("a", acked="1")], {"a": ["m", f"|v1|{HOST}"]}, "a has not acknowledged its routes"),
    ([synced("a")], {"a": [f"|v1|{HOST}"]}, "a has not been sent the write"),
    ([synced("a")], {"a": [f"{_canary.HEADER} {HOST}"]}, "a has not been sent the write"),
    ([synced("b")], {"b": ["other.host"]}, "no proxy that is connected"),
    ([], {}, "no proxy that is connected"),
])  # fmt: skip
def test_istiod_s_word(status, dumps, says):
    witness = _canary_settle.Istiod(
        {"istiod_url": "http://x"}, _canary_settle.Expected("m", ("v1",), HOST), istiod(status, dumps)
    )
    looks = [witness.done() for _n in range(_canary_settle.LOOKS)]
    assert looks[-1] == (not says) and not looks[0]
    assert says in " ".join(witness.lacking())


def test_an_istiod_that_can_t_be_asked_is_not_taken_for_yes():
    def get(_path):
        raise OSError("refused")

    witness = _canary_settle.Istiod({"istiod_url": "http://x"}, _canary_settle.Expected("m", ("v1",), HOST), get)
    assert not witness.done() and not witness.done() and "can't be asked: refused" in witness.lacking()[0]
