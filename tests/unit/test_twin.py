# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_twin: what green's Gateways say, which Secrets come along, what is left alone, how it is undone."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _twin
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import State
from ansible_collections.bluegreen.mesh.plugins.modules import gateway_twin, migration_journal
from fake_cluster import FakeCluster, run_module
from hypothesis import given
from hypothesis import strategies as st

GREEN_LABELS = {"app": "public-ingressgateway", "istio": "public-ingressgateway"}
PAIR = {"blue": "istio-system/public", "green": "istio-gateway/public-ingressgateway", "selector": GREEN_LABELS}
GREEN = ("gateways", "istio-gateway", "public-ingressgateway")
KEY = base64.b64encode(b"the private key").decode()


def server(number=8443, hosts=("*.lab.test",), protocol="HTTPS", **tls):
    result = {"port": {"number": number, "name": f"p{number}", "protocol": protocol}, "hosts": list(hosts)}
    return {**result, "tls": tls} if tls else result


def gateway(ref="istio-system/public", selector=None, servers=(), **meta):
    namespace, name = ref.split("/")
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": name, **meta},
        "spec": {"selector": selector or {"app": "blue"}, "servers": list(servers)},
    }  # fmt: skip


def secret(ref, data=None, type_="kubernetes.io/tls", **meta):
    namespace, name = ref.split("/")
    return {
        "apiVersion": "v1", "kind": "Secret", "type": type_, "data": data or {"tls.crt": "Y2VydA==", "tls.key": KEY},
        "metadata": {"namespace": namespace, "name": name, **meta},
    }  # fmt: skip


BLUE = gateway(
    servers=[server(8080, protocol="HTTP", httpsRedirect=True), server(mode="SIMPLE", credentialName="public-cert")],
    labels={"app.kubernetes.io/managed-by": "Helm", "team": "edge"},
    annotations={"meta.helm.sh/release-name": "istio-ingress", "helm.sh/resource-policy": "keep"},
)


@pytest.fixture
def cluster():
    fake = FakeCluster(BLUE, secret("istio-system/public-cert"), secret("istio-gateway/unrelated"))
    return fake


def run(cluster, *pairs, check=False, **options):
    return run_module(gateway_twin, {"pairs": list(pairs) or [PAIR], **options}, cluster, check=check)


def states(result):
    return [g["state"] for g in result["gateways"]], [s["state"] for s in result["secrets"]]


# -- the spec ----------------------------------------------------------------------------------------------------------
def test_a_twin_has_blues_servers_greens_selector_and_none_of_blues_owners(cluster):
    result = run(cluster, labels=["team"])
    assert result["changed"] and states(result) == (["created"], ["created"])
    twin = cluster.peek(*GREEN)
    assert twin["spec"] == {**BLUE["spec"], "selector": GREEN_LABELS}
    assert twin["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh", "team": "edge"}
    assert twin["metadata"]["annotations"] == {"bluegreen.mesh/twin-of": "istio-system/public"}


def test_a_second_run_changes_nothing_and_costs_four_requests(cluster):
    run(cluster)
    before, writes = cluster.total, cluster.writes
    result = run(cluster)
    assert not result["changed"] and states(result) == (["unchanged"], ["unchanged"])
    assert cluster.total - before == 4 and cluster.writes == writes


def test_check_mode_says_the_same_and_writes_nothing(cluster):
    checked = run(cluster, check=True)
    assert cluster.writes == 0
    assert checked == run(cluster)


def test_no_secret_value_is_shown(cluster):
    text = json.dumps(run(cluster))
    assert "sha256:" in text and KEY not in text and "Y2VydA==" not in text


@pytest.mark.parametrize(
    ("host", "expected"),
    [("./a.test", "istio-system/a.test"), ("*/a.test", "*/a.test"), ("apps/a.test", "apps/a.test"),
     ("a.test", "a.test"),
     ("*", "*"), ("./*", "istio-system/*"), ("*.lab.test", "*.lab.test")],
)  # fmt: skip
def test_hosts_keep_their_meaning(host, expected):
    assert _twin.host_in(host, "istio-system", "istio-gateway") == expected
    assert _twin.host_in(host, "same", "same") == host


def resolved(host, namespace):
    """What istiod makes of a Gateway's host (sanitizeServerHostNamespace): (namespace or any, name)."""
    scope, sep, name = host.rpartition("/")
    return (namespace if scope == "." else scope or "*", name) if sep else ("*", name)


