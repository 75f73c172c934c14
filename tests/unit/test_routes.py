# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _routes
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import GRPC_HEALTH
from ansible_collections.bluegreen.mesh.plugins.module_utils._routes import Ask, Workload
from ansible_collections.bluegreen.mesh.plugins.modules import route_info
from fake_cluster import FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st

REF = "istio-system/public"
TO = [{"destination": {"host": "app", "port": {"number": 80}}}]


def server(number=8443, protocol="HTTPS", hosts=("*.lab.test",), **tls):
    if protocol == "HTTPS" and not tls:
        tls = {"mode": "SIMPLE", "credentialName": "c"}
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts), **({"tls": tls} if tls else {})}


def gateway(*servers, name="public", namespace="istio-system"):
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": "gw"}, "servers": list(servers) or [server()]},
    }  # fmt: skip


def vs(name="app", namespace="default", hosts=("app.lab.test",), gateways=(REF,), http=None, created="", **spec):
    body = {"hosts": list(hosts), "gateways": list(gateways), **spec}
    if http is None and not spec.keys() & {"tls", "tcp"}:
        http = [{"route": TO}]
    if http is not None:
        body["http"] = http
    body = {key: value for key, value in body.items() if value or key == "http"}
    meta = {"namespace": namespace, "name": name, **({"creationTimestamp": created} if created else {})}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": body}


def service(name="app", namespace="default", port=80, port_name="http", **more):
    ports = [{"port": port, "name": port_name, **more}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"ports": ports},
    }


def sample(host, **changes):
    return {
        "host": host, "path": "/", "method": "GET", "headers": {}, "query": {}, "protocol": "", "body": "",
        "gateway": "", "port": None, "unsafe": False, **changes,
    }  # fmt: skip


def plan(*objects, gateways=None, workload=None, samples=(), label=""):
    gateways = gateways or [gateway()]
    virtual_services = [o for o in objects if o["kind"] == "VirtualService"]
    services = [o for o in objects if o["kind"] == "Service"]
    workloads = {
        _routes.key_of(g): workload or Workload("istio-system", {"app": "gw"}, {8443: 30443}) for g in gateways
    }
    return _routes.plan(gateways, virtual_services, services, workloads, samples, label)


def own(found):
    """The probes that belong to VirtualServices."""
    return [route for route in found.routes if route["virtual_service"]]


def asked(found, protocol="h2"):
    return [(r["host"], r["route"], r["method"], r["path"]) for r in own(found) if r["protocol"] == protocol]


def reasons(found):
    return {(item["host"], item["route"]): (item["reason"], item["reachable"]) for item in found.unprobed}


# -- which VirtualServices, which hosts --------------------------------------------------------------------------------
def test_a_plain_route():
    found = plan(vs())
    first = found.routes[0]
    assert asked(found) == [("app.lab.test", "http[0]", "GET", "/")]
    assert asked(found, "http1") == [("app.lab.test", "http[0]", "GET", "/")]
    assert (first["sni"], first["port"], first["node_port"], first["scheme"]) == ("app.lab.test", 8443, 30443, "https")
    assert first["id"] == "istio-system/public:8443 app.lab.test default/app http[0] h2"
    assert not found.unprobed


@pytest.mark.parametrize(
    ("namespace", "reference", "bound"),
    [
        ("default", "istio-system/public", True),
        ("istio-system", "public", True),
        ("istio-system", "./public", True),
        ("default", "public.istio-system", True),
        ("default", "public.istio-system.svc.cluster.local", True),
        ("default", "public", False),
        ("default", "istio-gateway/public", False),
    ],
)
def test_reference_forms(namespace, reference, bound):
    assert bool(own(plan(vs(namespace=namespace, gateways=["mesh", reference])))) == bound


def test_virtual_services_of_the_mesh_only_are_told_once_and_reach_nobody():
    found = plan(vs(gateways=["mesh"]), vs("other", gateways=[]), vs("delegate", hosts=(), gateways=()))
    assert not own(found)
    assert [(i["virtual_service"], i["reason"], i["reachable"], i["gateway"]) for i in found.unprobed] == [
        ("default/app", "mesh_only", False, "mesh"),
        ("default/other", "mesh_only", False, "mesh"),
    ]


