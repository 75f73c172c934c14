# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green's copies of what is bound to blue: what they say, when there is none, and when there can't be one."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _policies, findings
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from fake_mesh import PAIR, WORKLOAD, both, codes, mesh, service, thing

NEW_PORTS = ("services", service("gw/new", {"app": "new"}, ports=[{"name": "https", "port": 443, "targetPort": 443}]))
NAMES = {own.name: kind for kind, own in _policies.COPIED.items()}


def twin(name, spec, *more, **settings):
    """The copy of edge/p."""
    source = thing(NAMES[name], "edge/p", spec)
    inventory = mesh((name, source), *more, **settings)
    return _policies.twin(inventory, inventory.workloads[0], source)


def planned(*added, waive=(), **settings):
    inventory = mesh(*added, **settings)
    steps, refused = _policies.present(inventory, list(_policies.COPIED), waive)
    return [(step.object, step.state) for step in steps], refused


# -- what a copy says --------------------------------------------------------------------------------------------------
OTHERWISE = ("envoy_filters", "hpas", "network_policies", "destination_rules", "service_monitors", "pod_monitors")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHERWISE])
def test_a_copy_selects_greens_pods_alone(name):
    labels = {"matchLabels": {"app": "old"}}
    copied = twin(name, {"selector": labels, "other": [1]})
    assert copied["spec"] == {"selector": {"matchLabels": {"app": "new"}}, "other": [1]}
    assert (copied["metadata"]["namespace"], copied["metadata"]["name"]) == ("gw", "p-new")
    assert copied["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
    assert copied["metadata"]["annotations"] == {"bluegreen.mesh/policy-of": f"{NAMES[name]} edge/p"}
    assert copied["apiVersion"] == "fake/v1" and copied["kind"] == NAMES[name]


def test_one_for_a_whole_namespace_reaches_greens_pods_and_no_others():
    assert twin("authorization_policies", {"action": "DENY"})["spec"]["selector"] == {"matchLabels": {"app": "new"}}


def test_ports_of_an_authorization_policy():
    operation = {"ports": ["8443", "9000"], "notPorts": ["8443"], "paths": ["/8443"]}
    when = [{"key": "destination.port", "values": ["8443"]}, {"key": "request.headers[x]", "values": ["8443"]}]
    spec = {"rules": [{"to": [{"operation": operation}], "when": when}]}
    (rule,) = twin("authorization_policies", spec, NEW_PORTS)["spec"]["rules"]
    assert rule["to"][0]["operation"] == {"ports": ["443", "9000"], "notPorts": ["443"], "paths": ["/8443"]}
    assert [w["values"] for w in rule["when"]] == [["443"], ["8443"]]
    assert spec["rules"][0]["to"][0]["operation"]["ports"] == ["8443", "9000"]  # the source is left alone


@pytest.mark.parametrize(
    ("match", "copied"),
    [
        ({"listener": {"portNumber": 8443}}, {"listener": {"portNumber": 443}}),
        ({"listener": {"name": "0.0.0.0_8443"}}, {"listener": {"name": "0.0.0.0_443"}}),
        ({"listener": {"name": "virtualInbound"}}, {"listener": {"name": "virtualInbound"}}),
        ({"routeConfiguration": {"name": "http.8443"}}, {"routeConfiguration": {"name": "http.443"}}),
        (
            {"routeConfiguration": {"name": "https.8443.https-x.public.edge"}},
            {"routeConfiguration": {"name": "https.8444.https-x.public.gw"}},
        ),
        (
            {"routeConfiguration": {"name": "https.8443.https.other.edge"}},
            {"routeConfiguration": {"name": "https.8443.https.other.edge"}},
        ),
        (
            {"routeConfiguration": {"gateway": "edge/public", "vhost": {"name": "web.test:8443"}}},
            {"routeConfiguration": {"gateway": "gw/public", "vhost": {"name": "web.test:443"}}},
        ),
        ({}, {}),
    ],
)
def test_ports_and_names_in_an_envoy_filter(match, copied):
    spec = {
        "workloadSelector": {"labels": {"app": "old"}},
        "configPatches": [{"match": match, "patch": {"value": 8443}}],
    }
    found = twin("envoy_filters", spec, NEW_PORTS, pairs=[{**PAIR, "ports": {"8443": 8444}}])["spec"]
    assert found["workloadSelector"] == {"labels": {"app": "new"}}
    assert found["configPatches"] == [{"match": copied, "patch": {"value": 8443}}]


def test_a_network_policy_means_the_same_pods_from_another_namespace():
    web = {"podSelector": {"matchLabels": {"app": "web"}}}
    everywhere = {"namespaceSelector": {}, **web}
    spec = {
        "podSelector": {},
        "ingress": [{"from": [web, everywhere, {"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 8443}]}],
        "egress": [{"ports": [{"port": 8443}]}],
    }
    found = twin("network_policies", spec, NEW_PORTS)["spec"]
    beside = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}, **web}
    assert found["podSelector"] == {"matchLabels": {"app": "new"}} and found["policyTypes"] == ["Ingress", "Egress"]
    assert found["ingress"][0]["from"] == [beside, everywhere, {"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert found["ingress"][0]["ports"] == [{"port": 443}]
    assert found["egress"] == spec["egress"]  # those are the ports of others


def test_an_autoscaler_never_goes_below_what_blue_has():
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "old-deploy"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    found = twin("hpas", spec, *both({"replicas": 4}))["spec"]
    assert found == {"scaleTargetRef": {**target, "name": "new"}, "minReplicas": 4, "maxReplicas": 4}


# -- where there can't be one ------------------------------------------------------------------------------------------
TWO = [{"port": 443, "targetPort": 8443}, {"port": 8443, "targetPort": 8443}]
APART = [{"port": 443, "targetPort": 443}, {"port": 8443, "targetPort": 8443}]


@pytest.mark.parametrize(
    ("name", "spec", "field"),
    [
        ("authorization_policies", {"targetRefs": [{"kind": "Gateway", "name": "x"}]}, "spec.targetRefs"),
        ("wasm_plugins", {"imagePullSecret": "pull"}, "spec.imagePullSecret"),
        (
            "authorization_policies",
            {"rules": [{"to": [{"operation": {"ports": ["8443"]}}]}]},
            "rules[0].to[0].operation",
        ),
        ("envoy_filters", {"configPatches": [{"match": {"listener": {"portNumber": 8443}}}]}, "listener.portNumber"),
        ("network_policies", {"ingress": [{"ports": [{"port": 8443}]}]}, "spec.ingress[0].ports"),
        ("hpas", {"scaleTargetRef": {}, "maxReplicas": 1, "metrics": [{"type": "Object"}]}, "spec.metrics"),
    ],
)
def test_what_is_not_sure_to_mean_the_same_is_refused(name, spec, field):
    blue = ("services", service("edge/old", {"app": "old"}, ports=TWO))
    green = ("services", service("gw/new", {"app": "new"}, ports=APART))
    with pytest.raises(Refusal) as refusal:
        twin(name, spec, blue, green)
    assert refusal.value.code == "not_copied" and refusal.value.details["object"] == f"{NAMES[name]} edge/p"
    assert str(refusal.value).startswith(f"{NAMES[name]} edge/p spec.") and field in str(refusal.value)


# -- what is copied ----------------------------------------------------------------------------------------------------
def policy(ref, labels, **spec):
    item = thing("AuthorizationPolicy", ref, {"selector": {"matchLabels": labels}, **spec})
    return ("authorization_policies", item)


BLUE = policy("edge/p", {"app": "old"}, action="DENY")


def test_only_what_green_lacks_is_copied():
    assert planned(BLUE) == ([("AuthorizationPolicy gw/p-new", "created")], [])
    assert planned(BLUE, policy("gw/own", {"app": "new"}, action="DENY")) == ([], [])
    assert planned(policy("edge/p", {"app": "else"})) == ([], [])
    assert planned(policy("edge/p", {}), root_namespace="edge") == ([], [])
    assert planned(BLUE, waive=["policy_bound_to_blue:edge/p"]) == ([], [])
    assert planned(BLUE, waive=["policy_bound_to_blue"]) == ([], [])
    assert planned(BLUE, waive=["policy_bound_to_blue:edge/other", "network_policy_open"])[0] != []


def test_policies_of_other_namespaces_are_not_bound_to_blue():
    spec = {"podSelector": {"matchLabels": {"app": "old"}}}
    assert planned(("network_policies", thing("NetworkPolicy", "shop/guard", spec))) == ([], [])
    assert planned(("network_policies", thing("NetworkPolicy", "edge/guard", spec)))[0] != []
    assert planned(("pdbs", thing("PodDisruptionBudget", "shop/p", {"selector": {"matchLabels": {"app": "old"}}}))) == (
        [],
        [],
    )


def test_a_copy_follows_its_source_and_what_is_not_ours_is_left():
    copied = twin("authorization_policies", BLUE[1]["spec"])
    assert planned(BLUE, ("authorization_policies", copied)) == ([("AuthorizationPolicy gw/p-new", "unchanged")], [])
    changed = policy("edge/p", {"app": "old"}, action="ALLOW")
    assert planned(changed, ("authorization_policies", copied)) == ([("AuthorizationPolicy gw/p-new", "updated")], [])
    foreign = policy("gw/p-new", {"app": "new"}, action="ALLOW")
    steps, ((source, why),) = planned(BLUE, foreign)
    assert steps == [] and source == "AuthorizationPolicy edge/p" and "gw/p-new exists and is no copy of it" in why


def test_two_workloads_in_one_namespace_have_copies_of_their_own():
    second = {"namespace": "gw", "release": "second", "labels": {"app": "second"}}
    workloads = [WORKLOAD, {**WORKLOAD, "name": "other", "green": second}]
    steps, refused = planned(BLUE, workloads=workloads, pairs=[PAIR])
    assert [name for name, _state in steps] == ["AuthorizationPolicy gw/p-new", "AuthorizationPolicy gw/p-second"]


def test_budgets_and_autoscalers_only_where_green_has_none():
    spec = {"selector": {"matchLabels": {"app": "old"}}, "minAvailable": 1}
    blue = ("pdbs", thing("PodDisruptionBudget", "edge/p", spec))
    assert planned(blue)[0] == [("PodDisruptionBudget gw/p-new", "created")]
    other = {"selector": {"matchLabels": {"app": "new"}}, "maxUnavailable": 1}
    assert planned(blue, ("pdbs", thing("PodDisruptionBudget", "gw/own", other)))[0] == []
    target = {"kind": "Deployment", "name": "old-deploy"}
    hpa = ("hpas", thing("HorizontalPodAutoscaler", "edge/h", {"scaleTargetRef": target, "maxReplicas": 3}))
    own = {"scaleTargetRef": {"kind": "Deployment", "name": "new"}, "maxReplicas": 3}
    assert planned(*both(), hpa)[0] == [("HorizontalPodAutoscaler gw/h-new", "created")]
    assert planned(*both(), hpa, ("hpas", thing("HorizontalPodAutoscaler", "gw/own", own)))[0] == []


# -- what the findings make of it --------------------------------------------------------------------------------------
def foreseen(*added, waive=()):
    inventory = mesh(*added)
    _policies.foresee(inventory, waive)
    return inventory


def test_what_will_be_copied_is_no_finding_and_what_can_not_be_is_one_with_the_reason():
    assert codes(mesh(BLUE)) == {"policy_bound_to_blue"}
    assert codes(foreseen(BLUE)) == set()
    assert codes(foreseen(BLUE, waive=["policy_bound_to_blue"])) == {"policy_bound_to_blue"}
    pull = {"selector": {"matchLabels": {"app": "old"}}, "imagePullSecret": "pull"}
    inventory = foreseen(("wasm_plugins", thing("WasmPlugin", "edge/w", pull)))
    (finding,) = findings.examine(inventory)[0]
    assert finding.code == "policy_bound_to_blue" and "spec.imagePullSecret" in finding.fix


def test_a_filter_for_blues_port_is_copied_with_greens():
    match = {"listener": {"portNumber": 8443}, "routeConfiguration": {"gateway": "edge/public"}}
    spec = {"workloadSelector": {"labels": {"app": "old"}}, "configPatches": [{"match": match}]}
    item = ("envoy_filters", thing("EnvoyFilter", "edge/f", spec))
    ports = ("services", service("gw/new", {"app": "new"}, ports=[*TWO[:1], {"port": 1, "targetPort": 1}]))
    moved = ("services", service("gw/new", {"app": "new"}, ports=[{"port": 443, "targetPort": 9443}]))
    assert codes(mesh(ports, item)) == {"policy_bound_to_blue", "envoy_filter_gateway"}
    assert codes(foreseen(ports, item)) == set()
    assert {"envoy_filter_port", "policy_bound_to_blue"} <= codes(mesh(moved, item))
    assert codes(foreseen(moved, item)) == {"target_port_unreached"}


def test_a_guard_that_is_copied_lets_green_do_what_blue_may():
    web = {"podSelector": {"matchLabels": {"app": "web"}}}
    guard = {"podSelector": {"matchLabels": {"app": "old"}}, "ingress": [{"from": [web], "ports": [{"port": 8443}]}]}
    blue = ("network_policies", thing("NetworkPolicy", "edge/guard", guard))
    deny = ("network_policies", thing("NetworkPolicy", "gw/deny", {"podSelector": {}}))
    assert codes(mesh(blue)) == {"network_policy_open"} and codes(foreseen(blue)) == set()
    assert codes(mesh(blue, deny)) == {"network_policy_green"} and codes(foreseen(blue, deny)) == set()
    assert codes(foreseen(deny)) == {"network_policy_green"}  # nothing of blue's allows anything


# -- DestinationRules and monitors -------------------------------------------------------------------------------------
FAR = {"host": "web.shop.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}


def test_a_destination_rule_of_blues_namespace_is_copied_for_greens_alone():
    copied = twin("destination_rules", {**FAR, "exportTo": ["*"]})
    assert copied["spec"] == {**FAR, "exportTo": ["."]} and copied["metadata"]["namespace"] == "gw"
    own = {"host": "web", "workloadSelector": {"matchLabels": {"app": "old"}}}
    assert twin("destination_rules", own)["spec"] == {
        "host": "web.edge.svc.cluster.local", "exportTo": ["."], "workloadSelector": {"matchLabels": {"app": "new"}},
    }  # fmt: skip


def test_only_rules_that_blue_uses_for_its_routes_are_copied():
    rule = ("destination_rules", thing("DestinationRule", "edge/far", FAR))
    assert planned(rule) == ([("DestinationRule gw/far-new", "created")], [])
    for spec in ({"host": "x.shop.svc.cluster.local"}, {**FAR, "workloadSelector": {"matchLabels": {"app": "else"}}}):
        assert planned(("destination_rules", thing("DestinationRule", "edge/far", spec))) == ([], [])
    theirs = ("destination_rules", thing("DestinationRule", "gw/own", FAR))
    assert planned(rule, theirs) == ([], []), "one of green's own decides"
    assert planned(rule, waive=["destination_rule_scope:edge/far"]) == ([], [])


def test_two_workloads_of_one_namespace_need_one_copy_of_a_destination_rule():
    workloads = [WORKLOAD, {**WORKLOAD, "name": "other", "green": {**WORKLOAD["green"], "release": "second"}}]
    inventory = mesh(("destination_rules", thing("DestinationRule", "edge/far", FAR)), workloads=workloads)
    steps, _refused = _policies.present(inventory, ["DestinationRule"], ())
    assert [step.object for step in steps] == ["DestinationRule gw/far-new"]


def test_with_its_copy_a_destination_rule_is_no_finding():
    rule = ("destination_rules", thing("DestinationRule", "edge/far", FAR))
    assert "destination_rule_scope" in codes(mesh(rule))
    inventory = mesh(rule)
    _policies.foresee(inventory, ())
    assert findings.examine(inventory, [])[0] == []


def monitor(ref, kind="ServiceMonitor", labels=None, **spec):
    field = "endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"
    given = {"selector": {"matchLabels": {"app": "old"}}, field: [{"port": "https"}], **spec}
    return thing(kind, ref, given, labels=labels or {})


OLD = ("services", {**service("edge/old", {"app": "old"})})
OLD[1]["metadata"]["labels"] = {"app": "old"}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_of_blues_has_a_copy_that_prometheus_chooses(kind):
    labels = {"release": "prometheus", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "x"}
    name = {"ServiceMonitor": "service_monitors", "PodMonitor": "pod_monitors"}[kind]
    inventory = mesh(OLD, (name, monitor("edge/m", kind, labels)))
    (step,) = _policies.present(inventory, [kind], ())[0]
    assert step.object == f"{kind} gw/m-new"
    assert step.after["metadata"]["labels"] == {"release": "prometheus", "app.kubernetes.io/managed-by": "bluegreen.mesh"}
    assert step.after["spec"]["selector"] == {"matchLabels": {"app": "new"}}
    assert step.after["spec"]["namespaceSelector"] == {"matchNames": ["gw"]}


def test_one_that_is_elsewhere_stays_there_and_selects_what_greens_service_has():
    green = service("gw/new", {"app": "new"})
    green["metadata"]["labels"] = {"app.kubernetes.io/name": "new", "helm.sh/chart": "gateway-1"}
    source = monitor("watch/m", namespaceSelector={"any": True})
    (step,) = _policies.present(mesh(OLD, ("services", green), ("service_monitors", source)), ["ServiceMonitor"], ())[0]
    assert step.object == "ServiceMonitor watch/m-new"
    assert step.after["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": "new"}}


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [({"port": "https", "basicAuth": {"username": {"name": "s"}}}, "basicAuth"), ({"port": "metrics"}, "no port metrics")],
)
def test_a_monitor_that_can_not_be_copied_is_still_found_and_stops_nothing(endpoint, words):
    source = ("service_monitors", monitor("edge/m", endpoints=[endpoint]))
    steps, refused = planned(OLD, source)
    assert steps == [] and words in refused[0][1]
    inventory = mesh(OLD, source)
    _policies.foresee(inventory, ())
    (finding,) = findings.examine(inventory, [])[0]
    assert finding.code == "monitor_on_blue" and finding.severity == "warning" and words in finding.fix
    assert not _policies.COPIED["ServiceMonitor"].needed
