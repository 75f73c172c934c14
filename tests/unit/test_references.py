# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _references
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_references_info
from fake_cluster import FakeCluster, run_module
from fake_mesh import PAIR, WORKLOAD, both, deployment, gateway, mesh, service, thing, tls_secret, virtual_service

COPY = {"annotations": {"bluegreen.mesh/copy-of": "edge/cert"}}
OWN_CERTIFICATE = ("certificates", thing("Certificate", "gw/site", {"secretName": "cert"}))
BLUE_GATEWAY = ("gateways", gateway(mode="SIMPLE", credentialName="cert"))


def done(*added):
    """The mesh as it is when blue may go: green is there, with a certificate of its own, and routes are on it alone."""
    return mesh(
        *both(), BLUE_GATEWAY,
        ("gateways", gateway("gw/public", {"app": "new"}, mode="SIMPLE", credentialName="cert")),
        ("virtual_services", virtual_service(gateways=["gw/public"])),
        ("secrets", tls_secret("edge/cert", "*.test")), ("secrets", tls_secret("gw/cert", "*.test")),
        *added, certificates="require",
    )  # fmt: skip


def found(inventory, *going, waive=()):
    standing, waived, unused = _references.examine(inventory, going, waive)
    return [(f.severity, f.code, f.object) for f in standing], [f.code for f in waived], unused


def one(*added, going=()):
    standing = _references.examine(done(*added), going)[0]
    assert len(standing) == 1, standing
    assert standing[0].found and standing[0].fix and standing[0].object in _references.shown(standing[0])["text"]
    return standing[0].severity, standing[0].code, standing[0].object


def test_when_all_is_done_nothing_refers_to_blue():
    going = [("Gateway", "edge", "public"), ("Service", "edge", "old"), ("Secret", "edge", "cert")]
    assert found(done(), *going) == ([], [], [])


def policy(kind, ref, **spec):
    return thing(kind, ref, spec)