@given(st.sampled_from([".", "*", "apps", "blue", ""]), st.sampled_from(["blue", "green"]))
def test_a_rewritten_host_resolves_to_the_same(scope, target):
    host = f"{scope}/a.test" if scope else "a.test"
    assert resolved(_twin.host_in(host, "blue", target), target) == resolved(host, "blue")


# -- Certificates of green's own ---------------------------------------------------------------------------------------
CERTS = "/apis/cert-manager.io/v1/namespaces"
OWN = ("certificates", "istio-gateway", "site")


def certificate(ref="istio-system/site", secret_name="public-cert", kind="ClusterIssuer", **more):
    namespace, name = ref.split("/")
    spec = {"secretName": secret_name, "dnsNames": ["*.lab.test"], "issuerRef": {"kind": kind, "name": "ca"}, **more}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"namespace": namespace, "name": name},
            "spec": spec}  # fmt: skip


def cert_manager(cluster, status="True", **condition):
    """Issues what it is asked about."""

    def answer(_request):
        body = cluster.peek(*OWN)
        if body is None:
            return None
        conditions = [{"type": "Ready", "status": status, "reason": "Issuing", "message": "soon", **condition}]
        return 200, {**body, "status": {"conditions": conditions}}

    cluster.on("GET", f"{CERTS}/istio-gateway/certificates/site", answer)


def issued(result):
    return [entry["state"] for entry in result["issued"]]


def test_green_has_a_certificate_of_its_own_before_a_gateway_names_it(cluster):
    cluster.add(certificate(secretTemplate={"annotations": {"reflector": "yes"}}, keystores={}))
    cert_manager(cluster)
    checked = run(cluster, certificates="certificate", check=True)
    assert cluster.writes == 0 and issued(checked) == ["created"]
    result = run(cluster, certificates="certificate")
    assert checked == result and states(result) == (["created"], []) and issued(result) == ["created"]
    own = cluster.peek(*OWN)
    assert own["spec"] == certificate()["spec"]
    assert own["metadata"]["annotations"] == {"bluegreen.mesh/twin-of": "istio-system/site"}
    order = [request.path.rpartition("/")[2] for request in cluster.log if request.method == "POST"]
    assert order == ["certificates", "gateways"] * (len(order) // 2)
    again = run(cluster, certificates="certificate")
    assert not again["changed"] and issued(again) == ["unchanged"]
    cluster.edit("certificates", "istio-system", "site", lambda c: c["spec"].update(dnsNames=["*.new.test"]))
    assert issued(run(cluster, certificates="certificate")) == ["updated"]
    assert cluster.peek(*OWN)["spec"]["dnsNames"] == ["*.new.test"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [({"status": "False"}, "soon"), ({"observedGeneration": 0}, "not looked at since generation 1")],
)
def test_no_gateway_is_written_while_a_certificate_is_not_issued(cluster, condition, words):
    cluster.add(certificate())
    cert_manager(cluster, **condition)
    refused = run(cluster, certificates="certificate", timeout=0)
    assert refused["failure"]["code"] == "certificate_not_ready" and words in refused["msg"]
    assert cluster.peek(*OWN) and cluster.peek(*GREEN) is None


def test_what_cert_manager_does_not_write_is_copied_and_without_it_all_is(cluster):
    cluster.add(certificate(secret_name="other"))
    result = run(cluster, certificates="certificate")
    assert states(result) == (["created"], ["created"]) and result["issued"] == []
    none = FakeCluster(BLUE, secret("istio-system/public-cert"), secret("istio-gateway/unrelated"))
    none.on("GET", f"{CERTS}/*/certificates", lambda _r: (404, {"message": "no such kind"}))
    assert states(run(none, certificates="certificate")) == (["created"], ["created"])


def test_an_issuer_of_blues_namespace_alone_is_named(cluster):
    cluster.add(certificate(kind="Issuer"))
    refused = run(cluster, certificates="certificate")
    assert refused["failure"]["code"] == "issuer_missing" and "Issuer ca" in refused["msg"]
    assert cluster.peek(*OWN) is None
    issuer = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"namespace": "istio-gateway", "name": "ca"}}
    cluster.add(issuer)
    cert_manager(cluster)
    assert issued(run(cluster, certificates="certificate")) == ["created"]


