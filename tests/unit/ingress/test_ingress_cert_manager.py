# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_ingresses import codes, convert, ingress, made, only, status

ISSUER = {"cert-manager.io/cluster-issuer": "acme"}
HERE = {"metadata": {"namespace": "team", "name": "cert"}, "spec": {"secretName": "cert"}}


def test_a_certificate_of_its_own_where_the_gateways_pods_read_it():
    notes = {
        **ISSUER,
        "cert-manager.io/duration": "2160h",
        "cert-manager.io/private-key-size": "4096",
        "cert-manager.io/usages": "server auth, client auth",
    }
    result = convert(ingress(notes=notes, tls="cert"), certificates=[HERE], secrets={("team", "cert")})
    certificate = only(result, "Certificate")
    assert certificate["metadata"]["namespace"] == "edge" and certificate["spec"] == {
        "secretName": "team-cert", "dnsNames": ["shop.example.com"], "duration": "2160h", "privateKey": {"size": 4096},
        "usages": ["server auth", "client auth"],
        "issuerRef": {"name": "acme", "kind": "ClusterIssuer", "group": "cert-manager.io"},
    }  # fmt: skip
    assert only(result, "Gateway")["spec"]["servers"][1]["tls"]["credentialName"] == "team-cert"
    assert result.secrets == [
        {
            "source": "team/cert",
            "target": "edge/team-cert",
            "by": "certificate",
            "gateway": "edge/public",
            "hosts": ["shop.example.com"],
            "exists": False,
        }
    ]
    assert {status(result, name) for name in notes} == {"translated"}
    assert not {"secret_elsewhere", "certificate_elsewhere"} & codes(result)


def test_an_issuer_of_one_namespace_can_not_make_one_elsewhere():
    result = convert(
        ingress(notes={"cert-manager.io/issuer": "mine"}, tls="cert"), certificates=[HERE], secrets={("team", "cert")}
    )
    assert not made(result, "Certificate") and status(result, "cert-manager.io/issuer") == "not_translated"
    assert {"secret_elsewhere", "certificate_elsewhere"} <= codes(result) and result.secrets[0]["by"] == "copy"
    other = convert(
        ingress(
            notes={
                "cert-manager.io/issuer": "x",
                "cert-manager.io/issuer-kind": "AWSPCAClusterIssuer",
                "cert-manager.io/issuer-group": "g",
            },
            tls="cert",
        )
    )
    assert only(other, "Certificate")["spec"]["issuerRef"] == {"name": "x", "kind": "AWSPCAClusterIssuer", "group": "g"}


def test_beside_the_gateways_pods_there_is_nothing_of_its_own_to_make():
    here = {"metadata": {"namespace": "edge", "name": "cert"}, "spec": {"secretName": "cert"}}
    for name in ISSUER, {"cert-manager.io/issuer": "mine"}:
        result = convert(
            ingress(namespace="edge", notes=name, tls="cert"), certificates=[here], secrets={("edge", "cert")}
        )
        assert not made(result, "Certificate") and codes(result) == set()
        assert {status(result, one) for one in name} == {"not_needed"}


def test_a_solver_of_the_old_class_is_named():
    name = "acme.cert-manager.io/http01-ingress-class"
    assert status(convert(ingress(notes={**ISSUER, name: "nginx"}, tls="cert")), name) == "not_translated"


def test_without_tls_it_means_nothing():
    result = convert(ingress(notes=ISSUER))
    assert status(result, "cert-manager.io/cluster-issuer") == "not_needed" and not made(result, "Certificate")


def test_the_default_issuer_is_not_known():
    result = convert(ingress(notes={"kubernetes.io/tls-acme": "true"}, tls="cert"))
    assert status(result, "kubernetes.io/tls-acme") == "not_translated"
