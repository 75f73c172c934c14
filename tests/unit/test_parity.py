# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import copy
import json
import re

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _parity
from hypothesis import given
from hypothesis import strategies as st
from loopback import make_certificate

TYPE = "type.googleapis.com/envoy."
CERTIFICATE, KEY = make_certificate(["*.lab.test"])
OTHER, _KEY = make_certificate(["*.lab.test"])
NAMES = {"blue": ("public", "istio-system"), "green": ("public-ingressgateway", "istio-gateway")}


def bytes_of(pem):
    return {"inline_bytes": base64.b64encode(pem).decode()}


def route(prefix, cluster="outbound|80||app.team-a.svc.cluster.local", **action):
    return {
        "match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s", **action},
        "metadata": {"filter_metadata": {"istio": {"config": "/virtual-service/x"}}},
    }  # fmt: skip


def virtual_host(domain, *routes, **more):
    return {"name": f"{domain}:8443", "domains": [domain, f"{domain}:8443"], "routes": list(routes), **more}


def hcm(name, *filters):
    config = {
        "@type": TYPE + "HttpConnectionManager", "stat_prefix": f"outbound_{name}", "server_name": "istio-envoy",
        "rds": {"config_source": {"ads": {}}, "route_config_name": name},
        "http_filters": [*filters, {"name": "envoy.filters.http.router"}],
    }  # fmt: skip
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def dump(side="blue", https=8443, hosts=None, filters=(), certificate=CERTIFICATE, listener=None, clusters=(), tls="public-cert"):
    """What Envoy of a gateway returns: one HTTPS server, one that passes TLS through, and their routes."""
    gateway, namespace = NAMES[side]
    table = f"https.{https}.https.{gateway}.{namespace}"
    hosts = hosts or [virtual_host("shop.lab.test", route("/api"), route("/")), virtual_host("*.wild.lab.test", route("/"))]
    context = {"tls_certificate_sds_secret_configs": [{"name": f"kubernetes://{tls}", "sds_config": {"ads": {}}}]}
    chains = [
        {"filter_chain_match": {"server_names": ["*.lab.test"]}, "filters": [hcm(table, *filters)],
         "metadata": {"filter_metadata": {"istio": {"config": f"{namespace}/gateway/{gateway}"}}},
         "transport_socket": {"name": "tls", "typed_config": {"common_tls_context": context}}},
        {"filter_chain_match": {"server_names": ["vault.pass.test"]},
         "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": {
             "stat_prefix": "x", "cluster": "outbound|443||vault.secure.svc.cluster.local"}}]},
    ]  # fmt: skip
    names = ("outbound|80||app.team-a.svc.cluster.local", "outbound|443||vault.secure.svc.cluster.local")
    own = [{"name": name, "type": "EDS", "connect_timeout": "10s"} for name in names]
    return {"configs": [
        {"@type": TYPE + "admin.v3.BootstrapConfigDump", "bootstrap": {"node": {"id": f"router~10.0.0.1~{namespace}"}}},
        {"@type": TYPE + "admin.v3.ClustersConfigDump", "version_info": side,
         "static_clusters": [{"cluster": {"name": "agent"}, "last_updated": "now"}],
         "dynamic_active_clusters": [{"version_info": side, "cluster": one} for one in [*clusters, *own]]},
        {"@type": TYPE + "admin.v3.ListenersConfigDump", "dynamic_listeners": [{"name": f"0.0.0.0_{https}", "active_state": {
            "version_info": side, "listener": {
                "name": f"0.0.0.0_{https}", "address": {"socket_address": {"address": "0.0.0.0", "port_value": https}},
                "filter_chains": chains, "listener_filters": [{"name": "envoy.filters.listener.tls_inspector"}],
                **(listener or {})}}}]},
        {"@type": TYPE + "admin.v3.RoutesConfigDump", "dynamic_route_configs": [
            {"route_config": {"name": table, "virtual_hosts": hosts, "validate_clusters": False}, "last_updated": side}]},
        {"@type": TYPE + "admin.v3.SecretsConfigDump", "dynamic_active_secrets": [
            {"name": f"kubernetes://{tls}", "secret": {"name": f"kubernetes://{tls}", "tls_certificate": {
                "certificate_chain": bytes_of(certificate), "private_key": bytes_of(KEY)}}}]},
    ]}  # fmt: skip


def camel(value):
    if isinstance(value, dict):
        return {re.sub("_(.)", lambda m: m[1].upper(), name): camel(one) for name, one in value.items()}
    return [camel(one) for one in value] if isinstance(value, list) else value


def compare(green, blue=None, **options):
    return _parity.compare(blue or dump(), green, **options)