@pytest.mark.parametrize(
    ("server_host", "host", "expected"),
    [
        ("*.lab.test", "app.lab.test", "app.lab.test"),
        ("*", "app.lab.test", "app.lab.test"),
        ("app.lab.test", "*.lab.test", "app.lab.test"),
        ("App.lab.test", "app.LAB.test", "app.lab.test"),
        ("default/*.lab.test", "app.lab.test", "app.lab.test"),
        ("*/app.lab.test", "app.lab.test", "app.lab.test"),
        ("other/*.lab.test", "app.lab.test", None),
        ("./*.lab.test", "app.lab.test", None),
        ("*.other.test", "app.lab.test", None),
        ("lab.test", "app.lab.test", None),
        ("*.lab.test", "lab.test", None),
    ],
)
def test_hosts_that_both_have(server_host, host, expected):
    found = plan(vs(hosts=[host]), gateways=[gateway(server(hosts=[server_host]))])
    assert {route["host"] for route in own(found)} == ({expected} if expected else set())
    if not expected:
        assert [item["reason"] for item in found.unprobed] == ["host_not_served"]


def test_dot_means_the_gateways_own_namespace():
    found = plan(vs(namespace="istio-system"), gateways=[gateway(server(hosts=["./*.lab.test"]))])
    assert {route["host"] for route in own(found)} == {"app.lab.test"}


@pytest.mark.parametrize(
    ("export", "seen"),
    [(None, True), (["*"], True), (["."], False), (["istio-system"], True), (["other"], False), (["~"], False)],
)
def test_export_is_seen_from_the_pods_namespace(export, seen):
    found = plan(vs(**({"exportTo": export} if export else {})))
    assert bool(own(found)) == seen
    assert [item["reason"] for item in found.unprobed] == ([] if seen else ["not_exported"])
    assert all(not item["reachable"] for item in found.unprobed)


def test_export_to_the_own_namespace_with_the_pods_there():
    assert own(plan(vs(exportTo=["."]), workload=Workload("default")))


@pytest.mark.parametrize(
    ("match", "built"),
    [
        ({"gateways": [REF]}, True),
        ({"gateways": ["mesh", "public.istio-system"]}, True),
        ({"gateways": ["istio-gateway/public"]}, False),
        ({"gateways": [REF], "sourceNamespace": "elsewhere"}, True),  # a list of gateways decides alone
        ({"sourceNamespace": "istio-system"}, True),
        ({"sourceNamespace": "elsewhere"}, False),
        ({"sourceLabels": {"app": "gw"}}, True),
        ({"sourceLabels": {"app": "other"}}, False),
        ({"port": 8443}, True),
        ({"port": 443}, False),
    ],
)
def test_conditions_on_where_a_request_comes_in(match, built):
    found = plan(vs(http=[{"match": [match], "route": TO}]))
    assert bool(own(found)) == built
    assert [item["reason"] for item in found.unprobed] == ([] if built else ["other_gateways"])


# -- matching ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("match", "path", "headers", "query"),
    [
        ({"uri": {"exact": "/a"}}, "/a", {}, {}),
        ({"uri": {"prefix": "/a"}}, "/a", {}, {}),
        ({"uri": {"prefix": "/a/"}}, "/a/", {}, {}),
        ({"uri": {"regex": ".*"}}, "/", {}, {}),
        ({"uri": {"regex": "/v1/.*"}}, "/v1/", {}, {}),
        ({"uri": {"regex": "/v1/[a-z]+\\.html"}}, "/v1/a.html", {}, {}),
        ({"uri": {"regex": "/item/\\d+"}}, "/item/1", {}, {}),
        ({"headers": {"X-Color": {"exact": "Blue"}}}, "/", {"x-color": "Blue"}, {}),
        ({"headers": {"x-color": {"prefix": "bl"}}}, "/", {"x-color": "bl"}, {}),
        ({"headers": {"x-color": {}}}, "/", {"x-color": "bluegreen-probe"}, {}),
        ({"headers": {"x-color": {"regex": ".*"}}}, "/", {"x-color": ""}, {}),
        ({"headers": {"x-color": {"regex": "*"}}}, "/", {"x-color": "bluegreen-probe"}, {}),
        ({"queryParams": {"v": {"exact": "2"}}}, "/", {}, {"v": "2"}),
        ({"withoutHeaders": {"x-old": {}}}, "/", {}, {}),
        ({"scheme": {"exact": "https"}}, "/", {}, {}),
        ({"uri": {"prefix": "/A"}, "ignoreUriCase": True}, "/A", {}, {}),
    ],
)
def test_a_request_that_fulfils_the_conditions(match, path, headers, query):
    (route,) = [r for r in own(plan(vs(http=[{"match": [match], "route": TO}]))) if r["protocol"] == "h2"]
    assert (route["path"], route["headers"], route["query"]) == (path, headers, query)


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"uri": {"regex": "/(a|b)[0-9]{7}"}}, "regex_path"),
        ({"uri": {"regex": "/("}}, "regex_path"),
        ({"method": {"exact": "POST"}}, "unsafe_method"),
        ({"headers": {"x": {"regex": "[0-9]{9}"}}}, "header_match"),
        ({"headers": {"@request.auth.claims.sub": {"exact": "a"}}}, "header_match"),
        ({"queryParams": {"v": {"regex": "[0-9]{9}"}}}, "query_match"),
        ({"scheme": {"exact": "http"}}, "no_request"),
        ({"authority": {"prefix": "other"}}, "no_request"),
    ],
)
def test_routes_that_no_request_is_known_for(match, reason):
    found = plan(vs(http=[{"match": [match], "route": TO}]))
    assert not own(found)
    assert reasons(found) == {("app.lab.test", "http[0].match[0]"): (reason, True)}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods(method):
    assert asked(plan(vs(http=[{"match": [{"method": {"exact": method}}], "route": TO}])))[0][2] == method


