# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _gateways
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_info, route_info
from fake_cluster import FakeCluster, run_module
from loopback import make_certificate

LABELS = {"app": "public-ingressgateway", "istio": "ingressgateway"}


def gateway(name="public", namespace="istio-system", servers=None, selector=None):
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "selector": {"app": "public-ingressgateway"} if selector is None else selector,
            "servers": servers or [HTTP, HTTPS],
        },
    }


HTTP = {
    "port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*.lab.test"],
    "tls": {"httpsRedirect": True},
}  # fmt: skip
HTTPS = {
    "port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*.lab.test"],
    "tls": {"mode": "SIMPLE", "credentialName": "public-cert"},
}  # fmt: skip


def service(name="public-ingressgateway", namespace="istio-system", **changes):
    ports = [
        {"name": "status-port", "port": 15021, "targetPort": 15021, "nodePort": 30021},
        {"name": "http2", "port": 80, "targetPort": 8080, "nodePort": 30080},
        {"name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443},
    ]
    spec = {"type": "NodePort", "selector": LABELS, "externalTrafficPolicy": "Cluster", "ports": ports, **changes}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def pod(name="p1", node="node-1", ready=True, namespace="istio-system", labels=None, ports=()):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels or LABELS},
        "spec": {"nodeName": node, "containers": [{"name": "istio-proxy", "ports": list(ports)}]},
        "status": {
            "phase": "Running", "podIP": "10.244.1.5",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }  # fmt: skip


def node(name="node-1", ready=True, address="172.30.0.11", labels=None):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def secret(certificate=None, namespace="istio-system", name="public-cert", key="tls.crt"):
    data = {} if certificate is None else {key: base64.b64encode(certificate).decode(), "tls.key": "c2VjcmV0IGtleQ=="}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": data}


# -- ports -------------------------------------------------------------------------------------------------------------
def test_a_server_port_that_only_a_target_port_has_is_reached_by_that_service_port():
    """Server port 8443 of the old charts: Service 443 -> 8443."""
    listening, reached = _gateways.reach(8443, [service()], [pod()])
    assert listening == 8443
    assert [(one["port"], one["node_port"]) for one in reached] == [(443, 30443)]


def test_a_server_port_that_is_a_service_port_means_its_target_port():
    """Server port 443 of newer Gateways, whatever the pods listen on."""
    listening, reached = _gateways.reach(443, [service()], [pod()])
    assert (listening, [one["node_port"] for one in reached]) == (8443, [30443])


def test_a_service_port_wins_over_an_equal_target_port():
    ports = [
        {"name": "a", "port": 8443, "targetPort": 9000, "nodePort": 30001},
        {"name": "b", "port": 443, "targetPort": 8443, "nodePort": 30002},
    ]
    listening, reached = _gateways.reach(8443, [service(ports=ports)], [pod()])
    assert (listening, [one["node_port"] for one in reached]) == (9000, [30001])


def test_a_service_with_the_label_is_not_translated_but_still_reaches():
    labelled = service()
    labelled["metadata"]["labels"] = {_gateways.UNTRANSLATED: "true"}
    assert _gateways.reach(443, [labelled], [pod()]) == (443, [])
    assert _gateways.reach(8443, [labelled], [pod()])[1][0]["node_port"] == 30443


def test_named_and_missing_target_ports():
    named = service(ports=[{"name": "https", "port": 443, "targetPort": "https", "nodePort": 30443}])
    with_port = pod(ports=[{"name": "https", "containerPort": 8443}])
    assert _gateways.reach(8443, [named], [with_port])[1][0]["node_port"] == 30443
    assert _gateways.reach(8443, [named], [pod()]) == (8443, [])
    bare = service(ports=[{"name": "https", "port": 443}])
    assert _gateways.reach(443, [bare], [pod()])[0] == 443


def test_every_service_is_told_and_one_with_a_node_port_comes_first():
    internal = service("internal", type="ClusterIP", ports=[{"name": "https", "port": 443, "targetPort": 8443}])
    _listening, reached = _gateways.reach(8443, [internal, service()], [pod()])
    assert [one["service"] for one in reached] == ["istio-system/public-ingressgateway", "istio-system/internal"]
    udp = service(ports=[{"name": "h3", "port": 443, "targetPort": 8443, "nodePort": 30999, "protocol": "UDP"}])
    assert _gateways.reach(8443, [udp], [pod()])[1] == []


# -- workload ----------------------------------------------------------------------------------------------------------
def test_pods_are_selected_in_every_namespace_and_services_in_their_own():
    here, there, other = pod(), pod("p2", namespace="elsewhere"), pod("p3", labels={"app": "x"})
    done = pod("p4")
    done["status"]["phase"] = "Succeeded"
    found = _gateways.pods_of(gateway(), [here, there, other, done])
    assert [one["metadata"]["name"] for one in found] == ["p1", "p2"]
    assert _gateways.services_of(found, [service(namespace="third")]) == []
    assert len(_gateways.services_of(found, [service(), service(namespace="elsewhere")])) == 2
    assert _gateways.pods_of(gateway(selector={}), [here]) == []


