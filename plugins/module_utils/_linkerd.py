# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linkerd's charts: their values, the certificates that all identities stand on, and what is needed of the Gateway API.
Pure, but for the making of keys.

The charts (linkerd-crds, linkerd-control-plane) take certificates as values, which Helm keeps with the release and
shows to whoever may read it. Here they are objects beside the release: a ConfigMap with the trust anchors and a Secret
with the issuer, as the chart takes them with identity.externalCA and the scheme kubernetes.io/tls (linkerd2,
charts/linkerd-control-plane). So no key is in values, on a command line or in Helm's records.
"""

from __future__ import annotations

import base64
import datetime
import re
import typing as t

from ._inventory import ERROR, WARNING, Finding
from ._module import Refusal
from ._objects import Object, annotations_of, ref_of

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    IMPORT_ERROR = None
except ImportError:  # told by the module
    import traceback

    IMPORT_ERROR = traceback.format_exc()

ANCHORS, ISSUER = "linkerd-identity-trust-roots", "linkerd-identity-issuer"
PART = "linkerd"
CODES = ("linkerd_gateway_api", "linkerd_gateway_api_owner", "linkerd_version")
LEAST = (1, 1, 1)  # of the Gateway API, for Linkerd 2.18 and later (linkerd.io, features/gateway-api)
NEEDED = {"httproutes": "v1", "grpcroutes": "v1"}
BUNDLE = "gateway.networking.k8s.io/bundle-version"
EDGE = re.compile(r"edge-\d\d\.\d{1,2}\.\d{1,2}|\d{4}\.\d{1,2}\.\d{1,2}")


# -- certificates ----------------------------------------------------------------------------------------------------
class Made(t.NamedTuple):
    """PEM. anchor_key: of the trust anchor, to be kept off the cluster; None where the anchor was given."""

    anchor: str
    anchor_key: str | None
    issuer: str
    issuer_key: str


def make(
    domain: str, anchor_days: int, issuer_days: int, now: datetime.datetime | None = None, anchor_key: str = ""
) -> Made:
    """A trust anchor and an issuer of it. domain: the trust domain. ECDSA P-256, as Linkerd wants both. anchor_key: the
    anchor's key, in PEM, where there is one. Raises Refusal bad_certificate for one of another kind."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    root_key = _loaded(anchor_key) if anchor_key else ec.generate_private_key(ec.SECP256R1())
    issuer_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name(f"root.linkerd.{domain}")
    root = _sign(root_name, root_name, root_key.public_key(), root_key, now, anchor_days, None)
    issuer = _sign(
        _name(f"identity.linkerd.{domain}"), root_name, issuer_key.public_key(), root_key, now, issuer_days, 0
    )
    return Made(_pem(root), None if anchor_key else _key(root_key), _pem(issuer), _key(issuer_key))


def _loaded(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refusal("bad_certificate", "The trust anchor's key is no ECDSA P-256 key in PEM without a password.")
    return key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public: t.Any,
    key: t.Any,
    now: datetime.datetime,
    days: int,
    path: int | None,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(str(common))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key(key: t.Any) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def check(made: Made, domain: str, least_days: int, now: datetime.datetime | None = None) -> list[str]:
    """Raises Refusal bad_certificate for what Linkerd would not start with; returns what will be a matter soon. domain:
    the trust domain."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    try:
        anchors = x509.load_pem_x509_certificates(made.anchor.encode())
        issuer = x509.load_pem_x509_certificate(made.issuer.encode())
        key = serialization.load_pem_private_key(made.issuer_key.encode(), None)
    except (ValueError, TypeError) as exc:
        raise Refusal(
            "bad_certificate", "The trust anchor, the issuer or its key is no PEM that can be read without a password."
        ) from exc
    if key.public_key() != issuer.public_key():
        raise Refusal("bad_certificate", "The issuer's key is not that of its certificate.")
    if not isinstance(issuer.public_key(), ec.EllipticCurvePublicKey):
        raise Refusal("bad_certificate", "The issuer's key is no ECDSA key, which Linkerd wants (P-256).")
    above = [a for a in anchors if _signed(issuer, a)]
    if not above:
        raise Refusal("bad_certificate", "The issuer is signed by none of the trust anchors.")
    constraints = [e.value for e in issuer.extensions if isinstance(e.value, x509.BasicConstraints)]
    if not constraints or not constraints[0].ca:
        raise Refusal("bad_certificate", "The issuer's certificate is not one of a CA (basic constraints).")
    common = issuer.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    expected = f"identity.linkerd.{domain}"
    if not common or common[0].value != expected:
        found = common[0].value if common else "none"
        raise Refusal("bad_certificate", f"The issuer's common name is {found}; Linkerd expects {expected}.")
    soon = []
    for title, certificate in (("trust anchor", above[0]), ("issuer", issuer)):
        left = (certificate.not_valid_after_utc - now).days
        if left < 0:
            raise Refusal("bad_certificate", f"The {title} has expired.")
        if left < least_days:
            soon.append(f"the {title} expires in {left} days")
    return soon


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except Exception:  # of several kinds, of which all mean no
        return False
    return True


def anchored(issuer: str, anchors: str) -> bool:
    """Whether an issuer's certificate is signed by one of a bundle of anchors; both in PEM that check() lets pass."""
    certificate = x509.load_pem_x509_certificate(issuer.encode())
    return any(_signed(certificate, anchor) for anchor in x509.load_pem_x509_certificates(anchors.encode()))


def objects(made: Made, namespace: str) -> list[Object]:
    """The ConfigMap and the Secret that the chart takes."""
    secret = {"ca.crt": made.anchor, "tls.crt": made.issuer, "tls.key": made.issuer_key}
    return [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": ANCHORS},
            "data": {"ca-bundle.crt": made.anchor},
        },
        {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": namespace, "name": ISSUER},
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in secret.items()},
        },
    ]  # fmt: skip


