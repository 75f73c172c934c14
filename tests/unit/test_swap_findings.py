# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each finding of the swap: what brings it about, and what is fine. And mesh_swap_info and mesh_mtls as modules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _mesh_mtls, swap_findings
from ansible_collections.bluegreen.mesh.plugins.modules import mesh_mtls, mesh_swap_info, mesh_wave, object_edits
from fake_cluster import FakeCluster, run_module
from fake_ingress import NETWORKING, journal, namespace, service, thing, virtual_service
from fake_rollout import deployment
from role_tasks import refusal, task

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/mesh_swap.md").read_text(encoding="utf-8")
# code -> its severity as the page has it, of what CASES brings about
ROWS = dict(re.findall(r"^\| `(swap_\w+)` \| (error|warning)\b", PAGE, re.M))
SECURITY = "security.istio.io/v1"
PRINCIPAL = "cluster.local/ns/shop/sa/web"


def policy(ref="shop/p", rules=None, **spec):
    return thing(SECURITY, "AuthorizationPolicy", ref, {**({} if rules is None else {"rules": rules}), **spec})


def peer(ref="shop/p", mode="STRICT", **spec):
    return thing(SECURITY, "PeerAuthentication", ref, {"mtls": {"mode": mode}, **spec})


def rule_for(host, mode="ISTIO_MUTUAL", ref="shop/r"):
    return thing(NETWORKING, "DestinationRule", ref, {"host": host, "trafficPolicy": {"tls": {"mode": mode}}})


def sidecar_template(**more):
    return deployment(containers=[{"name": "web"}, {"name": "istio-proxy"}], **more)


def mesh_config(name="istio", text="", **more):
    return thing("v1", "ConfigMap", f"istio-system/{name}", data={"mesh": text}, **more)


def source(**fields):
    return [{"from": [{"source": fields}]}]