def test_services_of_a_gateway_scaled_to_zero_are_found_by_its_selector():
    assert _gateways.services_of([], [service(), service("x", selector={"app": "x"})], gateway()) == [service()]


@pytest.mark.parametrize(
    ("policy", "pods", "expected"),
    [
        ("Cluster", [pod()], ["node-1", "node-2"]),
        ("Local", [pod()], ["node-1"]),
        ("Local", [pod(), pod("p2", "node-2", ready=False)], ["node-1"]),
        ("Local", [pod(node="node-3")], []),
        ("Local", [], []),
    ],
)
def test_nodes_that_the_balancer_should_use(policy, pods, expected):
    nodes = [
        node(), node("node-2", address="172.30.0.12"), node("node-3", ready=False),
        node("node-4", labels={"node.kubernetes.io/exclude-from-external-load-balancers": ""}),
    ]  # fmt: skip
    assert _gateways.nodes_serving([service(externalTrafficPolicy=policy)], pods, nodes) == expected


def test_a_service_that_nobody_outside_reaches_has_no_nodes():
    assert _gateways.nodes_serving([service(type="ClusterIP")], [pod()], [node()]) == []


def test_a_pod_on_its_way_out_does_not_make_its_node_serve():
    leaving = pod()
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert _gateways.nodes_serving([service(externalTrafficPolicy="Local")], [leaving], [node()]) == []


# -- names -------------------------------------------------------------------------------------------------------------
def test_choosing():
    both = [gateway("passthrough"), gateway("public")]
    assert [g["metadata"]["name"] for g in _gateways.choose(both, [])[0]] == ["passthrough", "public"]
    assert [g["metadata"]["name"] for g in _gateways.choose(both, ["istio-system/public"] * 2)[0]] == ["public"]
    missing = _gateways.choose(both, ["istio-gateway/public", "x/y"])[1]
    assert missing == {"istio-gateway/public": ["istio-system/public"], "x/y": []}
    for bad in ("public", "a/b/c", "/b", "a/"):
        with pytest.raises(ValueError, match="is not NAMESPACE/NAME"):
            _gateways.choose(both, [bad])


# -- the modules -------------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster():
    certificate, _key = make_certificate(["*.lab.test", "lab.test"])
    return FakeCluster().add(gateway(), service(), pod(), node(), secret(certificate))


def test_gateway_info(cluster):
    result = run_module(gateway_info, {"gateways": ["istio-system/public"]}, cluster)
    (found,) = result["gateways"]
    assert not result["changed"] and cluster.writes == 0
    assert found["node_ports"] == {"8080": 30080, "8443": 30443}
    assert found["addresses"] == ["172.30.0.11"] and found["workload_namespaces"] == ["istio-system"]
    assert [server["https_redirect"] for server in found["servers"]] == [True, False]
    (certificate,) = found["certificates"]
    assert (
        certificate["sans"] == ["*.lab.test", "lab.test"]
        and not certificate["expired"]
        and certificate["error"] is None
    )
    assert len(certificate["sha256"]) == 64
    assert "c2VjcmV0" not in json.dumps(result) and "secret key" not in json.dumps(result)


def test_requests_do_not_grow_with_gateways(cluster):
    cluster.add(*(gateway(f"g{i}", servers=[HTTP]) for i in range(50)), *(service(f"s{i}") for i in range(50)))
    run_module(gateway_info, {}, cluster)
    assert sum(cluster.requests.values()) == 5  # gateways, pods, services, nodes, one Secret


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.delete("/api/v1/namespaces/istio-system/secrets/public-cert"), "there is no Secret public-cert"),
        (lambda c: c.add(secret(None)), "neither tls.crt nor cert"),
        (lambda c: c.add(secret(b"no certificate")), "can't be read"),
        (lambda c: c.fail("GET", "*/secrets/*", 403), "403"),
    ],
)
def test_certificates_that_are_not_there_are_told(cluster, change, words):
    change(cluster)
    (certificate,) = run_module(gateway_info, {}, cluster)["gateways"][0]["certificates"]
    assert words in certificate["error"] and "subject" not in certificate


def test_secrets_are_looked_for_where_the_pods_are():
    assert _gateways.secrets_wanted(gateway(), [pod(namespace="edge")]) == [("edge", "public-cert")]
    assert _gateways.secrets_wanted(gateway(), []) == [("istio-system", "public-cert")]
    builtin = {**HTTPS, "tls": {"mode": "SIMPLE", "credentialName": "builtin://"}}
    assert _gateways.secrets_wanted(gateway(servers=[builtin]), [pod()]) == []


@pytest.mark.parametrize("module", [gateway_info, route_info])
def test_a_gateway_that_does_not_exist(cluster, module):
    result = run_module(module, {"gateways": ["istio-gateway/public"]}, cluster)
    assert result["failed"] and result["failure"]["code"] == "no_gateway"
    assert "near it: istio-system/public" in result["msg"]
    assert run_module(module, {"gateways": ["public"]}, cluster)["failure"]["code"] == "malformed_reference"


def test_expired_certificates_are_marked():
    certificate, _key = make_certificate(["a.test"], days=-1)
    assert _gateways.describe_certificate("a", "b", secret(certificate))["expired"]