def test_what_others_have_there_is_not_taken(cluster):
    cluster.add(certificate(), secret("istio-gateway/public-cert"))
    assert run(cluster, certificates="certificate")["failure"]["code"] == "secret_conflict"
    cluster.add(certificate("istio-gateway/theirs"))
    result = run(cluster, certificates="certificate")
    assert issued(result) == ["foreign"] and states(result) == (["created"], [])
    assert cluster.peek("certificates", "istio-gateway", "theirs")["spec"] == certificate()["spec"]


def test_a_certificate_is_undone_with_the_secret_that_it_wrote(cluster):
    cluster.add(certificate())
    cert_manager(cluster)
    run(cluster)  # copied first, then taken over
    run(cluster, certificates="certificate")
    cluster.edit(
        "secrets", "istio-gateway", "public-cert",
        lambda s: s["metadata"]["annotations"].update({"cert-manager.io/certificate-name": "site"}),
    )  # fmt: skip
    cluster.edit("secrets", "istio-gateway", "public-cert", lambda s: s.update(data={"tls.crt": "bmV3", "tls.key": KEY}))
    assert states(run(cluster)) == (["unchanged"], ["foreign"]), "cert-manager writes it now"
    assert not run(cluster, state="refreshed")["changed"]
    undo = run_module(gateway_twin, {"state": "absent", "pairs": [PAIR]}, cluster)
    assert states(undo)[0] == ["removed"]
    undo = run_module(gateway_twin, {"state": "absent", "issued": ["istio-gateway/site"]}, cluster)
    assert issued(undo) == ["removed"] and cluster.peek(*OWN) is None
    assert cluster.peek("secrets", "istio-gateway", "public-cert") is None
    assert not run_module(gateway_twin, {"state": "absent", "issued": ["istio-gateway/site"]}, cluster)["changed"]


def test_a_copy_follows_a_renewal_and_nothing_else_is_written(cluster):
    assert not run(cluster, state="refreshed")["changed"] and cluster.writes == 0
    run(cluster)
    cluster.edit("secrets", "istio-system", "public-cert", lambda s: s["data"].update({"tls.crt": "bmV3"}))
    cluster.edit(*GREEN, lambda g: g["spec"].update(selector={"app": "changed"}))
    writes = cluster.writes
    assert states(run(cluster, state="refreshed")) == ([], ["updated"]) and cluster.writes == writes + 1
    assert cluster.peek("secrets", "istio-gateway", "public-cert")["data"]["tls.crt"] == "bmV3"
    assert not run(cluster, state="refreshed")["changed"]


def test_ports_are_mapped(cluster):
    run(cluster, {**PAIR, "ports": {"8080": 80, 8443: "443"}})
    assert [s["port"]["number"] for s in cluster.peek(*GREEN)["spec"]["servers"]] == [80, 443]


def test_a_change_of_blue_is_followed(cluster):
    run(cluster)
    cluster.edit("gateways", "istio-system", "public", lambda g: g["spec"]["servers"][1]["hosts"].append("x.test"))
    result = run(cluster)
    assert states(result) == (["updated"], ["unchanged"])
    assert result["gateways"][0]["differences"][0]["field"] == "spec.servers[1].hosts"
    assert cluster.peek(*GREEN)["spec"]["servers"][1]["hosts"] == ["*.lab.test", "x.test"]


def test_labels_that_others_put_on_a_twin_stay(cluster):
    run(cluster)
    cluster.edit(*GREEN, lambda g: g["metadata"]["labels"].update(seen="yes"))
    assert not run(cluster)["changed"]


def test_a_gateway_that_is_not_ours_is_compared_and_left(cluster):
    cluster.add(gateway("istio-gateway/public-ingressgateway", GREEN_LABELS, [server(hosts=["other.test"])]))
    before = cluster.peek(*GREEN)
    result = run(cluster)
    assert states(result)[0] == ["foreign"] and cluster.peek(*GREEN) == before
    assert result["gateways"][0]["differences"] == [
        {"field": "spec.servers", "expected": BLUE["spec"]["servers"], "found": [server(hosts=["other.test"])]}
    ]


