# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linkerd by its charts: certificates beside the release and never shown, values without keys, and the Gateway API."""

from __future__ import annotations

import datetime
import json
import stat

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _linkerd
from ansible_collections.bluegreen.mesh.plugins.module_utils._module import Refusal
from ansible_collections.bluegreen.mesh.plugins.modules import linkerd_certificates, linkerd_values_info
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fake_cluster import FakeCluster, run_module
from fake_ingress import journal, namespace, thing


def run(fake, check=False, **options):
    return run_module(linkerd_certificates, options, fake, check=check)


def cluster():
    return FakeCluster(namespace("linkerd"))


def issuer_of(fake):
    return fake.peek("secrets", "linkerd", "linkerd-identity-issuer")["data"]


# -- certificates ------------------------------------------------------------------------------------------------------
def test_what_is_made_is_what_linkerd_takes():
    made = _linkerd.make("cluster.local", 3650, 365)
    anchor, issuer = (x509.load_pem_x509_certificate(text.encode()) for text in (made.anchor, made.issuer))
    issuer.verify_directly_issued_by(anchor)
    assert issuer.subject.rfc4514_string() == "CN=identity.linkerd.cluster.local"
    constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca and constraints.path_length == 0
    assert issuer.public_key().curve.name == anchor.public_key().curve.name == "secp256r1"
    assert _linkerd.check(made, "cluster.local", 60) == []


def test_they_are_objects_beside_the_release_and_the_anchors_key_is_a_file_of_its_own(tmp_path):
    fake = cluster()
    key = tmp_path / "anchor.key"
    predicted = run(fake, check=True, anchor_key_file=str(key))
    assert predicted["changed"] and fake.writes == 0 and not key.exists()
    assert run(fake, check=True, anchor_key_file=str(key))["diff"] == predicted["diff"], "a plan is the same each time"
    done = run(fake, anchor_key_file=str(key), journal=journal(fake, run_module, "deploy"))
    assert done["changed"] and stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = fake.peek("secrets", "linkerd", "linkerd-identity-issuer")
    assert secret["type"] == "kubernetes.io/tls" and sorted(secret["data"]) == ["ca.crt", "tls.crt", "tls.key"]
    assert fake.peek("configmaps", "linkerd", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"].startswith(
        "-----BEGIN"
    )
    everything = json.dumps(done) + json.dumps(fake.peek("configmaps", "journals", "m"))
    assert "PRIVATE KEY" not in everything and secret["data"]["tls.key"] not in everything
    assert key.read_text(encoding="ascii") not in json.dumps(list(fake._store.values()))
    # A run that was killed before the cluster had them, or was rolled back, has left the key.
    kept, fake_anew = key.read_bytes(), cluster()
    assert run(fake_anew, anchor_key_file=str(key))["changed"] and key.read_bytes() == kept
    bundle = fake_anew.peek("configmaps", "linkerd", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"]
    loaded = serialization.load_pem_private_key(kept, None)
    assert x509.load_pem_x509_certificate(bundle.encode()).public_key() == loaded.public_key()
    again = run(fake, anchor_key_file=str(tmp_path / "other.key"))
    assert again["changed"] is False and not (tmp_path / "other.key").exists()


def files(tmp_path, made, prefix=""):
    given = {"anchor_file": made.anchor, "issuer_file": made.issuer, "issuer_key_file": made.issuer_key}
    for name, text in given.items():
        (tmp_path / f"{prefix}{name}").write_text(text, encoding="ascii")
    return {name: str(tmp_path / f"{prefix}{name}") for name in given}


def test_ones_own_are_taken_if_they_fit_together(tmp_path):
    one, other = _linkerd.make("cluster.local", 10, 5), _linkerd.make("cluster.local", 10, 5)
    fake = cluster()
    mixed = one._replace(issuer=other.issuer, issuer_key=other.issuer_key)
    assert run(fake, **files(tmp_path, mixed))["failure"]["code"] == "bad_certificate" and fake.writes == 0
    done = run(fake, **files(tmp_path, one))
    assert done["changed"] and [text.split(" expires")[0] for text in done["expiring"]] == [
        "the trust anchor",
        "the issuer",
    ]
    assert run(fake, **files(tmp_path, one))["changed"] is False


def test_a_trust_anchor_is_never_lost(tmp_path):
    one, other = _linkerd.make("cluster.local", 100, 90), _linkerd.make("cluster.local", 100, 90)
    fake = cluster()
    run(fake, **files(tmp_path, one))
    before = issuer_of(fake)
    assert run(fake, **files(tmp_path, other))["failure"]["code"] == "anchor_lost" and issuer_of(fake) == before
    both = other._replace(anchor=one.anchor + other.anchor)
    assert run(fake, **files(tmp_path, both))["changed"] and issuer_of(fake) != before
    assert run(fake, **files(tmp_path, other))["changed"], "nothing is signed by the old one any more"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer_key": "nonsense"}, "no PEM"), ({"issuer_key": "other"}, "key is not that"), ({"issuer": "anchor"}, "key is not"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change, words):
    made, other = _linkerd.make("a.test", 10, 10), _linkerd.make("a.test", 10, 10)
    ((field, value),) = change.items()
    text = {"other": other.issuer_key, "anchor": made.anchor}.get(value, value)
    with pytest.raises(Refusal, match=words) as caught:
        _linkerd.check(made._replace(**{field: text}), "a.test", 1)
    assert "PRIVATE" not in str(caught.value)


def test_a_wrong_domain_and_an_expired_one_are_refused():
    made = _linkerd.make("a.test", 10, 10)
    with pytest.raises(Refusal, match="identity.linkerd.b.test"):
        _linkerd.check(made, "b.test", 1)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=11)
    with pytest.raises(Refusal, match="expired"):
        _linkerd.check(made, "a.test", 1, later)


