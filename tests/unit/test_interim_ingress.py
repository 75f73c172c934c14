# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""interim_ingress: every host of the old gateway forwarded as it was asked for, and what can't be is refused by
name."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingresses
from ansible_collections.bluegreen.mesh.plugins.modules import interim_ingress, object_edits
from fake_cluster import run_module
from fake_ingress import (
    certificate, cluster, gateway, gateway_pod, gateway_service, http, https, ingress_class, journal, service, thing, to,
    virtual_service,
)  # fmt: skip

OPTIONS = {
    "gateways": ["istio-system/public"], "gateway_service": "istio-system/ingressgateway",
    "controller_service": "ingress/new", "class_name": "new", "dialect": "nginx",
}  # fmt: skip
NGINX = ingress_class(controller="k8s.io/ingress-nginx")
N = "nginx.ingress.kubernetes.io/"


def run(fake, check=False, **options):
    return run_module(interim_ingress, {**OPTIONS, **options}, fake, check=check)


def codes(result):
    return sorted({finding["code"] for finding in result["failure"]["findings"] if finding["severity"] == "error"})


def ingress(fake, host):
    found = [fake.peek("ingresses", "istio-system", name) for name in fake.names("ingresses", "istio-system")]
    (one,) = [item for item in found if host in {h or "*" for h in _ingresses.hosts_of(item)}]
    return one


