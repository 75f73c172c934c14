# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming an object of any kind, and finding where the API server serves it."""

from __future__ import annotations

import dataclasses
import typing as t

from ._client import ApiError, Cluster, path_of
from ._module import Refusal
from ._objects import ref_of

# What is asked for most; any other kind costs one discovery request for each group and version.
KNOWN: dict[tuple[str, str], tuple[str, bool]] = {
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Namespace"): ("namespaces", False),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "Service"): ("services", True),
    ("v1", "ServiceAccount"): ("serviceaccounts", True),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): ("customresourcedefinitions", False),
    ("apps/v1", "DaemonSet"): ("daemonsets", True),
    ("apps/v1", "Deployment"): ("deployments", True),
    ("autoscaling/v2", "HorizontalPodAutoscaler"): ("horizontalpodautoscalers", True),
    ("policy/v1", "PodDisruptionBudget"): ("poddisruptionbudgets", True),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): ("clusterroles", False),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("clusterrolebindings", False),
    ("rbac.authorization.k8s.io/v1", "Role"): ("roles", True),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("rolebindings", True),
    ("networking.k8s.io/v1", "NetworkPolicy"): ("networkpolicies", True),
    ("networking.istio.io/v1", "Gateway"): ("gateways", True),
    ("networking.istio.io/v1beta1", "Gateway"): ("gateways", True),
    ("networking.istio.io/v1", "VirtualService"): ("virtualservices", True),
    ("networking.istio.io/v1", "DestinationRule"): ("destinationrules", True),
    ("networking.istio.io/v1beta1", "DestinationRule"): ("destinationrules", True),
    ("security.istio.io/v1", "AuthorizationPolicy"): ("authorizationpolicies", True),
    ("security.istio.io/v1beta1", "AuthorizationPolicy"): ("authorizationpolicies", True),
    ("security.istio.io/v1", "PeerAuthentication"): ("peerauthentications", True),
    ("security.istio.io/v1beta1", "PeerAuthentication"): ("peerauthentications", True),
    ("apps/v1", "StatefulSet"): ("statefulsets", True),
    ("networking.k8s.io/v1", "Ingress"): ("ingresses", True),
    ("traefik.io/v1alpha1", "Middleware"): ("middlewares", True),
    ("traefik.io/v1alpha1", "ServersTransport"): ("serverstransports", True),
    ("policy.linkerd.io/v1alpha1", "AuthorizationPolicy"): ("authorizationpolicies", True),
    ("policy.linkerd.io/v1alpha1", "MeshTLSAuthentication"): ("meshtlsauthentications", True),
    ("policy.linkerd.io/v1alpha1", "NetworkAuthentication"): ("networkauthentications", True),
    ("policy.linkerd.io/v1beta3", "HTTPRoute"): ("httproutes", True),
    ("policy.linkerd.io/v1beta3", "Server"): ("servers", True),
    ("cert-manager.io/v1", "Certificate"): ("certificates", True),
}


def group_of(api_version: str) -> str:
    """The API group of an apiVersion: '' for 'v1'."""
    return api_version.rpartition("/")[0]


@dataclasses.dataclass(frozen=True, order=True)
class Ref:
    """One object. namespace is '' for a cluster-scoped one."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, item: dict[str, t.Any]) -> Ref:
        """That of an object as it was read or is to be written."""
        return cls(item["apiVersion"], item["kind"], *ref_of(item))

    @property
    def group(self) -> str:
        return group_of(self.api_version)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def as_dict(self) -> dict[str, str]:
        return {"api_version": self.api_version, "kind": self.kind, "namespace": self.namespace, "name": self.name}


class Resources:
    """Where kinds are served: KNOWN, and discovery for the rest. Not thread-safe; look kinds up before going
    parallel."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._discovered: dict[str, dict[str, tuple[str, bool]]] = {}

    def find(self, api_version: str, kind: str) -> tuple[str, bool] | None:
        """(plural, namespaced), or None where the API server does not serve this kind."""
        if (api_version, kind) in KNOWN:
            return KNOWN[(api_version, kind)]
        if api_version not in self._discovered:
            try:
                served = self._cluster.get("/api/v1" if api_version == "v1" else f"/apis/{api_version}")
            except ApiError as exc:
                if exc.status != 404:
                    raise
                served = {}
            self._discovered[api_version] = {
                entry["kind"]: (entry["name"], entry["namespaced"])
                for entry in served.get("resources") or []
                if "/" not in entry["name"]
            }
        return self._discovered[api_version].get(kind)

    def path(self, ref: Ref) -> str:
        """The API path of an object. Raises Refusal: unknown_kind; malformed_reference when namespace and scope disagree."""
        found = self.find(ref.api_version, ref.kind)
        if found is None:
            raise Refusal(
                "unknown_kind",
                f"{ref}: the API server serves no kind {ref.kind} in {ref.api_version}. Check api_version and kind"
                " (kubectl api-resources lists them).",
            )
        plural, namespaced = found
        if namespaced != bool(ref.namespace):
            expected = "a namespace" if namespaced else "no namespace, it is cluster-scoped"
            raise Refusal("malformed_reference", f"{ref.kind} {ref.name}: expected {expected}; found {ref.namespace!r}.")
        return path_of(ref.api_version, plural, ref.namespace or None, ref.name)

    def served(self, api_version: str, plural: str) -> bool:
        """Whether the API server serves this plural name in this group and version."""
        self.find(api_version, "")
        return any(name == plural for name, _namespaced in self._discovered.get(api_version, {}).values())


def parse_namespaced(text: str, option: str) -> tuple[str, str]:
    """'NAMESPACE/NAME' -> (namespace, name). Raises Refusal malformed_reference."""
    namespace, _slash, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise Refusal("malformed_reference", f"{option}: {text!r} is not of the form NAMESPACE/NAME.")
    return namespace, name


def read_all(cluster: Cluster, paths: t.Sequence[str]) -> list[dict[str, t.Any] | None]:
    """The objects at these paths, in their order; None for one that is not there. Raises the first ClusterError."""
    answers = cluster.parallel(cluster.find, paths)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