def test_bad_options_write_nothing(tmp_path):
    fake = cluster()
    assert run(fake)["failure"]["code"] == "bad_option"
    taken = tmp_path / "taken.key"
    taken.write_text("mine", encoding="ascii")
    assert (
        run(fake, anchor_key_file=str(taken))["failure"]["code"] == "bad_certificate"
        and taken.read_text(encoding="ascii") == "mine"
    )
    assert run(FakeCluster(), anchor_key_file=str(tmp_path / "k"))["failure"]["code"] == "no_such_namespace"
    fake.add(thing("v1", "ConfigMap", "linkerd/linkerd-identity-trust-roots", data={"ca-bundle.crt": "x"}))
    assert run(fake, anchor_key_file=str(tmp_path / "k"))["failure"]["code"] == "half_there" and fake.writes == 0


# -- values and the Gateway API ----------------------------------------------------------------------------------------
def crd(plural, versions=("v1",), bundle="v1.2.1", release=""):
    said = {"gateway.networking.k8s.io/bundle-version": bundle} if bundle else {}
    said |= {"meta.helm.sh/release-name": release} if release else {}
    spec = {
        "group": "gateway.networking.k8s.io",
        "names": {"plural": plural},
        "versions": [{"name": v, "served": True} for v in versions],
    }
    return thing(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"{plural}.gateway.networking.k8s.io",
        spec,
        annotations=said,
    )


def values(*crds, **options):
    return run_module(linkerd_values_info, {"version": "2026.3.2", **options}, FakeCluster(*crds))


def test_values_have_no_key_and_take_the_certificates_that_are_there():
    done = values(values={"proxy": {"logLevel": "debug"}}, cluster_networks=["10.0.0.0/8"])
    own = done["values"]["linkerd-control-plane"]
    assert own["identity"] == {"externalCA": True, "issuer": {"scheme": "kubernetes.io/tls"}}
    assert own["proxy"] == {"defaultInboundPolicy": "all-unauthenticated", "logLevel": "debug"}
    assert own["clusterNetworks"] == "10.0.0.0/8" and own["controllerReplicas"] == 3 and done["errors"] == []
    given = {"identity": {"issuer": {"tls": {"keyPEM": "x"}}}}
    assert values(values=given)["failure"]["code"] == "bad_option"


@pytest.mark.parametrize("version", ["", "stable", "latest", "2026.x"])
def test_the_version_is_pinned(version):
    assert [f["code"] for f in values(version=version)["errors"]] == ["linkerd_version"]
    assert values(version="edge-26.3.2")["errors"] == []


@pytest.mark.parametrize(
    ("crds", "install", "codes"),
    [
        ([], True, []),
        ([crd("httproutes"), crd("grpcroutes")], False, []),
        ([crd("httproutes", release="linkerd-crds"), crd("grpcroutes", release="linkerd-crds")], True, []),
        ([crd("httproutes", ("v1beta1",)), crd("grpcroutes")], False, ["linkerd_gateway_api"]),
        ([crd("httproutes")], False, ["linkerd_gateway_api"]),
        ([crd("httproutes", bundle="v1.0.0"), crd("grpcroutes")], False, ["linkerd_gateway_api"]),
        ([crd("httproutes", release="linkerd-crds"), crd("grpcroutes")], False, ["linkerd_gateway_api_owner"]),
    ],
)  # fmt: skip
def test_the_gateway_api_has_one_owner_and_a_version_that_fits(crds, install, codes):
    done = values(*crds)
    assert (
        done["values"]["linkerd-crds"] == {"installGatewayAPI": install}
        and [f["code"] for f in done["errors"]] == codes
    )