def test_authority():
    route, _http1 = own(plan(vs(http=[{"match": [{"authority": {"exact": "app.lab.test:443"}}], "route": TO}])))
    assert (route["host"], route["authority"]) == ("app.lab.test", "app.lab.test:443")


def test_each_request_reaches_its_own_route():
    """Bookinfo's way: a header for some, the rest for all; and paths from narrow to wide."""
    http = [
        {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": TO},
        {"match": [{"uri": {"exact": "/login"}}, {"uri": {"prefix": "/static"}}], "route": TO},
        {"match": [{"uri": {"prefix": "/static/new"}}], "route": TO},
        {"match": [{"withoutHeaders": {"x-new": {}}}], "route": TO},
        {"route": TO},
    ]
    found = plan(vs(http=http))
    assert asked(found) == [
        ("app.lab.test", "http[0].match[0]", "GET", "/"),
        ("app.lab.test", "http[1].match[0]", "GET", "/login"),
        ("app.lab.test", "http[1].match[1]", "GET", "/static"),
        ("app.lab.test", "http[3].match[0]", "GET", "/"),
        ("app.lab.test", "http[4]", "GET", "/"),
    ]
    last = [route for route in own(found) if route["route"] == "http[4]"][0]
    assert last["headers"] == {"x-new": "bluegreen-probe"}
    assert reasons(found) == {("app.lab.test", "http[2].match[0]"): ("shadowed", True)}
    assert len(asked(found, "http1")) == 1


def test_nothing_behind_a_catch_all_is_reached():
    found = plan(
        vs(
            http=[
                {"match": [{"uri": {"prefix": "/"}}], "route": TO},
                {"match": [{"uri": {"prefix": "/a"}}], "route": TO},
            ]
        )
    )
    assert reasons(found) == {("app.lab.test", "http[1].match[0]"): ("shadowed", False)}


def test_a_catch_all_of_an_older_virtual_service_goes_behind_the_others():
    old = vs("old", created="2026-01-01T00:00:00Z")
    new = vs("new", created="2026-02-01T00:00:00Z", http=[{"match": [{"uri": {"prefix": "/a"}}], "route": TO}])
    assert asked(plan(old, new)) == [
        ("app.lab.test", "http[0].match[0]", "GET", "/a"),
        ("app.lab.test", "http[0]", "GET", "/"),
    ]


def test_the_second_catch_all_of_a_host_is_shadowed():
    found = plan(vs("old", created="2026-01-01T00:00:00Z"), vs("new", created="2026-02-01T00:00:00Z"))
    assert {route["virtual_service"] for route in own(found)} == {"default/old"}
    (item,) = found.unprobed
    assert (item["virtual_service"], item["reason"]) == ("default/new", "shadowed")
    assert "default/old" in item["detail"]


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={
            "uri": st.one_of(
                st.builds(lambda p: {"exact": p}, st.sampled_from(["/", "/a", "/a/b"])),
                st.builds(lambda p: {"prefix": p}, st.sampled_from(["/", "/a", "/a/", "/b"])),
            ),
            "headers": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([{"exact": "1"}, {}]), max_size=2),
            "withoutHeaders": st.dictionaries(st.sampled_from(["x", "y"]), st.just({}), max_size=1),
            "method": st.sampled_from([{"exact": "GET"}, {"exact": "OPTIONS"}, {"exact": "POST"}]),
        }),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_no_request_is_taken_for_a_route_that_another_one_answers(matches):
    """Every planned request, evaluated anew in Envoy's order, ends at the route that it was planned for."""
    found = plan(vs(http=[{"match": [match], "route": TO} for match in matches]))
    built = next(
        (i + 1 for i, match in enumerate(matches) if _routes.catches_all(match)), len(matches)
    )  # istiod ends there
    for route in own(found):
        ask = Ask(route["path"], route["method"], route["headers"], route["query"], route["authority"], "https")
        hits = [i for i, match in enumerate(matches[:built]) if _routes.matches(match, ask)]
        hits.sort(key=lambda i: _routes.catches_all(matches[i]))
        assert route["route"] == f"http[{hits[0]}].match[0]"
    planned = {route["route"] for route in own(found)} | {item["route"] for item in found.unprobed}
    assert planned == {f"http[{i}].match[0]" for i in range(len(matches))}


