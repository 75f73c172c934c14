# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AuthorizationPolicies of Istio's as Linkerd's: the same is allowed, or it is listed; never more."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _linkerd_policy
from ansible_collections.bluegreen.mesh.plugins.module_utils._mesh_swap import Mesh
from ansible_collections.bluegreen.mesh.plugins.modules import linkerd_policies, object_edits
from fake_cluster import FakeCluster, run_module
from fake_ingress import journal, namespace, service, thing
from fake_rollout import deployment
from hypothesis import given
from hypothesis import strategies as st

WEB = {"matchLabels": {"app": "web"}}


def policy(rules=None, ref="shop/p", **spec):
    return thing(
        "security.istio.io/v1", "AuthorizationPolicy", ref, {**({} if rules is None else {"rules": rules}), **spec}
    )


def convert(*policies, workloads=None, identities=None):
    objects = {
        "authorizationpolicies": list(policies),
        "deployments": workloads or [deployment()],
        "services": [service()],
    }
    return _linkerd_policy.convert(Mesh(objects, ["shop"]), identities)


def of(done, kind):
    return [item for item in done.objects if item["kind"] == kind]


def test_a_policy_for_all_ports_is_a_server_for_each_and_who_may():
    done = convert(policy([{"from": [{"source": {"principals": ["cluster.local/ns/pay/sa/api"]}}]}], selector=WEB))
    (server,) = of(done, "Server")
    assert server["spec"] == {"podSelector": WEB, "port": 8080} and done.listed == []
    (who,) = of(done, "MeshTLSAuthentication")
    assert who["spec"] == {"identityRefs": [{"kind": "ServiceAccount", "name": "api", "namespace": "pay"}]}
    (allow,) = of(done, "AuthorizationPolicy")
    assert allow["spec"]["targetRef"] == {
        "group": "policy.linkerd.io",
        "kind": "Server",
        "name": server["metadata"]["name"],
    }
    assert [r["name"] for r in allow["spec"]["requiredAuthenticationRefs"]] == [who["metadata"]["name"]]
    kinds = [item["kind"] for item in done.objects]
    assert kinds.index("AuthorizationPolicy") < kinds.index("Server"), "who may comes before what is closed"


def test_nothing_allowed_is_a_server_that_nothing_opens():
    done = convert(policy())
    assert [i["kind"] for i in done.objects] == ["Server"] and done.listed == []


def test_everything_allowed_is_everyones_network():
    done = convert(policy([{}]))
    (who,) = of(done, "NetworkAuthentication")
    assert [n["cidr"] for n in who["spec"]["networks"]] == ["0.0.0.0/0", "::/0"]


def test_sources_are_alternatives_and_what_is_in_one_must_all_hold():
    rules = [
        {
            "from": [
                {"source": {"namespaces": ["a"], "ipBlocks": ["10.0.0.1", "10.1.0.0/16"]}},
                {"source": {"principals": ["*"]}},
            ]
        }
    ]
    done = convert(policy(rules))
    refs = sorted(len(item["spec"]["requiredAuthenticationRefs"]) for item in of(done, "AuthorizationPolicy"))
    assert refs == [1, 2]
    (net,) = of(done, "NetworkAuthentication")
    assert net["spec"]["networks"] == [{"cidr": "10.0.0.1/32"}, {"cidr": "10.1.0.0/16"}]
    specs = [item["spec"] for item in of(done, "MeshTLSAuthentication")]
    assert {"identities": ["*"]} in specs and {"identityRefs": [{"kind": "ServiceAccount", "namespace": "a"}]} in specs


def test_whole_and_single_workloads_meet_at_one_server():
    narrow = policy([{"from": [{"source": {"namespaces": ["a"]}}]}], "shop/narrow", selector=WEB)
    done = convert(policy(ref="shop/nothing"), narrow, workloads=[deployment(), deployment("shop/api")])
    assert [s["metadata"]["name"] for s in of(done, "Server")] == ["api-8080", "web-8080"]
    (allow,) = of(done, "AuthorizationPolicy")
    assert allow["spec"]["targetRef"]["name"] == "web-8080"


def test_paths_and_methods_are_routes_and_probes_stay_open():
    probe = {"httpGet": {"path": "/healthz?x=1", "port": "http"}}
    container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe}
    to = [{"operation": {"methods": ["GET"], "paths": ["/a", "/b/*"], "ports": ["8080"]}}]
    done = convert(policy([{"to": to}]), workloads=[deployment(containers=[container])])
    routes = {r["metadata"]["name"]: r["spec"]["rules"][0]["matches"] for r in of(done, "HTTPRoute")}
    assert routes["web-p-0-0-8080"] == [
        {"method": "GET", "path": {"type": "Exact", "value": "/a"}},
        {"method": "GET", "path": {"type": "RegularExpression", "value": "/b/.*"}},
    ]  # fmt: skip
    assert routes["web-8080-probes"] == [{"path": {"type": "Exact", "value": "/healthz"}, "method": "GET"}]


@given(st.text("ab./+*", max_size=5).map(lambda s: "/" + s), st.text("ab./+x", max_size=7).map(lambda s: "/" + s))
def test_a_path_matches_what_istio_matches(pattern, asked):
    """The whole path, as Linkerd's proxy takes regular expressions."""
    wanted = asked.startswith(pattern[:-1]) if pattern.endswith("*") else asked == pattern
    try:
        path = _linkerd_policy._path(pattern, "")
    except _linkerd_policy._NotSaid:
        assert pattern.count("*") > 1 or not pattern.endswith("*")
        return
    found = {
        "Exact": lambda v: asked == v,
        "PathPrefix": lambda v: v == "/",
        "RegularExpression": lambda v: bool(re.fullmatch(v, asked)),
    }
    assert found[path["type"]](path["value"]) is wanted


