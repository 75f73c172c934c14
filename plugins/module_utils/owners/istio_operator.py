# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An IstioOperator: its finalizer, and each reconciliation, prune by labels what it once rendered.

So the labels that name it come off (operator 1.23, pkg/helmreconciler/prune.go), and the operator is frozen first: it
would put them on again. It prunes Deployments, Services, ConfigMaps, Secrets, accounts, roles, webhooks and the like,
never Gateways. An IstioOperator that is deleted while its operator is frozen waits for its finalizer.

What would start the operator again is held still with it: its own HelmRelease where that corrects drift, the
Kustomization that applies it. (An Application that heals itself is only warned of.)
"""

from __future__ import annotations

import re
import time
import typing as t

from .._client import Cluster, path_of
from .._frozen import Freeze
from .._keep_target import Claim, Target
from .._helm_storage import RELEASE_NAME, Record
from .._look import Look
from .._module import Refusal
from .._objects import OPERATOR as OWNER
from .._objects import label_query, ref_of
from .._resources import Ref
from . import argo_cd, flux_helm_release

NAME = "istio_operator"
OWNER_NAMESPACE = f"{OWNER}-namespace"
VERSIONS = ("install.istio.io/v1alpha1",)
REPLICAS = ("spec", "replicas")
FINALIZER = "istio-finalizer.install.istio.io"
# By the label that the operator gives: the list in spec.components, and what a profile has in it unasked.
COMPONENT = "operator.istio.io/component"
GATEWAYS = {
    "IngressGateways": ("ingressGateways", "istio-ingressgateway"),
    "EgressGateways": ("egressGateways", "istio-egressgateway"),
}  # fmt: skip
KEYS = ("namespace", "name")  # of the labels by which helm-controller says what it has made
Object = dict[str, t.Any]


def find(targets: t.Sequence[Target], look: Look) -> None:
    for target in targets:
        was = target.before()
        name, namespace = was.get(OWNER), was.get(OWNER_NAMESPACE)
        if not name or not namespace:
            continue  # charts write owning-resource: unknown, without a namespace
        body = look.find(VERSIONS, "istiooperators", namespace, name)
        operators = [d for d in look.list(("apps/v1",), "deployments") if is_operator(d)]
        if "deployments" in look.refused:
            raise Refusal(
                "owner_unknown",
                f"{target.ref} belongs to IstioOperator {namespace}/{name}, and where its operator runs can't be found:"
                " Deployments of all namespaces may not be listed. Allow that (docs/permissions.md).",
                resource=target.ref.as_dict(),
            )
        freezes = tuple(freeze for operator in operators for freeze in _freezes(operator, look))
        target.claims.append(_claim(target, f"IstioOperator {namespace}/{name}", body, freezes))


def is_operator(deployment: dict[str, t.Any]) -> bool:
    """Whether this runs the operator: `istioctl operator init` and its chart label the pods so, or by its command."""
    template = (deployment.get("spec") or {}).get("template") or {}
    if ((template.get("metadata") or {}).get("labels") or {}).get("name") == "istio-operator":
        return True
    return any(
        (c.get("command") or [])[:1] == ["operator"] and "server" in [*c["command"], *(c.get("args") or [])]
        for c in (template.get("spec") or {}).get("containers") or []
    )


def _freezes(deployment: Object, look: Look) -> t.Iterator[Freeze]:
    """What is held still so that this operator is, those above it first."""
    ref = Ref("apps/v1", "Deployment", *ref_of(deployment))
    yield from flux_helm_release.above(deployment, ref, REPLICAS, look)
    yield Freeze(ref, deployment, REPLICAS, 0)
    application = argo_cd.tracked_by(Target(ref, "", deployment))
    if application:
        look.note(
            f"{ref}, an Istio operator, is of Argo CD's Application {application}. If that heals itself (selfHeal), it"
            " starts the operator again, which labels blue anew: turn that off until the cleanup is done."
        )


def makes(body: Object, target: Target) -> bool:
    """Whether the operator would make the object again, by what the IstioOperator's spec says of the gateway that it is
    of. What is of no gateway it would. A gateway that is listed is off with `enabled: false` alone."""
    component, own = GATEWAYS.get(target.labels.get(COMPONENT, ""), ("", ""))
    if not component:
        return True
    spec = body.get("spec") or {}
    for gateway in (spec.get("components") or {}).get(component) or []:
        name, space = gateway.get("name"), gateway.get("namespace") or spec.get("namespace") or "istio-system"
        if target.ref.namespace == space and target.ref.name in _names_of(name):
            return gateway.get("enabled") is not False
    return target.ref.name in _names_of(own)


def _names_of(gateway: str) -> tuple[str, ...]:
    return gateway, f"{gateway}-sds", f"{gateway}-service-account"


def _claim(target: Target, name: str, body: Object | None, freezes: tuple[Freeze, ...]) -> Claim:
    safe = OWNER not in target.labels
    if body is None:
        # An operator that was frozen for it is still to be set in motion when it is released. The labels come off, as
        # its IstioOperator may come back by a rollback of the cleanup.
        reason, frozen = "its IstioOperator is gone", freezes if target.undo else ()
        return Claim(NAME, name, True, reason, labels=(OWNER, OWNER_NAMESPACE), freezes=frozen)
    awake = [freeze.ref for freeze in freezes if freeze.path == REPLICAS and not freeze.in_place]
    if safe and not awake:
        reason = f"it has no label {OWNER}, and no operator is at work"
    elif safe:
        reason = f"{' and '.join(map(str, awake))} would label it again and prune it then"
    else:
        reason = f"the operator prunes what has the label {OWNER}"
    leaving = bool(body["metadata"].get("deletionTimestamp"))
    return Claim(
        NAME, name, safe and not awake, reason, labels=(OWNER, OWNER_NAMESPACE), freezes=freezes,
        source=bool(freezes) and not leaving and makes(body, target), going=bool(freezes) and leaving,
    )  # fmt: skip


# -- when blue goes --------------------------------------------------------------------------------------------------
def rest(look: Look, frozen: t.Iterable[Ref]) -> dict[str, t.Any]:
    """What an IstioOperator is still good for, as _goes_with_blue takes it.

    made: by IstioOperator, the workloads that it alone has made, NAMESPACE/NAME; what Helm has taken over since is not
    among them. at_work: whether an operator is there that somebody wants. left: the Helm releases of operators that
    nobody wants any more, as the HelmRelease that they are of has gone while it was suspended; none where there is
    more than one IstioOperator. frozen: what the journal has as held still: an operator may be gone, and its release not.
    """
    made: dict[str, list[str]] = {}
    operators: list[Ref] = []
    for kind, plural in (("Deployment", "deployments"), ("DaemonSet", "daemonsets")):
        for body in look.list(("apps/v1",), plural):
            target = Target(Ref("apps/v1", kind, *ref_of(body)), "", body)
            labels = target.before()
            if labels.get(OWNER_NAMESPACE) and RELEASE_NAME not in target.annotations:
                name = f"IstioOperator {labels[OWNER_NAMESPACE]}/{labels.get(OWNER)}"
                made.setdefault(name, []).append(f"{target.ref.namespace}/{target.ref.name}")
            if kind == "Deployment" and is_operator(body):
                operators.append(target.ref)
    alone = len(look.list(VERSIONS, "istiooperators")) < 2
    known = dict.fromkeys([*operators, *(ref for ref in frozen if ref.kind == "Deployment")])
    deserted = {ref: found for ref in known if alone and (found := _deserted(ref, look))}
    refused = look.refused & {"deployments", "daemonsets", "istiooperators"}
    left = [record.as_dict() for records in deserted.values() for record in records]
    return {
        "made": made, "at_work": bool(refused) or any(ref not in deserted for ref in operators),
        "left": [record for index, record in enumerate(left) if record not in left[:index]],
    }  # fmt: skip


def _deserted(ref: Ref, look: Look) -> list[Record]:
    """The release that has this Deployment, if helm-controller has made it for a HelmRelease that is not there."""
    found = []
    for record, at in look.storage.holding(ref) if look.storage else []:
        text = record.payload.manifest[at.start : at.end]
        names = [re.search(rf"{re.escape(flux_helm_release.GROUP)}/{key}: *[\"']?([\w.-]+)", text) for key in KEYS]
        owner = [name[1] for name in names if name]
        if len(owner) == 2 and look.find(flux_helm_release.VERSIONS, flux_helm_release.PLURAL, *owner) is None:
            found.append(record)
    return found


def await_stopped(cluster: Cluster, ref: Ref, timeout: float) -> None:
    """Returns when the operator's pods are gone: until then they would put the labels back. Raises Refusal
    owner_timeout."""
    deadline = time.monotonic() + timeout
    body = cluster.get(path_of(ref.api_version, "deployments", ref.namespace, ref.name))
    wanted = ((body.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    query = {"labelSelector": label_query(wanted)}
    while pods := cluster.list(path_of("v1", "pods", ref.namespace), query):
        if time.monotonic() > deadline:
            names = ", ".join(pod["metadata"]["name"] for pod in pods)
            raise Refusal(
                "owner_timeout",
                f"{ref}: scaled to 0, and after {timeout:g} s {names} are still there. Look at why they do not end.",
                resource=ref.as_dict(),
            )
        time.sleep(1)