# -- delegates ---------------------------------------------------------------------------------------------------------
def delegate(*matches, namespace="team", **spec):
    http = [{"match": [match], "route": TO} for match in matches] or [{"route": TO}]
    return vs("pages", namespace, hosts=(), gateways=(), http=http, **spec)


def root(*matches):
    return vs(http=[{"match": list(matches), "delegate": {"name": "pages", "namespace": "team"}}, {"route": TO}])


@pytest.mark.parametrize(
    ("outer", "inner", "path"),
    [
        ({"uri": {"prefix": "/shop"}}, {"uri": {"prefix": "/shop/cart"}}, "/shop/cart"),
        ({"uri": {"prefix": "/shop"}}, {"uri": {"exact": "/shop/x"}}, "/shop/x"),
        ({"uri": {"prefix": "/shop"}}, {"headers": {"a": {"exact": "b"}}}, "/shop"),
        ({"headers": {"c": {"exact": "d"}}}, {"uri": {"prefix": "/shop"}}, "/shop"),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}, "/a"),
        ({"uri": {"prefix": "/shop"}}, {"uri": {"prefix": "/other"}}, None),
        ({"uri": {"exact": "/shop"}}, {"uri": {"prefix": "/shop"}}, None),
        ({"uri": {"regex": "/s.*"}}, {"uri": {"prefix": "/shop"}}, None),
        ({"uri": {"prefix": "/s"}, "gateways": [REF]}, {"uri": {"prefix": "/s/t"}, "gateways": ["x/y"]}, None),
        ({"uri": {"prefix": "/s"}, "gateways": [REF]}, {"uri": {"prefix": "/s/t"}, "gateways": [REF]}, "/s/t"),
        ({"uri": {"prefix": "/s"}}, {"uri": {"prefix": "/s/t"}, "ignoreUriCase": True}, None),
        ({"uri": {"prefix": "/s"}, "sourceNamespace": "a"}, {"uri": {"prefix": "/s/t"}}, None),
    ],
)
def test_delegates_narrow_their_roots_match(outer, inner, path):
    found = plan(root(outer), delegate(inner))
    label = "http[0]>team/pages.http[0]"
    delegated = [one for one in asked(found) if one[1].startswith(label)]
    assert [one[3] for one in delegated] == ([path] if path else [])
    if path is None:
        assert ("delegate_conflict", False) in reasons(found).values()
    assert ("app.lab.test", "http[1]", "GET", "/") in asked(found)


def test_a_delegates_headers_are_added_to_its_roots():
    found = plan(root({"headers": {"c": {"exact": "d"}}}), delegate({"uri": {"prefix": "/shop"}}))
    assert own(found)[0]["headers"] == {"c": "d"}


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], "delegate_missing"),
        ([delegate(exportTo=["."])], "not_exported"),
        ([vs("pages", "team", hosts=["b.test"])], "delegate_missing"),
    ],
)
def test_delegates_that_do_not_count(others, reason):
    found = plan(root({"uri": {"prefix": "/shop"}}), *others)
    assert (reason, False) in [value for key, value in reasons(found).items() if key[1] == "http[0]"]