def test_when_the_source_is_gone_the_twin_stays(cluster):
    run(cluster)
    cluster.delete(_twin.gateway_path(("istio-system", "public")))
    cluster.delete(_twin.secret_path(("istio-system", "public-cert")))
    result = run(cluster)
    assert not result["changed"] and states(result) == (["orphan"], ["orphan"])


def test_differences_name_the_path():
    found = _twin.differences({"a": [{"b": 1}], "c": 2}, {"a": [{"b": 3}], "d": None})
    assert found == [
        {"field": "spec.a[0].b", "expected": 1, "found": 3}, {"field": "spec.c", "expected": 2, "found": None},
    ]  # fmt: skip


def test_a_part_that_is_missing_is_one_difference():
    tls = {"mode": "SIMPLE"}
    assert _twin.differences({"tls": tls}, {}) == [{"field": "spec.tls", "expected": tls, "found": None}]


# -- refusals ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"blue": "public"}, "malformed_reference", "pairs[0].blue"),
        ({"green": "a/b/c"}, "malformed_reference", "NAMESPACE/NAME"),
        ({"green": "istio-system/public"}, "bad_option", "named twice"),
        ({"blue": "istio-system/nope"}, "no_gateway", "istio-system/nope"),
        ({"selector": {}}, "bad_option", "selector is empty"),
        ({"selector": {"app": "blue"}}, "same_workload", "matches blue's pods too"),
        ({"ports": {"81": 80}}, "unknown_port", "It has: 8080, 8443"),
        ({"ports": {"8080": "http"}}, "bad_option", "port numbers"),
        ({"ports": {"8080": 70000}}, "bad_option", "port numbers"),
        ({"ports": {"8080": 8443}}, "port_clash", "same number"),
    ],
)
def test_bad_pairs_are_refused_and_nothing_is_written(cluster, change, code, words):
    result = run(cluster, {**PAIR, "green": "istio-gateway/first"}, {**PAIR, **change})
    assert result["failed"] and result["failure"]["code"] == code, result
    assert words.replace("pairs[0]", "pairs[1]") in result["msg"]
    assert cluster.writes == 0


def test_two_pairs_may_not_make_one_twin(cluster):
    assert run(cluster, PAIR, PAIR)["failure"]["code"] == "bad_option"


def test_pairs_or_copies_must_be_given(cluster):
    assert "pairs" in run_module(gateway_twin, {}, cluster)["msg"]
    assert run(cluster, copies=["a/b"])["failure"]["code"] == "bad_option"


def test_a_twin_of_another_source_is_refused(cluster):
    run(cluster)
    cluster.add(gateway("istio-system/other"))
    result = run(cluster, {**PAIR, "blue": "istio-system/other"})
    assert result["failure"]["code"] == "twin_of_other" and "istio-system/public" in result["msg"]


def test_a_namespace_that_does_not_exist_is_named():
    cluster = FakeCluster(gateway(servers=[server(8080, protocol="HTTP")]))
    for check in (True, False):
        result = run(cluster, check=check)
        assert result["failure"]["code"] == "namespace_missing" and "istio-gateway" in result["msg"]


def test_check_mode_can_take_it_for_made(cluster):
    nowhere = FakeCluster(gateway(servers=[server(8080, protocol="HTTP")]))
    result = run(nowhere, check=True, expect_namespaces=True)
    assert result["changed"] and [g["state"] for g in result["gateways"]] == ["created"] and nowhere.writes == 0
    assert run(nowhere, expect_namespaces=True)["failure"]["code"] == "namespace_missing"


def test_missing_permission_is_said(cluster):
    cluster.fail("GET", "*/secrets/public-cert", 403, "Forbidden", 'secrets "public-cert" is forbidden')
    result = run(cluster)
    assert result["failure"]["status"] == 403 and "not allowed" in result["msg"] and cluster.writes == 0


# -- Secrets -----------------------------------------------------------------------------------------------------------
def test_the_copy_has_type_and_data_and_says_what_it_is(cluster):
    cluster.edit("secrets", "istio-system", "public-cert", lambda s: s["metadata"].update(labels={"owner": "helm"}))
    run(cluster)
    source, made = cluster.peek("secrets", "istio-system", "public-cert"), cluster.peek(
        "secrets", "istio-gateway", "public-cert"
    )
    assert (made["type"], made["data"]) == (source["type"], source["data"])
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
    assert made["metadata"]["annotations"] == {
        "bluegreen.mesh/copy-of": "istio-system/public-cert",
        "bluegreen.mesh/source-uid": source["metadata"]["uid"],
        "bluegreen.mesh/source-version": source["metadata"]["resourceVersion"],
    }


