# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_admission: the new controller is let in wherever the old gateway is, and only then the old one is
forgotten."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_admission, object_edits
from fake_cluster import FakeCluster, run_module
from fake_ingress import gateway_pod, journal, namespace, thing

OLD = {"namespace": "istio-system", "labels": {"istio": "ingressgateway"}, "account": "gw"}
NEW = {"namespace": "ingress", "labels": {"app": "traefik"}, "account": "traefik"}
PEER = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}},
    "podSelector": {"matchLabels": {"app": "traefik"}},
}
GW = "cluster.local/ns/istio-system/sa/gw"
BY_NAME = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "istio-system"}}}
BY_LABEL = {**BY_NAME, "podSelector": {"matchLabels": {"istio": "ingressgateway"}}}


def network(*peers, ports=None, **spec):
    rule = {"from": list(peers), **({"ports": ports} if ports else {})}
    return thing("networking.k8s.io/v1", "NetworkPolicy", "shop/in", {"podSelector": {}, "ingress": [rule], **spec})


def authorization(source, **spec):
    return thing(
        "security.istio.io/v1", "AuthorizationPolicy", "shop/a", {"rules": [{"from": [{"source": source}]}], **spec}
    )


def cluster(*more):
    return FakeCluster(
        namespace("istio-system", {"kubernetes.io/metadata.name": "istio-system"}),
        namespace("ingress", {"kubernetes.io/metadata.name": "ingress"}), namespace("shop"), gateway_pod(), *more,
    )  # fmt: skip


def run(fake, check=False, in_mesh=False, networks=(), **options):
    controller = {**NEW, "in_mesh": in_mesh, "networks": list(networks)}
    return run_module(gateway_admission, {"gateway": OLD, "controller": controller, **options}, fake, check=check)


def peers(fake):
    return fake.peek("networkpolicies", "shop", "in")["spec"]["ingress"][0]["from"]


def sources(fake):
    return [e["source"] for e in fake.peek("authorizationpolicies", "shop", "a")["spec"]["rules"][0]["from"]]


@pytest.mark.parametrize("peer", [BY_NAME, BY_LABEL])
def test_the_new_one_is_let_in_beside_the_old_one_by_the_same_ports(peer):
    fake = cluster(network(peer, ports=[{"port": 8080}]))
    predicted = run(fake, check=True)
    assert fake.writes == 0
    assert run(fake)["objects"] == predicted["objects"] == [{"object": "NetworkPolicy shop/in", "state": "edited"}]
    assert peers(fake) == [peer, PEER] and run(fake)["changed"] is False
    assert fake.peek("networkpolicies", "shop", "in")["spec"]["ingress"][0]["ports"] == [{"port": 8080}]


@pytest.mark.parametrize(
    "policy",
    [
        network({"namespaceSelector": {}}), network({"ipBlock": {"cidr": "10.0.0.0/8"}}), network(PEER),
        thing("networking.k8s.io/v1", "NetworkPolicy", "shop/in", {"podSelector": {}, "ingress": [{}]}),
        network(BY_NAME, policyTypes=["Egress"]),
    ],
)  # fmt: skip
def test_what_is_for_everyone_or_not_for_the_old_one_stays(policy):
    fake = cluster(policy)
    assert run(fake)["changed"] is False and fake.writes == 0


def test_the_old_one_is_forgotten_once_the_new_one_is_in():
    fake = cluster(network(BY_LABEL))
    assert run(fake, state="forgotten")["changed"] is False, "the list would be empty, and so for everyone"
    run(fake)
    assert run(fake, state="forgotten")["changed"] and peers(fake) == [PEER]
    assert run(fake, state="forgotten")["changed"] is False