def test_a_delegates_service_is_looked_for_in_its_own_namespace():
    found = plan(
        root({"uri": {"prefix": "/"}}),
        delegate(),
        service(namespace="team", port_name="grpc"),
        service(port_name="http"),
    )
    assert own(found)[0]["protocol"] == "grpc"


# -- protocols ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"port_name": "grpc"}, "grpc"),
        ({"port_name": "grpc-api"}, "grpc"),
        ({"port_name": "x", "appProtocol": "grpc"}, "grpc"),
        ({"port_name": "grpc", "appProtocol": "http"}, "h2"),
        ({"port_name": "http2"}, "h2"),
        ({"port_name": "http"}, "h2"),
    ],
)
def test_the_services_port_tells_grpc(port, protocol):
    found = own(plan(vs(), service(**port)))
    assert found[0]["protocol"] == protocol
    if protocol == "grpc":
        assert (found[0]["method"], found[0]["path"]) == ("POST", GRPC_HEALTH)


def test_grpc_routes_that_the_health_check_does_not_reach_are_asked_by_get():
    found = plan(vs(http=[{"match": [{"uri": {"prefix": "/shop.Cart/"}}], "route": TO}]), service(port_name="grpc"))
    assert asked(found) == [("app.lab.test", "http[0].match[0]", "GET", "/shop.Cart/")]


def test_the_heaviest_destination_counts():
    http = [
        {
            "route": [
                {"destination": {"host": "a"}, "weight": 10},
                {"destination": {"host": "b.other.svc.cluster.local"}, "weight": 90},
            ]
        }
    ]
    found = plan(vs(http=http), service("a"), service("b", "other", port_name="grpc"))
    assert own(found)[0]["protocol"] == "grpc"


def test_plain_http_is_asked_once():
    found = plan(vs(), gateways=[gateway(server(8080, "HTTP"))])
    assert [(route["scheme"], route["protocol"], route["sni"]) for route in own(found)] == [("http", "http1", None)]


def test_https_redirect_is_one_probe_a_host_and_hides_routes():
    found = plan(
        vs(http=[{"match": [{"uri": {"prefix": "/a"}}], "route": TO}, {"route": TO}]),
        gateways=[gateway(server(8080, "HTTP", httpsRedirect=True), server())],
    )
    plain = [route for route in found.routes if route["port"] == 8080]
    assert [(route["host"], route["expect"], route["protocol"]) for route in plain] == [
        ("app.lab.test", "redirect", "http1"),
        ("bluegreen-probe.lab.test", "redirect", "http1"),
        ("bluegreen-probe.invalid", "refused", "http1"),
    ]
    assert {route["port"] for route in own(found)} == {8443}


def test_tls_passthrough():
    tls = [
        {"match": [{"port": 8443, "sniHosts": ["a.lab.test", "*.wild.lab.test"]}], "route": TO},
        {"match": [{"port": 443, "sniHosts": ["b.lab.test"]}], "route": TO},
        {"match": [{"gateways": ["x/y"], "sniHosts": ["c.lab.test"]}], "route": TO},
        {"match": [{"sniHosts": ["a.lab.test"]}], "route": TO},
    ]
    found = plan(vs(hosts=["*.lab.test"], tls=tls), gateways=[gateway(server(mode="PASSTHROUGH"))])
    assert [(r["host"], r["route"], r["protocol"], r["scheme"]) for r in own(found)] == [
        ("a.lab.test", "tls[0].match[0]", "tls_passthrough", "https")
    ]
    assert reasons(found) == {("*.wild.lab.test", "tls[0].match[0]"): ("wildcard_host", True)}


def test_tcp():
    tcp = [{"match": [{"port": 1}], "route": TO}, {"route": TO}]
    found = plan(vs(hosts=["*"], tcp=tcp), gateways=[gateway(server(9000, "TCP", hosts=["*"]))])
    assert [(r["protocol"], r["scheme"], r["route"], r["port"]) for r in own(found)] == [("tcp", "tcp", "tcp[1]", 9000)]
    found = plan(vs(hosts=["db.lab.test"], tcp=tcp), gateways=[gateway(server(9000, "TLS", mode="SIMPLE"))])
    assert [(r["protocol"], r["scheme"], r["host"]) for r in own(found)] == [("tcp", "tls", "db.lab.test")]