def test_a_renewed_certificate_is_brought_along(cluster):
    run(cluster)
    cluster.edit("secrets", "istio-system", "public-cert", lambda s: s["data"].update({"tls.crt": "bmV3"}))
    assert states(run(cluster)) == (["unchanged"], ["updated"])
    assert cluster.peek("secrets", "istio-gateway", "public-cert")["data"]["tls.crt"] == "bmV3"
    cluster.edit("secrets", "istio-system", "public-cert", lambda s: s["metadata"].update(labels={"a": "b"}))
    assert not run(cluster)["changed"]


def test_a_secret_that_is_not_ours_is_never_overwritten(cluster):
    cluster.add(secret("istio-gateway/public-cert", {"tls.crt": "b3RoZXI=", "tls.key": KEY}))
    before = cluster.peek("secrets", "istio-gateway", "public-cert")
    result = run(cluster)
    assert result["failure"]["code"] == "secret_conflict"
    assert "istio-gateway/public-cert" in result["msg"] and "differs from it in data.tls.crt" in result["msg"]
    assert cluster.writes == 0
    assert states(run(cluster, certificates="require")) == (["created"], ["foreign"])
    assert cluster.peek("secrets", "istio-gateway", "public-cert") == before


def test_a_secret_with_the_same_content_is_fine(cluster):
    cluster.add(secret("istio-gateway/public-cert"))
    assert states(run(cluster)) == (["created"], ["foreign"])


@pytest.mark.parametrize("mode", ["copy", "require"])
def test_a_missing_secret_is_named_with_its_namespace(mode):
    cluster = FakeCluster(BLUE, secret("istio-gateway/unrelated"))
    result = run(cluster, certificates=mode)
    assert result["failure"]["code"] == "secret_missing"
    assert "istio-gateway/public-cert" in result["msg"] and result["failure"]["secrets"] == [
        "istio-gateway/public-cert"
    ]
    assert cluster.writes == 0


def test_require_copies_nothing(cluster):
    assert run(cluster, certificates="require")["failure"]["code"] == "secret_missing"
    assert cluster.writes == 0


def test_all_missing_secrets_are_named_at_once():
    servers = [server(8443, mode="SIMPLE", credentialName="a"), server(9443, mode="SIMPLE", credentialNames=["b", "c"])]
    cluster = FakeCluster(gateway(servers=servers), secret("istio-gateway/unrelated"))
    assert run(cluster)["failure"]["secrets"] == [f"istio-gateway/{name}" for name in "abc"]


def test_secrets_come_from_and_go_to_the_pods_namespaces():
    cluster = FakeCluster(
        gateway("apps/web", servers=[server(mode="SIMPLE", credentialName="c")]), secret("istio-system/c"),
        secret("istio-gateway/unrelated"),
    )  # fmt: skip
    pair = {"blue": "apps/web", "green": "apps/web-green", "selector": GREEN_LABELS}
    run(cluster, {**pair, "blue_workload_namespace": "istio-system", "green_workload_namespace": "istio-gateway"})
    assert cluster.names("secrets", "istio-gateway") == ["c", "unrelated"] and cluster.names("secrets", "apps") == []


def test_a_secret_that_is_optional_for_one_server_and_named_by_another_is_required():
    servers = [server(8443, mode="MUTUAL", credentialName="c"), server(9443, mode="SIMPLE", credentialName="c-cacert")]
    content = {"cert": "YQ==", "key": "YQ==", "cacert": "YQ=="}
    cluster = FakeCluster(
        gateway(servers=servers), secret("istio-system/c", content), secret("istio-gateway/unrelated")
    )
    second = {**PAIR, "blue": "istio-system/second", "green": "istio-gateway/second"}
    cluster.add(gateway("istio-system/second", servers=servers[1:]))
    for pairs in ([PAIR], [PAIR, second]):
        assert run(cluster, *pairs)["failure"]["secrets"] == ["istio-gateway/c-cacert"]


