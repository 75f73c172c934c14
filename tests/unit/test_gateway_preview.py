# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green by a header, at blue's gateway: who reaches it, who does not, and that nothing of others is touched."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _preview, _routes, _virtual_services, runbook
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import export_to_hides
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook import gateway_preview as by_hand
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_preview, migration_journal
from fake_cluster import FakeCluster, run_module
from fake_mesh import mesh
from role_tasks import load, refusal

API = "networking.istio.io/v1"
BLUE = "istio-system/public"
GREEN_HOST = "public-green.istio-gateway.svc.cluster.local"
LABELS = {"app": "gw"}


def server(number, protocol, hosts, **tls):
    return {
        "port": {"number": number, "name": f"p{number}", "protocol": protocol},
        "hosts": hosts,
        **({"tls": tls} if tls else {}),
    }


def gateway(*servers):
    servers = servers or (
        server(8080, "HTTP", ["*.lab.test"], httpsRedirect=True), server(8443, "HTTPS", ["*.lab.test"], mode="SIMPLE", credentialName="c"),
    )  # fmt: skip
    meta = {"namespace": "istio-system", "name": "public"}
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": meta,
        "spec": {"selector": LABELS, "servers": list(servers)},
    }


def vs(name, hosts, http=None, namespace="team", **spec):
    http = http or [{"route": [{"destination": {"host": "web"}}]}]
    meta = {"namespace": namespace, "name": name, "creationTimestamp": "2025-01-01T00:00:00Z"}
    return {
        "apiVersion": API,
        "kind": "VirtualService",
        "metadata": meta,
        "spec": {"hosts": hosts, "gateways": [BLUE], "http": http, **spec},
    }