def test_a_peer_that_others_come_in_by_stays_and_is_told():
    other = thing("v1", "Pod", "istio-system/istiod-1", {}, labels={"app": "istiod"})
    fake = cluster(network(BY_NAME, PEER), other)
    done = run(fake, state="forgotten")
    assert done["changed"] is False and [f["code"] for f in done["findings"]] == ["admission_shared"]
    assert "istiod-1" in done["findings"][0]["found"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"principals": [GW]}, {"principals": [GW, "cluster.local/ns/ingress/sa/traefik"]}),
        ({"principals": ["td.test/ns/istio-system/sa/gw"]},
         {"principals": ["td.test/ns/istio-system/sa/gw", "td.test/ns/ingress/sa/traefik"]}),
        ({"namespaces": ["istio-system"]}, {"namespaces": ["istio-system", "ingress"]}),
        ({"serviceAccounts": ["istio-system/gw"]}, {"serviceAccounts": ["istio-system/gw", "ingress/traefik"]}),
        ({"notPrincipals": [GW]}, {"notPrincipals": [GW, "cluster.local/ns/ingress/sa/traefik"]}),
    ],
)  # fmt: skip
def test_a_controller_in_the_mesh_is_let_in_by_its_identity_and_the_old_one_forgotten(source, expected):
    fake = cluster(authorization(source))
    run(fake, in_mesh=True)
    assert sources(fake) == [expected] and run(fake, in_mesh=True)["changed"] is False
    run(fake, in_mesh=True, state="forgotten")
    ((key, values),) = expected.items()
    assert sources(fake) == [{key: values[1:]}]


def test_a_controller_outside_the_mesh_is_let_in_by_address_only_if_that_is_said():
    fake = cluster(authorization({"principals": [GW]}))
    result = run(fake)
    assert result["failure"]["findings"][0]["code"] == "admission_identity" and fake.writes == 0
    run(fake, networks=["10.8.0.0/14"])
    assert sources(fake) == [{"principals": [GW]}, {"ipBlocks": ["10.8.0.0/14"]}]
    assert run(fake, networks=["10.8.0.0/14"])["changed"] is False
    run(fake, networks=["10.8.0.0/14"], state="forgotten")
    assert sources(fake) == [{"ipBlocks": ["10.8.0.0/14"]}]


def test_every_rule_of_a_policy_lets_it_in():
    rules = [{"from": [{"source": {"principals": [GW]}}]}, {"from": [{"source": {"namespaces": ["istio-system"]}}]}]
    fake = cluster(authorization({}, rules=rules))
    run(fake, networks=["10.8.0.0/14"])
    now = fake.peek("authorizationpolicies", "shop", "a")["spec"]["rules"]
    assert all(rule["from"][-1] == {"source": {"ipBlocks": ["10.8.0.0/14"]}} for rule in now)


def test_an_exception_can_not_be_made_by_address():
    fake = cluster(authorization({"notPrincipals": [GW]}, action="DENY"))
    result = run(fake, networks=["10.8.0.0/14"])
    assert result["failure"]["code"] == "findings" and fake.writes == 0
    assert run(fake, networks=["10.8.0.0/14"], waive=["admission_identity:shop/a"])["changed"] is False


def test_both_steps_are_taken_back_one_by_one():
    fake = cluster(network(BY_LABEL), authorization({"principals": [GW]}))
    place = journal(fake, run_module)
    run(fake, in_mesh=True, journal=place)
    run(fake, in_mesh=True, state="forgotten", journal={**place, "phase": "cleanup"})
    assert peers(fake) == [PEER]
    steps = json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])
    assert len(steps) == 4
    for step in [s for s in reversed(steps) if s["phase"] == "cleanup"]:
        run_module(object_edits, step["inverse"]["params"], fake)
    assert peers(fake) == [BY_LABEL, PEER]
    for step in [s for s in reversed(steps) if s["phase"] == "bind"]:
        run_module(object_edits, step["inverse"]["params"], fake)
    assert peers(fake) == [BY_LABEL] and sources(fake) == [{"principals": [GW]}]


def test_without_labels_it_would_be_every_pod():
    fake = cluster(network(BY_NAME))
    assert run(fake, gateway={**OLD, "labels": {}})["failure"]["code"] == "bad_option" and fake.total == 0