# -- what is made ------------------------------------------------------------------------------------------------------
def test_a_host_goes_to_the_old_gateways_tls_port_with_its_own_name():
    fake = cluster(NGINX)
    done = run(fake)
    assert done["changed"] and list(done["hosts"]) == ["web.test"] and done["left_out"] == {}
    made = ingress(fake, "web.test")
    backend = {"service": {"name": "ingressgateway", "port": {"number": 443}}}
    assert made["spec"] == {
        "ingressClassName": "new", "tls": [{"hosts": ["web.test"], "secretName": "cert"}],
        "rules": [{"host": "web.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }  # fmt: skip
    said = made["metadata"]["annotations"]
    assert said[N + "backend-protocol"] == "HTTPS" and said[N + "proxy-ssl-name"] == "web.test"
    assert said[N + "proxy-ssl-server-name"] == "on" and said[N + "proxy-read-timeout"] == "3600"
    assert said[N + "force-ssl-redirect"] == "true", "the old gateway redirects plain HTTP"


def test_a_second_run_changes_nothing_and_check_mode_predicts_the_first():
    fake = cluster(NGINX)
    predicted = run(fake, check=True)
    assert predicted["changed"] and fake.writes == 0
    done = run(fake)
    assert done["objects"] == predicted["objects"] and done["diff"] == predicted["diff"]
    writes = fake.writes
    again = run(fake)
    assert again["changed"] is False and fake.writes == writes


def test_plain_http_that_is_not_redirected_is_not_redirected_by_green_either():
    fake = cluster(NGINX, gateway(https(), http(redirect=False)))
    run(fake)
    said = ingress(fake, "web.test")["metadata"]["annotations"]
    assert said[N + "ssl-redirect"] == "false" and N + "force-ssl-redirect" not in said


def test_a_host_without_tls_goes_to_the_plain_port():
    fake = cluster(NGINX, gateway(http(redirect=False)))
    run(fake)
    made = ingress(fake, "web.test")
    assert made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] == {"number": 80}
    assert made["metadata"]["annotations"][N + "backend-protocol"] == "HTTP" and "tls" not in made["spec"]


def test_a_wildcard_gets_a_server_name_under_it_and_any_host_gets_none():
    fake = cluster(NGINX, gateway(https(("*",))), virtual_service(hosts=["*.test"]), virtual_service("shop/all", ["*"]))
    run(fake)
    assert ingress(fake, "*.test")["metadata"]["annotations"][N + "proxy-ssl-name"] == "bluegreen-interim.test"
    every = ingress(fake, "*")
    assert N + "proxy-ssl-name" not in every["metadata"]["annotations"] and "host" not in every["spec"]["rules"][0]


@pytest.mark.parametrize(
    ("dialect", "controller", "hosts", "found"),
    [
        ("traefik", "traefik.io/ingress-controller", ["*.test"], True),
        ("traefik_nginx", "traefik.io/ingress-controller", ["*.test"], True),
        ("haproxy", "haproxy.org/ingress-controller/haproxy", ["*.test"], True),
        ("traefik", "traefik.io/ingress-controller", ["web.test"], False),
        ("nginx", "k8s.io/ingress-nginx", ["*.test"], False),
    ],
)  # fmt: skip
def test_a_wildcard_that_is_narrower_on_the_new_controller_is_a_warning(dialect, controller, hosts, found):
    fake = cluster(ingress_class(controller=controller), gateway(https(("*",))), virtual_service(hosts=hosts))
    done = run(fake, dialect=dialect, snippets=True)
    said = [f for f in done["findings"] if f["code"] == "interim_wildcard_depth"]
    assert not done.get("failed") and list(done["hosts"]) == hosts, "it stops nothing"
    assert [(f["severity"], f["object"]) for f in said] == [("warning", "Gateway istio-system/public")] * found
    assert all("*.test takes names of any depth on the old gateway, and of one label" in f["found"] for f in said)


def test_grpc_has_an_ingress_of_its_own_with_a_grpc_protocol():
    api = virtual_service("shop/api", ["api.test"], to("api"))
    fake = cluster(NGINX, api, service("shop/api", "grpc-web-api"))
    assert codes(run(fake)) == ["interim_dialect"], "ingress-nginx sends a GRPCS backend no server name"
    assert fake.writes == 0
    run(fake, snippets=True)
    made = ingress(fake, "api.test")["metadata"]
    assert made["annotations"][N + "backend-protocol"] == "GRPCS" and made["name"].startswith("interim-grpc-")
    assert "grpc_ssl_name api.test;" in made["annotations"][N + "configuration-snippet"]
    assert ingress(fake, "web.test")["metadata"]["annotations"][N + "backend-protocol"] == "HTTPS"


def test_grpc_beside_other_routes_of_a_host_goes_by_its_path():
    both = virtual_service("shop/web", ["web.test"], to("api", match=[{"uri": {"prefix": "/shop.Api/"}}]), to("web"))
    fake = cluster(ingress_class(), both, service("shop/api", "grpc"))
    run(fake, dialect="traefik_nginx")
    names = fake.names("ingresses", "istio-system")
    assert len(names) == 2
    protocols = {
        fake.peek("ingresses", "istio-system", name)["metadata"]["annotations"][N + "backend-protocol"]:
        fake.peek("ingresses", "istio-system", name)["spec"]["rules"][0]["http"]["paths"][0]["path"]
        for name in names
    }  # fmt: skip
    assert protocols == {"HTTPS": "/", "GRPCS": "/shop.Api/"}


def test_grpc_that_no_path_tells_apart_is_refused():
    both = virtual_service("shop/web", ["web.test"], to("api", match=[{"headers": {"x": {"exact": "1"}}}]), to("web"))
    assert codes(run(cluster(NGINX, both, service("shop/api", "grpc")))) == ["interim_mixed_protocols"]


def test_traefiks_own_provider_gets_a_service_of_ours_and_blues_is_not_touched():
    fake = cluster()
    before = fake.peek("services", "istio-system", "ingressgateway")
    run(fake, dialect="traefik")
    made = ingress(fake, "web.test")
    name = made["metadata"]["name"]
    own = fake.peek("services", "istio-system", name)
    assert own["spec"]["selector"] == {"istio": "ingressgateway"} and own["spec"]["ports"][0]["port"] == 443
    said = own["metadata"]["annotations"]
    assert said["traefik.ingress.kubernetes.io/service.serversscheme"] == "https"
    assert said["traefik.ingress.kubernetes.io/service.serverstransport"] == f"istio-system-{name}@kubernetescrd"
    assert fake.peek("serverstransports", "istio-system", name)["spec"] == {
        "insecureSkipVerify": True, "serverName": "web.test"
    }  # fmt: skip
    assert made["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.priority"] == "1"
    assert fake.peek("middlewares", "istio-system", f"{name}-1")["spec"]["redirectScheme"]["scheme"] == "https"
    assert fake.peek("services", "istio-system", "ingressgateway") == before
    assert run(fake, dialect="traefik")["changed"] is False
    run(fake, dialect="traefik", state="absent")
    assert fake.names("ingresses") == [] and fake.names("middlewares") == [] and fake.names("serverstransports") == []
    assert fake.peek("services", "istio-system", name) is None


# -- what can't be -----------------------------------------------------------------------------------------------------
REFUSED = {
    "interim_passthrough": ([gateway(https(), https(("raw.test",), "PASSTHROUGH", 8443))], "raw.test"),
    "interim_client_certificate": ([gateway(https(mode="MUTUAL", credentialName="cert"))], "web.test"),
    "interim_redirect_loop": ([gateway(http())], "web.test"),
    "interim_tcp": (
        [gateway(https(), {"port": {"number": 5432, "name": "db", "protocol": "TCP"}, "hosts": ["*"]})], "5432"
    ),
    "interim_certificate": ([certificate(type="Opaque", data={"cert": "Yw==", "key": "aw=="})], "istio-system/cert"),
    "interim_port": ([gateway(https(port=9443))], "9443"),
    "interim_trusted_proxies": ([gateway_pod(annotations={})], "numTrustedProxies: 1"),
    "interim_loop": ([virtual_service("shop/web", ["web.test"], to("new.ingress.svc.cluster.local"))], "new controller"),
    "interim_host_taken": (
        [thing("networking.k8s.io/v1", "Ingress", "a/b", {"ingressClassName": "new", "rules": [{"host": "web.test"}]})],
        "a/b",
    ),
    "interim_class": ([ingress_class("other")], "there is no IngressClass"),
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSED)
def test_what_can_not_be_bridged_is_refused_before_anything_is_written(code):
    objects, words = REFUSED[code]
    fake = cluster(NGINX, *objects, without=["IngressClass /new"] if code == "interim_class" else ())
    result = run(fake)
    assert codes(result) == [code] and words in result["msg"] and fake.writes == 0


def test_what_is_waived_or_moved_first_stops_nothing():
    raw = gateway(https(), https(("raw.test",), "PASSTHROUGH", 8443))
    fake = cluster(NGINX, raw)
    done = run(fake, waive=["interim_passthrough:istio-system/public"], check=True)
    assert list(done["hosts"]) == ["web.test"] and "raw.test" in done["left_out"]
    assert run(fake, except_hosts=["raw.test"])["changed"] is True
    done = run(fake, except_hosts=["raw.test", "web.test"])
    assert done["hosts"] == {} and fake.names("ingresses") == []


def test_a_name_that_comes_back_by_dns_is_a_loop_too():
    outside = virtual_service("shop/web", ["web.test"], to("other.test"))
    other = virtual_service("shop/other", ["other.test"])
    result = run(cluster(NGINX, outside, other))
    assert codes(result) == ["interim_loop"] and "comes back" in result["msg"]
    aliased = virtual_service("shop/web", ["web.test"], to("alias"))
    alias = thing("v1", "Service", "shop/alias", {"type": "ExternalName", "externalName": "other.test"})
    assert codes(run(cluster(NGINX, aliased, other, alias))) == ["interim_loop"]
    fine = virtual_service("shop/web", ["web.test"], to("elsewhere.example"))
    assert run(cluster(NGINX, fine, other))["changed"] is True


def test_blues_service_must_lead_to_blue():
    stolen = gateway_service()
    stolen["spec"]["selector"] = {"app": "controller"}
    new = service("istio-system/new", selector={"app": "controller"})
    result = run(
        cluster(NGINX, stolen, new, gateway_pod(labels={"app": "controller"})), controller_service="istio-system/new"
    )
    assert codes(result) == ["interim_loop"]


@pytest.mark.parametrize(("annotation", "mesh", "hops", "fine"), [
    ("gatewayTopology: {numTrustedProxies: 2}", "", 2, True), ("", "defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}", 1, True),
    ("", "defaultConfig: {}", 1, False), ("gatewayTopology: {numTrustedProxies: 1}", "", 2, False), (": not yaml [", "", 1, False),
])  # fmt: skip
def test_trusted_proxies_are_those_of_the_pods_or_of_the_mesh(annotation, mesh, hops, fine):
    config = thing("v1", "ConfigMap", "istio-system/istio", data={"mesh": mesh})
    fake = cluster(NGINX, gateway_pod(annotations={"proxy.istio.io/config": annotation}), config)
    result = run(fake, hops=hops)
    assert result.get("changed", False) is fine and (fine or codes(result) == ["interim_trusted_proxies"])


def test_of_several_revisions_the_one_that_trusts_least_counts():
    def mesh(name, trusted):
        text = f"defaultConfig: {{gatewayTopology: {{numTrustedProxies: {trusted}}}}}"
        return thing("v1", "ConfigMap", f"istio-system/{name}", data={"mesh": text}, labels={"istio.io/rev": "r"})

    pod = gateway_pod(annotations={})
    assert run(cluster(NGINX, pod, mesh("istio-1-31", 1)))["changed"]
    both = cluster(NGINX, pod, mesh("istio-1-31", 1), mesh("istio", 0))
    assert codes(run(both)) == ["interim_trusted_proxies"]
    assert run(both, mesh_config="istio-system/istio-1-31")["changed"]


# -- the journal, and what becomes of it -------------------------------------------------------------------------------
def test_the_journal_takes_it_back():
    fake = cluster(NGINX)
    run(fake, journal=journal(fake, run_module))
    (step,) = json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])
    assert step["state"] == "done" and step["inverse"]["module"] == "object_edits"
    assert run_module(object_edits, step["inverse"]["params"], fake)["changed"] and fake.names("ingresses") == []