def service(key, selector, *ports):
    namespace, name = key.split("/")
    spec = {"selector": selector, "ports": [{"name": f"p{port}", "port": port} for port in ports]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


API_FIRST = [
    {"match": [{"uri": {"prefix": "/api"}}], "route": [{"destination": {"host": "api"}}]},
    {"route": [{"destination": {"host": "web"}}]},
]
PARAMS = {
    "gateway": BLUE, "service": "istio-system/gw", "green": "istio-gateway/public-green", "ports": {"8443": 443},
    "header": {"name": "X-Preview", "exact": "green"},
}  # fmt: skip


@pytest.fixture
def cluster():
    return FakeCluster(
        gateway(), service("istio-system/gw", LABELS, 80, 443), service("istio-gateway/public-green", {"app": "new"}, 80, 443),
        vs("shop", ["shop.lab.test"], API_FIRST), vs("wild", ["*.lab.test"]),
    )  # fmt: skip


def run(cluster, check=False, **params):
    return run_module(gateway_preview, {**PARAMS, **params}, cluster, check=check)


def good(cluster, **params):
    result = run(cluster, **params)
    assert not result.get("failed"), result["msg"]
    return result


def ask(cluster, host, path="/", port=8443, **headers):
    """Where blue's gateway sends a request, as Envoy decides."""
    everything = [
        cluster.peek("virtualservices", ns, name)
        for ns in ("team", "istio-system")
        for name in cluster.names("virtualservices", ns)
    ]
    workload = _routes.Workload("istio-system", LABELS)
    for table in _routes.tables([cluster.peek("gateways", "istio-system", "public")], everything, {BLUE: workload}):
        if table.port == port:
            name = _routes.virtual_host_of([h for h, entries in table.hosts.items() if entries], host)
            entry = _routes.winner(table.hosts.get(name, []), _routes.Ask(path=path, headers=headers))
            return entry and entry.rule.action["route"][0]["destination"]["host"]
    return None


def test_with_the_header_green_answers_and_without_it_nothing_has_changed(cluster):
    asked = [("shop.lab.test", "/api/x"), ("shop.lab.test", "/"), ("other.lab.test", "/")]
    before = [ask(cluster, host, path) for host, path in asked]
    result = good(cluster)
    assert before == ["api", "web", "web"] == [ask(cluster, host, path) for host, path in asked]
    for host, path in asked:
        assert ask(cluster, host, path, **{"x-preview": "green"}) == GREEN_HOST
        assert ask(cluster, host, path, **{"x-preview": "blue"}) != GREEN_HOST
    assert result["hosts"] == {"8443": ["*.lab.test", "shop.lab.test"]}
    assert result["left_out"] == [{"port": 8080, "reason": "it only sends clients to HTTPS"}]


def test_tls_to_green_is_for_blue_s_pods_alone_and_by_the_request_s_host(cluster):
    good(cluster, verify=False)
    spec = cluster.peek("destinationrules", "istio-system", "bluegreen-preview-istio-system-public")["spec"]
    assert (
        spec["exportTo"] == ["."] and spec["workloadSelector"] == {"matchLabels": LABELS} and spec["host"] == GREEN_HOST
    )
    (level,) = spec["trafficPolicy"]["portLevelSettings"]
    assert level["port"] == {"number": 443} and level["tls"] == {"mode": "SIMPLE", "insecureSkipVerify": True}
    made = cluster.peek("virtualservices", "istio-system", "bluegreen-preview-istio-system-public-8443")
    assert made["spec"]["exportTo"] == ["."] and "rewrite" not in made["spec"]["http"][0]


def test_green_s_requests_can_t_come_to_be_sent_to_green(cluster):
    good(cluster)
    made = cluster.peek("virtualservices", "istio-system", "bluegreen-preview-istio-system-public-8443")
    rule = _virtual_services.Bound((_virtual_services.Pair(BLUE, "istio-gateway/public"),))
    assert _virtual_services.plan_one(made, rule).verdict == "skipped"


def test_plain_http_goes_without_tls():
    plain = gateway(server(8080, "HTTP", ["*"]))
    cluster = FakeCluster(
        plain,
        service("istio-system/gw", LABELS, 80),
        service("istio-gateway/public-green", {}, 80),
        vs("a", ["a.test"]),
    )
    good(cluster, ports={"8080": 80})
    assert (
        cluster.names("destinationrules") == []
        and ask(cluster, "a.test", port=8080, **{"x-preview": "green"}) == GREEN_HOST
    )


def test_check_mode_second_run_new_hosts_and_the_way_back(cluster):
    planned = run(cluster, check=True)
    assert planned["changed"] and cluster.writes == 0
    assert good(cluster)["objects"] == planned["objects"]
    writes = cluster.writes
    assert not good(cluster)["changed"] and cluster.writes == writes
    cluster.add(vs("new", ["new.lab.test"]))
    assert [one["state"] for one in good(cluster)["objects"]] == ["unchanged", "updated"]
    assert ask(cluster, "new.lab.test", **{"x-preview": "green"}) == GREEN_HOST
    good(cluster, state="absent")
    assert cluster.names("destinationrules") == [] and cluster.names("virtualservices") == ["new", "shop", "wild"]
    assert not good(cluster, state="absent")["changed"]


def test_it_is_undone_by_the_journal(cluster):
    epoch = run_module(migration_journal, {"name": "demo", "state": "open"}, cluster)["epoch"]
    good(cluster, journal={"namespace": "bluegreen-mesh", "name": "demo", "epoch": epoch, "phase": "verify"})
    (step,) = run_module(migration_journal, {"name": "demo", "undo_from": "verify"}, cluster)["undo"]
    assert not run_module(gateway_preview, step["inverse"]["params"], cluster).get("failed")
    assert cluster.names("virtualservices") == ["shop", "wild"] and cluster.names("destinationrules") == []
    first, second = by_hand.commands(step, step["inverse"]["params"], runbook.Book("m", "n"))
    assert "delete virtualservices" in first.run and "delete destinationrules" in second.run


@pytest.mark.parametrize(("objects", "params", "code", "says"), [
    ([vs("private", ["shop.lab.test"], API_FIRST, "istio-system", exportTo=["."])], {}, "not_first",
     "http[0].match[0] of VirtualService istio-system/a-private"),
    ([{"apiVersion": API, "kind": "DestinationRule", "metadata": {"namespace": "istio-system", "name": "x"}, "spec": {"host": GREEN_HOST}}], {},
     "rule_there", "istio-system/x"),
    ([{"apiVersion": API, "kind": "DestinationRule", "metadata": {"namespace": "istio-system", "name": "x"}, "spec": {"host": "*.local"}}], {},
     "rule_there", "*.local"),
    ([vs("bluegreen-preview-istio-system-public-8443", ["x.test"], namespace="istio-system")], {}, "name_taken", "is not ours"),
    ([], {"ports": {}}, "nothing_served", "ports does not say"),
    ([], {"ports": {"8443": 444}}, "unknown_port", "no port 444"),
    ([], {"green": "istio-gateway/none"}, "not_found", "green: there is no istio-gateway/none"),
    ([], {"gateway": "istio-system/none"}, "not_found", "gateway: there is no"),
    ([], {"header": {"name": "Host", "exact": "x"}}, "bad_option", "header: 'Host'"),
])  # fmt: skip
def test_what_can_t_be_is_refused_and_nothing_is_written(cluster, objects, params, code, says):
    for item in objects:
        if item["metadata"]["name"] == "private":
            item["metadata"] |= {"name": "a-private", "creationTimestamp": "2024-01-01T00:00:00Z"}
        cluster.add(item)
    result = run(cluster, **params)
    assert result["failure"]["code"] == code and says in result["msg"] and cluster.writes == 0


def test_servers_that_ask_for_a_certificate_are_left_out():
    both = gateway(
        server(8443, "HTTPS", ["a.test"], mode="SIMPLE"),
        server(9443, "HTTPS", ["b.test"], mode="MUTUAL"),
        server(9444, "TLS", ["c.test"], mode="PASSTHROUGH"),
    )
    wish = _preview.Wish(both, "istio-system", LABELS, GREEN_HOST, {8443: 443, 9443: 443}, ("x", "y"))
    ports, left = _preview.served(wish, [vs("a", ["a.test"]), vs("b", ["b.test"])])
    assert ports == {8443: ("https", ["a.test"])} and [one["port"] for one in left] == [9443, 9444]


def test_it_is_no_trap_of_the_migration(cluster):
    """It is blue's alone on purpose: neither its exportTo nor where it leads is a finding."""
    good(cluster)
    name = "bluegreen-preview-istio-system-public-8443"
    made = cluster.peek("virtualservices", "istio-system", name)
    made["spec"]["gateways"] = ["edge/public"]
    made["metadata"]["namespace"] = "edge"
    assert export_to_hides.check(mesh(("virtual_services", made))) == []
    del made["metadata"]["annotations"]
    assert export_to_hides.check(mesh(("virtual_services", made))) != []


# -- the role ----------------------------------------------------------------------------------------------------------
PAIR = {"blue": BLUE, "green": "istio-gateway/public", "workload": "public"}
SET = {
    "mesh_journey": "gateway", "mesh_gateways": [PAIR],
    "mesh_preview": {"header": PARAMS["header"], "ports": PARAMS["ports"]},
}  # fmt: skip


@pytest.mark.parametrize(("given", "without", "says"), [
    ({}, None, ""),
    ({"mesh_journey": "ingress_to_istio", "mesh_gateways": []}, None, "docs/journeys/ingress_to_istio.md"),
    ({"mesh_journey": "istio_to_linkerd"}, "mesh_preview", "mesh_journey is istio_to_linkerd; expected gateway"),
    ({"mesh_gateways": []}, None, "mesh_gateways has none"),
    ({}, "mesh_gateways", "mesh_gateways has none"),
    ({}, "mesh_preview", "mesh_preview is not set; expected header and ports"),
])  # fmt: skip
def test_a_preview_that_would_do_nothing_is_refused_before_the_journal_is_taken(given, without, says):
    settings = {name: value for name, value in {**SET, **given}.items() if name != without}
    first = []
    for task in load("verify/tasks/preview.yml"):
        if "ansible.builtin.assert" not in task:
            break
        first.append(refusal(task, **settings))
    said = next(filter(None, first), "")
    assert says in said and bool(said) == bool(says)
