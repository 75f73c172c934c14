# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversion as a whole: nothing is dropped in silence, whatever annotations there are; and every feature is
complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import ingress as conversion
from ansible_collections.bluegreen.mesh.plugins.module_utils import ingress_checks
from ansible_collections.bluegreen.mesh.plugins.module_utils._inventory import Finding
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress import _others
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress._model import NGINX, Target
from fake_ingresses import PUBLIC, answer, backend, codes, convert, ingress, made, only, service, status, world
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
DECLARED = [name for name, _code, _what in conversion.table_of_annotations()]
PAGE = ROOT / "docs" / "journeys" / "ingress_to_istio.md"
VALUES = st.sampled_from([
    "true", "false", "", "0", "1", "10", "off", "on", "cookie", "HTTPS", "GRPC", "/x", "/$1", "https://a.test/x",
    "https://a.test$request_uri",
    "a.test, b.test", "10.0.0.0/8", "no network", "$host", "error http_502", "letsencrypt", "~^x", "~\n{}",
])  # fmt: skip
NOTES = st.dictionaries(st.sampled_from([*DECLARED, f"{NGINX}who-knows", "example.com/x"]), VALUES, max_size=12)


# -- the set of features and checks ------------------------------------------------------------------------------------
def stems(folder, start=""):
    found = {path.stem.removeprefix(start) for path in (ROOT / folder).glob(f"{start}*.py")}
    return {name for name in found if not name.startswith("_") and name != "conftest"}


def test_every_feature_has_its_file_and_its_test_and_every_annotation_one_feature():
    files = stems("plugins/module_utils/ingress")
    assert files == {feature.__name__.rpartition(".")[2] for feature in conversion.FEATURES}
    assert stems("tests/unit/ingress", "test_ingress_") == files
    assert len(DECLARED) == len(set(DECLARED)) and len({f.CODE for f in conversion.FEATURES}) == len(
        conversion.FEATURES
    )


def test_every_check_has_its_file_and_is_listed():
    assert stems("plugins/module_utils/ingress_checks") == {check.CODE for check in ingress_checks.CHECKS}