def test_two_sources_for_one_copy_are_refused(cluster):
    cluster.add(
        gateway("apps/web", servers=[server(mode="SIMPLE", credentialName="public-cert")]), secret("apps/public-cert")
    )
    second = {
        "blue": "apps/web",
        "green": "apps/web2",
        "selector": GREEN_LABELS,
        "green_workload_namespace": "istio-gateway",
    }
    result = run(cluster, PAIR, second)
    assert (
        result["failure"]["code"] == "secret_conflict" and "apps/public-cert" in result["msg"] and cluster.writes == 0
    )


@pytest.mark.parametrize(
    ("main", "extra", "ok"),
    [
        ({"tls.crt": "YQ==", "tls.key": "YQ==", "ca.crt": "YQ=="}, None, True),
        ({"tls.crt": "YQ==", "tls.key": "YQ=="}, {"ca.crt": "YQ=="}, True),
        ({"cert": "YQ==", "key": "YQ==", "cacert": "YQ=="}, None, True),
        ({"tls.crt": "YQ==", "tls.key": "YQ=="}, {"other": "YQ=="}, False),
        ({"tls.crt": "YQ==", "tls.key": "YQ=="}, None, False),
    ],
)
@pytest.mark.parametrize("mode", ["MUTUAL", "OPTIONAL_MUTUAL"])
def test_the_ca_of_mutual_tls_comes_along_or_is_missed(main, extra, ok, mode):
    cluster = FakeCluster(
        gateway(servers=[server(mode=mode, credentialName="c")]), secret("istio-system/c", main),
        secret("istio-gateway/unrelated"),
    )  # fmt: skip
    if extra:
        cluster.add(secret("istio-system/c-cacert", extra, "Opaque"))
    result = run(cluster)
    if ok:
        assert cluster.names("secrets", "istio-gateway") == ["c"] + (["c-cacert"] if extra else []) + ["unrelated"]
    else:
        assert result["failure"]["code"] == "secret_missing" and "c-cacert" in result["msg"] and cluster.writes == 0


@pytest.mark.parametrize(
    ("tls", "names"),
    [
        ({"mode": "SIMPLE", "credentialName": "a"}, ["a"]),
        ({"mode": "SIMPLE", "credentialName": "kubernetes://a"}, ["a"]),
        ({"mode": "SIMPLE", "credentialName": "kubernetes-gateway://ns/a"}, []),
        ({"mode": "SIMPLE", "credentialName": "builtin://"}, []),
        ({"mode": "MUTUAL", "credentialName": "a", "caCertCredentialName": "configmap://ns/ca"}, ["a", "a-cacert"]),
        ({"mode": "MUTUAL", "credentialName": "a", "caCertCredentialName": "ca"}, ["a", "a-cacert", "ca", "ca-cacert"]),
        ({"mode": "PASSTHROUGH"}, []),
        ({"mode": "ISTIO_MUTUAL", "credentialName": "a"}, []),
        ({"credentialName": "a"}, []),  # no mode is PASSTHROUGH
        ({"httpsRedirect": True}, []),
    ],
)
def test_credentials(tls, names):
    assert [c.name for c in _twin.credentials({"servers": [server(**tls)]})] == names


# -- conflicts ---------------------------------------------------------------------------------------------------------
def test_a_change_under_its_hands_is_followed(cluster):
    run(cluster)
    cluster.edit("gateways", "istio-system", "public", lambda g: g["spec"]["servers"].pop())

    def meanwhile(_request):
        cluster.edit(*GREEN, lambda g: g["metadata"]["labels"].update(touched="yes"))

    cluster.on("PUT", "*/gateways/public-ingressgateway", meanwhile, times=1)
    result = run(cluster)
    assert result["changed"] and states(result)[0] == ["updated"]
    twin = cluster.peek(*GREEN)
    assert len(twin["spec"]["servers"]) == 1 and twin["metadata"]["labels"]["touched"] == "yes"


def test_endless_conflicts_are_refused_with_the_objects_name(cluster):
    run(cluster)
    cluster.edit("gateways", "istio-system", "public", lambda g: g["spec"]["servers"].pop())
    cluster.fail("PUT", "*/gateways/*", 409, "Conflict")
    result = run(cluster)
    assert result["failure"]["code"] == "conflict" and "istio-gateway/public-ingressgateway" in result["msg"]


# -- absent ------------------------------------------------------------------------------------------------------------
def pod(namespace, name, labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels}}