# -- values ----------------------------------------------------------------------------------------------------------
def values(
    domain: str, cluster_networks: t.Sequence[str], high_availability: bool, inbound: str, install_gateway_api: bool,
    more: Object,
) -> dict[str, Object]:  # fmt: skip
    """By chart. more: the user's own for the control plane, which come last, but for the certificates."""
    own: Object = {
        "identityTrustDomain": domain,
        "proxy": {"defaultInboundPolicy": inbound},
    }
    if cluster_networks:
        own["clusterNetworks"] = ",".join(cluster_networks)
    if high_availability:
        own |= {"controllerReplicas": 3, "enablePodAntiAffinity": True, "enablePodDisruptionBudget": True}
        own["webhookFailurePolicy"] = "Fail"
    merged = combined(own, more)
    certificates = {"externalCA": True, "issuer": {"scheme": "kubernetes.io/tls"}}
    given = (merged.get("identity") or {}).get("issuer") or {}
    if merged.get("identityTrustAnchorsPEM") or (given.get("tls") or {}).get("keyPEM"):
        raise Refusal(
            "bad_option",
            "values: certificates are given to linkerd_certificates, not as values, which Helm would keep and show.",
        )
    return {
        "linkerd-crds": {"installGatewayAPI": install_gateway_api},
        "linkerd-control-plane": combined(merged, {"identity": certificates}),
    }


def combined(first: Object, second: Object) -> Object:
    """Maps into each other, the second wins."""
    found = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = combined(found[key], value) if both else value
    return found


# -- the Gateway API -------------------------------------------------------------------------------------------------
def gateway_api(crds: t.Sequence[Object], release: str) -> tuple[bool, list[Finding]]:
    """(whether the chart shall install it, findings). crds: of the cluster. release: the Helm release of
    linkerd-crds."""
    own = [c for c in crds if (c.get("spec") or {}).get("group") == "gateway.networking.k8s.io"]
    if not own:
        return True, []
    by_us = [c for c in own if annotations_of(c).get("meta.helm.sh/release-name") == release]
    if len(by_us) == len(own):
        return True, []
    findings = []
    for item in by_us:
        findings.append(
            Finding(
                "linkerd_gateway_api_owner", ERROR, f"CustomResourceDefinition {ref_of(item)[1]}", "metadata.annotations",
                "it is the release's, and others of the group are not",
                "Two would keep them. Take all from one source, and give them to it.",
            )
        )  # fmt: skip
    by_name = {(c["spec"].get("names") or {}).get("plural"): c for c in own}
    for plural, version in NEEDED.items():
        item = by_name.get(plural)
        served = [v["name"] for v in ((item or {}).get("spec") or {}).get("versions") or () if v.get("served")]
        name = f"CustomResourceDefinition {plural}.gateway.networking.k8s.io"
        if version not in served:
            text = (
                f"it serves {', '.join(served) or 'nothing'}, and Linkerd asks for {version}"
                if item
                else "it is not there, and others of its group are"
            )
            findings.append(
                Finding(
                    "linkerd_gateway_api", ERROR, name, "spec.versions", text,
                    "Bring the Gateway API to 1.1.1 or later, at whoever has installed it; see first that they can"
                    " live with it.",
                )
            )  # fmt: skip
            continue
        bundle = annotations_of(item).get(BUNDLE, "")
        if _version(bundle) < LEAST:
            findings.append(
                Finding(
                    "linkerd_gateway_api", ERROR if bundle else WARNING, name, f"metadata.annotations.{BUNDLE}",
                    f"it is of {bundle or 'no known version'}; expected 1.1.1 or later",
                    "Bring it up to date at whoever has installed it.",
                )
            )  # fmt: skip
    return False, findings


def _version(text: str) -> tuple[int, ...]:
    """v1.2.1-dev -> (1, 2, 1)."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(n) for n in numbers.groups()) if numbers else (0,)


def pinned(version: str) -> list[Finding]:
    """Linkerd's open builds are edge releases alone, and the newest changes every week: so one is named."""
    if EDGE.fullmatch(version):
        return []
    return [
        Finding(
            "linkerd_version", ERROR, "chart linkerd-control-plane", "version", f"found {version or 'none'}",
            "Pin an edge release by its chart's version, such as 2026.3.2, and use the same for linkerd-crds.",
        )
    ]  # fmt: skip