def test_the_page_has_every_annotation_as_it_is_declared():
    rows = re.findall(r"^\| `([^`]+)` \| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    shown = {f"{'' if '/' in name else NGINX}{name}": (code, what) for name, code, what in rows}
    wanted = {(n if "/" in n else NGINX + n): (code, what) for n, code, what in conversion.table_of_annotations()}
    assert shown == wanted


def test_the_page_has_every_finding():
    text = PAGE.read_text(encoding="utf-8")
    sources = [*(ROOT / "plugins/module_utils/ingress").glob("*.py"), ROOT / "plugins/module_utils/_ingress_convert.py"]
    named = {
        code
        for path in sources
        for code in re.findall(r'(?:Finding|warn)\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert {c for c in named | {check.CODE for check in ingress_checks.CHECKS} if f"| `{c}` |" not in text} == set()


# -- nothing is dropped ------------------------------------------------------------------------------------------------
def sound(result):
    """What Istio's own validation asks of these objects."""
    for item in result.objects:
        meta = item["metadata"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", meta["name"]) and len(meta["name"]) < 254
    for gateway in made(result, "Gateway"):
        names = [server["port"]["name"] for server in gateway["spec"]["servers"]]
        assert len(names) == len(set(names)) and all(
            len(name) < 64 and server["hosts"] for name, server in zip(names, gateway["spec"]["servers"])
        )
    for item in made(result, "VirtualService"):
        spec = item["spec"]
        assert spec["hosts"] and len(spec["gateways"]) == 1 and (spec.get("http") or spec.get("tls"))
        for route in spec.get("http") or ():
            assert len({"route", "redirect", "directResponse"} & set(route)) == 1 and route["match"]
            weights = [one["weight"] for one in route.get("route") or () if "weight" in one]
            assert not weights or sum(weights) == 100
            assert len(route.get("route") or [0]) == 1 or len(weights) == len(route["route"])
            assert not ("redirect" in route and {"rewrite", "timeout", "retries", "corsPolicy"} & set(route))
            for match in route["match"]:
                if "regex" in match.get("uri", {}):
                    re.compile(match["uri"]["regex"])
    assert len(result.objects) == len(
        {(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]) for o in result.objects}
    )


@given(NOTES, NOTES, st.booleans())
def test_the_report_has_every_annotation_of_every_ingress_once(one, two, tls):
    paths = [("/a(.*)", "ImplementationSpecific", "a"), ("/", "Prefix", "web"), ("/x", "Exact", "x")]
    items = [
        ingress("one", paths, notes=one, tls="cert" if tls else None),
        ingress("two", [("/y", "Prefix", "y"), ("/", "Prefix", "z")], notes=two, tls="cert2"),
    ]
    result = convert(*items)
    said = sorted((entry["ingress"], entry["annotation"]) for entry in result.report)
    assert said == sorted(
        ("team/" + i["metadata"]["name"], name) for i in items for name in i["metadata"]["annotations"]
    )
    for entry in result.report:
        assert entry["status"] in conversion.STATUSES and entry["why"] and entry["feature"]
        assert bool(entry["todo"]) == (entry["status"] == "not_translated"), entry
    refused = {(e["ingress"], e["annotation"]) for e in result.report if e["status"] == "not_translated"}
    found = {
        (f.object.removeprefix("Ingress "), f.field[len("metadata.annotations[") : -1])
        for f in result.findings
        if f.code.startswith("annotation_")
    }
    assert refused == found
    sound(result)
    json.dumps(result.objects)


@pytest.mark.parametrize("name", DECLARED)
def test_an_annotation_alone_is_spoken_of_by_its_own_feature(name):
    for value in ("true", "10", ""):
        result = convert(ingress(notes={name: value}, tls="cert"))
        (entry,) = result.report
        owner = {n: code for n, code, _what in conversion.table_of_annotations()}[name]
        assert entry["feature"] == owner


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kubectl.kubernetes.io/last-applied-configuration", "not_needed"), ("meta.helm.sh/release-name", "not_needed"),
        ("kubernetes.io/ingress.class", "not_needed"), ("example.com/team", "not_needed"),
        ("argocd.argoproj.io/sync-wave", "not_needed"),
        ("external-dns.alpha.kubernetes.io/hostname", "not_translated"),
        ("traefik.ingress.kubernetes.io/router.middlewares", "not_translated"),
        ("cert-manager.io/subject-countries", "not_translated"), (f"{NGINX}proxy-bodysize", "not_translated"),
    ],
)  # fmt: skip
def test_annotations_that_no_feature_understands(name, expected):
    result = convert(ingress(notes={name: "nginx"}, class_name="nginx"))
    assert status(result, name) == expected
    assert ("annotation_unknown" in codes(result, "error")) == name.startswith(NGINX)


def test_the_longest_beginning_decides():
    assert _others._longest({"a/": 1, "a/b": 2}, "a/bc") == 2 and _others._longest({"a/": 1}, "b/") is None


# -- Gateways ----------------------------------------------------------------------------------------------------------
def test_servers_are_grouped_as_a_person_would():
    result = convert(
        ingress("a", host="a.test", tls="one"),
        ingress("b", host="b.test", tls="one"),
        ingress("c", host="c.test", tls="two"),
        ingress("d", host="d.test"),
    )
    servers = {
        s["port"]["name"]: (s["port"]["number"], s["hosts"], s.get("tls"))
        for s in only(result, "Gateway")["spec"]["servers"]
    }
    assert servers == {
        "http": (80, ["a.test", "b.test", "c.test", "d.test"], None),
        "https-team-one": (443, ["a.test", "b.test"], {"mode": "SIMPLE", "credentialName": "team-one"}),
        "https-team-two": (443, ["c.test"], {"mode": "SIMPLE", "credentialName": "team-two"}),
    }


def test_a_wildcard_has_a_gateway_of_its_own_so_that_its_routes_stay_its_own():
    result = convert(
        ingress("wild", host="*.a.test", tls="c", age=9),
        ingress("name", [("/x", "Prefix", "x")], host="b.a.test", tls="c"),
    )
    assert [g["metadata"]["name"] for g in made(result, "Gateway")] == ["public", "public-wildcard-a-test"]
    assert (
        backend(answer(result, "b.a.test", "/other")) is None
        and backend(answer(result, "c.a.test", "/other")) == "team/web"
    )


def test_certificates_of_two_namespaces_with_one_name_do_not_collide():
    result = convert(
        ingress("a", host="a.test", tls="cert"), ingress("b", host="b.test", tls="cert", namespace="other")
    )
    assert [s["target"] for s in result.secrets] == ["edge/other-cert", "edge/team-cert"]


def test_one_beside_the_pods_already_keeps_its_name():
    result = convert(ingress(namespace="edge", tls="cert"), secrets={("edge", "cert")})
    assert result.secrets == [
        {
            "source": "edge/cert",
            "target": "edge/cert",
            "by": "nothing",
            "gateway": "edge/public",
            "hosts": ["shop.example.com"],
            "exists": True,
        }
    ]
    assert "secret_elsewhere" not in codes(result)


@pytest.mark.parametrize(("default", "expected"), [("fallback", "fallback"), ("", None)])
def test_tls_without_a_secret(default, expected):
    item = ingress()
    item["spec"]["tls"] = [{"hosts": ["shop.example.com"]}]
    result = convert(
        item, targets=[Target("nginx", ("edge", "public"), {"istio": "public"}, "edge", default_secret=default)]
    )
    servers = only(result, "Gateway")["spec"]["servers"]
    assert [s["tls"]["credentialName"] for s in servers if "tls" in s] == ([expected] if expected else [])
    assert ("tls_without_secret" in codes(result)) == (expected is None)


def test_a_host_is_covered_by_a_wildcard_of_its_own_ingress():
    item = ingress(host="a.example.com")
    item["spec"]["tls"] = [{"hosts": ["b.test"], "secretName": "no"}, {"hosts": ["*.example.com"], "secretName": "yes"}]
    assert convert(item).secrets[0]["source"] == "team/yes"


# -- VirtualServices ---------------------------------------------------------------------------------------------------
def test_several_ingresses_of_a_host_become_one_virtual_service_that_names_them():
    result = convert(
        ingress("b", [("/b", "Prefix", "b")], namespace="two"),
        ingress("a", [("/a", "Prefix", "a")], namespace="one", age=9),
    )
    item = only(result, "VirtualService")
    assert (
        item["metadata"]["namespace"] == "one"
        and item["metadata"]["annotations"]["bluegreen.mesh/converted-from"] == "one/a, two/b"
    )
    assert {backend(answer(result, "shop.example.com", p, "http")) for p in ("/a/x", "/b/x")} == {"one/a", "two/b"}
    assert "host_shared" in codes(result)


def test_each_class_has_its_own_gateway_and_virtual_service_even_for_one_host():
    inner = Target("internal", ("inner", "private"), {"istio": "private"}, "inner")
    result = convert(
        ingress("pub"), ingress("in", [("/", "Prefix", "admin")], class_name="internal"), targets=[PUBLIC, inner]
    )
    found = {
        v["spec"]["gateways"][0]: v["spec"]["http"][0]["route"][0]["destination"]["host"].split(".")[0]
        for v in made(result, "VirtualService")
    }
    assert found == {"edge/public": "web", "inner/private": "admin"}


def test_names_that_would_be_the_same_are_told_apart():
    result = convert(ingress("a", host="a-b.test"), ingress("b", host="a.b.test"))
    names = {v["metadata"]["name"] for v in made(result, "VirtualService")}
    assert len(names) == 2 and all(name.startswith("public-a-b-test-") for name in names)


def test_gateways_of_one_name_in_two_namespaces_have_routes_of_their_own():
    other = Target("internal", ("inner", "public"), {"istio": "inner"}, "inner")
    result = convert(ingress("a"), ingress("b", class_name="internal"), targets=[PUBLIC, other])
    found = {v["metadata"]["name"]: v["spec"]["gateways"] for v in made(result, "VirtualService")}
    assert sorted(found.values()) == [["edge/public"], ["inner/public"]]


def test_a_port_by_name_is_its_number_and_one_that_is_not_known_is_503_as_on_blue():
    item = ingress(paths=[("/ok", "Exact", "web"), ("/lost", "Exact", "web")])
    ports = [entry["backend"]["service"] for entry in item["spec"]["rules"][0]["http"]["paths"]]
    ports[0]["port"], ports[1]["port"] = {"name": "http"}, {"name": "nope"}
    result = convert(item)
    assert answer(result, "shop.example.com", "/ok", "http")["route"][0]["destination"]["port"] == {"number": 80}
    assert answer(result, "shop.example.com", "/lost", "http")["directResponse"] == {
        "status": 503
    } and "service_missing" in codes(result)


def test_a_resource_is_no_backend():
    item = ingress()
    item["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"resource": {"kind": "Bucket", "name": "x"}}
    assert "backend_resource" in codes(convert(item), "error")


def test_every_match_says_where_it_comes_from():
    result = convert(ingress(paths=[("/a", "Prefix", "a"), ("/b", "Exact", "b")], tls="cert"))
    rows = {
        json.dumps(row["match"]["uri"]): (row["ingress"], row["field"])
        for row in result.routes
        if "uri" in row["match"]
    }
    assert rows['{"exact": "/b"}'] == ("team/shop", "spec.rules[0].http.paths[1]")
    assert rows['{"prefix": "/a/"}'] == rows['{"exact": "/a"}'] == ("team/shop", "spec.rules[0].http.paths[0]")


# -- checks ------------------------------------------------------------------------------------------------------------
def finding(code, *items, **more):
    (found,) = {f for f in convert(*items, **more).findings if f.code == code}
    return found


def test_nothing_is_found_where_nothing_is_wrong():
    assert codes(convert(ingress(namespace="edge", tls="cert"), secrets={("edge", "cert")})) == set()


def test_a_gateway_of_others_with_the_host_at_the_same_pods():
    other = {
        "metadata": {"namespace": "x", "name": "old"},
        "spec": {
            "selector": {"istio": "public"},
            "servers": [{"port": {"number": 80}, "hosts": ["*/shop.example.com"]}],
        },
    }
    assert finding("host_taken", ingress(), gateways=[other]).object == "Gateway x/old"
    elsewhere = {**other, "spec": {**other["spec"], "selector": {"istio": "inner"}}}
    assert "host_taken" not in codes(convert(ingress(), gateways=[elsewhere]))


def test_a_virtual_service_of_others_with_the_host_on_the_gateway():
    other = {
        "metadata": {"namespace": "edge", "name": "old"},
        "spec": {"hosts": ["shop.example.com"], "gateways": ["public"]},
    }
    assert finding("host_taken", ingress(), virtual_services=[other]).object == "VirtualService edge/old"


@pytest.mark.parametrize(("reference", "found", "fix"), [
    ("public", "'public' means team/public, which is no Gateway", "Write edge/public if that is meant."),
    ("other", "'other' means team/other", "Correct or remove it."),
    ("gone/old", "'gone/old' means gone/old", "Correct or remove it."),
    ("edge/theirz", "'edge/theirz' means edge/theirz", "Correct or remove it. Did you mean edge/theirs?"),
    ("a/b/c", "'a/b/c' is not a reference to a Gateway", "Write NAMESPACE/NAME."),
    ("edge/public", None, ""), ("public.edge", None, ""), ("edge/theirs", None, ""), ("mesh", None, ""),
])  # fmt: skip
def test_a_reference_in_a_form_that_means_another_gateway(reference, found, fix):
    other = {
        "metadata": {"namespace": "team", "name": "v"},
        "spec": {
            "hosts": ["else.test"],
            "http": [{"match": [{"uri": {"exact": "/"}}, {"gateways": ["mesh", reference]}]}],
        },
    }
    theirs = {"metadata": {"namespace": "edge", "name": "theirs"}, "spec": {"selector": {"istio": "theirs"}}}
    around = {"virtual_services": [other], "gateways": [theirs]}
    if found is None:
        assert "reference_unresolved" not in codes(convert(ingress(), **around))
        return
    said = finding("reference_unresolved", ingress(), **around)
    assert (said.severity, said.object, said.field) == (
        "warning", "VirtualService team/v", "spec.http.0.match.1.gateways",
    )  # fmt: skip
    assert said.found.startswith(found) and said.fix == fix


def test_of_gateways_that_can_t_be_listed_none_is_said_to_be_missing():
    other = {"metadata": {"namespace": "team", "name": "v"}, "spec": {"hosts": ["else.test"], "gateways": ["other"]}}
    around = world(ingress(), virtual_services=[other])
    around.findings.append(Finding("unreadable", "error", "gateways", "", "403", ""))
    assert "reference_unresolved" not in codes(conversion.convert(around))


@pytest.mark.parametrize(
    ("solver", "found"),
    [({"ingress": {"class": "nginx"}}, True), ({"ingress": {"ingressClassName": "nginx"}}, True),
     ({"ingress": {}}, True),
     ({"ingress": {"class": "istio"}}, False), ({"gatewayHTTPRoute": {}}, False)],
)  # fmt: skip
def test_an_issuer_that_solves_by_the_old_class(solver, found):
    issuer = {
        "kind": "ClusterIssuer",
        "metadata": {"name": "acme"},
        "spec": {"acme": {"solvers": [{"dns01": {}}, {"http01": solver}]}},
    }
    result = convert(ingress(), issuers=[issuer])
    assert ("http01_solver" in codes(result)) == found
    if found:
        assert finding("http01_solver", ingress(), issuers=[issuer]).field == "spec.acme.solvers[1].http01.ingress"


@pytest.mark.parametrize(
    ("port", "notes", "severity"),
    [
        ({"name": "http-web"}, {}, None), ({"name": "web"}, {}, "warning"), ({}, {}, "warning"),
        ({"name": "grpc"}, {}, "error"),
        ({"name": "x", "appProtocol": "kubernetes.io/h2c"}, {}, "error"),
        ({"name": "http2"}, {"backend-protocol": "GRPC"}, None),
        ({"name": "http"}, {"backend-protocol": "GRPC"}, "warning"),
        ({"name": "https"}, {"backend-protocol": "HTTPS"}, None),
    ],
)  # fmt: skip
def test_what_istio_takes_the_services_port_for(port, notes, severity):
    services = [{"metadata": {"namespace": "team", "name": "web"}, "spec": {"ports": [{"port": 80, **port}]}}]
    result = convert(ingress(notes=notes), services=services)
    assert {f.severity for f in result.findings if f.code == "port_protocol"} == ({severity} if severity else set())


@pytest.mark.parametrize(
    ("notes", "main", "port", "canary", "severity"),
    [
        ({}, "http", "grpc", {"canary-weight": "5"}, "error"), ({}, "http", "http", {"canary-weight": "5"}, None),
        ({}, "http", "grpc", {"canary-by-header": "x-try"}, "error"),
        ({}, "http", "web", {"canary-by-cookie": "try"}, "warning"),
        ({}, "http", "grpc", {"canary-weight": "0"}, None),  # which no request reaches
        ({"backend-protocol": "GRPC"}, "grpc", "grpc", {"canary-weight": "5"}, None),
        ({"backend-protocol": "GRPC"}, "http", "http", {"canary-weight": "5"}, "warning"),
        ({"backend-protocol": "GRPC"}, "grpc", "http", {"canary-weight": "5"}, "error"),  # no rule upgrades it
    ],
)  # fmt: skip
def test_what_istio_takes_a_canarys_port_for(notes, main, port, canary, severity):
    result = convert(
        ingress("main", [("/", "Prefix", "v1")], notes=notes),
        ingress("next", [("/", "Prefix", "v2")], notes={"canary": "true", **canary}),
        services=[service("v1", appProtocol=main), service("v2", appProtocol=port)],
    )
    said = [f for f in result.findings if f.code == "port_protocol" and f.object == "Service team/v2"]
    assert {f.severity for f in said} == ({severity} if severity else set())
    if severity:
        upgraded = "v2-from-ingress" in {rule["metadata"]["name"] for rule in made(result, "DestinationRule")}
        assert upgraded == ("DestinationRule" in said[0].found)
        assert "Ingress team/next" in said[0].found or port == "web"


def test_a_missing_secret_is_worse_than_one_to_copy():
    assert finding("secret_elsewhere", ingress(tls="cert"), secrets={("team", "cert")}).severity == "warning"
    assert finding("secret_elsewhere", ingress(tls="cert"), secrets=set()).severity == "error"
    assert "secret_elsewhere" not in codes(
        convert(ingress(tls="cert"), secrets={("team", "cert"), ("edge", "team-cert")})
    )


def test_a_service_that_is_not_there():
    assert finding("service_missing", ingress(), services=[]).field == "spec.rules[0].http.paths[0].backend"


def test_two_certificates_for_one_host():
    result = convert(ingress("a", [("/a", "Prefix", "a")], tls="new"), ingress("b", tls="old", age=9))
    (found,) = [f for f in result.findings if f.code == "tls_secret_conflict"]
    assert found.object == "Ingress team/a" and "team/old" in found.found


def test_an_external_name_needs_its_port_on_istio():
    external = {
        "metadata": {"namespace": "team", "name": "web"},
        "spec": {"type": "ExternalName", "externalName": "api.example.com"},
    }
    found = finding("service_missing", ingress(), services=[external])
    assert found.severity == "error" and "api.example.com" in found.found and "port 80" in found.fix
    external["spec"]["ports"] = [{"port": 80, "name": "http"}]
    assert "service_missing" not in codes(convert(ingress(), services=[external]))
    assert finding("service_missing", ingress(), services=[]).severity == "warning"


def test_pods_that_are_not_there_or_elsewhere():
    assert "workload_missing" in codes(convert(ingress(), pods=[]))
    pod = {"metadata": {"namespace": "gw", "name": "p", "labels": {"istio": "public"}}}
    assert "but in gw" in finding("workload_missing", ingress(), pods=[pod]).found


def test_a_port_that_the_gateways_service_has_not():
    gateway = {
        "metadata": {"namespace": "edge", "name": "gw"},
        "spec": {"selector": {"istio": "public"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    web = world(ingress()).services
    assert finding("workload_port", ingress(tls="c"), services=[gateway, *web]).found.startswith("it has no port 443")
    assert "workload_port" not in codes(convert(ingress(), services=[gateway, *web]))


THROUGH = {"ssl-passthrough": "true"}


@pytest.mark.parametrize(("through", "ended", "gateway"), [
    ("a.test", "a.test", "public"), ("a.x.test", "*.x.test", "public"), ("*.x.test", "a.x.test", "public-wildcard-x-test"),
    ("*.x.test", "*.x.test", "public-wildcard-x-test"), ("a.x.test", "b.x.test", None), ("*.x.test", "x.test", None),
])  # fmt: skip
def test_tls_passed_through_beside_a_wildcard_that_ends_it(through, ended, gateway):
    result = convert(ingress("a", host=ended, tls="c"), ingress("b", host=through, notes=THROUGH))
    found = [f.object for f in result.findings if f.code == "passthrough_beside"]
    assert found == ([f"Gateway edge/{gateway}"] if gateway else [])


@pytest.mark.parametrize(("selector", "port", "found"), [
    ({"istio": "public"}, 443, True), ({"istio": "public", "app": "gateway"}, 443, True), ({"istio": "inner"}, 443, False),
    ({"istio": "public"}, 8443, False),
])  # fmt: skip
def test_tls_that_others_pass_through_at_the_same_pods(selector, port, found):
    tls = {"port": {"number": port, "protocol": "TLS"}, "hosts": ["*/*.example.com"], "tls": {"mode": "PASSTHROUGH"}}
    other = {"metadata": {"namespace": "x", "name": "old"}, "spec": {"selector": selector, "servers": [tls]}}
    assert ("passthrough_beside" in codes(convert(ingress(tls="cert"), gateways=[other]))) is found
    both = {**other, "spec": {"selector": selector, "servers": [tls, {**tls, "tls": {"mode": "SIMPLE"}}]}}
    assert "passthrough_beside" not in codes(convert(ingress(), gateways=[both])), "it is theirs alone"


@pytest.mark.parametrize("namespace", ["team", "edge"])
def test_a_certificate_that_goes_with_its_ingress(namespace):
    owned = {
        "metadata": {"namespace": namespace, "name": "cert", "ownerReferences": [{"kind": "Ingress", "name": "shop"}]},
        "spec": {"secretName": "cert"},
    }  # fmt: skip
    there = {"secrets": {(namespace, "cert")}, "certificates": [owned]}
    found = finding("certificate_owned", ingress(namespace=namespace, tls="cert"), **there)
    assert found.severity == "error" and found.object == f"Certificate {namespace}/cert"
    assert "Ingress edge/shop" in found.found or "the copy edge/team-cert" in found.found
    kept = ingress("other", namespace=namespace, tls="cert")
    assert "certificate_owned" not in codes(convert(kept, **there)), "that Ingress is not converted, and stays"
    free = {**owned, "metadata": {**owned["metadata"], "ownerReferences": []}}
    own = {**there, "certificates": [free]}
    assert "certificate_owned" not in codes(convert(ingress(namespace=namespace, tls="cert"), **own))
    notes = {"cert-manager.io/cluster-issuer": "acme"}
    again = codes(convert(ingress(namespace=namespace, tls="cert", notes=notes), **there))
    assert ("certificate_owned" in again) == (namespace == "edge"), "elsewhere green has one of its own"


def test_a_certificate_that_is_renewed_elsewhere():
    certificate = {"metadata": {"namespace": "team", "name": "shop"}, "spec": {"secretName": "cert"}}
    assert (
        finding("certificate_elsewhere", ingress(tls="cert"), certificates=[certificate]).object
        == "Certificate team/shop"
    )


def test_one_certificate_for_a_wildcard_and_for_names_within_it():
    shared = convert(ingress("wild", host="*.a.test", tls="c"), ingress("name", host="b.a.test", tls="c"))
    (found,) = [f for f in shared.findings if f.code == "connection_reuse"]
    assert found.object == "Gateway edge/public-wildcard-a-test" and "edge/public:" in found.found
    own = convert(ingress("wild", host="*.a.test", tls="c"), ingress("name", host="b.a.test", tls="d"))
    assert "connection_reuse" not in codes(own)
    assert "connection_reuse" not in codes(
        convert(ingress("a", host="a.test", tls="c"), ingress("b", host="b.test", tls="c"))
    )


def test_a_source_range_beside_tls_that_is_passed_through():
    guarded = ingress("a", host="a.test", notes={"whitelist-source-range": "10.0.0.0/8"})
    assert "deny_reaches_tcp" not in codes(convert(guarded))
    passed = ingress("b", host="b.test", notes={"ssl-passthrough": "true"})
    assert "deny_reaches_tcp" in codes(convert(guarded, passed), "error")
    servers = [{"port": {"number": 5432, "protocol": "TCP"}, "hosts": ["*"]}]
    theirs = {
        "metadata": {"namespace": "x", "name": "db"},
        "spec": {"selector": {"istio": "public"}, "servers": servers},
    }
    assert "deny_reaches_tcp" in codes(convert(guarded, gateways=[theirs]), "error")


def test_a_host_without_domain_is_an_error():
    result = convert(ingress("a", host="intranet"), ingress("b"))
    assert "host_short" in codes(result, "error")
    assert only(result, "Gateway")["spec"]["servers"][0]["hosts"] == ["shop.example.com"]