def test_absent_removes_what_it_made_and_nothing_else(cluster):
    run(cluster)
    checked = run(cluster, state="absent", check=True)
    assert cluster.peek(*GREEN)
    result = run(cluster, state="absent")
    assert result == checked and states(result) == (["removed"], ["removed"])
    assert cluster.names("secrets") == ["public-cert", "unrelated"] and cluster.names("gateways") == ["public"]
    assert not run(cluster, state="absent")["changed"]


def test_absent_leaves_foreign_gateways_and_secrets(cluster):
    cluster.add(gateway("istio-gateway/public-ingressgateway", GREEN_LABELS), secret("istio-gateway/public-cert"))
    result = run(cluster, state="absent")
    assert not result["changed"] and states(result) == (["foreign"], [])
    assert cluster.names("secrets", "istio-gateway") == ["public-cert", "unrelated"]


def test_a_copy_that_greens_pods_need_for_another_gateway_stays(cluster):
    run(cluster)
    cluster.add(
        pod("istio-gateway", "p", {**GREEN_LABELS, "x": "y"}),
        gateway("apps/other", GREEN_LABELS, [server(mode="SIMPLE", credentialName="public-cert")]),
    )
    assert states(run(cluster, state="absent")) == (["removed"], ["in_use"])
    assert "public-cert" in cluster.names("secrets", "istio-gateway")


# -- journal -----------------------------------------------------------------------------------------------------------
JOURNAL = {"namespace": "bluegreen-mesh", "name": "m", "epoch": 1, "phase": "deploy"}


def opened(cluster):
    result = run_module(
        migration_journal, {"namespace": "bluegreen-mesh", "name": "m", "state": "open", "operator": "o"}, cluster
    )
    assert not result.get("failed"), result
    return {**JOURNAL, "epoch": result["epoch"]}


def journal_steps(cluster):
    return State.parse(cluster.peek("configmaps", "bluegreen-mesh", "m")["data"]).steps


def objects(cluster):
    return {
        (plural, namespace, name): {k: v for k, v in cluster.peek(plural, namespace, name).items() if k != "metadata"}
        for plural in ("gateways", "secrets")
        for namespace in ("istio-system", "istio-gateway")
        for name in cluster.names(plural, namespace)
    }


def undo(cluster, steps):
    for step in reversed(steps):
        assert step["inverse"]["module"] == "gateway_twin" and step["state"] == "done"
        result = run_module(gateway_twin, step["inverse"]["params"], cluster)
        assert not result.get("failed"), result


def test_the_inverse_of_making_twins(cluster):
    before = objects(cluster)
    run(cluster, journal=opened(cluster))
    assert [s["op"] for s in journal_steps(cluster)] == ["twin_secret", "twin_gateway"]
    assert KEY not in json.dumps(journal_steps(cluster))
    undo(cluster, journal_steps(cluster))
    assert objects(cluster) == before


def test_the_inverse_of_changing_and_of_removing_a_twin(cluster):
    run(cluster)
    before = objects(cluster)
    journal = opened(cluster)
    run(cluster, {**PAIR, "ports": {"8443": 443}}, journal=journal)
    undo(cluster, journal_steps(cluster))
    assert objects(cluster) == before
    run(cluster, state="absent", journal={**journal, "phase": "cleanup"})
    assert objects(cluster) != before
    undo(cluster, [s for s in journal_steps(cluster) if s["phase"] == "cleanup"])
    assert objects(cluster) == before


def test_the_journal_is_written_before_the_act_and_not_for_nothing(cluster):
    journal = opened(cluster)
    cluster.log.clear()
    run(cluster, journal=journal)
    writes = [r.path.split("/")[-2:] for r in cluster.log if r.method not in ("GET",)]
    assert writes[0] == ["configmaps", "m"]
    count = len(journal_steps(cluster))
    run(cluster, journal=journal)
    run(cluster, {**PAIR, "ports": {"8443": 443}}, journal=journal, check=True)
    assert len(journal_steps(cluster)) == count


def test_an_older_run_is_stopped(cluster):
    journal = opened(cluster)
    run_module(
        migration_journal,
        {"namespace": "bluegreen-mesh", "name": "m", "state": "open", "operator": "p", "takeover": True}, cluster,
    )  # fmt: skip
    writes = cluster.writes
    result = run(cluster, journal=journal)
    assert result["failure"]["code"] == "stale_epoch" and cluster.writes == writes