@pytest.mark.parametrize(
    ("mode", "reason"), [("MUTUAL", "client_certificate"), ("AUTO_PASSTHROUGH", "auto_passthrough")]
)
def test_servers_that_we_can_not_be_a_client_of(mode, reason):
    found = plan(vs(), gateways=[gateway(server(mode=mode))])
    assert not own(found)
    assert [(item["reason"], item["reachable"]) for item in found.unprobed] == [(reason, True)]


# -- hosts without a route, wildcards, samples -------------------------------------------------------------------------
def test_what_blue_refuses_is_asked_for_too():
    found = plan(vs(), gateways=[gateway(server(hosts=["app.lab.test", "bare.lab.test", "*.empty.test"]))])
    others = [(r["host"], r["route"], r["expect"]) for r in found.routes if not r["virtual_service"]]
    assert others == [
        ("bare.lab.test", "no_virtual_service", "not_found"),
        ("bluegreen-probe.empty.test", "no_virtual_service", "not_found"),
        ("bluegreen-probe.invalid", "unknown_host", "refused"),
    ]


def test_wildcard_hosts_need_a_sample_or_a_label():
    wild = vs(hosts=["*.lab.test"])
    assert reasons(plan(wild)) == {("*.lab.test", "http[0]"): ("wildcard_host", True)}
    assert asked(plan(wild, label="probe"))[0][0] == "probe.lab.test"
    found = plan(wild, samples=[sample("shop.lab.test", path="/x")])
    assert asked(found) == [("shop.lab.test", "http[0]", "GET", "/x")] and not found.unprobed


def test_a_sample_replaces_only_the_route_that_it_reaches():
    http = [
        {"match": [{"uri": {"regex": "/(a|b)[0-9]{7}"}}], "route": TO},
        {"match": [{"uri": {"regex": "/(c|d)[0-9]{7}"}}], "route": TO},
    ]
    found = plan(vs(http=http), samples=[sample("app.lab.test", path="/b1234567")])
    assert asked(found) == [("app.lab.test", "http[0].match[0]", "GET", "/b1234567")]
    assert list(reasons(found)) == [("app.lab.test", "http[1].match[0]")]
    assert not found.unused


def test_websocket_and_unsafe_samples():
    samples = [
        sample("app.lab.test", path="/chat", protocol="websocket", body="hi"),
        sample("app.lab.test", method="POST", body="{}", unsafe=True, headers={"Content-Type": "application/json"}),
    ]
    _routes.check_samples(samples)
    found = {route["id"].split()[-2]: route for route in own(plan(vs(), samples=samples)) if "sample" in route["id"]}
    assert found["sample[0]"]["protocol"] == "websocket" and found["sample[0]"]["body"] == "hi"
    assert found["sample[1]"]["method"] == "POST" and found["sample[1]"]["unsafe"]


def test_samples_that_nobody_serves_are_told():
    found = plan(vs(), samples=[sample("app.lab.test"), sample("none.test"), sample("app.lab.test", gateway="x/y")])
    assert found.unused == [1, 2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "POST"}, "set unsafe: true"),
        ({"method": "DELETE"}, "set unsafe: true"),
        ({"body": "x"}, "set unsafe: true"),
        ({"protocol": "grpc", "path": "/a.B/C"}, "Set unsafe: true"),
        ({"path": "x"}, "must begin with a slash"),
        ({"host": "*.lab.test"}, "not a wildcard"),
    ],
)
def test_samples_that_must_not_be_sent(changes, words):
    with pytest.raises(ValueError, match=re.escape("samples[0]")) as caught:
        _routes.check_samples([sample(**{"host": "a.test", **changes})])
    assert words in str(caught.value)


# -- ids ---------------------------------------------------------------------------------------------------------------
def test_ids_are_unique_and_differ_between_gateways_in_the_gateway_only():
    both = [gateway(), gateway(name="green", namespace="istio-gateway")]
    app = vs(hosts=["a.lab.test", "b.lab.test"], gateways=[REF, "istio-gateway/green"])
    found = plan(app, gateways=both, samples=[sample("a.lab.test")] * 2)
    ids = [route["id"] for route in found.routes]
    assert len(set(ids)) == len(ids)
    blue = [i.removeprefix("istio-system/public") for i in ids if i.startswith("istio-system/public")]
    green = [i.removeprefix("istio-gateway/green") for i in ids if i.startswith("istio-gateway/green")]
    assert blue == green and len(blue) + len(green) == len(ids)