def test_a_host_whose_routes_have_moved_loses_its_interim_ingress():
    fake = cluster(NGINX)
    run(fake)
    moved = thing(
        "networking.k8s.io/v1", "Ingress", "shop/web-1", {"ingressClassName": "new", "rules": [{"host": "web.test"}]},
        labels={"app.kubernetes.io/managed-by": "bluegreen.mesh"}, annotations={"bluegreen.mesh/part": "route"},
    )  # fmt: skip
    fake.add(moved)
    done = run(fake)
    assert done["left_out"] == {"web.test": "its routes are Ingresses already"}
    assert fake.names("ingresses", "istio-system") == [] and fake.names("ingresses", "shop") == ["web-1"]


def test_a_host_that_goes_back_is_forwarded_before_its_own_ingress_goes():
    fake = cluster(NGINX)
    fake.add(thing(
        "networking.k8s.io/v1", "Ingress", "shop/web-1", {"ingressClassName": "new", "rules": [{"host": "web.test"}]},
        labels={"app.kubernetes.io/managed-by": "bluegreen.mesh"}, annotations={"bluegreen.mesh/part": "route"},
    ))  # fmt: skip
    assert fake.names("ingresses", "istio-system") == [] and run(fake)["hosts"] == {}
    predicted = run(fake, check=True, returning=["web.test"])
    done = run(fake, returning=["web.test"])
    assert done["changed"] and done["objects"] == predicted["objects"] and list(done["hosts"]) == ["web.test"]
    assert ingress(fake, "web.test") and fake.names("ingresses", "shop") == ["web-1"], "both serve it meanwhile"
    assert run(fake, returning=["web.test"])["changed"] is False


def test_an_ingress_of_that_name_that_is_not_ours_is_not_overwritten():
    fake = cluster(NGINX)
    run(fake, check=True)
    name = run(fake)["objects"][0]["object"].rpartition("/")[2]
    fake.edit("ingresses", "istio-system", name, lambda item: item["metadata"].update(annotations={}, labels={}))
    assert run(fake)["failure"]["code"] in ("foreign_object", "findings")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"gateways": []}, "bad_option"), ({"gateways": ["x"]}, "malformed_reference"),
        ({"gateways": ["a/b"]}, "gateway_missing"), ({"gateway_service": "a/b"}, "no_such_service"),
        ({"waive": ["nothing_like_that"]}, "bad_option"),
    ],
)  # fmt: skip
def test_bad_options_change_nothing(options, code):
    fake = cluster(NGINX)
    assert run(fake, **options)["failure"]["code"] == code and fake.writes == 0