SELECTING = {"selector": {"matchLabels": {"app": "old"}}}
PRINCIPAL = [{"from": [{"source": {"principals": ["cluster.local/ns/edge/sa/old-sa"]}}]}]
BOTH_PRINCIPALS = [
    {"from": [{"source": {"principals": ["cluster.local/ns/edge/sa/old-sa", "cluster.local/ns/gw/sa/new"]}}]}
]
FROM_EDGE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
NAMESPACES = [
    ("namespaces", thing("Namespace", n, labels={"kubernetes.io/metadata.name": n})) for n in ("edge", "gw", "shop")
]
BACKEND = {"backend": {"service": {"name": "old", "port": {"number": 80}}}}
CASES = {
    "a route on blue alone": (
        [("virtual_services", virtual_service("shop/left", ["edge/public"]))],
        ("error", "route_on_blue", "VirtualService shop/left"),
    ),
    "a route on both": (
        [("virtual_services", virtual_service("shop/left", ["edge/public", "gw/public"]))],
        ("warning", "route_on_blue", "VirtualService shop/left"),
    ),
    "a match on blue": (
        [
            (
                "virtual_services",
                virtual_service("shop/left", ["gw/public"], http=[{"match": [{"gateways": ["edge/public"]}]}]),
            )
        ],
        ("error", "route_on_blue", "VirtualService shop/left"),
    ),
    "a Gateway of somebody's on blue's pods": (
        [("gateways", gateway("team/own"))],
        ("error", "app_owned_gateway", "Gateway team/own"),
    ),
    "a policy that green lacks": (
        [("authorization_policies", policy("AuthorizationPolicy", "edge/p", action="DENY", **SELECTING))],
        ("error", "policy_bound_to_blue", "AuthorizationPolicy edge/p"),
    ),
    "a policy that knows blue alone": (
        [("authorization_policies", policy("AuthorizationPolicy", "shop/p", rules=PRINCIPAL))],
        ("error", "backend_policy_principal", "AuthorizationPolicy shop/p"),
    ),
    "a policy that knows both": (
        [("authorization_policies", policy("AuthorizationPolicy", "shop/p", rules=BOTH_PRINCIPALS))],
        ("warning", "left_on_blue", "AuthorizationPolicy shop/p"),
    ),
    "an EnvoyFilter for blue": (
        [
            (
                "envoy_filters",
                policy(
                    "EnvoyFilter",
                    "shop/f",
                    configPatches=[{"match": {"routeConfiguration": {"gateway": "edge/public"}}}],
                ),
            )
        ],
        ("error", "envoy_filter_gateway", "EnvoyFilter shop/f"),
    ),
    "an EnvoyFilter for both": (
        [
            (
                "envoy_filters",
                policy(
                    "EnvoyFilter",
                    "shop/f",
                    configPatches=[
                        {"match": {"routeConfiguration": {"gateway": g}}} for g in ("edge/public", "gw/public")
                    ],
                ),
            )
        ],
        ("warning", "left_on_blue", "EnvoyFilter shop/f"),
    ),
    "a NetworkPolicy that admits blue alone": (
        [
            *NAMESPACES,
            ("network_policies", policy("NetworkPolicy", "shop/n", podSelector={}, ingress=[{"from": [FROM_EDGE]}])),
        ],
        ("error", "network_policy_backend", "NetworkPolicy shop/n"),
    ),
    "an Ingress before blue": (
        [("ingresses", policy("Ingress", "edge/i", rules=[{"http": {"paths": [BACKEND]}}]))],
        ("error", "service_name_user", "Ingress edge/i"),
    ),
    "an ExternalName": (
        [("services", service("shop/alias", type="ExternalName", externalName="old.edge.svc.cluster.local"))],
        ("error", "service_name_user", "Service shop/alias"),
    ),
    "a route to blue's Service": (
        [
            (
                "http_routes",
                policy("HTTPRoute", "shop/r", rules=[{"backendRefs": [{"name": "old", "namespace": "edge"}]}]),
            )
        ],
        ("error", "route_to_blue", "HTTPRoute shop/r"),
    ),
    "a DestinationRule": (
        [("destination_rules", policy("DestinationRule", "edge/d", host="old"))],
        ("warning", "left_on_blue", "DestinationRule edge/d"),
    ),
    "records of external-dns": (
        [
            (
                "services",
                service(
                    "edge/old", {"app": "old"}, annotations={"external-dns.alpha.kubernetes.io/hostname": "a.test"}
                ),
            )
        ],
        ("error", "external_dns", "Service edge/old"),
    ),
    "a copy that nothing renews": (
        [("secrets", tls_secret("gw/cert", "*.test", **COPY))],
        ("warning", "certificate_copy_static", "Secret gw/cert"),
    ),
    "a copy of something else": (
        [("secrets", tls_secret("gw/cert", "old.test", **COPY))],
        ("error", "certificate_copy_differs", "Secret gw/cert"),
    ),
    "a copy whose source is renewed": (
        [
            ("secrets", tls_secret("gw/cert", "*.test", **COPY)),
            ("certificates", thing("Certificate", "edge/site", {"secretName": "cert"})),
        ],
        ("error", "certificate_copy_stale", "Secret edge/cert"),
    ),
    "a certificate that green lacks": (
        [("gateways", gateway("gw/public", {"app": "new"}, mode="SIMPLE", credentialName="other"))],
        ("error", "secret_missing", "Secret gw/other"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_refers_to_blue_is_found(case):
    added, expected = CASES[case]
    assert one(*added) == expected


def test_a_copy_is_fine_once_green_has_a_certificate_of_its_own():
    issued = ("certificates", thing("Certificate", "edge/site", {"secretName": "cert"}))
    assert found(done(("secrets", tls_secret("gw/cert", "*.test", **COPY)), issued, OWN_CERTIFICATE))[0] == []


def test_records_are_fine_once_green_makes_them_too():
    key = {"external-dns.alpha.kubernetes.io/hostname": "a.test"}
    blue = ("services", service("edge/old", {"app": "old"}, annotations=key))
    assert found(done(blue, ("services", service("gw/new", {"app": "new"}, annotations=key))))[0] == []


def test_a_policy_that_green_has_too_is_only_left():
    both_have = [
        ("authorization_policies", policy("AuthorizationPolicy", "edge/p", action="DENY", **SELECTING)),
        (
            "authorization_policies",
            policy("AuthorizationPolicy", "gw/p", action="DENY", selector={"matchLabels": {"app": "new"}}),
        ),
    ]
    assert one(*both_have) == ("warning", "left_on_blue", "AuthorizationPolicy edge/p")


def test_what_goes_itself_is_no_reference():
    rule = ("destination_rules", policy("DestinationRule", "edge/d", host="old"))
    assert found(done(rule), ("DestinationRule", "edge", "d"))[0] == []
    # ... but what its going takes along is.
    other, names = ("gateways", gateway("edge/own")), ("Gateway", "edge", "own")
    assert one(other, going=[names])[1] == "app_owned_gateway"


NEEDED = {
    "green's Gateway": ("Gateway", "gw", "public"),
    "its certificate": ("Secret", "gw", "cert"),
    "its Service": ("Service", "gw", "new"),
    "its Deployment": ("Deployment", "gw", "new"),
    "its namespace": ("Namespace", "", "gw"),
    "a kind of Istio's": ("CustomResourceDefinition", "", "virtualservices.networking.istio.io"),
    "a route": ("VirtualService", "shop", "web"),
    "where a route leads": ("Service", "shop", "web"),
}


@pytest.mark.parametrize("which", NEEDED)
def test_what_green_needs_must_not_go(which):
    kind, namespace, name = NEEDED[which]
    assert one(going=[NEEDED[which]]) == ("error", "needed_by_green", f"{kind} {namespace}/{name}".replace(" /", " "))


def test_what_greens_pods_mount_and_delegates_lead_to_must_not_go():
    volumes = deployment("gw/new", {"app": "new"})
    volumes["spec"]["template"]["spec"]["volumes"] = [{"name": "x", "configMap": {"name": "lua"}}]
    assert one(("deployments", volumes), going=[("ConfigMap", "gw", "lua")])[1] == "needed_by_green"
    root = (
        "virtual_services",
        virtual_service(gateways=["gw/public"], http=[{"delegate": {"name": "part", "namespace": "team"}}]),
    )
    part = (
        "virtual_services",
        thing("VirtualService", "team/part", {"http": [{"route": [{"destination": {"host": "x"}}]}]}),
    )
    for going in (("VirtualService", "team", "part"), ("Service", "team", "x")):
        assert one(root, part, going=[going])[1] == "needed_by_green"


def test_in_one_namespace_a_shared_certificate_must_not_go():
    """It is no copy: both sides read the same Secret."""
    workload = {**WORKLOAD, "green": {**WORKLOAD["green"], "namespace": "edge"}}
    inventory = mesh(
        ("gateways", gateway("edge/green", {"app": "new"}, mode="SIMPLE", credentialName="cert")),
        ("virtual_services", virtual_service(gateways=["edge/green"])), ("secrets", tls_secret("edge/cert", "*.test")),
        pairs=[{**PAIR, "green": "edge/green"}], workloads=[workload], certificates="require",
    )  # fmt: skip
    assert found(inventory, ("Secret", "edge", "cert"))[0] == [("error", "needed_by_green", "Secret edge/cert")]


def test_waivers():
    added = CASES["an ExternalName"][0]
    assert found(done(*added), waive=["service_name_user:shop/alias", "left_on_blue"]) == (
        [], ["service_name_user"], ["left_on_blue"],
    )  # fmt: skip
    assert found(done(*added), waive=["service_name_user:shop/x"])[0] != []


def test_what_could_not_be_read_is_an_error():
    inventory = done()
    inventory.unreadable["ingresses (networking.k8s.io)"] = "403"
    assert found(inventory)[0] == [("error", "unreadable", "List ingresses")]


# -- the module --------------------------------------------------------------------------------------------------------
def run(cluster, **more):
    return run_module(gateway_references_info, {"pairs": [PAIR], "workloads": [WORKLOAD], **more}, cluster)


@pytest.fixture
def cluster():
    versions = {kind.name: kind.versions[0][0] for kind in _inventory.KINDS}
    kept = ("gateways", "virtual_services", "services", "secrets", "deployments", "pods")
    objects = done(("virtual_services", virtual_service("shop/left", ["edge/public"]))).objects
    cluster = FakeCluster(*({**thing("Namespace", n), "apiVersion": "v1"} for n in ("edge", "gw", "shop")))
    cluster.add(*({**item, "apiVersion": versions[kind]} for kind in kept for item in objects[kind]))
    return cluster


def test_the_module_reads_and_writes_nothing(cluster):
    result = run(cluster, going=[{"kind": "Service", "namespace": "shop", "name": "web", "api_version": "v1"}])
    assert not result["changed"] and cluster.writes == 0
    assert {(f["code"], f["object"]) for f in result["errors"]} == {
        ("route_on_blue", "VirtualService shop/left"), ("needed_by_green", "Service shop/web"),
    }  # fmt: skip
    assert "run -t unbind" in result["errors"][1]["text"]


def test_a_waiver_that_does_not_exist_is_refused(cluster):
    assert run(cluster, waive=["no_such"])["failure"]["code"] == "bad_option"
