# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An IstioOperator: its finalizer, and each reconciliation, prune by labels what it once rendered.

So the labels that name it come off (operator 1.23, pkg/helmreconciler/prune.go), and the operator is frozen first: it
would put them on again. It prunes Deployments, Services, ConfigMaps, Secrets, accounts, roles, webhooks and the like,
never Gateways. An IstioOperator that is deleted while its operator is frozen waits for its finalizer.
"""

from __future__ import annotations

import time
import typing as t

from .._client import Cluster, path_of
from .._frozen import Freeze
from .._keep_target import Claim, Target
from .._look import Look
from .._module import Refusal
from .._objects import label_query
from .._resources import Ref

NAME = "istio_operator"
OWNER = "install.operator.istio.io/owning-resource"
OWNER_NAMESPACE = f"{OWNER}-namespace"
VERSIONS = ("install.istio.io/v1alpha1",)
REPLICAS = ("spec", "replicas")


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
        target.claims.append(_claim(target, f"IstioOperator {namespace}/{name}", body, operators))


def is_operator(deployment: dict[str, t.Any]) -> bool:
    """Whether this runs the operator: `istioctl operator init` and its chart label the pods so, or by its command."""
    template = (deployment.get("spec") or {}).get("template") or {}
    if ((template.get("metadata") or {}).get("labels") or {}).get("name") == "istio-operator":
        return True
    return any(
        (c.get("command") or [])[:1] == ["operator"] and "server" in [*c["command"], *(c.get("args") or [])]
        for c in (template.get("spec") or {}).get("containers") or []
    )


def _claim(target: Target, name: str, body: dict[str, t.Any] | None, operators: t.Sequence[dict[str, t.Any]]) -> Claim:
    freezes = tuple(
        Freeze(Ref("apps/v1", "Deployment", d["metadata"]["namespace"], d["metadata"]["name"]), d, REPLICAS, 0)
        for d in operators
    )
    safe = OWNER not in target.labels
    if body is None:
        # An operator that was frozen for it is still to be set in motion when it is released.
        return Claim(NAME, name, True, "its IstioOperator is gone", freezes=freezes if target.undo else ())
    awake = [freeze.ref for freeze in freezes if not freeze.in_place]
    if safe and not awake:
        reason = f"it has no label {OWNER}, and no operator is at work"
    elif safe:
        reason = f"{' and '.join(map(str, awake))} would label it again and prune it then"
    else:
        reason = f"the operator prunes what has the label {OWNER}"
    return Claim(
        NAME, name, safe and not awake, reason, labels=(OWNER, OWNER_NAMESPACE), freezes=freezes,
        source=bool(freezes), going=bool(freezes and body["metadata"].get("deletionTimestamp")),
    )  # fmt: skip


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