# code -> (objects that bring it about, objects that look like it and are fine)
CASES = {
    "swap_ambient": ([namespace("shop", {"istio.io/dataplane-mode": "ambient"})], [namespace("shop", {"istio-injection": "enabled"})]),
    "swap_baked_sidecar": ([sidecar_template()], [deployment()]),
    "swap_strict_mtls": (
        [peer()], [peer(mode="PERMISSIVE"), peer("other/p"), peer("istio-system/edge", selector={"matchLabels": {"a": "b"}})]
    ),
    "swap_istio_mutual": (
        [rule_for("web.shop.svc.cluster.local", ref="istio-system/r")],
        [rule_for("web", "SIMPLE"), rule_for("x.other.svc.cluster.local")],
    ),
    "swap_jwt_lost": (
        [thing(SECURITY, "RequestAuthentication", "shop/j", {"jwtRules": [{"issuer": "i"}]})],
        [thing(SECURITY, "RequestAuthentication", "other/j", {"jwtRules": [{"issuer": "i"}]})],
    ),
    "swap_deny_rule": (
        [policy(action="DENY")],
        [policy("other/p", action="DENY"), policy("istio-system/p", action="DENY", selector={"matchLabels": {"a": "b"}})],
    ),
    "swap_egress_allow_list": (
        [thing(NETWORKING, "Sidecar", "shop/s", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
        [thing(NETWORKING, "Sidecar", "shop/s", {"egress": [{"hosts": ["*/*"]}]})],
    ),
    "swap_policy_not_said": ([policy(rules=source(notNamespaces=["a"]))], [policy(rules=source(namespaces=["a"]))]),
    "swap_principals": (
        [policy(rules=source(principals=[PRINCIPAL]))],
        [policy(rules=[{"from": [{"source": {"principals": [PRINCIPAL]}}, {"source": {"ipBlocks": ["10.0.0.0/8"]}}]}])],
    ),
    "swap_downtime": ([deployment(strategy={"type": "Recreate"})], [deployment(replicas=1)]),
    "swap_on_delete": (
        [thing("apps/v1", "StatefulSet", "shop/db", {"replicas": 3, "updateStrategy": {"type": "OnDelete"}, "template": {}})], []
    ),
    "swap_stays_out": (
        [deployment(labels={"sidecar.istio.io/inject": "false"})],
        [deployment(labels={"sidecar.istio.io/inject": "false"}, annotations={"linkerd.io/inject": "disabled"})],
    ),
    "swap_mesh_config": (
        [thing("v1", "ConfigMap", "istio-system/other", data={})],
        [mesh_config("istio-1-31", labels={"istio.io/rev": "1-31"}), mesh_config(text="rootNamespace: istio-system")],
    ),
    "swap_mesh_route": (
        [virtual_service(gateways=["mesh"], hosts=["web"])],
        [virtual_service(), virtual_service("other/x", hosts=["y"], gateways=["mesh"])],
    ),
    "swap_istio_extension": ([thing("networking.istio.io/v1alpha3", "EnvoyFilter", "shop/f", {})], []),
    "swap_opaque_port": (
        [service(name="tcp-thing")], [service(), thing("v1", "Service", "shop/db", {"ports": [{"name": "mysql", "port": 3306}]})]
    ),
    "swap_put_back": (
        [deployment(annotations={"x": "y"}) | {"metadata": {"namespace": "shop", "name": "web", "annotations": {
            "meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"},
            "labels": {"app.kubernetes.io/managed-by": "Helm"}}}],
        [deployment()],
    ),
}  # fmt: skip


def cluster(*objects):
    names = {i["metadata"]["name"] for i in objects if i["kind"] == "Namespace"}
    base = [] if "shop" in names else [namespace("shop", {"istio-injection": "enabled"})]
    if not any(i["kind"] == "Deployment" for i in objects):
        base.append(deployment())
    if not any(i["kind"] == "ConfigMap" for i in objects):
        base.append(mesh_config())
    return FakeCluster(*base, namespace("istio-system"), namespace("other"), *objects)


def run(fake, **options):
    return run_module(mesh_swap_info, {"namespaces": ["shop"], **options}, fake)


def codes(fake):
    return {finding["code"] for finding in run(fake)["findings"]}


def wave(fake, *waive):
    """A wave of Linkerd's, as far as check mode goes: what is in its way refuses it there as well."""
    return run_module(mesh_wave, {"namespaces": ["shop"], "name": "wave-1", "waive": list(waive)}, fake, check=True)


def test_every_finding_has_a_case_and_a_row():
    assert set(CASES) == set(swap_findings.CODES)
    files = {p.stem for p in (ROOT / "plugins/module_utils/swap_findings").glob("swap_*.py")}
    assert files == set(swap_findings.CODES) == set(ROWS)


@pytest.mark.parametrize("code", CASES)
def test_a_finding_is_found_and_as_severe_as_the_page_says(code):
    fake = cluster(*CASES[code][0])
    assert {f["severity"] for f in run(fake)["findings"] if f["code"] == code} == {ROWS[code]} and fake.writes == 0


@pytest.mark.parametrize("code", sorted(code for code, severity in ROWS.items() if severity == "error"))
def test_an_error_blocks_until_it_is_waived(code):
    fake = cluster(*CASES[code][0])
    refuse = task("soak/tasks/swap/refuse.yml", "Refuse")
    errors = run(fake)["errors"]
    assert {one["code"] for one in errors} == {code} and code in refusal(refuse, soak_errors=errors)
    assert wave(fake)["failure"]["code"] == "findings"
    own = [f"{code}:{one['object'].partition(' ')[2]}" for one in errors]
    for waived in ([code], own):
        assert run(fake, waive=waived)["errors"] == [] and not wave(fake, *waived).get("failed")
    assert refusal(refuse, soak_errors=[]) == ""
    for kept in ([f"{code}:other/another"], own[1:]):
        assert run(fake, waive=kept)["errors"] and wave(fake, *kept)["failure"]["code"] == "findings"


@pytest.mark.parametrize("code", sorted(code for code, severity in ROWS.items() if severity == "warning"))
def test_a_warning_blocks_nothing(code):
    fake = cluster(*CASES[code][0])
    assert run(fake)["errors"] == [] and not wave(fake).get("failed")


def test_a_policy_that_only_says_what_it_would_deny_is_a_warning():
    fake = cluster(policy(action="AUDIT"))
    assert [(f["code"], f["severity"]) for f in run(fake)["findings"]] == [("swap_deny_rule", "warning")]
    assert not wave(fake).get("failed") and "| `swap_deny_rule` | error; warning for AUDIT |" in PAGE


@pytest.mark.parametrize("code", CASES)
def test_what_looks_like_it_and_is_fine_is_not_found(code):
    for item in CASES[code][1]:
        assert code not in codes(cluster(item)), item


def test_nothing_is_found_where_nothing_is_wrong():
    done = run(cluster())
    assert done["findings"] == [] and done["waves"] == [["shop"]]
    assert done["workloads"] == {"Deployment shop/web": {"istio": 0, "linkerd": 0, "both": 0, "none": 0}}


def test_strict_and_deny_and_registry_only_of_the_whole_mesh_are_found():
    mesh_wide = [
        peer("istio-system/default"), policy("istio-system/p", action="DENY"),
        thing("v1", "ConfigMap", "istio-system/istio", data={"mesh": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}),
        policy("istio-system/allow", rules=source(namespaces=["a"])),
    ]  # fmt: skip
    found = {(f["code"], f["object"]) for f in run(cluster(*mesh_wide))["errors"]}
    assert found == {
        ("swap_strict_mtls", "Namespace shop"), ("swap_deny_rule", "AuthorizationPolicy istio-system/p"),
        ("swap_egress_allow_list", "ConfigMap istio-system/istio"), ("swap_policy_not_said", "AuthorizationPolicy istio-system/allow"),
    }  # fmt: skip


REGISTRY_ONLY = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"


def test_the_whole_mesh_is_that_of_every_revision():
    of_it = mesh_config("istio-1-31", REGISTRY_ONLY, labels={"istio.io/rev": "1-31"})
    for fake in (cluster(of_it), cluster(of_it, mesh_config())):
        assert [(f["code"], f["object"]) for f in run(fake)["findings"]] == [
            ("swap_egress_allow_list", "ConfigMap istio-system/istio-1-31")
        ]
        assert run(fake, mesh_config="istio-system/istio-1-31")["errors"]
    assert run(cluster(of_it, mesh_config()), mesh_config="istio-system/istio")["errors"] == []


def test_what_holds_for_the_whole_mesh_is_known_or_found_to_be_not():
    assert [f["code"] for f in run(cluster(), mesh_config="istio-system/none")["errors"]] == ["swap_mesh_config"]
    elsewhere = cluster(mesh_config(text="rootNamespace: mesh-root"), peer("mesh-root/default"))
    (found,) = run(elsewhere)["errors"]
    assert (found["code"], found["field"]) == ("swap_mesh_config", "mesh: rootNamespace")
    known = run(elsewhere, root_namespace="mesh-root", mesh_config="istio-system/istio")["errors"]
    assert [f["code"] for f in known] == ["swap_strict_mtls"]
    broken = run(cluster(mesh_config(text="[")))
    assert broken["failure"]["code"] == "unreadable_mesh_config" and "istio-system/istio" in broken["msg"]


def test_claims_of_tokens_are_lost_too():
    by_claim = policy(rules=[{"when": [{"key": "request.auth.claims[g]", "values": ["a"]}]}])
    assert codes(cluster(by_claim)) == {"swap_jwt_lost"}


def test_waivers_are_by_code_or_by_object_and_must_exist():
    fake = cluster(peer())
    assert run(fake, waive=["swap_strict_mtls"])["errors"] == []
    assert run(fake, waive=["swap_strict_mtls:shop/p"])["errors"] == []
    assert run(fake, waive=["swap_strict_mtls:shop/q"])["errors"] != []
    assert run(fake, waive=["nothing"])["failure"]["code"] == "bad_option"


def test_policies_tie_namespaces_to_one_wave():
    tied = policy("shop/p", rules=source(namespaces=["other"]))
    fake = cluster(tied, namespace("third"))
    assert run(fake, namespaces=["shop", "third", "other"], wave_size=1)["waves"] in (
        [["third"], ["other", "shop"]], [["other", "shop"], ["third"]]
    )  # fmt: skip


# -- mutual TLS --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("policies", "port", "expected"),
    [
        ([], None, "PERMISSIVE"), ([peer("istio-system/d")], None, "STRICT"),
        ([peer("istio-system/d"), peer("shop/d", "PERMISSIVE")], None, "PERMISSIVE"),
        ([peer("istio-system/d"), peer("shop/d", "UNSET")], None, "STRICT"),
        ([peer("shop/d"), peer("shop/w", "DISABLE", selector={"matchLabels": {"app": "web"}})], None, "DISABLE"),
        ([peer("shop/w", "STRICT", selector={"matchLabels": {"app": "api"}})], None, "PERMISSIVE"),
        ([peer("shop/w", "PERMISSIVE", selector={"matchLabels": {"app": "web"}}, portLevelMtls={"8080": {"mode": "STRICT"}})],
         8080, "STRICT"),
    ],
)  # fmt: skip
def test_which_mode_holds_for_a_pod(policies, port, expected):
    assert _mesh_mtls.mode_for(policies, "istio-system", "shop", {"app": "web"}, port)[0] == expected


def mtls(fake, check=False, **options):
    return run_module(mesh_mtls, {"namespaces": ["shop"], **options}, fake, check=check)


def test_what_insists_on_mutual_tls_lets_go_and_the_journal_gives_it_back():
    ports = peer("shop/w", "STRICT", selector={"matchLabels": {"app": "web"}}, portLevelMtls={"80": {"mode": "STRICT"}})
    fake = cluster(peer("istio-system/default"), ports, rule_for("web"), rule_for("x", ref="other/r"))
    before = {k: json.dumps(v["spec"], sort_keys=True) for k, v in fake._store.items() if "spec" in v}
    predicted = mtls(fake, check=True)
    assert fake.writes == 0
    place = journal(fake, run_module)
    done = mtls(fake, journal=place)
    assert done["objects"] == predicted["objects"] and done["changed"]
    assert fake.peek("peerauthentications", "shop", "w")["spec"]["portLevelMtls"] == {"80": {"mode": "PERMISSIVE"}}
    assert fake.peek("peerauthentications", "shop", "bluegreen-mesh-permissive")["spec"]["mtls"]["mode"] == "PERMISSIVE"
    assert fake.peek("peerauthentications", "istio-system", "default")["spec"]["mtls"]["mode"] == "STRICT"
    assert "tls" not in fake.peek("destinationrules", "shop", "r")["spec"]["trafficPolicy"]
    assert fake.peek("destinationrules", "other", "r")["spec"]["trafficPolicy"]["tls"]["mode"] == "ISTIO_MUTUAL"
    assert not codes(fake) & {"swap_strict_mtls", "swap_istio_mutual"}
    assert mtls(fake)["changed"] is False
    for step in reversed(json.loads(fake.peek("configmaps", "journals", "m")["data"]["steps"])):
        run_module(object_edits, step["inverse"]["params"], fake)
    now = {k: json.dumps(v["spec"], sort_keys=True) for k, v in fake._store.items() if "spec" in v}
    assert now == before


def test_a_namespace_that_leaves_it_to_the_mesh_says_so_itself():
    fake = cluster(peer("istio-system/default"), peer("shop/mine", "UNSET"))
    mtls(fake)
    assert fake.names("peerauthentications", "shop") == ["mine"]
    assert fake.peek("peerauthentications", "shop", "mine")["spec"]["mtls"] == {"mode": "PERMISSIVE"}
    assert "swap_strict_mtls" not in codes(fake)


def test_policies_admit_the_pods_networks_only_if_that_is_said():
    fake = cluster(
        policy(rules=source(principals=[PRINCIPAL])), policy("shop/deny", source(principals=[PRINCIPAL]), action="DENY")
    )
    assert mtls(fake)["changed"] is False
    mtls(fake, pod_networks=["10.0.0.0/14"])
    assert fake.peek("authorizationpolicies", "shop", "p")["spec"]["rules"][0]["from"] == [
        {"source": {"principals": [PRINCIPAL]}}, {"source": {"ipBlocks": ["10.0.0.0/14"]}}
    ]  # fmt: skip
    assert len(fake.peek("authorizationpolicies", "shop", "deny")["spec"]["rules"][0]["from"]) == 1
    assert "swap_principals" not in codes(fake) and mtls(fake, pod_networks=["10.0.0.0/14"])["changed"] is False