def wrong(found):
    return {(part["kind"], part["host"], part["match"]): part for part in found.parts if part["verdict"] != "equal"}


def test_gateways_that_differ_in_name_place_and_version_alone_are_equal():
    found = compare(dump("green"))
    assert found.counts() == {"equal": 8, "different": 0, "unknown": 0, "only_blue": 0, "only_green": 0}
    assert [part["kind"] for part in found.parts] == (
        ["filter_chain", "listener", "route", "route", "route", "tcp_chain", "virtual_host", "virtual_host"]
    )


def test_istiods_spelling_and_envoys_are_the_same():
    assert not wrong(compare(camel(dump("green"))))


def test_ports_are_matched_by_what_the_services_lead_to():
    assert not wrong(compare(dump("green", 443), ports={8443: 443}))
    assert compare(dump("green", 443)).counts()["only_blue"] == 8


@pytest.mark.parametrize(
    ("changes", "part", "words"),
    [
        ({"filters": [{"name": "envoy.filters.http.lua"}]}, ("filter_chain", "*.lab.test", ""), "http.lua"),
        ({"listener": {"listener_filters": []}}, ("listener", "", ""), "listenerFilters"),
        ({"certificate": OTHER}, ("filter_chain", "*.lab.test", ""), "sha256:"),
        ({"clusters": [{"name": "outbound|443||vault.secure.svc.cluster.local", "type": "STATIC"}]}, None, None),
        ({"hosts": [virtual_host("shop.lab.test", route("/api", timeout="5s"), route("/"))]},
         ("route", "shop.lab.test", '{"prefix": "/api"}'), "5s"),
        ({"hosts": [virtual_host("shop.lab.test", route("/api"))]}, ("route", "shop.lab.test", '{"prefix": "/"}'), ""),
        ({"hosts": [virtual_host("shop.lab.test", route("/"), route("/api"))]}, ("virtual_host", "shop.lab.test", ""),
         "order"),
        ({"hosts": [virtual_host("shop.lab.test", route("/api"), route("/"), require_tls="ALL")]},
         ("virtual_host", "shop.lab.test", ""), "requireTls"),
    ],
)  # fmt: skip
def test_each_difference_is_named_where_it_is(changes, part, words):
    found = wrong(compare(dump("green", **changes)))
    if part is None:  # a cluster of the same name that comes later in the dump wins: nothing has changed
        assert not found
    else:
        assert words in json.dumps(found[part])


def test_a_cluster_that_differs_is_a_difference_of_the_routes_to_it():
    green = dump("green")
    green["configs"][1]["dynamic_active_clusters"][0]["cluster"]["connect_timeout"] = "1s"
    found = wrong(compare(green))
    assert {kind for kind, _host, _match in found} == {"route"} and len(found) == 3
    green = dump("green")
    green["configs"][1]["dynamic_active_clusters"][1]["cluster"]["connect_timeout"] = "1s"
    assert [kind for kind, _host, _match in wrong(compare(green))] == ["tcp_chain"]


def test_the_same_certificate_under_another_name_is_the_same():
    assert not wrong(compare(dump("green", tls="copied-cert")))


@pytest.mark.parametrize("section", [3, 4])
def test_what_is_not_in_the_dump_is_unknown_and_never_equal(section):
    blue, green = dump(), dump("green")
    del blue["configs"][section], green["configs"][section]
    found = compare(green, blue)
    assert found.counts()["unknown"] >= 1 and found.counts()["different"] == 0


def test_certificates_of_its_own_are_only_there_or_not():
    green = dump("green", certificate=OTHER)
    assert _parity.compare(dump(), green, own_certificates=True).counts().get("different", 0) == 0
    assert _parity.compare(dump(), green).counts()["different"] > 0


def test_keys_are_in_no_result():
    green = dump("green", certificate=OTHER)
    text = json.dumps(compare(green).parts) + str(_parity.parts_of(green))
    assert base64.b64encode(KEY).decode()[40:80] not in text and KEY.decode()[40:80] not in text


def test_what_may_be_a_secret_is_shown_as_a_digest():
    def hosts(value):
        header = {"header": {"key": "x-api-key", "value": value}}
        return [virtual_host("shop.lab.test", {**route("/"), "request_headers_to_add": [header]})]

    found = compare(dump("green", hosts=hosts("hunter2-green")), dump(hosts=hosts("hunter2-blue")))
    (part,) = wrong(found).values()
    assert "hunter2" not in json.dumps(found.parts)
    assert part["differences"][0]["blue"].startswith("sha256:")


