# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cert-manager's Certificates: green's own, made from blue's, so that its Secrets are renewed where they are read.

Rules of cert-manager that are encoded here (its API reference, cert-manager.io/v1):

- A Certificate writes the Secret spec.secretName of its own namespace, and notes its name there.
- An Issuer serves its own namespace, a ClusterIssuer all; issuers of other groups are not known here.
- It is issued when its condition Ready is True for its present generation. Its Secret stays when it is deleted.
"""

from __future__ import annotations

import copy
import time
import typing as t

from ._client import ApiError, Cluster, path_of
from ._module import Refusal
from ._objects import annotations_of, ref_of

API = "cert-manager.io/v1"
GROUP = "cert-manager.io"
WRITTEN_BY = "cert-manager.io/certificate-name"  # annotation of a Secret
# Not for a gateway: what other controllers would do with the Secret, and key stores, whose passwords are blue's.
LEFT_OUT = ("secretTemplate", "keystores")
POLL = 1.0  # seconds between two looks
Ref = tuple[str, str]  # namespace, name
Object = dict[str, t.Any]


def path(ref: Ref) -> str:
    return path_of(API, "certificates", *ref)


def read(cluster: Cluster, namespaces: t.Iterable[str]) -> dict[Ref, Object]:
    """The Certificate that writes a Secret, by (namespace, Secret), in these namespaces; none without cert-manager."""
    found: dict[Ref, Object] = {}
    for namespace in sorted(set(namespaces)):
        try:
            items = cluster.list(path_of(API, "certificates", namespace))
        except ApiError as exc:
            if exc.status != 404:
                raise
            return {}
        for item in items:
            found.setdefault((namespace, (item.get("spec") or {}).get("secretName", "")), item)
    return found


def twin_spec(blue: Object) -> Object:
    return {key: copy.deepcopy(value) for key, value in (blue.get("spec") or {}).items() if key not in LEFT_OUT}


def issuer_to_look_for(certificate: Object, namespace: str) -> Ref | None:
    """The Issuer that has to be in green's namespace, or None where the issuer serves all namespaces or is another's."""
    issuer = (certificate.get("spec") or {}).get("issuerRef") or {}
    if (issuer.get("group") or GROUP) != GROUP or (issuer.get("kind") or "Issuer") != "Issuer":
        return None
    return namespace, issuer.get("name", "")


def refuse_without_issuer(cluster: Cluster, certificate: Object, namespace: str) -> None:
    """Raises Refusal(issuer_missing)."""
    issuer = issuer_to_look_for(certificate, namespace)
    if issuer and issuer[0] != ref_of(certificate)[0] and cluster.find(path_of(API, "issuers", *issuer)) is None:
        raise Refusal(
            "issuer_missing",
            f"Certificate {'/'.join(ref_of(certificate))} spec.issuerRef is the Issuer {issuer[1]}, which serves its own"
            f" namespace only, and {namespace} has none of that name. Make one there, or let a ClusterIssuer issue it;"
            " or set certificates: copy.",
            issuer="/".join(issuer),
        )


def ready(certificate: Object) -> tuple[bool, str]:
    """(whether it is issued as it now reads, cert-manager's words)."""
    for condition in (certificate.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready":
            generation = certificate["metadata"].get("generation", 0)
            if condition.get("observedGeneration", generation) < generation:
                return False, f"not looked at since generation {generation}"
            words = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
            return condition.get("status") == "True", words
    return False, "cert-manager has not said anything about it"


def await_ready(cluster: Cluster, refs: t.Sequence[Ref], timeout: float) -> None:
    """Returns once all are issued. Raises Refusal(certificate_not_ready)."""
    deadline = time.monotonic() + timeout
    while True:
        waiting = {}
        for ref in refs:
            found = cluster.find(path(ref))
            issued, words = ready(found) if found else (False, "it is gone")
            if not issued:
                waiting["/".join(ref)] = words
        if not waiting:
            return
        if time.monotonic() >= deadline:
            said = "; ".join(f"{name}: {words}" for name, words in waiting.items())
            raise Refusal(
                "certificate_not_ready",
                f"After {timeout:g} s cert-manager has not issued Certificate {said}. Gateways that name their Secrets"
                " were not written. Look at the CertificateRequest and Order in its namespace, and run this again.",
                certificates=list(waiting),
            )
        time.sleep(POLL)


def written_by(secret: Object) -> str:
    """The Certificate that writes a Secret, by name; '' for none."""
    return annotations_of(secret).get(WRITTEN_BY) or ""