LISTED = {
    "notPrincipals": [{"from": [{"source": {"notPrincipals": ["a"]}}]}],
    "a pattern of more than one namespace": [{"from": [{"source": {"principals": ["cluster.local/*"]}}]}],
    "has a pattern": [{"from": [{"source": {"namespaces": ["a*"]}}]}],
    "can never be": [{"from": [{"source": {"namespaces": ["a"], "principals": ["cluster.local/ns/b/sa/c"]}}]}],
    "source.ip": [{"when": [{"key": "source.ip", "values": ["1.1.1.1"]}]}],
    "hosts": [{"to": [{"operation": {"hosts": ["a"]}}]}],
    "notPaths": [{"to": [{"operation": {"notPaths": ["/a"]}}]}],
    "remoteIpBlocks": [{"from": [{"source": {"remoteIpBlocks": ["1.1.1.1"]}}]}],
    "neither end": [{"to": [{"operation": {"paths": ["/a/*/b"]}}]}],
    "a template": [{"to": [{"operation": {"paths": ["/a/{*}"]}}]}],
}


@pytest.mark.parametrize("words", LISTED)
def test_what_can_not_be_said_is_listed_and_not_written(words):
    done = convert(policy(LISTED[words]))
    assert done.objects == [] and len(done.listed) == 1
    (item,) = done.listed
    assert words in item.found and item.fix and item.policy == "AuthorizationPolicy shop/p"


def test_what_has_a_finding_of_its_own_is_not_told_twice():
    done = convert(policy(action="DENY", ref="shop/d"), policy([{"from": [{"source": {"requestPrincipals": ["*"]}}]}]))
    assert [item.elsewhere for item in done.listed] == [True, True] and done.objects == []


def test_a_policy_without_pods_or_ports_is_listed():
    bare = deployment(containers=[{"name": "web"}])
    assert "no workload" in convert(policy([{}], selector={"matchLabels": {"app": "none"}})).listed[0].found
    lonely = _linkerd_policy.convert(Mesh({"authorizationpolicies": [policy([{}])], "deployments": [bare]}, ["shop"]))
    assert "no port" in lonely.listed[0].found
    assert "Gateway" in convert(policy([{}], targetRefs=[{"kind": "Gateway", "name": "g"}])).listed[0].found


def test_by_path_beside_the_whole_port_is_listed():
    by_path = policy([{"to": [{"operation": {"paths": ["/a"]}}]}], "shop/b")
    done = convert(policy([{"from": [{"source": {"namespaces": ["a"]}}]}]), by_path)
    assert [item.policy for item in done.listed] == ["AuthorizationPolicy shop/b"] and of(done, "HTTPRoute") == []


def test_the_old_gateways_identity_becomes_the_new_controllers():
    gateway = "cluster.local/ns/istio-system/sa/gw"
    done = convert(policy([{"from": [{"source": {"principals": [gateway]}}]}]), identities={gateway: "ingress/new"})
    assert of(done, "MeshTLSAuthentication")[0]["spec"]["identityRefs"] == [
        {"kind": "ServiceAccount", "name": "new", "namespace": "ingress"}
    ]  # fmt: skip


# -- the module --------------------------------------------------------------------------------------------------------
def cluster(*more):
    return FakeCluster(
        namespace("shop", {"istio-injection": "enabled"}), namespace("istio-system"), deployment(), service(), *more
    )


def run(fake, check=False, **options):
    return run_module(linkerd_policies, {"namespaces": ["shop"], **options}, fake, check=check)


PAIR = [{"from": [{"source": {"namespaces": ["a"]}}, {"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]


def test_it_writes_what_it_predicts_once_and_takes_it_back():
    fake = cluster(policy(PAIR))
    predicted = run(fake, check=True)
    assert fake.writes == 0
    done = run(fake, journal=journal(fake, run_module, "deploy"))
    assert done["objects"] == predicted["objects"] and done["changed"] and run(fake)["changed"] is False
    assert done["sources"]["Server shop/web-8080"] == "AuthorizationPolicy shop/p"
    for step in reversed(json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])):
        assert run_module(object_edits, step["inverse"]["params"], fake)["changed"]
    assert fake.names("servers") == [] and fake.names("meshtlsauthentications") == []
    assert fake.names("authorizationpolicies") == ["p"], "that of Istio stays"


def test_it_tightens_once_all_callers_are_there():
    fake = cluster(policy(PAIR))
    run(fake)
    assert len(fake.names("networkauthentications")) == 1
    run(fake, strict=True, pod_networks=["10.0.0.0/8"])
    assert fake.names("networkauthentications") == [] and len(fake.names("meshtlsauthentications")) == 1
    run(fake, state="absent")
    assert fake.names("servers") == []


def test_errors_stop_it_before_anything_is_written():
    fake = cluster(policy(action="DENY"))
    result = run(fake)
    assert result["failure"]["code"] == "findings" and fake.writes == 0
    assert run(fake, waive=["swap_deny_rule:shop/p"])["changed"] is False
    assert run(fake, waive=["swap_deny_rule:shop/p", "swap_downtime"])["changed"] is False, "the swap's are one list"
    assert run(fake, waive=["swap_nothing"])["failure"]["code"] == "bad_option"