def policies(namespace, action="DENY"):
    rules = {"action": action, "policies": {f"ns[{namespace}]-policy[p]-rule[0]": {"permissions": [{"any": True}]}}}
    return {"name": "envoy.filters.http.rbac", "typed_config": {"rules": rules, "shadow_rules_stat_prefix": "x"}}


def test_policies_count_by_what_they_say_and_not_by_where_they_are():
    blue = dump(filters=[policies("istio-system")])
    assert not wrong(compare(dump("green", filters=[policies("istio-gateway")]), blue))
    assert wrong(compare(dump("green", filters=[policies("istio-gateway", "ALLOW")]), blue))


def plugin(namespace):
    return {"name": f"extenstions.istio.io/wasmplugin/{namespace}.p", "config_discovery": {"config_source": {"ads": {}}}}


def with_plugin(side, namespace, url, wrapped):
    found = dump(side, filters=[plugin(namespace)])
    name, config = f"extenstions.istio.io/wasmplugin/{namespace}.p", {"config": {"vm_config": {"code": url}}}
    one = {"name": name, "typed_config": config} if wrapped else {"config": {"name": name, **config["config"]}}
    found["configs"].append({"@type": TYPE + "admin.v3.EcdsConfigDump", "ecds_filters": [{"ecds_filter": one}]})
    return found


@pytest.mark.parametrize(("url", "equal"), [("oci://a", True), ("oci://b", False)])
def test_plugins_count_by_what_they_are(url, equal):
    blue = with_plugin("blue", "istio-system", "oci://a", True)
    assert (not wrong(compare(with_plugin("green", "istio-gateway", url, True), blue))) is equal


def test_a_plugin_that_is_not_in_the_dump_is_unknown():
    blue, green = dump(filters=[plugin("istio-system")]), dump("green", filters=[plugin("istio-gateway")])
    assert compare(green, blue).counts()["unknown"] == 1


@pytest.mark.parametrize("given", [None, [], {}, {"configs": {}}, {"configs": []}, {"name": "istioctl summary"}])
def test_what_is_no_dump_is_said(given):
    with pytest.raises(_parity.Unreadable, match="green: it has no"):
        compare(given)


# -- routes ------------------------------------------------------------------------------------------------------------
LISTENING = {443: 8443}


def a_route(host, port=443):
    return {"id": f"{host}:{port}", "host": host, "port": port}


def verdicts(found, *hosts):
    return [_parity.judge(a_route(host), found, LISTENING)["verdict"] for host in hosts]


def test_a_route_is_equal_when_all_that_takes_part_is():
    found = compare(dump("green"))
    assert verdicts(found, "shop.lab.test", "a.wild.lab.test", "*.wild.lab.test", "*", "vault.pass.test") == ["equal"] * 5


def test_what_concerns_another_host_does_not_count():
    green = dump("green", hosts=[
        virtual_host("shop.lab.test", route("/api"), route("/", timeout="5s")), virtual_host("*.wild.lab.test", route("/")),
    ])  # fmt: skip
    found = compare(green)
    assert verdicts(found, "shop.lab.test", "*.wild.lab.test", "shop.lab.test,a.wild.lab.test") == (
        ["different", "equal", "different"]
    )
    (difference,) = _parity.judge(a_route("shop.lab.test"), found, LISTENING)["differences"]
    assert difference["part"].startswith("route 8443 shop.lab.test") and difference["green"] == "5s"


def test_a_filter_counts_for_every_host_behind_it():
    found = compare(dump("green", filters=[{"name": "lua"}]))
    assert verdicts(found, "shop.lab.test", "*.wild.lab.test", "vault.pass.test") == ["different", "different", "equal"]


def test_the_listener_counts_for_every_host():
    found = compare(dump("green", listener={"listener_filters": []}))
    assert verdicts(found, "shop.lab.test", "vault.pass.test") == ["different", "different"]


def test_a_host_that_neither_has_is_unknown():
    found = compare(dump("green"))
    assert verdicts(found, "new.lab.test", "shop.lab.test,new.lab.test") == ["unknown", "unknown"]
    assert _parity.judge(a_route("shop.lab.test", 9443), found, {})["verdict"] == "unknown"


# Every change of a leaf that is not known to be a name must show.
def leaves(value, path=()):
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


SAID = [path for path in leaves(dump("green")) if not {
    "@type", "version_info", "last_updated", "stat_prefix", "private_key", "bootstrap", "metadata", "static_clusters", "ads",
    "route_config_name", "address", "name",
} & set(path)]  # fmt: skip


@given(st.sampled_from(SAID))
def test_no_change_passes(path):
    green = copy.deepcopy(dump("green"))
    place = green
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = {"inline_bytes": bytes_of(OTHER)["inline_bytes"]}.get(path[-1], "changed")
    assert wrong(compare(green)), path
