# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""virtual_service_ingress: whole hosts move or stay, each path to where Istio sends it, and every field is reported."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _routes, _virtual_service_ingress
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress_dialects import DIALECTS
from ansible_collections.bluegreen.mesh.plugins.module_utils.route_features import Known
from ansible_collections.bluegreen.mesh.plugins.modules import interim_ingress, object_edits, virtual_service_ingress
from fake_cluster import run_module
from fake_ingress import (
    NETWORKING, certificate, cluster, gateway, http, https, ingress_class, journal, service, thing, to, virtual_service,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {
    "gateways": ["istio-system/public"], "gateway_service": "istio-system/ingressgateway", "class_name": "new",
    "dialect": "nginx",
}  # fmt: skip
NGINX = ingress_class(controller="k8s.io/ingress-nginx")
N = "nginx.ingress.kubernetes.io/"


def run(fake, check=False, **options):
    return run_module(virtual_service_ingress, {**OPTIONS, "hosts": ["web.test"], **options}, fake, check=check)


def ingresses(fake, namespace="shop"):
    return [fake.peek("ingresses", namespace, name) for name in fake.names("ingresses", namespace)]


def paths(fake, namespace="shop"):
    return {
        (p["path"], p["pathType"]): p["backend"]["service"]["name"]
        for i in ingresses(fake, namespace) for rule in i["spec"]["rules"] for p in rule["http"]["paths"]
    }  # fmt: skip


# -- what is made ------------------------------------------------------------------------------------------------------
def test_a_host_becomes_ingresses_beside_its_backends_with_its_certificate():
    fake = cluster()
    done = run(fake)
    assert done["changed"] and done["left_out"] == {} and done["counts"]["not_translated"] == 0
    (made,) = ingresses(fake)
    assert made["spec"]["tls"] == [{"hosts": ["web.test"], "secretName": "cert"}]
    assert made["spec"]["ingressClassName"] == "new" and paths(fake) == {("/", "Prefix"): "web"}
    assert made["metadata"]["annotations"][N + "force-ssl-redirect"] == "true"
    copy = fake.peek("secrets", "shop", "cert")
    assert (
        copy["data"] == certificate()["data"]
        and copy["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "bluegreen.mesh"
    )
    assert certificate()["data"]["tls.key"] not in json.dumps(done), "a Secret's values are shown nowhere"


def test_a_second_run_changes_nothing_and_check_mode_predicts_the_first():
    fake = cluster()
    predicted = run(fake, check=True)
    assert fake.writes == 0
    done = run(fake)
    assert predicted["objects"] == done["objects"] and predicted["diff"] == done["diff"]
    assert run(fake)["changed"] is False


def test_without_hosts_everything_is_reported_and_nothing_written():
    fake = cluster(virtual_service("shop/bad", ["bad.test"], to(fault={"abort": {"httpStatus": 500}})))
    done = run(fake, hosts=[])
    assert done["changed"] is False and fake.writes == 0
    assert list(done["left_out"]) == ["bad.test"] and done["waves"] == [["web.test"]]
    fields = {(e["virtual_service"], e["route"], e["field"]): e["verdict"] for e in done["report"]}
    assert fields[("shop/bad", "http[0]", "fault")] == "not_translated"
    assert fields[("shop/web", "", "hosts")] == fields[("shop/web", "http[0]", "route")] == "translated"


def test_what_is_made_for_one_host_leaves_others_alone():
    fake = cluster(virtual_service("shop/other", ["other.test"]))
    run(fake)
    first = {i["metadata"]["name"] for i in ingresses(fake)}
    run(fake, hosts=["other.test"])
    assert first < {i["metadata"]["name"] for i in ingresses(fake)} and len(ingresses(fake)) == 2
    run(fake, state="absent")
    (left,) = ingresses(fake)
    assert left["spec"]["rules"][0]["host"] == "other.test"


def test_backends_of_two_namespaces_are_two_ingresses_of_one_host():
    both = virtual_service(
        "shop/web", ["web.test"], to("api.pay.svc.cluster.local", match=[{"uri": {"prefix": "/pay/"}}]), to()
    )
    fake = cluster(both, service("pay/api"))
    run(fake)
    assert paths(fake, "pay") == {("/pay/", "Prefix"): "api"}
    assert paths(fake) == {("/", "Prefix"): "web", ("/pay", "Exact"): "web"}
    assert fake.peek("secrets", "pay", "cert") and fake.peek("secrets", "shop", "cert")


def test_a_canary_is_a_second_ingress_and_a_subset_a_second_service():
    two = {"route": [
        {"destination": {"host": "web", "subset": "v1"}, "weight": 95},
        {"destination": {"host": "web", "subset": "v2"}, "weight": 5},
    ]}  # fmt: skip
    subsets = [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")]
    rule = thing(NETWORKING, "DestinationRule", "shop/web", {"host": "web", "subsets": subsets})
    fake = cluster(virtual_service("shop/web", ["web.test"], two), rule)
    run(fake)
    weights = [i["metadata"]["annotations"].get(N + "canary-weight") for i in ingresses(fake)]
    assert sorted(weights, key=str) == ["5", None]
    own = [fake.peek("services", "shop", name) for name in fake.names("services", "shop") if name != "web"]
    assert sorted(s["spec"]["selector"]["version"] for s in own) == ["v1", "v2"]
    for one in own:  # as an API server fills it in
        one["spec"].update({"clusterIP": "10.96.0.9", "sessionAffinity": "None"})
        fake.add(one)
    assert run(fake)["changed"] is False


def test_a_header_goes_beside_the_route_by_path_alone():
    by_header = to("new", match=[{"uri": {"prefix": "/"}, "headers": {"x-new": {"exact": "1"}}}])
    fake = cluster(virtual_service("shop/web", ["web.test"], by_header, to()), service("shop/new"))
    run(fake)
    said = [i["metadata"]["annotations"].get(N + "canary-by-header-value") for i in ingresses(fake)]
    assert sorted(said, key=str) == ["1", None]
    alone = cluster(virtual_service("shop/web", ["web.test"], by_header), service("shop/new"))
    result = run(alone)
    assert result["failure"]["code"] == "findings" and "stand beside" in result["msg"] and alone.writes == 0


def test_a_delegate_is_filled_in_and_reported():
    root = virtual_service(
        "shop/web", ["web.test"], {"match": [{"uri": {"prefix": "/"}}], "delegate": {"name": "leaf"}}
    )
    leaf = thing(NETWORKING, "VirtualService", "shop/leaf", {"http": [to(match=[{"uri": {"prefix": "/a/"}}])]})
    fake = cluster(root, leaf)
    done = run(fake)
    assert ("/a/", "Prefix") in paths(fake) and {e["virtual_service"] for e in done["report"]} == {
        "shop/web",
        "shop/leaf",
    }


def test_traefik_puts_what_annotations_can_not_say_into_objects_of_its_own():
    fake = cluster(
        virtual_service("shop/web", ["web.test"], to(rewrite={"uri": "/"}, match=[{"uri": {"prefix": "/old"}}]))
    )
    run(fake, dialect="traefik")
    (made,) = ingresses(fake)
    names = made["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.middlewares"].split(",")
    assert len(names) == len(fake.names("middlewares", "shop")) == 2
    assert all(
        name.removeprefix("shop-").removesuffix("@kubernetescrd") in fake.names("middlewares", "shop") for name in names
    )


# -- what stays --------------------------------------------------------------------------------------------------------
def test_half_a_host_never_moves_unless_what_is_lost_is_waived():
    some = virtual_service("shop/web", ["web.test"], to(match=[{"uri": {"prefix": "/a"}}], fault={"delay": {}}), to())
    fake = cluster(some)
    result = run(fake)
    assert result["failure"]["code"] == "findings" and fake.writes == 0
    assert "http[0].match[0].fault" in result["msg"]
    run(fake, waive=["route_not_translated:shop/web"])
    assert paths(fake) == {("/a", "Prefix"): "web", ("/", "Prefix"): "web"}


def test_a_waived_condition_takes_its_whole_route_along():
    some = virtual_service("shop/web", ["web.test"], to("new", match=[{"method": {"exact": "POST"}}]), to())
    fake = cluster(some, service("shop/new"))
    run(fake, waive=["route_not_translated"])
    assert paths(fake) == {("/", "Prefix"): "web"}


def test_what_an_operator_makes_is_listed_and_left():
    owned = virtual_service()
    owned["metadata"]["ownerReferences"] = [
        {"apiVersion": "nais.io/v1", "kind": "Application", "name": "web", "uid": "u", "controller": True}
    ]
    fake = cluster(owned)
    assert "Application" in run(fake, hosts=[])["left_out"]["web.test"]
    result = run(fake)
    assert [f["code"] for f in result["failure"]["findings"]] == ["route_owner"] and fake.writes == 0
    assert run(fake, owned="convert")["changed"] is True


def test_pods_that_take_mutual_tls_alone_are_not_called_in_plain_text():
    strict = thing("security.istio.io/v1", "PeerAuthentication", "shop/default", {"mtls": {"mode": "STRICT"}})
    pod = thing(
        "v1", "Pod", "shop/web-1", {"containers": [{"name": "web"}, {"name": "istio-proxy"}]}, labels={"app": "web"}
    )
    fake = cluster(strict, pod)
    result = run(fake)
    assert [f["code"] for f in result["failure"]["findings"]] == ["route_strict_mtls"]
    assert result["failure"]["findings"][0]["object"] == "PeerAuthentication shop/default" and fake.writes == 0
    assert run(fake, controller_in_mesh=True, check=True)["changed"] is True
    bare = thing("v1", "Pod", "shop/web-1", {"containers": [{"name": "web"}]}, labels={"app": "web"})
    assert run(cluster(strict, bare))["changed"] is True


def test_a_certificate_that_must_be_there_and_is_not():
    fake = cluster()
    result = run(fake, certificates="require")
    assert result["failure"]["findings"][0]["code"] == "route_certificate" and fake.writes == 0
    theirs = certificate("shop/cert")
    fake = cluster(theirs)
    assert run(fake, certificates="require")["changed"] is True
    assert fake.peek("secrets", "shop", "cert")["metadata"].get("labels") is None
    fake = cluster()
    run(fake, certificates="controller")
    assert "tls" not in ingresses(fake)[0]["spec"] and fake.peek("secrets", "shop", "cert") is None


def test_a_copy_of_what_is_renewed_elsewhere_is_said():
    mark = {"annotations": {"cert-manager.io/certificate-name": "web"}}
    renewed = certificate(**mark)
    fake = cluster(NGINX, renewed)
    for _again in range(2):
        (found,) = run(fake)["findings"]
        assert (found["code"], found["severity"], found["object"]) == ("route_certificate_copy", "warning", "Secret shop/cert")
        assert "Certificate web renews" in found["found"]
    assert run(cluster(NGINX))["findings"] == []
    assert run(cluster(NGINX, renewed, certificate("shop/cert", **mark)))["findings"] == [], "it is somebody's own"
    assert run(cluster(NGINX, renewed), certificates="controller")["findings"] == []


def test_a_virtual_service_of_the_mesh_too_is_said():
    both = virtual_service(gateways=["mesh", "istio-system/public"])
    done = run(cluster(both))
    assert done["changed"] and [f["code"] for f in done["findings"]] == ["route_mesh"]
    assert [e["verdict"] for e in done["report"] if e["field"] == "gateways"] == ["not_translated"]


# -- together with the interim Ingress ---------------------------------------------------------------------------------
def test_a_host_moves_and_comes_back_by_the_journal():
    fake = cluster(NGINX)
    interim = {"gateways": OPTIONS["gateways"], "gateway_service": OPTIONS["gateway_service"], "class_name": "new",
               "dialect": "nginx", "controller_service": "ingress/new"}  # fmt: skip
    place = journal(fake, run_module)
    run_module(interim_ingress, {**interim, "journal": place}, fake)
    run(fake, journal=place)
    run_module(interim_ingress, {**interim, "journal": place}, fake)
    assert fake.names("ingresses", "istio-system") == [] and len(ingresses(fake)) == 1
    steps = json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])
    for step in reversed(steps):
        assert step["inverse"] and not step.get("secret"), "rollback can't read the inverse of a secret step"
        params = step["inverse"]["params"]
        if "create" in params:
            assert run_module(object_edits, params, fake)["changed"]
            assert len(fake.names("ingresses", "istio-system")) == 1
        elif step["op"] in ("created_ingress", "created_secret") and "remove" in params:
            run_module(object_edits, params, fake)
    assert ingresses(fake) == [] and fake.peek("secrets", "shop", "cert") is None


@pytest.mark.parametrize(
    ("options", "code"),
    [({"hosts": ["no.test"]}, "no_such_host"), ({"gateways": []}, "bad_option"), ({"waive": ["x"]}, "bad_option")],
)
def test_bad_options_change_nothing(options, code):
    fake = cluster()
    assert run(fake, **options)["failure"]["code"] == code and fake.writes == 0


# -- order -------------------------------------------------------------------------------------------------------------
segment = st.sampled_from(["a", "ab", "b"])
path = st.lists(segment, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
uri = st.one_of(
    path.map(lambda p: {"exact": p}), path.map(lambda p: {"prefix": p}), path.map(lambda p: {"prefix": p + "/"}),
    st.just({"prefix": "/"}),
)  # fmt: skip


def of_ingress(items, asked):
    """The backend that the Ingress API chooses: an exact path, else the longest prefix by elements; None for 404."""
    found = [p for i in items for rule in i["spec"]["rules"] for p in rule["http"]["paths"]]
    exact = [p for p in found if p["pathType"] == "Exact" and p["path"] == asked]
    prefix = [p for p in found if p["pathType"] == "Prefix" and _virtual_service_ingress.by_element(p["path"], asked)]
    best = exact or sorted(prefix, key=lambda p: -len(p["path"].rstrip("/")))
    return best[0]["backend"]["service"]["name"] if best else None


@given(
    st.lists(uri, min_size=1, max_size=5),
    st.lists(st.one_of(path, path.map(lambda p: p + "/")), min_size=1, max_size=6),
)
def test_each_path_goes_where_istio_sends_it(uris, asked):
    """But for /ax where /a is a prefix, which the report says."""
    names = [f"s{number}" for number in range(len(uris))]
    routes = [to(name, match=[{"uri": own}]) for name, own in zip(names, uris)]
    vs = virtual_service("shop/web", ["web.test"], *routes)
    items = {("shop", name): service(f"shop/{name}") for name in names}
    looked = _virtual_service_ingress.Cluster(
        [gateway(https(), http())], "istio-system", [vs], Known(items, []), [], [], set()
    )
    options = _virtual_service_ingress.Options(DIALECTS["nginx"](), "new")
    host = _virtual_service_ingress.convert(looked, options)["web.test"]
    assert host.left_out == ""
    made = [item for item in host.objects if item["kind"] == "Ingress"]
    (table,) = [t for t in _routes.tables([gateway(https())], [vs], {}) if t.scheme == "https"]
    for one in asked:
        entry = _routes.winner(table.hosts["web.test"], _routes.Ask(path=one))
        wanted = entry.rule.action["route"][0]["destination"]["host"] if entry else None
        prefixes = [own["prefix"] for own in uris if "prefix" in own]
        loose = any(one.startswith(p) and not _virtual_service_ingress.by_element(p, one) for p in prefixes)
        bare = any(p.endswith("/") and p != "/" and one == p.rstrip("/") for p in prefixes)
        trailing = one.endswith("/")  # /a/ is Prefix /a's for an Ingress, and no exact /a's for either
        if wanted is None and (bare or trailing) or loose:
            continue
        assert of_ingress(made, one) == wanted, (uris, one)


def test_a_host_can_stay_where_it_is_forwarded_to():
    bad = virtual_service("shop/bad", ("bad.test",), to(fault={"abort": {"httpStatus": 500}}))
    fake = cluster(NGINX, bad, virtual_service("shop/b", ("b.test",)))
    done = run(fake, hosts=[], stay=["bad.test", "b.test"])
    assert done["left_out"] == {} and done["waves"] == [["web.test"]]
    assert done["stays"].keys() == {"bad.test", "b.test"} and done["stays"]["bad.test"] and not done["stays"]["b.test"]
    assert run(fake, hosts=[])["stays"] == {}
    assert run(fake, hosts=[], stay=["none.test"])["failure"]["code"] == "no_such_host"
    assert run(fake, hosts=["b.test"], stay=["b.test"])["failure"]["code"] == "bad_option" and fake.writes == 0


def test_waves_hold_together_what_one_virtual_service_serves():
    pair = virtual_service("shop/pair", ["b.test", "z.test"])
    done = run(cluster(virtual_service("shop/a", ["a.test"]), pair), hosts=[], wave_size=2)
    assert sorted(h for wave in done["waves"] for h in wave) == ["a.test", "b.test", "web.test", "z.test"]
    assert [wave for wave in done["waves"] if "b.test" in wave] == [["b.test", "z.test"]]
    assert all(len(wave) <= 2 for wave in done["waves"])