# -- parts -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "other", "expected"),
    [
        ("a.b", "a.b", True), ("a.b", "*.b", True), ("a.b", "*", True), ("*.b", "*", True), ("*.a.b", "*.b", True),
        ("*.b", "*.a.b", False), ("*.b", "a.b", False), ("b", "*.b", False), ("xb", "*.b", False), ("*", "*", True),
        ("*", "*.b", False), ("*.b", "*.b", True),
    ],
)  # fmt: skip
def test_subset_is_istios(host, other, expected):
    """The table of pkg/config/host/name_test.go TestNameSubsetOf, in short."""
    assert _routes.subset(host, other) == expected


def test_the_most_specific_host_wins():
    hosts = ["*", "*.b.c", "*.c", "a.b.c"]
    assert [_routes.virtual_host_of(hosts, name) for name in ("a.b.c", "x.b.c", "x.c", "x.y")] == [
        "a.b.c",
        "*.b.c",
        "*.c",
        "*",
    ]
    assert _routes.virtual_host_of(["a.b"], "x.y") is None


@given(st.from_regex(r"/[a-z]{1,5}(/\[0-9\]\+|/\.\*|\(x\|y\)|\?|\\\.js)?", fullmatch=True))
def test_samples_of_a_regex_are_matched_by_it(pattern):
    assert all(re.fullmatch(pattern, one) for one in _routes.regex_samples(pattern))


# -- the module --------------------------------------------------------------------------------------------------------
def test_route_info_reads_and_changes_nothing():
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "edge", "name": "p", "labels": {"app": "gw"}},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    }  # fmt: skip
    front = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "edge", "name": "gw"},
        "spec": {"selector": {"app": "gw"}, "ports": [{"port": 443, "targetPort": 8443, "nodePort": 30443}]},
    }  # fmt: skip
    many = [vs(f"v{i}", hosts=[f"h{i}.lab.test"]) for i in range(50)]
    cluster = FakeCluster().add(gateway(), pod, front, service(), *many, vs("hidden", exportTo=["istio-system"]))
    result = run_module(
        route_info,
        {"gateways": [REF], "samples": [{"host": "h1.lab.test", "path": "/s"}, {"host": "no.test"}]},
        cluster,
    )
    assert not result.get("failed"), result
    assert result["counts"] == {"routes": 103, "unprobed": 0, "unreachable": 1}
    assert result["routes"][0]["node_port"] == 30443
    assert result["unused_samples"] == [1] and "no.test" in str(result["warnings"])
    assert cluster.writes == 0 and cluster.total == 4
    bad = run_module(route_info, {"gateways": [REF], "samples": [{"host": "a.test", "method": "POST"}]}, cluster)
    assert bad["failure"]["code"] == "bad_sample" and cluster.total == 4
    assert run_module(route_info, {"gateways": []}, cluster)["failure"]["code"] == "no_gateways"


@pytest.mark.parametrize("name", ["authorization", "Cookie", "x-auth-token", "X-Api-Key", "Proxy-Authorization"])
def test_credentials_of_a_match_or_a_sample_are_withheld_unless_asked_for(name):
    secret = "Bearer t0ken-0f-a-match"
    own_match = {"headers": {name: {"exact": secret}}, "uri": {"prefix": "/me"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "istio-system"}}
    app = vs(http=[{"match": [own_match]}, {"match": [{"uri": {"prefix": "/"}}]}])
    cluster = FakeCluster().add(gateway(), pod, service(), app)
    options = {"gateways": [REF], "samples": [{"host": "app.lab.test", "path": "/s", "headers": {name: secret}}]}
    shown = run_module(route_info, options, cluster)
    assert secret not in json.dumps(shown), "also not in what it was called with"
    (first, *_rest) = withheld = [item for item in shown["unprobed"] if item["reason"] == "private_header"]
    assert len(withheld) == shown["counts"]["unprobed"] and first["reachable"] and name.lower() in first["detail"]
    revealed = run_module(route_info, {**options, "reveal": True}, cluster)
    private = [one for one in revealed["routes"] if secret in one["headers"].values()]
    assert [one["id"] for one in private] == [item["id"] for item in withheld] and revealed["unprobed"] == []
    assert [one for one in revealed["routes"] if one not in private] == shown["routes"]
