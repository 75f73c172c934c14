"""Green's chart values: what is taken from blue, what is not, and what is refused."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _values
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal

SERVICE = {
    "metadata": {"namespace": "istio-system", "name": "public"},
    "spec": {
        "type": "NodePort", "selector": {"app": "public"}, "externalTrafficPolicy": "Local",
        "ports": [
            {"name": "http2", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080},
            {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP", "nodePort": 30443},
        ],
    },
}  # fmt: skip
DEPLOYMENT = {
    "metadata": {"namespace": "istio-system", "name": "public"},
    "spec": {
        "replicas": 3,
        "template": {
            "metadata": {
                "labels": {"app": "public", "istio": "public"},
                "annotations": {
                    "sidecar.istio.io/statsInclusionPrefixes": "listener", "kubectl.kubernetes.io/restartedAt": "x",
                    "proxy.istio.io/config": "{}",
                },
            },
            "spec": {
                "containers": [{"resources": {"requests": {"cpu": "1"}}}],
                "tolerations": [{"key": "edge"}],
                "affinity": {"podAntiAffinity": {"required": [
                    {"labelSelector": {"matchLabels": {"app": "public"}}},
                    {"labelSelector": {"matchLabels": {"app": "database"}}},
                ]}},
            },
        },
    },
}  # fmt: skip
LABELS = {"app": "green", "istio": "green"}
PORTS = {"http2": 30081, "https": 30444}


def refused(*args) -> str:
    with pytest.raises(Refusal) as caught:
        _values.values(*args)
    return caught.value.code


def test_green_is_as_blue_is():
    found = _values.values(SERVICE, DEPLOYMENT, LABELS, PORTS)
    assert found["replicaCount"] == 3
    assert found["service"]["type"] == "NodePort"
    assert found["service"]["externalTrafficPolicy"] == "Local"
    assert [(p["port"], p["targetPort"], p["nodePort"]) for p in found["service"]["ports"]] == [
        (80, 8080, 30081), (443, 8443, 30444)]  # fmt: skip
    assert found["resources"] == {"requests": {"cpu": "1"}}
    assert found["tolerations"] == [{"key": "edge"}]


RANGES = ["192.0.2.0/24"]
GUARDED = {
    "type": "LoadBalancer", "loadBalancerSourceRanges": RANGES, "loadBalancerClass": "inner",
    "internalTrafficPolicy": "Local", "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"],
    "externalIPs": ["192.0.2.1"], "loadBalancerIP": "192.0.2.2", "clusterIP": "10.0.0.1", "healthCheckNodePort": 31000,
}  # fmt: skip
AWS = "service.beta.kubernetes.io/aws-load-balancer"
IN_ANNOTATION = {"service.beta.kubernetes.io/load-balancer-source-ranges": "192.0.2.0/24"}


def guarded(annotations=None, kind=None):
    meta = {**SERVICE["metadata"], "annotations": annotations or {}}
    service = {"metadata": meta, "spec": {**SERVICE["spec"], **GUARDED}}
    found = _values.values(service, DEPLOYMENT, LABELS, PORTS, kind)["service"]
    return {key: value for key, value in found.items() if key not in ("ports", "externalTrafficPolicy")}


def test_who_gets_in_is_as_at_blue_and_its_addresses_stay_behind():
    same = ("type", "loadBalancerSourceRanges", "loadBalancerClass", "internalTrafficPolicy", "ipFamilyPolicy", "ipFamilies")
    assert guarded() == {key: GUARDED[key] for key in same}


def test_what_the_api_server_refuses_for_another_type_is_left_out():
    kept = ("internalTrafficPolicy", "ipFamilyPolicy", "ipFamilies")
    assert guarded(IN_ANNOTATION, "NodePort") == {"type": "NodePort", **{key: GUARDED[key] for key in kept}}
    assert guarded(IN_ANNOTATION)["annotations"] == IN_ANNOTATION


def test_what_is_not_set_is_not_said():
    spec = {**SERVICE["spec"], "internalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack"}
    found = _values.values({**SERVICE, "spec": spec}, DEPLOYMENT, LABELS, PORTS)["service"]
    assert found.keys() == {"type", "externalTrafficPolicy", "ports"}


@pytest.mark.parametrize(
    ("key", "along"),
    [
        (f"{AWS}-scheme", True), (f"{AWS}-proxy-protocol", True), (f"{AWS}-subnets", True), (f"{AWS}-ip-address-type", True),
        (f"{AWS}-access-log-s3-bucket-name", True), (f"{AWS}-name", False), (f"{AWS}-eip-allocations", False),
        (f"{AWS}-private-ipv4-addresses", False), ("service.beta.kubernetes.io/azure-load-balancer-internal", True),
        ("service.beta.kubernetes.io/azure-allowed-ip-ranges", True), ("service.beta.kubernetes.io/azure-pip-name", False),
        ("service.beta.kubernetes.io/azure-load-balancer-ipv4", False),
        ("service.beta.kubernetes.io/azure-pip-prefix-id-ipv6", False),
        ("service.beta.kubernetes.io/azure-dns-label-name", False), ("networking.gke.io/load-balancer-type", True),
        ("networking.gke.io/load-balancer-ip-addresses", False), ("cloud.google.com/neg-status", False),
        ("service.kubernetes.io/topology-mode", True), ("service.kubernetes.io/tcp-forwarding-rule", False),
        ("service.kubernetes.io/firewall-rule-for-hc", False), ("service.kubernetes.io/tke-existed-lbid", False),
        ("metallb.io/address-pool", True), ("metallb.io/loadBalancerIPs", False), ("metallb.io/allow-shared-ip", False),
        ("metallb.io/ip-allocated-from-pool", False), ("kube-vip.io/loadbalancerIPs", False), ("kube-vip.io/vipHost", False),
        ("lbipam.cilium.io/ips", False), ("io.cilium/lb-ipam-ips", False), ("lbipam.cilium.io/sharing-key", False),
        ("loadbalancer.openstack.org/subnet-id", True), ("loadbalancer.openstack.org/floating-network-id", True),
        ("loadbalancer.openstack.org/load-balancer-id", False), ("loadbalancer.openstack.org/port-id", False),
        ("oci.oraclecloud.com/load-balancer-type", True), ("oci.oraclecloud.com/reserved-ips", False),
        ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-vgroup-port", False),
        ("external-dns.alpha.kubernetes.io/hostname", False), ("meta.helm.sh/release-name", False),
    ],
)  # fmt: skip
def test_annotations_come_along_unless_they_name_one_balancer_or_address(key, along):
    assert ("annotations" in guarded({key: "x"})) is along


def test_endpoint_groups_of_a_name_stay_behind():
    key = "cloud.google.com/neg"
    assert guarded({key: '{"exposed_ports": {"80":{}}}'})["annotations"]
    assert "annotations" not in guarded({key: '{"exposed_ports": {"80":{"name": "mine"}}}'})


def test_only_annotations_of_the_proxy_come_along():
    annotations = _values.values(SERVICE, DEPLOYMENT, LABELS, PORTS)["podAnnotations"]
    assert sorted(annotations) == ["proxy.istio.io/config", "sidecar.istio.io/statsInclusionPrefixes"]


def test_anti_affinity_is_among_greens_own_pods_and_others_stay():
    affinity = _values.values(SERVICE, DEPLOYMENT, LABELS, PORTS)["affinity"]["podAntiAffinity"]["required"]
    assert [term["labelSelector"]["matchLabels"]["app"] for term in affinity] == ["green", "database"]


@pytest.mark.parametrize(
    ("term", "means_blue"),
    [
        ({"key": "app", "operator": "In", "values": ["public", "x"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["public"]}, False),
        ({"key": "istio", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "app", "operator": "In", "values": ["database"]}, False),
    ],
)
def test_expressions_are_understood_too(term, means_blue):
    selector = {"matchExpressions": [term]}
    found = _values.relabelled({"labelSelector": selector}, {"app": "public", "istio": "public"}, LABELS)
    assert found == {"labelSelector": {"matchLabels": LABELS} if means_blue else selector}


def test_blue_is_not_changed():
    service, deployment = copy.deepcopy(SERVICE), copy.deepcopy(DEPLOYMENT)
    _values.values(service, deployment, LABELS, PORTS)
    assert (service, deployment) == (SERVICE, DEPLOYMENT)


def test_labels_that_blue_would_select_are_refused():
    assert refused(SERVICE, DEPLOYMENT, {"app": "public", "istio": "green"}, PORTS) == "same_labels"


def test_every_port_needs_a_node_port_and_no_other_is_taken():
    assert refused(SERVICE, DEPLOYMENT, LABELS, {"http2": 30081}) == "unnamed_port"
    assert refused(SERVICE, DEPLOYMENT, LABELS, {**PORTS, "htps": 1}) == "unknown_port"


def test_the_deployment_is_found_by_the_pods_it_makes():
    other = copy.deepcopy(DEPLOYMENT)
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert _values.deployment_of(SERVICE, [other, DEPLOYMENT]) is DEPLOYMENT


@pytest.mark.parametrize(("deployments", "code"), [([], "no_workload"), ([DEPLOYMENT] * 2, "several_workloads")])
def test_none_or_two_deployments_are_refused(deployments, code):
    with pytest.raises(Refusal) as caught:
        _values.deployment_of(SERVICE, deployments)
    assert caught.value.code == code


def test_a_service_without_selector_has_no_deployment():
    service = copy.deepcopy(SERVICE)
    del service["spec"]["selector"]
    with pytest.raises(Refusal):
        _values.deployment_of(service, [DEPLOYMENT])
