# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority of the lab's own, the gateway's certificate, and that of the passthrough backends."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A wildcard covers one label (RFC 6125, 6.4.3), so each level has a name of its own.
LEAVES = {
    "public": ("*.lab.test", "*.wild.lab.test"),
    "passthrough": ("*.pass.lab.test",),
    # The corpus, too: Traefik presents a certificate of its own, another in each pod, for a name that none has.
    "ingress": ("*.ingress.test", "*.corpus.test", "*.tls-wild.corpus.test"),
}
LIFETIME = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=7)


@dataclass(frozen=True)
class Certificates:
    """Where the files are: PEM; NAME.crt is the leaf followed by the CA, NAME.key is PKCS #8 with mode 0600."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def crt(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def ensure(folder: Path) -> Certificates:
    """The certificates in folder; made there when one is missing, about to expire, or of other names or another CA.

    A later load thus keeps what clients already trust. All are replaced together: a leaf never outlives its CA.
    """
    files = Certificates(folder)
    if not _usable(files):
        folder.mkdir(parents=True, exist_ok=True)
        _make(files)
    return files


def _usable(files: Certificates) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        for name, hosts in LEAVES.items():
            leaf = x509.load_pem_x509_certificate(files.crt(name).read_bytes())
            key = serialization.load_pem_private_key(files.key(name).read_bytes(), password=None)
            leaf.verify_directly_issued_by(ca)
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if tuple(names.get_values_for_type(x509.DNSName)) != hosts or key.public_key() != leaf.public_key():
                return False
            if leaf.not_valid_after_utc - dt.datetime.now(dt.timezone.utc) < RENEW_BEFORE:
                return False
    except Exception:  # whatever is wrong with files that we made ourselves, new ones are the answer
        return False
    return True


def _make(files: Certificates) -> None:
    begin = dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=5)  # a client's clock may be behind
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bluegreen.mesh lab CA")])
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = (
        _builder(issuer, issuer, ca_key.public_key(), ca_key.public_key(), begin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    for name, hosts in LEAVES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        leaf = (
            _builder(subject, issuer, key.public_key(), ca_key.public_key(), begin)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        _write(files.key(name), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
        _write(files.crt(name), _pem(leaf) + _pem(ca), mode=0o644)
    _write(files.ca, _pem(ca), mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey,
    begin: dt.datetime,
) -> x509.CertificateBuilder:  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(**on: bool) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: on.get(name, False) for name in every})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=mode)
    path.write_bytes(data)
